#include "model/published.h"

#include <stdio.h>
#include <string.h>

void published_plain_name(const char *name, char *plain, size_t size)
{
    static const char marks[][12] = {"._orig_mod", "_orig_mod."};
    if ((size_t)snprintf(plain, size, "%s", name) >= size) *plain = 0;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        for (char *at; (at = strstr(plain, marks[i]));) {
            size_t length = strlen(marks[i]);
            memmove(at, at + length, strlen(at + length) + 1);
        }
}

bool published_is_buffer(const char *name)
{
    static const char *const endings[] = {"positional_encoding.pe_cache", ".field_stride"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t length = strlen(name), ending = strlen(endings[i]);
        if (length >= ending && strcmp(name + length - ending, endings[i]) == 0) return true;
    }
    return strstr(name, "._cached_") != NULL;
}

/* ---- tensors without a place ---- */

typedef struct Known {
    const char *part; /* of the name; the first row that matches decides */
    const char *what;
} Known;

/* Of models that neither version computes. */
static const Known foreign[] = {
    {".write_gate_proj.", "belongs to Wave Field before V4.7"},
    {"_feature_map.linear.", "is the feature map of Wave Field V4.3"},
    {".local_blend", "is the local window of Wave Field before V4.7"},
    {"._window_mask", "is the local window of Wave Field before V4.7"},
    {".kerr_gamma", "is the split-step propagation of Wave Field before V4.7"},
    {".basis_", "is the kernel mixture of Wave Field before V4.7"},
    {".kernel_mix_", "is the kernel mixture of Wave Field before V4.7"},
    {".head_positions", "is the 3D interference of Wave Field before V4.7"},
    {".token_pos_proj.", "is the 3D interference of Wave Field before V4.7"},
    {".attention.q_proj.", "belongs to Wave Field before V3.5"},
    {".causal_kernel_fft", "belongs to Wave Field before V3.5"},
    {"global_context_modules.", "belongs to Wave Field before V3.5"},
    {"._frozen_damping_", "holds frozen damping, which stands in for wave_damping in some heads"},
    {".component_weights", "weighs kernels of several components"},
    {".delta_correction.", "belongs to delta correction"},
    {"_branch_scale", "belongs to attention heads mixed with wave heads"},
    {".self_attn.", "belongs to a layer of softmax attention"},
    {".q_proj.", "belongs to a layer of gated linear attention"},
    {"._monarch.", "belongs to the Monarch FFT"},
};

/* Of models that another configuration describes. */
static const Known elsewhere[] = {
    {".attention.qkv_proj.", "belongs to version \"3.5\", or to a layer whose mixer is attention"},
    {".attention.gate_proj.", "belongs to version \"3.5\""},
    {".attention.qkvg_proj.", "belongs to version \"4\""},
    {"_feature_map.net.2.", "belongs to version \"4\" with feature_map_depth 2"},
    {"_feature_map.net.0.", "belongs to version \"4\""},
    {".cross_dim.", "belongs to version \"4\" with cross_dim true"},
    {".spectral_gate.", "belongs to version \"4\" with spectral_gate true"},
    {"interference_modules.", "needs num_layers / interference_interval to be larger"},
};

enum { LONGEST_NAME = 256 };

#define FIND(known, name) find(known, sizeof(known) / sizeof *(known), name)

static const char *find(const Known *known, size_t n, const char *name)
{
    char plain[LONGEST_NAME];
    published_plain_name(name, plain, sizeof plain);
    for (size_t i = 0; i < n; i++)
        if (strstr(plain, known[i].part)) return known[i].what;
    return NULL;
}

bool published_is_foreign(const char *name)
{
    return FIND(foreign, name) != NULL;
}

wf_status published_refuse(const char *path, const char *name)
{
    const char *what = FIND(foreign, name);
    if (what)
        return fail(WF_ERROR_UNSUPPORTED,
                    "%s: tensor %s %s, which neither version \"3.5\" nor version \"4\" computes: "
                    "this file cannot be loaded",
                    path, name, what);
    what = FIND(elsewhere, name);
    return fail(WF_ERROR_FORMAT, "%s: the configuration has no place for tensor %s%s%s", path, name,
                what ? ": it " : "", what ? what : "");
}

const char *published_why_missing(const char *name)
{
    static const Known missing[] = {
        {"_feature_map.net.0.", "; Wave Field V4.1 has none and cannot be loaded"},
        {"_feature_map.net.2.", "; feature_map_depth 1 would not need it"},
        {".cross_dim.", "; published files have it from V4.7 on, and older ones compute otherwise; "
                        "a model trained without it says \"cross_dim\": false"},
    };
    const char *why = FIND(missing, name);
    return why ? why : "";
}

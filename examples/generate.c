/* Generation: text from a model folder, written as it comes.
 *
 *     generate FOLDER [PROMPT [TOKENS]]
 *
 * With one-pole kernels every token costs the same, however long the text has become. */
#include <stdio.h>
#include <stdlib.h>

#include "wavefield/generate.h"

static void check(wf_status status)
{
    if (status == WF_OK) return;
    fprintf(stderr, "%s: %s\n", wf_status_name(status), wf_error_message());
    exit(1);
}

/* Gets each piece of text; another value than 0 would stop the generation. */
static int print(void *context, const char *text, size_t length)
{
    size_t *bytes = context;
    *bytes += length;
    fwrite(text, 1, length, stdout);
    return fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: generate FOLDER [PROMPT [TOKENS]]\n");
        return 2;
    }
    const char *prompt = argc > 2 ? argv[2] : "The Owl";
    int64_t tokens = argc > 3 ? atoll(argv[3]) : 100;

    wf_device *device;
    wf_model *model;
    check(wf_device_open("auto", &device));
    check(wf_model_load(device, argv[1], &model));

    size_t bytes = 0;
    fputs(prompt, stdout);
    check(wf_generate(model,
                      wf_generate_params(.prompt = prompt, .max_tokens = tokens,
                                         .sampler = {.temperature = 0.7, .top_p = 0.9, .seed = 1},
                                         .emit = print, .context = &bytes)));
    putchar('\n');

    wf_model_destroy(model);
    wf_device_close(device);
    return bytes > 0 ? 0 : 1;
}

/* config.json; or, where the input has no brace, one assignment as --set takes it. */
#include "fuzz.h"
#include "model/config.h"

#include <stdlib.h>
#include <string.h>

/* What is printed is the configuration, to the bit. */
static void check_round_trip(const Config *config)
{
    Config again;
    char *text = config_print(config);
    REQUIRE(text);
    MUST(config_parse(text, strlen(text), "again", &again));
    char *text_again = config_print(&again);
    REQUIRE(text_again && strcmp(text, text_again) == 0);
    REQUIRE(memcmp(&again.dropout, &config->dropout, sizeof config->dropout) == 0);
    free(text);
    free(text_again);
}

static void check_uses(const Config *config)
{
    char text[64];
    int64_t count;
    REQUIRE(fuzz_ok(wf_config_get(config, "dropout", text, sizeof text)));
    REQUIRE(strtod(text, NULL) == config->dropout);
    if (config->max_seq_len <= 1 << 20) fuzz_ok(wf_config_validate(config)); /* it walks them */
    if (config->num_layers <= 64 && fuzz_ok(wf_config_parameters(config, &count)))
        REQUIRE(count > 0);
}

static bool assign(const char *text)
{
    wf_config *config, *before;
    MUST(wf_config_create("demo", &config));
    MUST(wf_config_copy(config, &before));
    bool taken = fuzz_ok(wf_config_set(config, text));
    /* Keys that have yet to fit together are not for a file. */
    if (taken && fuzz_ok(wf_config_validate(config)))
        check_round_trip(config);
    else if (!taken)
        REQUIRE(memcmp(config, before, sizeof *config) == 0);
    wf_config_destroy(before);
    wf_config_destroy(config);
    return taken;
}

bool fuzz_one(const uint8_t *data, size_t size)
{
    Config config;
    if (size && !memchr(data, '{', size)) {
        char *text = malloc(size + 1);
        REQUIRE(text);
        memcpy(text, data, size);
        text[size] = 0;
        bool taken = assign(text);
        free(text);
        return taken;
    }
    if (!fuzz_ok(config_parse((const char *)data, size, "config.json", &config))) return false;
    check_round_trip(&config);
    check_uses(&config);
    return true;
}

#include "cli_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int wavefield(const char *format, ...)
{
    char options[4096], line[8192];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(options, sizeof options, format, arguments);
    va_end(arguments);
    snprintf(line, sizeof line, "'%s' %s", WAVEFIELD_BINARY, options);
    return folder_run(line);
}

void write_bytes(const char *name, const char *bytes, size_t size)
{
    FILE *file = fopen(IN_FOLDER(name), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

void write_file(const char *name, const char *text)
{
    write_bytes(name, text, strlen(text));
}

static void write_data(void)
{
    static const char *const who[] = {"fox", "owl", "hare", "wren", "mole"};
    static const char *const does[] = {"sees", "hears", "follows", "forgets"};
    FILE *file = fopen(IN_FOLDER("data.txt"), "w");
    assert_non_null(file);
    for (int i = 0; i < 300; i++)
        fprintf(file, "the %s %s the old %s.\n", who[i % 5], does[i * 7 % 4], who[i * i % 5]);
    assert_int_equal(fclose(file), 0);
}

int cli_set_up(void **state)
{
    if (folder_set_up(state)) return -1;
    write_data();
    return 0;
}

int count_text(const char *name, const char *text)
{
    char line[256];
    FILE *file = fopen(IN_FOLDER(name), "r");
    int count = 0;
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) count += strstr(line, text) != NULL;
    fclose(file);
    return count;
}

void assert_same_file(const char *a, const char *b)
{
    char line[1024];
    snprintf(line, sizeof line, "cmp %s/%s %s/%s", folder, a, folder, b);
    assert_int_equal(system(line), 0);
}

#include "scratch.h"

#include "base/files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

char folder[] = "/tmp/wavefield-test-XXXXXX";
char output[1 << 18];

int folder_set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/wavefield-test-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

int folder_tear_down(void **state)
{
    (void)state;
    char line[128];
    snprintf(line, sizeof line, "rm -rf %s", folder);
    return system(line);
}

char *in_folder(const char *name, char *path, size_t size)
{
    snprintf(path, size, "%s/%s", folder, name);
    return path;
}

/* The new content takes the old one's place as a whole, as where another process has it open. */
static void damage(const char *path, size_t cut, size_t at)
{
    char *data;
    size_t size;
    assert_int_equal(file_read(path, SIZE_MAX / 4, &data, &size), WF_OK);
    if (at < size) data[at] = (char)(data[at] ^ 0x10);
    assert_int_equal(file_write_atomic(path, data, size > cut ? size - cut : 0), WF_OK);
    free(data);
}

void folder_damage(const char *name, size_t cut, size_t at)
{
    FolderList list;
    assert_int_equal(folder_list(IN_FOLDER(name), &list), WF_OK);
    for (int i = 0; i < list.count; i++) {
        char *path = path_join(IN_FOLDER(name), list.names[i]);
        damage(path, cut, at);
        free(path);
    }
    folder_list_destroy(&list);
}

int folder_run(const char *command)
{
    char line[16384];
    snprintf(line, sizeof line, "cd %s && { %s; } 2>&1", folder, command);
    FILE *pipe = popen(line, "r");
    assert_non_null(pipe);
    size_t length = fread(output, 1, sizeof output - 1, pipe);
    output[length] = 0;
    int status = pclose(pipe);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

void assert_says(const char *text)
{
    if (strstr(output, text)) return;
    print_error("expected \"%s\" in:\n%s\n", text, output);
    fail();
}

/* A folder for everything a test program writes, and commands run in it. */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

#include <stddef.h>

/* Made by folder_set_up(), removed with all it holds by folder_tear_down(): fixtures of a
 * group, or of single tests. */
extern char folder[];
int folder_set_up(void **state);
int folder_tear_down(void **state);

/* "folder/name"; returns `path`. */
char *in_folder(const char *name, char *path, size_t size);
#define IN_FOLDER(name) in_folder((name), (char[256]){0}, 256)

/* Damages every file in a folder in the folder: turns a bit of the byte `at`, where there is one,
 * and cuts the last `cut` bytes off. */
void folder_damage(const char *name, size_t cut, size_t at);

/* Runs a command line in the folder; returns its exit status. */
int folder_run(const char *command);

/* What the last command printed, both streams, NUL-terminated; fails the test if `text` is not in
 * it. */
extern char output[1 << 18];
void assert_says(const char *text);

#endif

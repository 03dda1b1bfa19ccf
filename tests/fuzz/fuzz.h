/* What the fuzz targets share.
 *
 * A target defines fuzz_one(), which gives its bytes to the readers of one kind of file and checks
 * more than that nothing crashes: what is taken survives being written and read again, what is
 * refused says why. The same source runs under libFuzzer (fuzz.c) and over files named on the
 * command line (replay.c), so that every seed and every past finding is a test of any build. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether the library took the input. The same bytes give the same answer, whatever came before. */
bool fuzz_one(const uint8_t *data, size_t size);

/* What must hold of every input. */
#define REQUIRE(condition) ((condition) ? (void)0 : fuzz_broken(#condition, __FILE__, __LINE__))
_Noreturn void fuzz_broken(const char *condition, const char *file, int line);

/* Whether a call succeeded; if not, that its message is one to show to a user. */
bool fuzz_ok(wf_status status);

/* A call that no input may make fail. */
#define MUST(call) fuzz_must((call), #call, __FILE__, __LINE__)
void fuzz_must(wf_status status, const char *call, const char *file, int line);

/* A run of the input's bytes. */
typedef struct Part {
    const uint8_t *data;
    size_t size;
} Part;

/* Cuts an input that stands for several files at its first n-1 marks "<part>"; parts without one
 * are empty. A mark in the text, unlike a length before it, survives most mutations. */
void fuzz_split(const uint8_t *data, size_t size, Part *parts, int n);
#define FUZZ_MARK "<part>"

/* The path of a file in this process's own folder, which is in memory where there is such a place
 * and is removed at the end. Valid until eight further calls. */
const char *fuzz_path(const char *name);

/* Writes such a file, and returns its path; an empty part removes it instead. */
const char *fuzz_write(const char *name, Part part);

#endif

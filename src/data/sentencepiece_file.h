/* A SentencePiece model file: what a tokenizer needs of it, and the checks the library leaves out.
 *
 * The file is a protocol buffer, message ModelProto of sentencepiece_model.proto
 * (github.com/google/sentencepiece). The library looks up rules of the normalisation in a double
 * array without regard to its size, adds up scores whatever they are, and counts on no more than a
 * few entries being prefixes of one another; all of that is proven here before it sees the file. */
#ifndef DATA_SENTENCEPIECE_FILE_H
#define DATA_SENTENCEPIECE_FILE_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ModelProto.SentencePiece.Type */
typedef enum SpKind {
    SP_NORMAL = 1,
    SP_UNKNOWN,
    SP_CONTROL,
    SP_USER_DEFINED,
    SP_UNUSED,
    SP_BYTE
} SpKind;

typedef struct SpBytes {
    const char *data;
    size_t size;
} SpBytes;

typedef struct SpPiece {
    SpBytes name; /* UTF-8, never empty, without NUL */
    float score;
    SpKind kind;
} SpPiece;

typedef struct SpFile {
    SpPiece *pieces; /* [count] */
    int count, capacity;
    bool dummy_prefix, remove_spaces, byte_fallback, rules; /* rules: texts are normalised */
    SpBytes unknown_surface;                                /* what an unknown token decodes to */
} SpFile;

/* Reads and checks a file in memory, into which *out then points. Messages lack the file's name. */
wf_status sp_file_read(const char *bytes, size_t length, SpFile *out);
void sp_file_destroy(SpFile *file);

#endif

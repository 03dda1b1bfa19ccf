/* Text and JSON-lines files as a stream of pieces of text, in memory that does not grow with the
 * file.
 *
 * A text file is one text. A .jsonl file has a JSON object a line whose text field is a document;
 * blank lines and empty documents are passed over. A text longer than PIECE_MOST bytes comes in
 * pieces. They are cut before a line's end that follows a letter or digit where there is one, which
 * is between two tokens for most tokenizers; where a text is cut depends on the text only, so its
 * tokens are the same whoever reads it. */
#ifndef DATA_DOCUMENTS_H
#define DATA_DOCUMENTS_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PIECE_MOST = 1 << 20, /* bytes */
    LINE_MOST = 1 << 26,  /* bytes of a line of JSON */
};

typedef struct TextPiece {
    const char *text; /* valid until the next call; not NUL-terminated */
    size_t length;    /* 0: there are no more */
    bool ends;        /* a document of a .jsonl file ends here */
} TextPiece;

typedef struct Documents Documents;

/* `field` is the key of a line's text. */
wf_status documents_open(const char *path, const char *field, Documents **out);

/* Errors name the file, the line and the key. */
wf_status documents_next(Documents *documents, TextPiece *piece);

/* Puts the place of the last piece ("data.jsonl: line 12") before this thread's message. */
wf_status documents_fail_within(const Documents *documents, wf_status status);

/* Of the file read so far. */
int64_t documents_bytes(const Documents *documents);

void documents_close(Documents *documents); /* NULL is allowed */

/* How much of a text's first `length` bytes to take as a piece, where it has more. */
size_t piece_cut(const char *text, size_t length);

#endif

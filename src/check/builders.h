/* How each case's graph is built; one function serves all cases of an op. Sizes are as commented.
 */
#ifndef CHECK_BUILDERS_H
#define CHECK_BUILDERS_H

#include "check/case.h"

/* layer_cases.c */
void build_fill(CaseGraph *graph);               /* n */
void build_elementwise(CaseGraph *graph);        /* rows, width */
void build_dropout(CaseGraph *graph);            /* rows, width */
void build_embed(CaseGraph *graph);              /* batch, tokens, width, vocabulary */
void build_embed_backward(CaseGraph *graph);     /* the same */
void build_layernorm(CaseGraph *graph);          /* rows, width */
void build_layernorm_backward(CaseGraph *graph); /* rows, width */
void build_product(CaseGraph *graph);            /* rows, cols, inner, batch */
void build_follower(CaseGraph *graph);           /* the same; an op of the product's result */
void build_column_sum(CaseGraph *graph);         /* batch, rows, width */
void build_key_norm(CaseGraph *graph);           /* rows, width */
void build_attention(CaseGraph *graph);          /* batch, tokens, heads, width */
void build_attention_backward(CaseGraph *graph); /* the same */
void build_attention_stream(CaseGraph *graph);   /* batch, tokens, heads, width, max_seq_len */
void build_first_token(CaseGraph *graph);        /* batch, tokens, width */
void build_first_token_backward(CaseGraph *graph);
void build_causal_mean(CaseGraph *graph);        /* batch, tokens, width; forward and backward */
void build_causal_mean_stream(CaseGraph *graph); /* batch, tokens, width */
void build_cosine(CaseGraph *graph);             /* rows, width */
void build_cosine_backward(CaseGraph *graph);    /* rows, width */
void build_interfere(CaseGraph *graph);          /* rows, width */
void build_interfere_backward(CaseGraph *graph); /* rows, width */
void build_head_loss(CaseGraph *graph);          /* rows, width, vocabulary */
void build_square_sum(CaseGraph *graph);         /* n */
void build_adamw(CaseGraph *graph);              /* n, segments */

/* field_cases.c */
void build_couple(CaseGraph *graph);          /* batch, tokens, heads, width */
void build_couple_backward(CaseGraph *graph); /* the same */
void build_field(CaseGraph *graph);           /* batch, tokens, heads, width, cells, max_seq_len */
void build_field_backward(CaseGraph *graph);  /* the same */
void build_field_stream(CaseGraph *graph);    /* the same */
void build_field_recall(CaseGraph *graph);    /* the same */
void build_field_norm(CaseGraph *graph);      /* heads, cells */
void build_field_kernel(CaseGraph *graph);    /* batch, heads, cells */

#endif

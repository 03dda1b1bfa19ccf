/* The list: every op, forward and backward, at sizes that are 1, prime, or just past a boundary. */
#include "check/builders.h"

#define ROW_WITH(flag_bits, which, function, ...)                                                  \
    {                                                                                              \
        .op = OP_##which, .build = function, .size = {__VA_ARGS__}, .flags = flag_bits             \
    }
#define ROW(which, function, ...) ROW_WITH(0, which, function, __VA_ARGS__)
#define ELEMENTWISE(which)                                                                         \
    ROW(which, build_elementwise, 1, 1), ROW(which, build_elementwise, 7, 13),                     \
        ROW(which, build_elementwise, 31, 257),                                                    \
        ROW_WITH(CASE_ACCUMULATE, which, build_elementwise, 5, 67)
#define ELEMENTWISE_WIDE(which)                                                                    \
    ELEMENTWISE(which), ROW_WITH(CASE_WIDE, which, build_elementwise, 11, 91)
#define FIELD_ROW(which, function, evaluation, flag_bits, ...)                                     \
    {                                                                                              \
        .op = OP_##which, .build = function, .size = {__VA_ARGS__}, .flags = flag_bits,            \
        .evaluator = FIELD_##evaluation                                                            \
    }
#define FIELD_FORMS(evaluation, flag_bits, ...)                                                    \
    FIELD_ROW(FIELD, build_field, evaluation, flag_bits, __VA_ARGS__),                             \
        FIELD_ROW(FIELD_BACKWARD, build_field_backward, evaluation, flag_bits, __VA_ARGS__)
#define FOLLOWER_ROW(flag_bits, which, ...)                                                        \
    ROW_WITH(CASE_FOLLOWS | (flag_bits), which, build_follower, __VA_ARGS__)
#define FOLLOWER_ROWS(flag_bits, which)                                                            \
    FOLLOWER_ROW(flag_bits, which, 1, 1, 1, 1),                                                    \
        FOLLOWER_ROW(CASE_TRANS_B | CASE_BIAS | (flag_bits), which, 3, 130, 67, 1),                \
        FOLLOWER_ROW(CASE_TRANS_B | CASE_BIAS | (flag_bits), which, 2, 31, 4100, 1),               \
        FOLLOWER_ROW(CASE_TRANS_B | CASE_BIAS | (flag_bits), which, 132, 68, 52, 1),               \
        FOLLOWER_ROW(CASE_BIAS | (flag_bits), which, 19, 70, 33, 3),                               \
        FOLLOWER_ROW(CASE_TRANS_B | (flag_bits), which, 40, 36, 2050, 1),                          \
        FOLLOWER_ROW(CASE_TRANS_A | CASE_BIAS | CASE_KEPT | (flag_bits), which, 67, 71, 29, 1)
#define MODEL(name, evaluation, flag_bits)                                                         \
    {                                                                                              \
        .op = OP_COUNT, .model = name, .evaluator = FIELD_##evaluation, .flags = flag_bits         \
    }

const CheckCase check_cases[] = {
    ROW(FILL, build_fill, 1),
    ROW(FILL, build_fill, 1031),
    ELEMENTWISE(COPY),
    ELEMENTWISE(ADD),
    ELEMENTWISE_WIDE(GELU),
    ELEMENTWISE_WIDE(GELU_BACKWARD),
    ROW(DROPOUT, build_dropout, 1, 1),
    ROW(DROPOUT, build_dropout, 31, 257),
    ROW(DROPOUT, build_dropout, 517, 131),
    ROW_WITH(CASE_ACCUMULATE, DROPOUT, build_dropout, 7, 13),
    ELEMENTWISE_WIDE(FEATURE),
    ELEMENTWISE_WIDE(FEATURE_BACKWARD),
    ELEMENTWISE_WIDE(GATE),
    ELEMENTWISE_WIDE(GATE_BACKWARD),

    ROW(EMBED, build_embed, 1, 1, 1, 1),
    ROW(EMBED, build_embed, 3, 11, 29, 17),
    ROW(EMBED_BACKWARD, build_embed_backward, 1, 1, 1, 1),
    ROW(EMBED_BACKWARD, build_embed_backward, 3, 11, 29, 17),
    ROW(EMBED_BACKWARD, build_embed_backward, 2, 131, 65, 257),
    ROW(EMBED_BACKWARD, build_embed_backward, 5, 211, 67, 1),
    ROW(EMBED_BACKWARD, build_embed_backward, 3, 300, 33, 3),

    ROW(LAYERNORM, build_layernorm, 1, 5),
    ROW(LAYERNORM, build_layernorm, 7, 13),
    ROW(LAYERNORM, build_layernorm, 33, 64),
    ROW(LAYERNORM, build_layernorm, 130, 257),
    ROW(LAYERNORM, build_layernorm, 3, 1031),
    ROW(LAYERNORM_BACKWARD, build_layernorm_backward, 1, 5),
    ROW(LAYERNORM_BACKWARD, build_layernorm_backward, 7, 13),
    ROW(LAYERNORM_BACKWARD, build_layernorm_backward, 33, 64),
    ROW(LAYERNORM_BACKWARD, build_layernorm_backward, 130, 257),
    ROW(LAYERNORM_BACKWARD, build_layernorm_backward, 3, 1031),
    ROW_WITH(CASE_ACCUMULATE, LAYERNORM_BACKWARD, build_layernorm_backward, 19, 67),

    ROW(PRODUCT, build_product, 1, 1, 1, 1),
    ROW(PRODUCT, build_product, 7, 13, 5, 1),
    ROW(PRODUCT, build_product, 64, 64, 64, 1),
    ROW(PRODUCT, build_product, 65, 67, 129, 1),
    ROW(PRODUCT, build_product, 1, 257, 131, 1),
    ROW(PRODUCT, build_product, 131, 1, 257, 1),
    ROW_WITH(CASE_TRANS_A, PRODUCT, build_product, 33, 65, 17, 1),
    ROW_WITH(CASE_TRANS_B, PRODUCT, build_product, 33, 65, 17, 1),
    ROW_WITH(CASE_TRANS_A | CASE_TRANS_B, PRODUCT, build_product, 33, 65, 17, 1),
    ROW_WITH(CASE_TRANS_B | CASE_BIAS, PRODUCT, build_product, 37, 70, 129, 1),
    ROW_WITH(CASE_TRANS_B | CASE_BIAS, PRODUCT, build_product, 1, 130, 67, 1),
    ROW_WITH(CASE_TRANS_B | CASE_BIAS | CASE_GAPS, PRODUCT, build_product, 9, 19, 35, 3),
    ROW_WITH(CASE_TRANS_A | CASE_ACCUMULATE, PRODUCT, build_product, 21, 43, 130, 1),
    ROW_WITH(CASE_BIAS | CASE_ACCUMULATE, PRODUCT, build_product, 17, 5, 33, 1),
    ROW_WITH(CASE_BIAS, PRODUCT, build_product, 1, 65, 1031, 2),
    ROW_WITH(CASE_TRANS_B | CASE_BIAS, PRODUCT, build_product, 1, 67, 1032, 3),
    ROW_WITH(CASE_TRANS_B | CASE_ACCUMULATE, PRODUCT, build_product, 4, 5, 4100, 1),
    ROW_WITH(CASE_TRANS_B | CASE_BIAS, PRODUCT, build_product, 3, 31, 4099, 1),
    ROW_WITH(CASE_TRANS_A | CASE_BIAS | CASE_ACCUMULATE, PRODUCT, build_product, 2, 33, 67, 1),
    ROW_WITH(CASE_TRANS_A | CASE_TRANS_B, PRODUCT, build_product, 4, 9, 132, 2),
    ROW_WITH(CASE_BIAS | CASE_GAPS, PRODUCT, build_product, 3, 37, 129, 2),
    ROW_WITH(CASE_TRANS_B | CASE_GAPS | CASE_ACCUMULATE, PRODUCT, build_product, 4, 37, 129, 2),
    /* Aligned for reads of four elements, and no multiple of any tile. */
    ROW(PRODUCT, build_product, 132, 68, 52, 2),
    ROW_WITH(CASE_TRANS_A, PRODUCT, build_product, 68, 132, 52, 1),
    ROW_WITH(CASE_TRANS_B | CASE_BIAS, PRODUCT, build_product, 132, 68, 52, 1),
    ROW_WITH(CASE_TRANS_A | CASE_TRANS_B | CASE_ACCUMULATE, PRODUCT, build_product, 36, 132, 84, 1),
    ROW_WITH(CASE_SUM_BATCH, PRODUCT, build_product, 20, 24, 12, 4),
    ROW_WITH(CASE_SUM_BATCH, PRODUCT, build_product, 19, 23, 11, 4),
    ROW_WITH(CASE_SUM_BATCH | CASE_ACCUMULATE, PRODUCT, build_product, 19, 23, 11, 4),

    /* An op of a product's result: small; few rows, whole and in splits; aligned; several results;
     * in splits; an odd one whose product is kept. */
    FOLLOWER_ROWS(0, GELU),
    FOLLOWER_ROWS(0, GELU_BACKWARD),
    FOLLOWER_ROWS(0, FEATURE),
    FOLLOWER_ROWS(0, GATE),
    FOLLOWER_ROWS(CASE_SECOND, GATE),
    FOLLOWER_ROWS(0, ADD),
    FOLLOWER_ROWS(CASE_SECOND, ADD),

    ROW(COLUMN_SUM, build_column_sum, 1, 1, 1),
    ROW(COLUMN_SUM, build_column_sum, 3, 67, 129),
    ROW_WITH(CASE_ACCUMULATE, COLUMN_SUM, build_column_sum, 1, 259, 31),

    ROW(KEY_NORM, build_key_norm, 1, 1),
    ROW(KEY_NORM, build_key_norm, 29, 31),
    ROW(KEY_NORM, build_key_norm, 7, 257),
    ROW(KEY_NORM, build_key_norm, 3, 1031),
    ROW_WITH(CASE_ACCUMULATE, KEY_NORM, build_key_norm, 259, 64),
    ROW(KEY_NORM_BACKWARD, build_key_norm, 1, 1),
    ROW(KEY_NORM_BACKWARD, build_key_norm, 29, 31),
    ROW(KEY_NORM_BACKWARD, build_key_norm, 7, 257),
    ROW(KEY_NORM_BACKWARD, build_key_norm, 3, 1031),
    ROW_WITH(CASE_ACCUMULATE, KEY_NORM_BACKWARD, build_key_norm, 259, 64),
    ROW(COUPLE, build_couple, 1, 1, 1, 1),
    ROW(COUPLE, build_couple, 2, 13, 3, 5),
    ROW(COUPLE, build_couple, 1, 37, 24, 67),
    ROW(COUPLE_BACKWARD, build_couple_backward, 1, 1, 1, 1),
    ROW(COUPLE_BACKWARD, build_couple_backward, 2, 13, 3, 5),
    ROW(COUPLE_BACKWARD, build_couple_backward, 1, 37, 24, 67),
    ROW_WITH(CASE_ACCUMULATE, COUPLE_BACKWARD, build_couple_backward, 2, 13, 3, 5),
    ROW(COUPLE, build_couple, 3, 301, 9, 6),
    ROW(COUPLE_BACKWARD, build_couple_backward, 3, 301, 9, 6),

    /* One token; stride 1; 3/2; 2 over several chunks; 3/2 over many; all of a field; far apart;
     * v3.5. */
    FIELD_FORMS(SCAN, 0, 1, 1, 1, 1, 2, 1),
    FIELD_FORMS(SCAN, 0, 2, 7, 3, 5, 7, 7),
    FIELD_FORMS(SCAN, 0, 2, 65, 2, 4, 97, 65),
    FIELD_FORMS(SCAN, 0, 1, 150, 3, 33, 299, 150),
    FIELD_FORMS(SCAN, 0, 1, 1100, 2, 3, 1801, 1201),
    FIELD_FORMS(SCAN, CASE_DC, 1, 130, 1, 7, 512, 512),
    FIELD_FORMS(SCAN, 0, 3, 20, 2, 3, 1000, 20),
    FIELD_FORMS(SCAN, CASE_V35, 1, 67, 2, 3, 257, 100),
    FIELD_FORMS(SCAN, CASE_ACCUMULATE, 2, 7, 3, 5, 7, 7),
    FIELD_FORMS(FFT, 0, 1, 1, 1, 1, 2, 1),
    FIELD_FORMS(FFT, 0, 2, 65, 2, 4, 97, 65),
    FIELD_FORMS(FFT, CASE_DC, 1, 70, 3, 7, 97, 97),
    FIELD_FORMS(FFT, CASE_V35, 1, 50, 2, 3, 97, 97),
    FIELD_FORMS(FFT, CASE_ACCUMULATE, 2, 65, 2, 4, 97, 65),
    FIELD_FORMS(FFT, CASE_GATED, 2, 13, 2, 3, 26, 13),
    FIELD_FORMS(FFT, CASE_GATED | CASE_ACCUMULATE, 3, 20, 3, 4, 156, 41),
    FIELD_FORMS(DIRECT, 0, 2, 7, 3, 5, 7, 7),
    FIELD_FORMS(DIRECT, CASE_V35, 1, 50, 2, 3, 97, 97),
    FIELD_FORMS(DIRECT, CASE_GATED, 2, 13, 2, 3, 26, 13),
    FIELD_FORMS(DIRECT, CASE_ACCUMULATE, 3, 20, 3, 5, 97, 65),
    ROW(FIELD_NORM, build_field_norm, 1, 1),
    ROW(FIELD_NORM, build_field_norm, 5, 299),
    ROW(FIELD_NORM, build_field_norm, 2, 131072),
    ROW_WITH(CASE_V35 | CASE_DC, FIELD_NORM, build_field_norm, 3, 257),
    ROW(FIELD_STREAM, build_field_stream, 1, 1, 1, 1, 2, 1),
    ROW(FIELD_STREAM, build_field_stream, 3, 1, 3, 5, 97, 65),
    ROW(FIELD_STREAM, build_field_stream, 2, 37, 2, 33, 299, 150),
    ROW(FIELD_STREAM, build_field_stream, 2, 512, 2, 70, 1025, 601),
    ROW_WITH(CASE_V35 | CASE_DC, FIELD_STREAM, build_field_stream, 1, 20, 2, 3, 257, 100),
    ROW(FIELD_KERNEL, build_field_kernel, 1, 1, 2),
    ROW(FIELD_KERNEL, build_field_kernel, 2, 3, 26),
    ROW_WITH(CASE_DC, FIELD_KERNEL, build_field_kernel, 1, 2, 97),
    ROW(FIELD_RECALL, build_field_recall, 1, 1, 1, 1, 2, 1),
    ROW(FIELD_RECALL, build_field_recall, 2, 5, 3, 7, 97, 65),
    ROW(FIELD_RECALL, build_field_recall, 1, 1, 2, 33, 26, 13),
    ROW(FIELD_RECALL, build_field_recall, 2, 19, 2, 67, 999, 400),
    ROW_WITH(CASE_V35, FIELD_RECALL, build_field_recall, 1, 13, 2, 3, 97, 97),

    /* One token; part of a block; just past one; several. */
    ROW(ATTENTION, build_attention, 1, 1, 1, 1),
    ROW(ATTENTION, build_attention, 2, 13, 3, 5),
    ROW(ATTENTION, build_attention, 2, 65, 2, 33),
    ROW(ATTENTION, build_attention, 1, 259, 3, 16),
    ROW(ATTENTION, build_attention, 1, 67, 2, 64),
    ROW(ATTENTION, build_attention, 2, 129, 1, 127),
    ROW(ATTENTION, build_attention, 1, 70, 2, 256),
    ROW(ATTENTION, build_attention, 1, 66, 1, 259),
    ROW(ATTENTION, build_attention, 1, 577, 1, 5),
    ROW_WITH(CASE_ACCUMULATE, ATTENTION, build_attention, 2, 67, 2, 5),
    ROW_WITH(CASE_ACCUMULATE, ATTENTION, build_attention, 1, 323, 1, 5),
    ROW(ATTENTION_BACKWARD, build_attention_backward, 1, 1, 1, 1),
    ROW(ATTENTION_BACKWARD, build_attention_backward, 2, 13, 3, 5),
    ROW(ATTENTION_BACKWARD, build_attention_backward, 2, 65, 2, 33),
    ROW(ATTENTION_BACKWARD, build_attention_backward, 1, 259, 3, 16),
    ROW(ATTENTION_BACKWARD, build_attention_backward, 1, 67, 2, 64),
    ROW(ATTENTION_BACKWARD, build_attention_backward, 2, 129, 1, 127),
    ROW(ATTENTION_BACKWARD, build_attention_backward, 1, 70, 1, 259),
    ROW(ATTENTION_BACKWARD, build_attention_backward, 1, 577, 1, 5),
    ROW(ATTENTION_BACKWARD, build_attention_backward, 1, 260, 1, 130),
    ROW_WITH(CASE_ACCUMULATE, ATTENTION_BACKWARD, build_attention_backward, 2, 67, 2, 5),
    ROW_WITH(CASE_ACCUMULATE, ATTENTION_BACKWARD, build_attention_backward, 1, 323, 1, 5),
    ROW(ATTENTION_STREAM, build_attention_stream, 1, 1, 1, 1, 1),
    ROW(ATTENTION_STREAM, build_attention_stream, 3, 1, 2, 5, 131),
    ROW(ATTENTION_STREAM, build_attention_stream, 2, 70, 3, 17, 301),
    ROW(ATTENTION_STREAM, build_attention_stream, 2, 3, 3, 64, 1031),
    ROW(ATTENTION_STREAM, build_attention_stream, 1, 1, 2, 127, 515),
    ROW(ATTENTION_STREAM, build_attention_stream, 1, 8, 1, 259, 131),
    ROW(ATTENTION_STREAM, build_attention_stream, 1, 9, 1, 259, 1031),
    ROW(ATTENTION_STREAM, build_attention_stream, 1, 130, 2, 67, 259),

    ROW(FIRST_TOKEN, build_first_token, 3, 7, 13),
    ROW_WITH(CASE_ACCUMULATE, FIRST_TOKEN, build_first_token, 2, 1, 261),
    ROW(FIRST_TOKEN_BACKWARD, build_first_token_backward, 3, 7, 13),
    ROW_WITH(CASE_ACCUMULATE, FIRST_TOKEN_BACKWARD, build_first_token_backward, 3, 7, 13),
    ROW(CAUSAL_MEAN, build_causal_mean, 1, 1, 1),
    ROW(CAUSAL_MEAN, build_causal_mean, 3, 131, 17),
    ROW(CAUSAL_MEAN, build_causal_mean, 1, 4099, 3),
    ROW_WITH(CASE_ACCUMULATE, CAUSAL_MEAN, build_causal_mean, 2, 257, 67),
    ROW(CAUSAL_MEAN_BACKWARD, build_causal_mean, 1, 1, 1),
    ROW(CAUSAL_MEAN_BACKWARD, build_causal_mean, 3, 131, 17),
    ROW(CAUSAL_MEAN_BACKWARD, build_causal_mean, 1, 4099, 3),
    ROW(CAUSAL_MEAN_BACKWARD, build_causal_mean, 2, 257, 67),
    ROW_WITH(CASE_ACCUMULATE, CAUSAL_MEAN_BACKWARD, build_causal_mean, 2, 19, 5),
    ROW(CAUSAL_MEAN_STREAM, build_causal_mean_stream, 1, 1, 1),
    ROW(CAUSAL_MEAN_STREAM, build_causal_mean_stream, 3, 1, 67),
    ROW(CAUSAL_MEAN_STREAM, build_causal_mean_stream, 3, 70, 17),
    ROW(CAUSAL_MEAN_STREAM, build_causal_mean_stream, 1, 1031, 5),
    ROW(COSINE, build_cosine, 1, 1),
    ROW(COSINE, build_cosine, 29, 31),
    ROW(COSINE, build_cosine, 5, 259),
    ROW(COSINE, build_cosine, 515, 3),
    ROW_WITH(CASE_ACCUMULATE, COSINE, build_cosine, 67, 64),
    ROW(COSINE_BACKWARD, build_cosine_backward, 29, 31),
    ROW(COSINE_BACKWARD, build_cosine_backward, 5, 259),
    ROW(COSINE_BACKWARD, build_cosine_backward, 515, 3),
    ROW_WITH(CASE_ACCUMULATE, COSINE_BACKWARD, build_cosine_backward, 67, 64),
    ROW(INTERFERE, build_interfere, 1, 1),
    ROW(INTERFERE, build_interfere, 29, 131),
    ROW_WITH(CASE_WIDE, INTERFERE, build_interfere, 7, 31),
    ROW_WITH(CASE_ACCUMULATE, INTERFERE, build_interfere, 67, 19),
    ROW(INTERFERE_BACKWARD, build_interfere_backward, 1, 1),
    ROW(INTERFERE_BACKWARD, build_interfere_backward, 29, 131),
    ROW_WITH(CASE_WIDE, INTERFERE_BACKWARD, build_interfere_backward, 7, 31),
    ROW(INTERFERE_BACKWARD, build_interfere_backward, 259, 67),
    ROW_WITH(CASE_ACCUMULATE, INTERFERE_BACKWARD, build_interfere_backward, 67, 19),

    ROW(HEAD_LOSS, build_head_loss, 1, 1, 2),
    ROW(HEAD_LOSS, build_head_loss, 7, 13, 31),
    ROW(HEAD_LOSS, build_head_loss, 131, 64, 257),
    ROW(HEAD_LOSS, build_head_loss, 5, 7, 2003),
    ROW(HEAD_LOSS, build_head_loss, 260, 7, 1031),
    ROW_WITH(CASE_WIDE, HEAD_LOSS, build_head_loss, 13, 5, 67),
    ROW_WITH(CASE_NO_GRADIENT, HEAD_LOSS, build_head_loss, 33, 17, 129),

    ROW(SQUARE_SUM, build_square_sum, 1),
    ROW(SQUARE_SUM, build_square_sum, 10007),
    ROW(SQUARE_SUM, build_square_sum, 300007),
    ROW_WITH(CASE_BAD, SQUARE_SUM, build_square_sum, 1009),
    ROW(ADAMW, build_adamw, 1, 1),
    ROW(ADAMW, build_adamw, 1009, 5),
    ROW(ADAMW, build_adamw, 10007, 301),
    ROW(ADAMW, build_adamw, 70001, 7),
    ROW_WITH(CASE_BAD, ADAMW, build_adamw, 131, 3),

    MODEL("3.5", SCAN, 0),
    MODEL("3.5", FFT, 0),
    MODEL("4", SCAN, 0),
    MODEL("4", FFT, 0),
    MODEL("4", FFT, CASE_GATED),
    MODEL("4", DIRECT, CASE_GATED),
    MODEL("3.5", SCAN, CASE_ATTENTION),
    MODEL("4", SCAN, CASE_ATTENTION),
    MODEL("4", SCAN, CASE_HYBRID),
    MODEL("4", FFT, CASE_GATED | CASE_HYBRID),
};

const int n_check_cases = (int)(sizeof check_cases / sizeof *check_cases);

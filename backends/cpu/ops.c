/* Which function runs which op, for one build of the op files. */
#include "backends/cpu/attention.h"
#include "backends/cpu/couple.h"
#include "backends/cpu/device.h"
#include "backends/cpu/elementwise.h"
#include "backends/cpu/field.h"
#include "backends/cpu/head.h"
#include "backends/cpu/interference.h"
#include "backends/cpu/optimizer.h"
#include "backends/cpu/product.h"
#include "backends/cpu/rows.h"
#include "backends/cpu/sequence.h"
#include "backends/cpu/store.h"

extern const CpuOps CPU_NAME(ops);
const CpuOps CPU_NAME(ops) = {
    .run = {[OP_FILL] = CPU_NAME(fill),
            [OP_COPY] = CPU_NAME(copy),
            [OP_ADD] = CPU_NAME(add),
            [OP_EMBED] = CPU_NAME(embed),
            [OP_EMBED_BACKWARD] = CPU_NAME(embed_backward),
            [OP_LAYERNORM] = CPU_NAME(layernorm),
            [OP_LAYERNORM_BACKWARD] = CPU_NAME(layernorm_backward),
            [OP_PRODUCT] = CPU_NAME(product),
            [OP_COLUMN_SUM] = CPU_NAME(column_sum),
            [OP_GELU] = CPU_NAME(gelu),
            [OP_GELU_BACKWARD] = CPU_NAME(gelu_backward),
            [OP_DROPOUT] = CPU_NAME(dropout),
            [OP_FEATURE] = CPU_NAME(feature),
            [OP_FEATURE_BACKWARD] = CPU_NAME(feature_backward),
            [OP_GATE] = CPU_NAME(gate),
            [OP_GATE_BACKWARD] = CPU_NAME(gate_backward),
            [OP_KEY_NORM] = CPU_NAME(key_norm),
            [OP_KEY_NORM_BACKWARD] = CPU_NAME(key_norm_backward),
            [OP_COUPLE] = CPU_NAME(couple),
            [OP_COUPLE_BACKWARD] = CPU_NAME(couple_backward),
            [OP_FIELD] = CPU_NAME(field),
            [OP_FIELD_BACKWARD] = CPU_NAME(field_backward),
            [OP_FIELD_NORM] = CPU_NAME(field_norm),
            [OP_FIELD_STREAM] = CPU_NAME(field_stream),
            [OP_FIELD_KERNEL] = CPU_NAME(field_kernel),
            [OP_FIELD_RECALL] = CPU_NAME(field_recall),
            [OP_ATTENTION] = CPU_NAME(attention),
            [OP_ATTENTION_BACKWARD] = CPU_NAME(attention_backward),
            [OP_ATTENTION_STREAM] = CPU_NAME(attention_stream),
            [OP_FIRST_TOKEN] = CPU_NAME(first_token),
            [OP_FIRST_TOKEN_BACKWARD] = CPU_NAME(first_token_backward),
            [OP_CAUSAL_MEAN] = CPU_NAME(causal_mean),
            [OP_CAUSAL_MEAN_BACKWARD] = CPU_NAME(causal_mean_backward),
            [OP_CAUSAL_MEAN_STREAM] = CPU_NAME(causal_mean_stream),
            [OP_COSINE] = CPU_NAME(cosine),
            [OP_COSINE_BACKWARD] = CPU_NAME(cosine_backward),
            [OP_INTERFERE] = CPU_NAME(interfere),
            [OP_INTERFERE_BACKWARD] = CPU_NAME(interfere_backward),
            [OP_HEAD_LOSS] = CPU_NAME(head_loss),
            [OP_SQUARE_SUM] = CPU_NAME(square_sum),
            [OP_ADAMW] = CPU_NAME(adamw)},
    .workspace = {[OP_LAYERNORM_BACKWARD] = CPU_NAME(layernorm_backward_workspace),
                  [OP_PRODUCT] = CPU_NAME(product_workspace),
                  [OP_COLUMN_SUM] = CPU_NAME(column_sum_workspace),
                  [OP_COUPLE] = CPU_NAME(couple_workspace),
                  [OP_COUPLE_BACKWARD] = CPU_NAME(couple_backward_workspace),
                  [OP_FIELD] = CPU_NAME(field_workspace),
                  [OP_FIELD_BACKWARD] = CPU_NAME(field_backward_workspace),
                  [OP_FIELD_NORM] = CPU_NAME(field_norm_workspace),
                  [OP_FIELD_STREAM] = CPU_NAME(field_stream_workspace),
                  [OP_FIELD_KERNEL] = CPU_NAME(field_kernel_workspace),
                  [OP_FIELD_RECALL] = CPU_NAME(field_recall_workspace),
                  [OP_ATTENTION] = CPU_NAME(attention_workspace),
                  [OP_ATTENTION_STREAM] = CPU_NAME(attention_stream_workspace),
                  [OP_INTERFERE_BACKWARD] = CPU_NAME(interfere_backward_workspace),
                  [OP_HEAD_LOSS] = CPU_NAME(head_loss_workspace),
                  [OP_SQUARE_SUM] = CPU_NAME(square_sum_workspace)},
    .store = CPU_NAME(store),
};

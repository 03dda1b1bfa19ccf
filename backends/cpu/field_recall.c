/* The field continued by keeping its deposits, with any kernel and in any geometry (spec §4): each
 * of n new tokens reads every deposit kept so far, those of this call included. */
#include <string.h>

#include "backends/cpu/field_parts.h"

typedef struct Recall {
    const real *u, *kernel; /* [B, n, H, d], [B, H, G] */
    const int32_t *cell;    /* [M] */
    const real *fraction;   /* [M] */
    real *r, *history;      /* [B, n, H, d], [B, M, H, d] */
    int64_t batch, tokens, heads, width, cells, kept, position;
} Recall;

/* Deposits between two roundings of a sum into its total. */
enum { RUN = 64 };

/* Σ over the cells token i reads and token j writes, as weights on u_j. */
static real recall_weight(const Recall *recall, const real *kernel, int64_t i, int64_t j)
{
    const double fi = (double)recall->fraction[i], fj = (double)recall->fraction[j];
    const int64_t t = (int64_t)recall->cell[i] - recall->cell[j];
    double sum = 0;
    if (t >= 0) sum += ((1 - fi) * (1 - fj) + fi * fj) * (double)kernel[t];
    if (t >= 1 && fj > 0) sum += (1 - fi) * fj * (double)kernel[t - 1];
    if (t >= -1 && fi > 0) sum += fi * (1 - fj) * (double)kernel[t + 1];
    return (real)sum;
}

static void recall_token(const Recall *recall, int64_t b, int64_t h, int64_t n, real *restrict run)
{
    const int64_t d = recall->width, i = recall->position + n,
                  seen = recall->position + recall->tokens;
    const real *kernel = recall->kernel + (b * recall->heads + h) * recall->cells;
    real *restrict r = recall->r + ((b * recall->tokens + n) * recall->heads + h) * d;
    memset(r, 0, (size_t)d * sizeof *r);
    for (int64_t j0 = 0; j0 < seen; j0 += RUN) {
        memset(run, 0, (size_t)d * sizeof *run);
        for (int64_t j = j0; j < int64_min(j0 + RUN, seen); j++) {
            const real *u = recall->history + ((b * recall->kept + j) * recall->heads + h) * d;
            real weight = recall_weight(recall, kernel, i, j);
            if (weight == 0) continue;
            for (int64_t c = 0; c < d; c++) run[c] += weight * u[c];
        }
        for (int64_t c = 0; c < d; c++) r[c] += run[c];
    }
}

static int64_t recall_slots(const FieldParams *params, int64_t batch)
{
    return field_slots(batch * params->heads, params->width * (int64_t)sizeof(real));
}

int64_t CPU_NAME(field_recall_workspace)(const Graph *graph, const Node *node)
{
    const FieldParams *p = &node->params.field;
    return recall_slots(p, graph->tensors[node->in[0]].shape.dim[0]) * p->width *
           (int64_t)sizeof(real);
}

void CPU_NAME(field_recall)(const CpuCall *call)
{
    const FieldParams *p = &call->node->params.field;
    Shape shape = call_in_shape(call, 0);
    Recall recall = {.u = call->in[0],
                     .kernel = call->in[1],
                     .cell = call->in[2],
                     .fraction = call->in[3],
                     .r = call->out[0],
                     .history = call->out[1],
                     .batch = shape.dim[0],
                     .tokens = shape.dim[1],
                     .heads = p->heads,
                     .width = p->width,
                     .cells = p->cells,
                     .kept = call_out_shape(call, 1).dim[1],
                     .position = *(const int32_t *)call->in[4]};
    const int64_t row = p->heads * p->width, items = recall.batch * p->heads;
    for (int64_t b = 0; b < recall.batch; b++)
        memcpy(recall.history + (b * recall.kept + recall.position) * row,
               recall.u + b * recall.tokens * row, (size_t)(recall.tokens * row) * sizeof(real));
    const int64_t slots =
        slots_used(recall_slots(p, recall.batch), items * p->width * recall.position);
#pragma omp parallel for schedule(static) if (slots > 1)
    for (int64_t slot = 0; slot < slots; slot++) {
        real *run = (real *)call->workspace + slot * p->width;
        int64_t stop = slot_first(slot + 1, slots, items);
        for (int64_t i = slot_first(slot, slots, items); i < stop; i++)
            for (int64_t n = 0; n < recall.tokens; n++)
                recall_token(&recall, i / p->heads, i % p->heads, n, run);
    }
}

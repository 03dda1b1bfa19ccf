/* Dense products spread over the cores, for OP_PRODUCT and for ops made of products. */
#ifndef BACKENDS_CPU_PRODUCT_H
#define BACKENDS_CPU_PRODUCT_H

#include "backends/cpu/cpu.h"

/* C = op(A)·op(B) + bias, or C += of it where `add`, as ProductParams says (graph/ops.h). `bias`
 * may be NULL. `workspace` has the bytes the next function states; NULL where that is 0. */
void CPU_NAME(multiply)(const ProductParams *p, const real *a, const real *b, const real *bias,
                        real *c, bool add, void *workspace);
int64_t CPU_NAME(multiply_workspace)(const ProductParams *p);

void CPU_NAME(product)(const CpuCall *call);
int64_t CPU_NAME(product_workspace)(const Graph *graph, const Node *node);

#endif

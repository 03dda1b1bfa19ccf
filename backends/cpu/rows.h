/* Ops that work along the last axis or sum over rows: LayerNorm, column sums, the key's norm. */
#ifndef BACKENDS_CPU_ROWS_H
#define BACKENDS_CPU_ROWS_H

#include "backends/cpu/cpu.h"

void CPU_NAME(layernorm)(const CpuCall *call);
void CPU_NAME(layernorm_backward)(const CpuCall *call);
int64_t CPU_NAME(layernorm_backward_workspace)(const Graph *graph, const Node *node);

void CPU_NAME(column_sum)(const CpuCall *call);
int64_t CPU_NAME(column_sum_workspace)(const Graph *graph, const Node *node);

void CPU_NAME(key_norm)(const CpuCall *call);
void CPU_NAME(key_norm_backward)(const CpuCall *call);

#endif

/* Gradient norm and AdamW (spec §6). */
#ifndef BACKENDS_CPU_OPTIMIZER_H
#define BACKENDS_CPU_OPTIMIZER_H

#include "backends/cpu/cpu.h"

void CPU_NAME(square_sum)(const CpuCall *call);
int64_t CPU_NAME(square_sum_workspace)(const Graph *graph, const Node *node);
void CPU_NAME(adamw)(const CpuCall *call);

#endif

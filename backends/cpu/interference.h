/* The interference module's own ops (spec §5). */
#ifndef BACKENDS_CPU_INTERFERENCE_H
#define BACKENDS_CPU_INTERFERENCE_H

#include "backends/cpu/cpu.h"

void CPU_NAME(cosine)(const CpuCall *call);
void CPU_NAME(cosine_backward)(const CpuCall *call);
void CPU_NAME(interfere)(const CpuCall *call);
void CPU_NAME(interfere_backward)(const CpuCall *call);
int64_t CPU_NAME(interfere_backward_workspace)(const Graph *graph, const Node *node);

#endif

/* Heads mixed by the softmax of the coupling (spec §2). */
#ifndef BACKENDS_CPU_COUPLE_H
#define BACKENDS_CPU_COUPLE_H

#include "backends/cpu/cpu.h"

void CPU_NAME(couple)(const CpuCall *call);
int64_t CPU_NAME(couple_workspace)(const Graph *graph, const Node *node);
void CPU_NAME(couple_backward)(const CpuCall *call);
int64_t CPU_NAME(couple_backward_workspace)(const Graph *graph, const Node *node);

#endif

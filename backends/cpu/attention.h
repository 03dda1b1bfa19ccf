/* Causal softmax attention: whole sequences, their gradient, and the same continued. */
#ifndef BACKENDS_CPU_ATTENTION_H
#define BACKENDS_CPU_ATTENTION_H

#include "backends/cpu/cpu.h"

void CPU_NAME(attention)(const CpuCall *call);
int64_t CPU_NAME(attention_workspace)(const Graph *graph, const Node *node);

void CPU_NAME(attention_backward)(const CpuCall *call);

void CPU_NAME(attention_stream)(const CpuCall *call);
int64_t CPU_NAME(attention_stream_workspace)(const Graph *graph, const Node *node);

#endif

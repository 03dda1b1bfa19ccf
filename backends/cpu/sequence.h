/* Ops along the tokens: embedding, the first token, running means. */
#ifndef BACKENDS_CPU_SEQUENCE_H
#define BACKENDS_CPU_SEQUENCE_H

#include "backends/cpu/cpu.h"

void CPU_NAME(embed)(const CpuCall *call);
void CPU_NAME(embed_backward)(const CpuCall *call);
void CPU_NAME(first_token)(const CpuCall *call);
void CPU_NAME(first_token_backward)(const CpuCall *call);
void CPU_NAME(causal_mean)(const CpuCall *call);
void CPU_NAME(causal_mean_backward)(const CpuCall *call);
void CPU_NAME(causal_mean_stream)(const CpuCall *call);

#endif

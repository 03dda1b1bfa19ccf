/* Ops that take element i of their inputs to element i of their outputs. */
#ifndef BACKENDS_CPU_ELEMENTWISE_H
#define BACKENDS_CPU_ELEMENTWISE_H

#include "backends/cpu/cpu.h"

void CPU_NAME(fill)(const CpuCall *call);
void CPU_NAME(copy)(const CpuCall *call);
void CPU_NAME(add)(const CpuCall *call);
void CPU_NAME(gelu)(const CpuCall *call);
void CPU_NAME(gelu_backward)(const CpuCall *call);
void CPU_NAME(dropout)(const CpuCall *call);
void CPU_NAME(feature)(const CpuCall *call);
void CPU_NAME(feature_backward)(const CpuCall *call);
void CPU_NAME(gate)(const CpuCall *call);
void CPU_NAME(gate_backward)(const CpuCall *call);

#endif

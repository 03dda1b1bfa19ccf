/* The field ops of the CPU backend (graph/ops.h, spec §2, §4): operations and their scratch.
 *
 * FIELD_SCAN is the token scan, FIELD_FFT convolves by KissFFT, FIELD_DIRECT sums over pairs of
 * tokens in double precision. In the double build FIELD_FFT runs as FIELD_DIRECT: KissFFT is a
 * float library, and the double build is the reference, not the fast path. */
#ifndef BACKENDS_CPU_FIELD_H
#define BACKENDS_CPU_FIELD_H

#include "backends/cpu/cpu.h"

void CPU_NAME(field)(const CpuCall *call);
void CPU_NAME(field_backward)(const CpuCall *call);
void CPU_NAME(field_norm)(const CpuCall *call);
void CPU_NAME(field_stream)(const CpuCall *call);
void CPU_NAME(field_kernel)(const CpuCall *call);
void CPU_NAME(field_recall)(const CpuCall *call);

int64_t CPU_NAME(field_workspace)(const Graph *graph, const Node *node);
int64_t CPU_NAME(field_backward_workspace)(const Graph *graph, const Node *node);
int64_t CPU_NAME(field_norm_workspace)(const Graph *graph, const Node *node);
int64_t CPU_NAME(field_stream_workspace)(const Graph *graph, const Node *node);
int64_t CPU_NAME(field_kernel_workspace)(const Graph *graph, const Node *node);
int64_t CPU_NAME(field_recall_workspace)(const Graph *graph, const Node *node);

#endif

/* Output head, softmax and cross-entropy as one op (spec §1). */
#ifndef BACKENDS_CPU_HEAD_H
#define BACKENDS_CPU_HEAD_H

#include "backends/cpu/cpu.h"

void CPU_NAME(head_loss)(const CpuCall *call);
int64_t CPU_NAME(head_loss_workspace)(const Graph *graph, const Node *node);

#endif

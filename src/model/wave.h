/* A head's wave kernel on the host, in double: k(t) = e^(-αt)·cos(ωt + φ)/Z for t = 0 … cells-1
 * (spec §2). For looking at a model; a device makes its own. */
#ifndef MODEL_WAVE_H
#define MODEL_WAVE_H

#include "graph/ops.h"
#include "wavefield/inspect.h"

/* The kernel of a head's parameters. `damping` is the stored number, before softplus; `limit` the
 * largest α. */
wf_wave wave_create(double frequency, double damping, double phase, double limit, KernelNorm norm,
                    int64_t cells);

/* kernel[t] for t = 0 … cells-1. */
void wave_sample(const wf_wave *wave, int64_t cells, double *kernel);

/* The smallest t for which |k(0)| + … + |k(t)| is at least `share` of the whole sum. */
int64_t wave_reach(const double *kernel, int64_t cells, double share);

#endif

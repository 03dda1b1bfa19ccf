/* The headers that kernels share, in order. */
#include "dialect.h"
#include "math.h"
#include "attention.h"
#include "cosine.h"
#include "spectral_gate.h"

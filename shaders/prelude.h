/* The headers that kernels share, in order. */
#include "dialect.h"
#include "math.h"
#include "product.h"
#include "elementwise.h"
#include "attention.h"
#include "cosine.h"
#include "spectral_gate.h"

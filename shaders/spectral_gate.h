/* The spectral gate (spec §4): 32 points, interpolated over the bins 0 … ⌊P/2⌋ of a spectrum of P,
 * end points aligned. */
#ifndef SPECTRAL_GATE_H
#define SPECTRAL_GATE_H

#include "dialect.h"

/* The bin that f and its mirror image share. */
FUNCTION uint gate_bin(uint f, uint size)
{
    return min(f, size - f);
}

/* The point at or below a bin, 0 … 30, and the share of the next one. */
FUNCTION uint gate_point(uint bin, uint size)
{
    return min(31u * bin / (size / 2u), 30u);
}
FUNCTION float gate_share(uint bin, uint size)
{
    return TO_FLOAT(31u * bin - gate_point(bin, size) * (size / 2u)) / TO_FLOAT(size / 2u);
}

#endif

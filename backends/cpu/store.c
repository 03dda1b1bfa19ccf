/* Rounding to binary16 and bfloat16 by adding and taking away a number so large that the bits below
 * the last one kept fall off: the processor then rounds to nearest, ties to even. */
#include "backends/cpu/store.h"

#include "backends/cpu/math.h"

#include <float.h>

#ifdef REAL_IS_DOUBLE
typedef uint64_t Bits;
enum { FRACTION = DBL_MANT_DIG - 1 };
#define EXPONENT_MASK ((Bits)0x7ff << FRACTION)
#else
typedef uint32_t Bits;
enum { FRACTION = FLT_MANT_DIG - 1 };
#define EXPONENT_MASK ((Bits)0xff << FRACTION)
#endif

/* A 16-bit format: bits of its fraction, its smallest normal number and what rounds to infinity. */
typedef struct Format {
    int fraction;
    real smallest, overflow;
} Format;

static const Format F16 = {10, (real)0x1p-14, (real)65520};
/* 2^128 - 2^119, half way from its largest number to 2^128. */
static const Format BF16 = {7, (real)0x1p-126, (real)0x1.FFp+127};

static real round_to(real x, Format format)
{
    /* The power of two below |x|, but not below the smallest normal number: its spacing is x's. */
    real size = real_abs(x), power = size;
    Bits bits;
    memcpy(&bits, &power, sizeof bits);
    bits &= EXPONENT_MASK;
    memcpy(&power, &bits, sizeof power);
    if (!(power >= format.smallest)) power = format.smallest;
    real scale = power > (real)0x1p64 ? (real)0x1p-32 : 1; /* keeps the magnet finite */
    real magnet = power * scale * (real)((Bits)3 << (FRACTION - format.fraction - 1));
    real rounded = ((size * scale + magnet) - magnet) / scale;
    if (size >= format.overflow) rounded = (real)INFINITY;
    if (size != size) rounded = size;
    return x < 0 ? -rounded : rounded;
}

void CPU_NAME(store)(DType dtype, void *values, int64_t n)
{
    real *x = values;
    Format format = dtype == DTYPE_F16 ? F16 : BF16;
#pragma omp parallel for schedule(static) if (worth_threads(n))
    for (int64_t block = 0; block < n; block += BLOCK) {
        int64_t end = int64_min(n, block + BLOCK);
        for (int64_t i = block; i < end; i++) x[i] = round_to(x[i], format);
    }
}

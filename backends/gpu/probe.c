/* The known case that checks a transform before it is used. */
#include "backends/gpu/gpu.h"

#include <math.h>

/* Row r is a sum of two waves, of r % length and of (3·r + 1) % length periods, and a step at 0, so
 * that every output is known: the waves' bins, and 1 everywhere for the impulse. Inverse: the same
 * with the bins mirrored. */
static int64_t bin_of(int64_t row, int which, int64_t length)
{
    return (which ? 3 * row + 1 : row) % length;
}

typedef struct Wave {
    double re, im, step_re, step_im;
} Wave;

static Wave wave_of(double size, int64_t bin, int64_t length)
{
    double angle = 2 * 3.14159265358979323846 * (double)bin / (double)length;
    return (Wave){.re = size, .step_re = cos(angle), .step_im = sin(angle)};
}

static void wave_advance(Wave *wave)
{
    double re = wave->re * wave->step_re - wave->im * wave->step_im;
    wave->im = wave->re * wave->step_im + wave->im * wave->step_re;
    wave->re = re;
}

void gpu_transform_probe(float *data, int64_t length, int64_t rows)
{
    for (int64_t r = 0; r < rows; r++) {
        float *row = data + 2 * r * length;
        Wave a = wave_of(1, bin_of(r, 0, length), length);
        Wave b = wave_of(0.5, bin_of(r, 1, length), length);
        for (int64_t i = 0; i < length; i++) {
            row[2 * i] = (float)(a.re + b.re);
            row[2 * i + 1] = (float)(a.im + b.im);
            wave_advance(&a);
            wave_advance(&b);
        }
        row[0] += 1;
    }
}

double gpu_transform_error(const float *result, int64_t length, int64_t rows, bool inverse)
{
    double error = 0;
    for (int64_t r = 0; r < rows; r++) {
        const float *row = result + 2 * r * length;
        for (int64_t k = 0; k < length; k++) {
            int64_t bin = inverse ? (length - k) % length : k;
            double expected = 1;
            if (bin == bin_of(r, 0, length)) expected += (double)length;
            if (bin == bin_of(r, 1, length)) expected += 0.5 * (double)length;
            double re = row[2 * k] - expected, im = row[2 * k + 1];
            error += re * re + im * im;
        }
    }
    /* The result's size: two bins of length and length/2 a row. */
    return sqrt(error / ((double)rows * 1.25)) / (double)length;
}

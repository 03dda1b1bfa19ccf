/* The kernels of all heads as rows to transform: k[t] for t < cells, 0 up to `points`. */
#include "math.h"

KERNEL(fft_kernel, 64,
       READ_FLOAT(frequency) READ_FLOAT(phase) READ_FLOAT4(head) WRITE_FLOAT2(row),
       UINT(cells) UINT(points))
BODY
{
    uint h = GROUP_Y;
    float4 wave = AT(head, 3u * h + 1u);
    uint2 turn = turns_of(AT(frequency, h)), start = turns_of(AT(phase, h));
    FOR_ALL(t, arg.points)
    {
        float value = 0.0f;
        if (t < arg.cells)
            value = exp_of(-wave.w * TO_FLOAT(t)) *
                    cos_sin(turns_add(start, turns_times(turn, t))).x / wave.z;
        AT(row, h * arg.points + t) = FLOAT2(value, 0.0f);
    }
}
END

/* Real samples from rows of one length to rows of another (group y): row[t] = scale·Re from[t] for
 * t < cells, 0 up to `points`. */
#include "dialect.h"

KERNEL(fft_resize, 256, READ_FLOAT2(from) WRITE_FLOAT2(row),
       UINT(from_points) UINT(points) UINT(cells) FLOAT(scale))
BODY
{
    FOR_ALL(t, arg.points)
    {
        float value = 0.0f;
        if (t < arg.cells) value = AT(from, GROUP_Y * arg.from_points + t).x * arg.scale;
        AT(row, GROUP_Y * arg.points + t) = FLOAT2(value, 0.0f);
    }
}
END

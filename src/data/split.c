#include "data/split.h"

#include <math.h>

static const double USUAL = 0.05;

wf_status split_check(double share)
{
    if (share <= 0.5) return WF_OK;
    return fail(WF_ERROR_ARGUMENT, "the held-out share is %g, expected 0 to 0.5", share);
}

int64_t split_held_out(int64_t count, double share)
{
    return (int64_t)ceil((double)count * (share < 0 ? USUAL : share));
}

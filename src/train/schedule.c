#include "train/schedule.h"

#include <math.h>

double schedule_rate(const Schedule *schedule, int64_t step)
{
    const double pi = 3.14159265358979323846;
    if (step <= schedule->warmup) return schedule->peak * (double)step / (double)schedule->warmup;
    if (step >= schedule->steps) return schedule->minimum;
    double done = (double)(step - schedule->warmup) / (double)(schedule->steps - schedule->warmup);
    return schedule->minimum + 0.5 * (schedule->peak - schedule->minimum) * (1 + cos(pi * done));
}

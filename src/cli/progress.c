#include "cli/progress.h"

#include "base/clock.h"
#include "cli/common.h"

#include <stdio.h>
#include <unistd.h>

static const double REFRESH = 0.1;   /* seconds between two rewritings */
static const double SMOOTHING = 0.1; /* weight of the last step's time */

void progress_begin(Progress *progress, int64_t every, int64_t steps)
{
    *progress = (Progress){.terminal = isatty(STDOUT_FILENO) == 1, .every = every, .steps = steps};
}

/* "1:02:03" or "2:03"; returns `text`. */
static const char *duration_print(double seconds, char *text, size_t size)
{
    int64_t s = (int64_t)(seconds + 0.5);
    if (s >= 3600)
        snprintf(text, size, "%lld:%02lld:%02lld", (long long)(s / 3600), (long long)(s / 60 % 60),
                 (long long)(s % 60));
    else
        snprintf(text, size, "%lld:%02lld", (long long)(s / 60), (long long)(s % 60));
    return text;
}

static void show(Progress *progress, const wf_step_stats *stats)
{
    char eta[32];
    double left = (double)(progress->steps - stats->step) * progress->step_seconds;
    printf("%sstep %lld/%lld  loss %.4f  lr %.2e  norm %.3f  %s tokens/s  ETA %s%s",
           progress->terminal ? "\r\033[K" : "", (long long)stats->step, (long long)progress->steps,
           progress->loss / (double)progress->since, stats->learning_rate, stats->gradient_norm,
           COUNT_TEXT((int64_t)((double)stats->tokens / progress->step_seconds)),
           duration_print(left, eta, sizeof eta), progress->terminal ? "" : "\n");
    fflush(stdout);
    progress->open = progress->terminal;
    progress->shown = clock_seconds();
    progress->since = 0;
    progress->loss = 0;
}

void progress_step(Progress *progress, const wf_step_stats *stats, double seconds)
{
    double *smooth = &progress->step_seconds;
    *smooth = *smooth > 0 ? *smooth + SMOOTHING * (seconds - *smooth) : seconds;
    progress->since++;
    progress->loss += stats->loss;
    bool last = stats->step == progress->steps;
    bool due = progress->terminal ? clock_seconds() - progress->shown >= REFRESH
                                  : stats->step % progress->every == 0;
    if (due || last) show(progress, stats);
}

void progress_break(Progress *progress)
{
    if (progress->open) putchar('\n');
    progress->open = false;
}

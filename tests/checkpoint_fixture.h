/* What the tests of checkpoints share: a small trainer on the CPU. */
#ifndef TESTS_CHECKPOINT_FIXTURE_H
#define TESTS_CHECKPOINT_FIXTURE_H

#include "tests/train_fixture.h"

static const char *const SHAPE_4[] = {"version=4", "dropout=0.1", NULL};

static inline Fixture open_fixture(void)
{
    return fixture_open(fixture_cpu(), SHAPE_4, wf_trainer_params(.batch_size = 2));
}

static inline void steps(Fixture *f, int n)
{
    for (int i = 0; i < n; i++) must(wf_trainer_step(f->trainer, NULL));
}

#endif

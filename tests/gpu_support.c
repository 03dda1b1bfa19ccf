#include "tests/gpu_support.h"

#include "graph/hazards.h"
#include "graph/plan.h"

#include <string.h>

Device *gpu;

void expect_same(const char *what, const OneOp *op, int64_t reduction)
{
    OneOpResult got = test_run(gpu, op), expected = test_run(test_device(true), op);
    for (int k = 0; k < op->n_out; k++)
        test_close(what, got.out[k], expected.out[k], operand_elements(&op->out[k]), reduction,
                   false);
}

int expect_ordered(const Program *program, int most)
{
    const CommandList *recorded = gpu->backend->program_commands(program);
    test_ok(hazards_check(recorded, program->plan));
    CommandList copy = *recorded;
    size_t bytes = (size_t)copy.n_commands * sizeof *copy.commands;
    copy.commands = test_memory(bytes);
    memcpy(copy.commands, recorded->commands, bytes);
    int tried = 0, next = 0;
    for (int i = 0; i < copy.n_commands; i++) {
        if (!copy.commands[i].barrier || i < next) continue;
        copy.commands[i].barrier = false;
        if (hazards_check(&copy, program->plan) != WF_ERROR_DEVICE)
            fail_msg("nothing is lost with the barrier of command %d", i);
        copy.commands[i].barrier = true;
        next = i + copy.n_commands / most + 1;
        tried++;
    }
    return tried;
}

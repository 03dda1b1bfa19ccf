/* The commands: main() looks them up, help, manual pages and completion go through them. */
#include "cli/common.h"

#include <stddef.h>

const Subcommand *const commands[] = {
    &command_devices, &command_info,     &command_tokenize, &command_train,
    &command_eval,    &command_generate, &command_logits,   &command_check,
    &command_bench,   &command_tune,     &command_plot,     NULL,
};

/* Event files for TensorBoard: the scalars of a training run beside its metrics.jsonl.
 *
 * A file is a sequence of TFRecords: length as 64 bits, masked CRC-32C of the length, data, masked
 * CRC-32C of the data, all little-endian (tensorflow/core/lib/io/record_writer.h). The data of a
 * record is one protobuf message Event (tensorflow/core/util/event.proto). That one message is
 * written out by hand here: it takes a page, and a protobuf library would bring a code generator
 * and a run-time library for it.
 *
 * A resumed run gets a file of its own, whose name sorts after those there are. Every file begins
 * with a SessionLog START that holds the first step to come: from the second one on, TensorBoard
 * forgets what earlier files say of that step and later ones. */
#ifndef CLI_TENSORBOARD_H
#define CLI_TENSORBOARD_H

#include "base/status.h"
#include "wavefield/train.h"

typedef struct EventFile EventFile;

/* Makes folder/events.out.tfevents.<time>.<host>.<process> for the steps after `step`. */
wf_status events_open(const char *folder, int64_t step, EventFile **out);
void events_close(EventFile *events); /* NULL is allowed */

/* Each is one record, written through. NULL for `events` does nothing. */
wf_status events_step(EventFile *events, const wf_step_stats *stats, double seconds);
wf_status events_evaluation(EventFile *events, int64_t step, const wf_evaluation *evaluation);

#endif

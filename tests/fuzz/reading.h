/* What holds of every dataset that opens, for the targets that read data. */
#ifndef TESTS_FUZZ_READING_H
#define TESTS_FUZZ_READING_H

#include "data/dataset.h"
#include "fuzz.h"

/* Reads everything: the stream in one piece and in others, its spans, batches of it. Whether all
 * tokens could be read: those of a shard are looked at only then. */
bool read_dataset(const wf_dataset *data);

#endif

/* A folder of two shards, one of them held out, for a vocabulary of 300. */
#include "reading.h"

#include <sys/stat.h>

bool fuzz_one(const uint8_t *data, size_t size)
{
    Part parts[2];
    wf_dataset *dataset;
    fuzz_split(data, size, parts, 2);
    mkdir(fuzz_path("shards"), 0700);
    fuzz_write("shards/train_000000.bin", parts[0]);
    fuzz_write("shards/val_000000.bin", parts[1]);
    const char *folder = fuzz_path("shards");
    wf_status status = wf_dataset_open(
        wf_dataset_params(.files = &folder, .n_files = 1, .vocabulary = 300), &dataset);
    if (!fuzz_ok(status)) return false;
    bool taken = read_dataset(dataset);
    wf_dataset_destroy(dataset);
    return taken;
}

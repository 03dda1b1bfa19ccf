/* What several measurements are made of: a copy, a field, random inputs. */
#ifndef CHECK_MEASURE_PARTS_H
#define CHECK_MEASURE_PARTS_H

#include "backends/backend.h"
#include "wavefield/data.h"

/* Fills with normal numbers, a block of them again and again: how fast a device computes may depend
 * on what it computes with, and zeros are the easiest. */
wf_status measure_noise(Region *region, DType dtype, int64_t offset, int64_t n);

/* Random tokens to train on. */
wf_status measure_corpus(int64_t n, int64_t vocabulary, wf_dataset **out);

/* A copy on the device; on the CPU memcpy by as many threads as the other ops have. */
typedef struct CopyBench {
    int64_t bytes; /* copied by a run: so many are read and so many written */
    char *from, *to;
    Region region;
    Graph *graph;
    Runnable runnable; /* .program NULL on the CPU */
} CopyBench;

wf_status copy_create(Device *device, int64_t bytes, CopyBench *bench);
wf_status copy_run(void *bench); /* a MeasureAction: enqueues, on the CPU does it */
void copy_destroy(CopyBench *bench);

enum { MEASURED_HEADS = 12, MEASURED_WIDTH = 64 };
enum { FIELD_FORWARD = 1, FIELD_BACKWARD = 2 };

typedef struct FieldSize {
    int64_t batch, tokens, cells;
    unsigned parts;
    FieldEvaluator evaluator;
    DType storage;
} FieldSize;

/* A plan of one field. Its backward pass alone starts from carries of zero. */
typedef struct FieldBench {
    FieldSize size;
    Region region;
    int64_t u, r, frequency, damping, phase, cell, fraction;
    Graph *graph;
    Runnable runnable;
} FieldBench;

wf_status field_bench_create(Device *device, FieldSize size, FieldBench *bench);
void field_bench_destroy(FieldBench *bench);

#endif

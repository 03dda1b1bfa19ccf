/* What the lowerings of the field share: its description, and the rows of cells of the evaluators
 * that convolve. */
#ifndef BACKENDS_GPU_LOWER_FIELD_H
#define BACKENDS_GPU_LOWER_FIELD_H

#include "backends/gpu/lower.h"

typedef struct Field {
    FieldParams params;
    int64_t batch, tokens, heads, width, chunks, channels;
    Place frequency, damping, phase, cell, fraction;
    Place head; /* [H, 3] float4 */
} Field;

/* ---- lower_field.c ---- */

/* `count` elements of workspace. */
Place field_take(Lowering *lowering, int64_t count, int64_t element);

/* A field over u [B, N, H, d]; inputs `first` … are frequency, damping, phase and, where N > 0,
 * cell, fraction. Makes the heads' records too. */
Field field_begin(Lowering *lowering, Shape u, int first);

/* Sums over the cells of each head's kernel: the heads' records, or where `head` is absent only
 * their norms. */
void field_heads(Lowering *lowering, const Field *field, Place head, Place norm);
float field_damping_limit(const FieldParams *params); /* a finite one */

/* From moments [H, slices] to the parameters' gradients, outputs 1, 2, 3. */
void field_add_gradients(Lowering *lowering, const Field *field, Place moments, int64_t slices);

/* ---- convolution, whatever the kernel and the geometry (lower_field_rows.c) ---- */

void rows_forward(Lowering *lowering, const Field *field);
void rows_backward(Lowering *lowering, const Field *field);

/* Kernels k[t], t < cells, of all heads as complex rows [H, points], zero from `cells` on. */
void rows_waves(Lowering *lowering, const Field *field, int64_t cells, int64_t points, Place rows);

/* Transforms `count` rows, as many at a time as the device's transforms may hold. */
void rows_transform(Lowering *lowering, int64_t points, int64_t count, bool inverse, Place data,
                    Place scratch);

/* How many rows of that length the device transforms at once, at least 1. */
int64_t rows_at_once(Lowering *lowering, int64_t points);

/* The sums of field_add_gradients, slices 1, from ∂L/∂k [H, points], divided by `scale`. */
void rows_moments(Lowering *lowering, const Field *field, int64_t cells, int64_t points, Place rows,
                  float scale);

/* ---- gated kernels (lower_field_gate.c) ----
 *
 * A plane is a head of a sample, number head·batch + sample; planes are worked on `together` at a
 * time, in blocks from `first` on. */

typedef struct Gate {
    int64_t size;     /* P of spec §4 */
    int64_t together; /* planes */
    Place points;     /* [B, H, 32] */
    Place spectrum;   /* [H, P] complex: the plain kernels' */
    Place row;        /* [together, P] complex */
    Place scratch;    /* [max(H, together), P] complex */
} Gate;

/* P for this many cells. */
int64_t gate_size(int64_t cells);

/* `points` is the node's gate. Makes the plain kernels' spectra. */
Gate gate_begin(Lowering *lowering, const Field *field, Place points, int64_t together);

/* Leaves the kernels of planes first … first+count-1 in the real parts of gate.row [., P]. */
void gate_kernels(Lowering *lowering, const Field *field, const Gate *gate, int64_t first,
                  int64_t count);

/* Their first `cells` samples as rows [together, points] to convolve with, zero from there on. */
void gate_resize(Lowering *lowering, const Gate *gate, int64_t cells, int64_t points, Place rows);

/* From ∂L/∂k' [together, points] of a block, divided by `scale`, to dgate (size 0: not wanted), and
 * on to the spectra of ∂L/∂k [H, P], which the blocks, in order, add up in `dspectrum`. */
typedef struct GateGradient {
    Place rows;
    int64_t points;
    float scale;
    Place dgate, dspectrum;
} GateGradient;
void gate_backward(Lowering *lowering, const Field *field, const Gate *gate,
                   const GateGradient *gradient, int64_t first, int64_t count);

#endif

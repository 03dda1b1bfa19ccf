/* The ops: what each computes, its inputs, outputs and parameters.
 *
 * One row of ops.c holds an op's name, shape rule and gradient rule; each backend has one function
 * or kernel an op. Everything a backend must know to implement an op is on this page.
 *
 * Notation: real tensors unless said otherwise; R rows = all axes but the last; B batch, N tokens,
 * H heads, d width of a head, D = H·d, V vocabulary. `?` marks an optional input or output. Outputs
 * marked += are always added to (their tensors are gradients of parameters or running sums); all
 * others are overwritten, or added to where the node's `accumulate` bit says so.
 *
 * Of the elementwise ops (copy, add, gelu, gelu_backward, dropout, feature, gate) output 0 may
 * stand on the same bytes as input 0; no other output overlaps an input. */
#ifndef GRAPH_OPS_H
#define GRAPH_OPS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum Op {
    /* Fills y with params.fill.value. in: -; out: y (given). */
    OP_FILL,
    /* y = x. in: x; out: y. */
    OP_COPY,
    /* y = a + b. in: a, b; out: y. */
    OP_ADD,

    /* x[b,n] = table[token[b,n]] + position[n].
     * in: token i32 [B,N], table [V,D], position [N,D] (rows already chosen by the host),
     *     order ? i32 [B·N] (for the gradient only, see OP_EMBED_BACKWARD);
     * out: x [B,N,D]. */
    OP_EMBED,
    /* in: dx [B,N,D], token i32 [B,N], order i32 [B·N]; out: dtable [V,D] +=.
     * order lists the rows of dx sorted by token, ties in row order: sums run in that order. */
    OP_EMBED_BACKWARD,

    /* y = (x - mean)·rstd·weight + bias over the last axis, eps 1e-5, biased variance.
     * in: x [R,W], weight [W], bias [W]; out: y, mean [R], rstd [R]. */
    OP_LAYERNORM,
    /* in: dy, x, weight, mean, rstd; out: dx, dweight +=, dbias +=. */
    OP_LAYERNORM_BACKWARD,

    /* C = A·B + bias, row-major, for each of `batch` items, with leading dimensions and strides as
     * ProductParams says; sum_batch adds all items into one C. in: a, b, bias ?; out: c. */
    OP_PRODUCT,
    /* y[b,w] = Σ_rows x[b,row,w]. in: x [batch, rows, W] (any shape with that many elements);
     * out: y [batch, W] (same). params.column_sum. The gradient of a product's bias. */
    OP_COLUMN_SUM,

    /* y = x·Φ(x), the exact erf form. in: x; out: y. */
    OP_GELU,
    /* in: dy, x; out: dx. */
    OP_GELU_BACKWARD,

    /* Keeps an element with probability 1-p and scales it by 1/(1-p).
     * in: x, key i32 [2] (seed, step); out: y. Its own adjoint: the backward node is an OP_DROPOUT
     * of the same params. Element i is kept iff philox (base/rng.h) of counter {i lo, i hi,
     * params.stream, step} and key {seed, 0} gives a first word >= p·2^32. */
    OP_DROPOUT,

    /* Feature map output times a value: y = (max(p, 0) + 1e-6)·v. in: p, v; out: y. */
    OP_FEATURE,
    /* in: dy, p, v; out: dp, dv ? each. The derivative of max(p, 0) at 0 is 0. */
    OP_FEATURE_BACKWARD,

    /* y = x·sigmoid(g). in: x, g; out: y. */
    OP_GATE,
    /* in: dy, x, g; out: dx, dg. */
    OP_GATE_BACKWARD,

    /* The v3.5 deposit u = v·‖k‖₂ over the last axis. in: k [R,d], v [R,d]; out: u [R,d]. */
    OP_KEY_NORM,
    /* in: du, k, v; out: dk, dv. dk is 0 where k is 0. */
    OP_KEY_NORM_BACKWARD,

    /* y[…,a,:] = Σ_b softmax(coupling)[a,b]·r[…,b,:]. in: r [B,N,H,d], coupling [H,H]; out: y. */
    OP_COUPLE,
    /* in: dy, r, coupling; out: dr, dcoupling +=. */
    OP_COUPLE_BACKWARD,

    /* The field: scatter, propagate, gather (spec §2), without coupling; params.field.
     * in: u [B,N,H,d], frequency [H], damping [H] (raw, before softplus), phase [H],
     *     cell i32 [N] (lo_i), fraction [N] (f_i), gate ? [B,H,32];
     * out: r [B,N,H,d],
     *      carry [B,H,C,2,d]: C = ceil(N / FIELD_CHUNK); the state S (real parts, then imaginary)
     *      as it stands just before the first token of each chunk, at the cell where the chunk
     * before it left off (0 for the first). Written by the scan evaluator, for its backward; other
     *      evaluators leave it 0. */
    OP_FIELD,
    /* in: dr, u, frequency, damping, phase, cell, fraction, carry, gate ?;
     * out: du, dfrequency [H] +=, ddamping [H] +=, dphase [H] +=, dgate ? [B,H,32]. */
    OP_FIELD_BACKWARD,

    /* The kernels' norms Z (spec §2), which cost O(G) and depend on parameters only, for decoding.
     * in: frequency, damping, phase; out: norm [H]. */
    OP_FIELD_NORM,
    /* The field continued token by token, one-pole kernels in a causal geometry (the token scan).
     * in: u [B,n,H,d], frequency, damping, phase, cell i32 [n], fraction [n],
     *     at i32 [1] (the cell where the state sits: lo+1 of the last token if its f > 0, else its
     * lo; 0 before the first), norm [H]; out: r [B,n,H,d], state [B,H,2,d] (given, read and
     * written; 0 before the first token). */
    OP_FIELD_STREAM,

    /* The gated kernel of each sample (spec §4), kept for decoding.
     * in: frequency, damping, phase, gate [B,H,32]; out: kernel [B,H,G]. */
    OP_FIELD_KERNEL,
    /* The field continued with any kernel by keeping the deposits; exact, O(position) a token.
     * in: u [B,n,H,d], kernel [B,H,G], cell i32 [M], fraction [M] (the whole geometry: entry j is
     *     token j's), position i32 [1] (of u's first token);
     * out: r [B,n,H,d], history [B,M,H,d] (given; rows position … position+n-1 are written). */
    OP_FIELD_RECALL,

    /* Causal softmax attention, head by head: y[n] = Σ_{j<=n} p[n,j]·v[j],
     * p[n,j] = e^(q[n]·k[j]/√d - lse[n]).
     * in: q, k, v [B,N,H,d];
     * out: y [B,N,H,d], lse [B,H,N]: log Σ_{j<=n} e^(q[n]·k[j]/√d), for the backward. */
    OP_ATTENTION,
    /* in: dy, q, k, v, y, lse; out: dq, dk, dv. */
    OP_ATTENTION_BACKWARD,
    /* The same continued by keeping keys and values, O(position) a token.
     * in: q, k, v [B,n,H,d], position i32 [1] (of their first token);
     * out: y [B,n,H,d], keys [B,M,H,d], values [B,M,H,d] (given; rows before position are read,
     *      rows position … position+n-1 written). */
    OP_ATTENTION_STREAM,

    /* y[b] = x[b,0]. in: x [B,N,D]; out: y [B,D]. */
    OP_FIRST_TOKEN,
    /* in: dy [B,D]; out: dx [B,N,D]: dy at token 0, 0 elsewhere. */
    OP_FIRST_TOKEN_BACKWARD,

    /* y[b,n] = mean of x[b,0…n]. in: x [B,N,W]; out: y. */
    OP_CAUSAL_MEAN,
    /* in: dy; out: dx. */
    OP_CAUSAL_MEAN_BACKWARD,
    /* The same continued. in: x [B,n,W], position i32 [1]; out: y, sum [B,W] (given, read,
       written). */
    OP_CAUSAL_MEAN_STREAM,

    /* s = <a,b> / (max(‖a‖,1e-12)·max(‖b‖,1e-12)) over the last axis. in: a [R,W], b [R,W]; out: s
       [R]. */
    OP_COSINE,
    /* in: ds [R], a, b; out: da, db. */
    OP_COSINE_BACKWARD,
    /* y = x + sigmoid(g)·c·sigmoid(s/τ), τ = softplus(temperature) + 0.05 (spec §5).
     * in: x [R,D], c [R,D], g [R,D], s [R], temperature [1] (or scalar); out: y [R,D]. */
    OP_INTERFERE,
    /* in: dy, c, g, s, temperature; out: dc, dg, ds, dtemperature +=. (dx = dy.) */
    OP_INTERFERE_BACKWARD,

    /* Output head, softmax and cross-entropy, chunked by rows; logits = h·tableᵀ exist a chunk at a
     * time. Row r counts iff target[r] != -100.
     * in: h [R,D], table [V,D], target i32 [R], seed [1];
     * out: loss [1] += (sum over counted rows, nats), counts i32 [2] += {rows counted, argmax hits}
     *      (the lowest index wins a tie), dh ? [R,D] (seed·∂loss/∂h), dtable ? [V,D] +=. */
    OP_HEAD_LOSS,

    /* norm2 += Σ x²; count += elements that are not finite.
     * in: x [n]; out: norm2 [1] +=, bad i32 [1] +=. */
    OP_SQUARE_SUM,
    /* One AdamW step over a whole page of parameters (spec §6), and the gradients cleared.
     * in: segment i32 [S,4] (first element, elements, group, decays 0|1), rate [groups]
     * (multiplier), record [RECORD_COUNT], norm2 [1], bad i32 [1]; out: value [n], gradient [n],
     * first [n], second [n] (all given, read and written). g = gradient/scale·min(1,
     * clip·scale/√norm2) (clip 0: no clipping). Where bad != 0 nothing but the clearing happens.
     * Segments ascend and do not overlap; elements outside every one are left alone. */
    OP_ADAMW,

    OP_COUNT
} Op;

enum { NODE_MAX_IN = 10, NODE_MAX_OUT = 6 };

/* Tokens in a chunk of the field scan: the carry is kept once a chunk. */
enum { FIELD_CHUNK = 64 };

/* Points of the spectral gate (spec §4). */
enum { FIELD_GATE_POINTS = 32 };

/* Indices into the optimizer's record. */
enum {
    RECORD_LEARNING_RATE,
    RECORD_CLIP,
    RECORD_BETA1,
    RECORD_BETA2,
    RECORD_CORRECTION1, /* 1 - β₁^step */
    RECORD_CORRECTION2,
    RECORD_EPSILON,
    RECORD_DECAY,
    RECORD_SCALE, /* of the loss */
    RECORD_COUNT
};

/* item b: C_b[rows, cols] = op(A_b)[rows, inner] · op(B_b)[inner, cols] + bias_b[cols];
 * X_b starts at element b·stride_x of its tensor; op is the transpose where trans_x is set;
 * ld_x is the distance between stored rows. */
typedef struct ProductParams {
    int64_t batch, rows, cols, inner;
    bool trans_a, trans_b, sum_batch;
    int64_t ld_a, ld_b, ld_c;
    int64_t stride_a, stride_b, stride_c, stride_bias;
} ProductParams;

/* One product without gaps: of A [rows, inner] and B [inner, cols], each stored transposed or not.
 */
static inline ProductParams product_packed(int64_t rows, int64_t cols, int64_t inner, bool trans_a,
                                           bool trans_b)
{
    return (ProductParams){.batch = 1,
                           .rows = rows,
                           .cols = cols,
                           .inner = inner,
                           .trans_a = trans_a,
                           .trans_b = trans_b,
                           .ld_a = trans_a ? rows : inner,
                           .ld_b = trans_b ? inner : cols,
                           .ld_c = cols};
}

typedef enum KernelNorm { KERNEL_NORM_L1, KERNEL_NORM_DC } KernelNorm;

typedef enum FieldEvaluator { FIELD_SCAN, FIELD_FFT, FIELD_DIRECT } FieldEvaluator;

typedef struct FieldParams {
    int64_t heads, width; /* H, d */
    int64_t cells;        /* G: the kernel is normalised over all of them */
    int64_t reach;        /* cells 0 … reach-1 are the only ones these tokens touch */
    KernelNorm norm;
    float damping_limit;      /* α = min(softplus(damping), limit); INFINITY: no limit */
    FieldEvaluator evaluator; /* FIELD_SCAN: only without gate, and in a causal geometry */
} FieldParams;

typedef union OpParams {
    struct {
        float value;
    } fill;
    struct {
        int64_t batch, rows, width;
    } column_sum;
    struct {
        float p;
        uint32_t stream;
    } dropout;
    ProductParams product;
    FieldParams field; /* OP_FIELD, _BACKWARD, _STREAM, _KERNEL, _RECALL */
} OpParams;

#endif

/* Lowering of the product: which tile, and how many splits of the inner axis. A function of shape
 * and device, its stored tuning included, only. */
#include "backends/gpu/lower.h"

typedef struct Tile {
    KernelId kernel[2]; /* without and with a follower */
    KernelId wide[2];   /* the same where operands are aligned */
    int64_t rows, cols, depth;
} Tile;

#define TILE(name, rows, cols, depth)                                                              \
    {                                                                                              \
        {KERNEL_PRODUCT_##name, KERNEL_PRODUCT_##name##_THEN},                                     \
            {KERNEL_PRODUCT_##name##_WIDE, KERNEL_PRODUCT_##name##_WIDE_THEN}, rows, cols, depth   \
    }
static const Tile tiles[TILE_COUNT] = {
    [TILE_16X64] = TILE(16X64, 16, 64, 12),
    [TILE_64X16] = TILE(64X16, 64, 16, 12),
    [TILE_64X64] = TILE(64X64, 64, 64, 16),
    [TILE_64X128] = TILE(64X128, 64, 128, 16),
    [TILE_128X64] = TILE(128X64, 128, 64, 16),
    [TILE_128X128] = TILE(128X128, 128, 128, 16),
    [TILE_MATRIX_64] = TILE(MATRIX_64, 64, 64, 32),
    [TILE_MATRIX_128] = TILE(MATRIX_128, 128, 128, 32),
};

/* ---- what to do ---- */

enum { LEAST_SPLIT = 256 /* elements of the inner axis */ };

static int64_t results_of(const ProductParams *p)
{
    return p->sum_batch ? 1 : p->batch;
}

static int64_t tiles_of(const Tile *tile, const ProductParams *p)
{
    return ceil_div(p->cols, tile->cols) * ceil_div(p->rows, tile->rows) * results_of(p);
}

static int64_t blocks_of(const Tile *tile, const ProductParams *p)
{
    return ceil_div(p->inner, tile->depth) * (p->sum_batch ? p->batch : 1);
}

/* Can the product be computed in such tiles at all? */
static bool suits(const GpuLimits *limits, const ProductParams *p, DType storage, int tile)
{
    if (tile == TILE_FEW) return lower_suits_few_rows(p);
    if (!gpu_kernels[tiles[tile].kernel[0]].glsl_only) return true;
    return limits->matrices && storage == DTYPE_F16;
}

/* The largest tile that still gives the device enough of them, where need be by splits of the inner
 * axis so long that adding them up costs little; thin ones for thin results. A large tile does
 * twice the work of a small one for each number it reads from group memory, which is what bounds
 * the small ones. Tiles of matrices are taken wherever a whole one is filled. */
static ProductTile rule_tile(const GpuLimits *limits, const ProductParams *p, DType storage)
{
    if (lower_suits_few_rows(p)) return TILE_FEW;
    if (p->rows <= 16) return TILE_16X64;
    if (p->cols <= 16) return TILE_64X16;
    bool matrices = p->rows >= 64 && p->cols >= 64 && p->inner >= 32;
    matrices = matrices && suits(limits, p, storage, TILE_MATRIX_64);
    bool fits = p->rows % 128 == 0 || p->rows >= 512;
    fits = fits && (p->cols % 128 == 0 || p->cols >= 512);
    int64_t splits = p->inner * (p->sum_batch ? p->batch : 1) / LEAST_SPLIT;
    splits = int64_max(1, int64_min(splits, PRODUCT_MOST_SPLITS));
    fits = fits && tiles_of(&tiles[TILE_128X128], p) * splits >= limits->busy_groups;
    if (matrices) return fits ? TILE_MATRIX_128 : TILE_MATRIX_64;
    return fits ? TILE_128X128 : TILE_64X64;
}

/* A long inner axis is cut where the tiles alone would leave the device idle. */
static int64_t rule_splits(const GpuLimits *limits, const Tile *tile, const ProductParams *p)
{
    int64_t wanted = ceil_div(limits->busy_groups, tiles_of(tile, p));
    return int64_min(int64_min(wanted, blocks_of(tile, p) / 8), PRODUCT_MOST_SPLITS);
}

/* So many that none is empty. */
static int64_t whole_splits(const Tile *tile, const ProductParams *p, int64_t splits)
{
    int64_t blocks = blocks_of(tile, p);
    splits = int64_max(1, int64_min(splits, blocks));
    return ceil_div(blocks, ceil_div(blocks, splits));
}

/* A choice made for one shape of a class may be beyond the device for another. */
static bool can_run(const GpuLimits *limits, const ProductParams *p, ProductChoice choice)
{
    if (choice.tile == TILE_FEW) return true;
    const Tile *tile = &tiles[choice.tile];
    int64_t results = results_of(p) * choice.splits;
    bool allowed = ceil_div(p->cols, tile->cols) <= limits->groups[0] &&
                   ceil_div(p->rows, tile->rows) <= limits->groups[1] &&
                   results <= limits->groups[2];
    return allowed && (choice.splits == 1 || results * p->rows * p->cols <= INT32_MAX);
}

/* Among our own kernels. */
static ProductChoice own_choice(const GpuLimits *limits, const ProductParams *p, DType storage,
                                ProductChoice choice)
{
    if (choice.tile == TILE_RULE)
        choice = (ProductChoice){(uint8_t)rule_tile(limits, p, storage), 0};
    if (choice.tile == TILE_FEW) {
        choice.splits = (uint8_t)lower_few_splits(limits, p, choice.splits);
        return choice;
    }
    const Tile *tile = &tiles[choice.tile];
    int64_t splits = choice.splits ? choice.splits : rule_splits(limits, tile, p);
    choice.splits = (uint8_t)whole_splits(tile, p, splits);
    return choice;
}

ProductChoice gpu_product_choice(const GpuLimits *limits, const ProductParams *p, DType storage,
                                 ProductChoice choice)
{
    if (lower_library_wanted(limits, p, choice) && lower_library_takes(limits, p, storage))
        return (ProductChoice){TILE_LIBRARY, 1};
    if (choice.tile == TILE_LIBRARY) choice = (ProductChoice){0};
    return own_choice(limits, p, storage, choice);
}

static ProductChoice choose(const GpuLimits *limits, const ProductParams *p, DType storage)
{
    ProductChoice tuned = gpu_tuning_choice(&limits->tuning, p, storage);
    if (tuned.tile > TILE_LIBRARY && suits(limits, p, storage, tuned.tile)) {
        tuned = own_choice(limits, p, storage, tuned);
        if (can_run(limits, p, tuned)) return tuned;
    }
    return own_choice(limits, p, storage, (ProductChoice){0});
}

static bool tried(const ProductChoice *list, int count, ProductChoice choice)
{
    for (int i = 0; i < count; i++)
        if (list[i].tile == choice.tile && list[i].splits == choice.splits) return true;
    return false;
}

_Static_assert(PRODUCT_MOST_SPLITS < 256 && 1 + (TILE_COUNT - 1) * 8 <= PRODUCT_MOST_CANDIDATES,
               "room for every tile with 1, 2, 4 … 128 splits");

int gpu_product_candidates(const GpuLimits *limits, const ProductParams *p, DType storage,
                           ProductChoice *out)
{
    int count = 0;
    const ProductChoice library = {TILE_LIBRARY, 1};
    out[count++] = gpu_product_choice(limits, p, storage, (ProductChoice){0});
    if (lower_library_takes(limits, p, storage) && !tried(out, count, library))
        out[count++] = library;
    for (int t = TILE_LIBRARY + 1; t < TILE_COUNT; t++) {
        if (!suits(limits, p, storage, t)) continue;
        if (p->rows * 4 <= tiles[t].rows || p->cols * 4 <= tiles[t].cols) continue;
        int64_t groups = t == TILE_FEW ? 1 : tiles_of(&tiles[t], p);
        for (int splits = 1; splits <= PRODUCT_MOST_SPLITS; splits *= 2) {
            if (splits > 1 && groups * splits > 8 * limits->busy_groups) break;
            ProductChoice choice = {(uint8_t)t, (uint8_t)splits};
            choice = own_choice(limits, p, storage, choice);
            if (choice.splits < splits) break; /* the inner axis is too short */
            if (can_run(limits, p, choice) && !tried(out, count, choice)) out[count++] = choice;
        }
    }
    return count;
}

/* ---- doing it ---- */

bool lower_in_fours(Place place, int64_t along, int64_t ld, int64_t stride)
{
    return place.offset % 16 == 0 && along % 4 == 0 && ld % 4 == 0 && stride % 4 == 0;
}

/* Where an operand's inner axis is the contiguous one. */
static uint32_t along(const ProductParams *p)
{
    return (p->trans_a ? 0 : PRODUCT_ALONG_A) | (p->trans_b ? PRODUCT_ALONG_B : 0);
}

bool lower_own_product(const GpuLimits *limits, const ProductParams *p, DType storage)
{
    ProductChoice tuned = gpu_tuning_choice(&limits->tuning, p, storage);
    return gpu_product_choice(limits, p, storage, tuned).tile != TILE_LIBRARY;
}

ProductEnd lower_product_end(const Lowering *l, const ProductPlaces *places, uint32_t accumulate)
{
    /* A sum is what adding to a result does, unless the product is to be rounded first. */
    bool sums = places->follower == FOLLOW_ADD && l->graph->storage == DTYPE_REAL;
    const Place none = {0};
    ProductEnd end = {.bias = places->bias, .flags = places->bias.size > 0 ? PRODUCT_BIAS : 0};
    if (sums && places->c.size == 0) {
        end.x = places->x;
        end.c = places->y;
        end.flags |= PRODUCT_ADDS;
    } else if (places->follower) {
        end.then = true;
        end.x = places->x;
        end.c = places->c;
        end.y = places->y;
        end.flags |= FOLLOWER_FLAG(places->follower) | (places->c.size > 0 ? PRODUCT_KEEPS : 0);
    } else {
        end.c = places->to_real ? none : places->c;
        end.real = places->to_real ? places->c : none;
        end.x = accumulate ? end.c : none;
        end.flags |= (accumulate ? PRODUCT_ADDS : 0) | (places->to_real ? PRODUCT_TO_REAL : 0);
    }
    return end;
}

void lower_product_sum(Lowering *l, const ProductParams *p, const ProductEnd *end, Place partial,
                       int64_t items, int64_t splits)
{
    KernelId kernel = end->then ? KERNEL_PRODUCT_SUM_THEN : KERNEL_PRODUCT_SUM;
    lower_dispatch(l, kernel, lower_groups_over(l, kernel, items * p->rows * p->cols),
                   BUFFERS(partial, end->bias, end->x, end->c, end->real, end->y),
                   SCALARS(product_sum, .items = (uint32_t)items, .rows = (uint32_t)p->rows,
                           .cols = (uint32_t)p->cols, .splits = (uint32_t)splits,
                           .ld_c = (uint32_t)p->ld_c, .stride_c = (uint32_t)p->stride_c,
                           .stride_bias = (uint32_t)p->stride_bias, .flags = end->flags),
                   0);
}

void lower_multiply(Lowering *l, const ProductParams *p, const ProductPlaces *places,
                    uint32_t accumulate)
{
    if (l->visit) l->visit(l->visit_context, p);
    if (!places->follower && lower_by_library(l, p, places, accumulate)) return;
    ProductChoice choice = choose(l->limits, p, l->graph->storage);
    ProductEnd end = lower_product_end(l, places, accumulate);
    if (choice.tile == TILE_FEW) {
        lower_product_few(l, p, places->a, places->b, &end, choice.splits);
        return;
    }
    const Tile *tile = &tiles[choice.tile];
    int64_t items = p->sum_batch ? p->batch : 1, results = results_of(p), splits = choice.splits;
    int64_t tiles_x = ceil_div(p->cols, tile->cols), tiles_y = ceil_div(p->rows, tile->rows);
    bool wide = lower_in_fours(places->a, p->trans_a ? p->rows : p->inner, p->ld_a, p->stride_a) &&
                lower_in_fours(places->b, p->trans_b ? p->inner : p->cols, p->ld_b, p->stride_b);

    bool direct = splits == 1;
    int64_t size = p->rows * p->cols;
    const Place none = {0}, a = places->a, b = places->b;
    ProductEnd here = end;
    if (!direct)
        here = (ProductEnd){.real = lower_scratch(l, 4 * results * splits * size),
                            .flags = PRODUCT_TO_REAL};
    lower_dispatch(l, (wide ? tile->wide : tile->kernel)[here.then],
                   GROUPS(tiles_x, tiles_y, results * splits),
                   BUFFERS(wide ? none : a, wide ? a : none, wide ? none : b, wide ? b : none,
                           here.bias, here.x, here.c, here.real, here.y),
                   SCALARS(product_64x64, .rows = (uint32_t)p->rows, .cols = (uint32_t)p->cols,
                           .inner = (uint32_t)p->inner, .ld_a = (uint32_t)p->ld_a,
                           .ld_b = (uint32_t)p->ld_b,
                           .ld_c = (uint32_t)(direct ? p->ld_c : p->cols),
                           .stride_a = (uint32_t)p->stride_a, .stride_b = (uint32_t)p->stride_b,
                           .stride_c = (uint32_t)(direct ? p->stride_c : size),
                           .stride_bias = (uint32_t)p->stride_bias, .items = (uint32_t)items,
                           .splits = (uint32_t)splits, .flags = here.flags | along(p)),
                   2.0 * (double)p->batch * (double)size * (double)p->inner);
    if (!direct) lower_product_sum(l, p, &end, here.real, results, splits);
}

void lower_product(Lowering *l)
{
    const ProductPlaces places = {lower_in(l, 0), lower_in(l, 1), lower_in(l, 2), lower_out(l, 0),
                                  .to_real = lower_out_type(l, 0) == DTYPE_REAL};
    lower_multiply(l, &l->node->params.product, &places, lower_accumulates(l, 0));
}

/* C = A·B + bias as product.comp computes it, its follower with THEN included, of binary16 operands,
 * by cooperative matrices: the subgroups of a group hold a square of TILE × TILE results as float
 * matrices of matrix_rows × matrix_cols, each subgroup a rectangle of them, and walk the inner axis
 * in blocks of DEPTH through group memory.
 *
 * GLSL alone has such matrices (GL_KHR_cooperative_matrix): CUDA's products come from a library, and
 * OpenCL has nothing like it. Their sizes and the number of subgroups are the device's, and become
 * known when a pipeline is made (backends/vulkan/matrix.h).
 *
 * A tile stands in group memory as it does in the buffer: lines along whichever axis neighbours run,
 * eight elements (16 bytes) a word, one word apart from the next line to spread them over the banks.
 * Matrices are read from it by rows or by columns accordingly, so nothing is ever transposed. What is
 * outside an operand is zero there and never read; NaN and infinity meet it only in results that are
 * outside too. The next block is on its way from memory while this one is multiplied.
 *
 * The floor: 2·rows·cols·inner operations, and 2·(rows·inner + inner·cols) + c bytes if all was read
 * once. A tile reads 2·2·TILE·DEPTH bytes for 2·TILE²·DEPTH operations: TILE / 2 operations a byte,
 * 32 for 64 and 64 for 128 (product_128x128 in float: 32), the caches between groups aside. */
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#include "elementwise.h"

layout(constant_id = 0) const uint matrix_rows = 16u;
layout(constant_id = 1) const uint matrix_cols = 16u;
layout(constant_id = 2) const uint matrix_inner = 16u;
/* Subgroups along the rows of a tile, and along its columns. */
layout(constant_id = 3) const uint subgroups_down = 2u;
layout(constant_id = 4) const uint subgroups_across = 4u;

/* Words of a line along the inner axis, and across it, and from each to the next. */
const uint deep = DEPTH / 8u, wide = TILE / 8u, deep_pitch = deep + 1u, wide_pitch = wide + 1u;
const uint tile_words = max(TILE * deep_pitch, DEPTH * wide_pitch);
const uint words_each = TILE * deep / 256u;
const uint matrices_down = TILE / matrix_rows / subgroups_down;
const uint matrices_across = TILE / matrix_cols / subgroups_across;
const uint matrix_size = matrix_rows * matrix_cols;

/* Eight neighbours from element `at` on; zeros from `count` on. */
#if FOURS
#define SOURCE_A arg.a4
#define SOURCE_B arg.b4
uvec4 word(Stored4 source, uint at, uint count)
{
    uvec2 low = uvec2(0u), high = uvec2(0u);
    if (count > 0u) low = source.at[at / 4u];
    if (count > 4u) high = source.at[at / 4u + 1u];
    return uvec4(low, high);
}
#else
#define SOURCE_A arg.a
#define SOURCE_B arg.b
uvec4 word(Stored source, uint at, uint count)
{
    uvec4 pairs = uvec4(0u);
    UNROLL for (uint e = 0u; e < 8u; e++) {
        if (e < count) pairs[e / 2u] |= uint(source.at[at + e]) << 16u * (e % 2u);
    }
    return pairs;
}
#endif

/* An operand's tile: where its first element is, from a line to the next, how many lines and
 * elements of a line are inside. */
struct Tile {
    bool along; /* lines along the inner axis */
    uint from, pitch, lines, extent;
};

Tile tile_of(bool along, uint from, uint row, uint inner, uint pitch, uint rows_left,
             uint inner_left)
{
    return along ? Tile(true, from + row * pitch + inner, pitch, rows_left, inner_left)
                 : Tile(false, from + inner * pitch + row, pitch, inner_left, rows_left);
}

/* The t-th word: its line and its place in it, in words. */
uvec2 place_of(Tile tile, uint t)
{
    uint words = tile.along ? deep : wide;
    return uvec2(t / words, t % words);
}

/* Elements of the word that are inside. */
uint count_of(Tile tile, uvec2 place)
{
    uint first = 8u * place.y;
    return place.x < tile.lines && first < tile.extent ? tile.extent - first : 0u;
}

uint word_from(Tile tile, uvec2 place)
{
    return tile.from + place.x * tile.pitch + 8u * place.y;
}

uint word_to(Tile tile, uvec2 place)
{
    return place.x * (tile.along ? deep_pitch : wide_pitch) + place.y;
}

KERNEL(product_matrix, 256,
       READ(a) READ4(a4) READ(b) READ4(b4) READ_FLOAT(bias) READ(x) UPDATE(c)
       UPDATE_FLOAT(real) UPDATE(y),
       UINT(rows) UINT(cols) UINT(inner) UINT(ld_a) UINT(ld_b) UINT(ld_c)
       UINT(stride_a) UINT(stride_b) UINT(stride_c) UINT(stride_bias)
       UINT(items) UINT(splits) UINT(flags))
SHARED(uvec4, tile_a, tile_words)
SHARED(uvec4, tile_b, tile_words)
SHARED(float, results, matrix_size * subgroups_down * subgroups_across)
BODY
{
    uint first_row = GROUP_Y * TILE, first_col = GROUP_X * TILE;
    uint split = GROUP_Z % arg.splits, result = GROUP_Z / arg.splits;
    uint own_row = gl_SubgroupID / subgroups_across * matrices_down * matrix_rows;
    uint own_col = gl_SubgroupID % subgroups_across * matrices_across * matrix_cols;

    coopmat<float, gl_ScopeSubgroup, matrix_rows, matrix_cols, gl_MatrixUseAccumulator>
        sum[matrices_down][matrices_across];
    UNROLL for (uint m = 0u; m < matrices_down; m++) {
        UNROLL for (uint n = 0u; n < matrices_across; n++)
            sum[m][n] = coopmat<float, gl_ScopeSubgroup, matrix_rows, matrix_cols,
                                gl_MatrixUseAccumulator>(0.0f);
    }

    uint blocks = (arg.inner + DEPTH - 1u) / DEPTH;
    uint each = (blocks * arg.items + arg.splits - 1u) / arg.splits;
    uint begin = split * each, end = min(blocks * arg.items, begin + each);
    bool along_a = (arg.flags & PRODUCT_ALONG_A) != 0u;
    bool along_b = (arg.flags & PRODUCT_ALONG_B) != 0u;
    for (uint block = begin; block <= end; block++) {
        /* On its way: this block. */
        uint item = result + block / blocks, inner = block % blocks * DEPTH;
        Tile a = tile_of(along_a, item * arg.stride_a, first_row, inner, arg.ld_a,
                         arg.rows - first_row, arg.inner - inner);
        Tile b = tile_of(along_b, item * arg.stride_b, first_col, inner, arg.ld_b,
                         arg.cols - first_col, arg.inner - inner);
        uvec4 next_a[words_each], next_b[words_each];
        if (block < end) {
            UNROLL for (uint w = 0u; w < words_each; w++) {
                uvec2 place = place_of(a, LANE + 256u * w);
                next_a[w] = word(SOURCE_A, word_from(a, place), count_of(a, place));
                place = place_of(b, LANE + 256u * w);
                next_b[w] = word(SOURCE_B, word_from(b, place), count_of(b, place));
            }
        }
        /* In group memory: the one before it. */
        if (block > begin) {
            UNROLL for (uint k = 0u; k < DEPTH; k += matrix_inner) {
                coopmat<float16_t, gl_ScopeSubgroup, matrix_rows, matrix_inner, gl_MatrixUseA>
                    left[matrices_down];
                coopmat<float16_t, gl_ScopeSubgroup, matrix_inner, matrix_cols, gl_MatrixUseB> right;
                UNROLL for (uint m = 0u; m < matrices_down; m++) {
                    uint i = own_row + m * matrix_rows;
                    if (along_a)
                        coopMatLoad(left[m], tile_a, i * deep_pitch + k / 8u, deep_pitch,
                                    gl_CooperativeMatrixLayoutRowMajor);
                    else
                        coopMatLoad(left[m], tile_a, k * wide_pitch + i / 8u, wide_pitch,
                                    gl_CooperativeMatrixLayoutColumnMajor);
                }
                UNROLL for (uint n = 0u; n < matrices_across; n++) {
                    uint j = own_col + n * matrix_cols;
                    if (along_b)
                        coopMatLoad(right, tile_b, j * deep_pitch + k / 8u, deep_pitch,
                                    gl_CooperativeMatrixLayoutColumnMajor);
                    else
                        coopMatLoad(right, tile_b, k * wide_pitch + j / 8u, wide_pitch,
                                    gl_CooperativeMatrixLayoutRowMajor);
                    UNROLL for (uint m = 0u; m < matrices_down; m++)
                        sum[m][n] = coopMatMulAdd(left[m], right, sum[m][n]);
                }
            }
        }
        BARRIER();
        if (block < end) {
            UNROLL for (uint w = 0u; w < words_each; w++) {
                tile_a[word_to(a, place_of(a, LANE + 256u * w))] = next_a[w];
                tile_b[word_to(b, place_of(b, LANE + 256u * w))] = next_b[w];
            }
        }
        BARRIER();
    }

    /* One matrix of every subgroup at a time: lanes run along the rows of all of them. */
    uint at = GROUP_Z * arg.stride_c, subgroups = subgroups_down * subgroups_across;
    UNROLL for (uint m = 0u; m < matrices_down; m++) {
        UNROLL for (uint n = 0u; n < matrices_across; n++) {
            coopMatStore(sum[m][n], results, gl_SubgroupID * matrix_size, matrix_cols,
                         gl_CooperativeMatrixLayoutRowMajor);
            BARRIER();
            for (uint e = LANE; e < matrix_size * subgroups; e += LANES) {
                uint owner = e / matrix_size, within = e % matrix_size;
                uint i = first_row + within / matrix_cols +
                         (owner / subgroups_across * matrices_down + m) * matrix_rows;
                uint j = first_col + within % matrix_cols +
                         (owner % subgroups_across * matrices_across + n) * matrix_cols;
                if (i < arg.rows && j < arg.cols) {
                    float value = results[e];
                    if ((arg.flags & PRODUCT_BIAS) != 0u)
                        value += AT(bias, result * arg.stride_bias + j);
                    PRODUCT_FINISH(at + i * arg.ld_c + j, value)
                }
            }
            BARRIER();
        }
    }
}
END

#include "tests/cublaslt_fake.h"

#include "backends/cuda/cublaslt.h"
#include "backends/gpu/cache.h"
#include "backends/gpu/scalars.h"
#include "shaders/product.h"
#include "tensor/half.h"
#include "tests/cuda_fake.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

FakeCublaslt fake_cublaslt;
static char handle_token;

/* The descriptors are the library's to define: these are ours. */
typedef struct Layout {
    cudaDataType type;
    uint64_t rows, cols;
    int64_t ld, stride;
    int32_t batch;
} Layout;

typedef struct Operation {
    int32_t trans_a, trans_b;
    uint32_t epilogue;
    const void *bias;
    int64_t bias_stride;
} Operation;

typedef struct Preference {
    uint32_t schemes, alignment[4]; /* of A, B, C, D */
    uint64_t workspace;
} Preference;

/* What an algorithm was chosen for. */
typedef struct Algorithm {
    uint32_t alignment[4];
    uint64_t shape, workspace;
} Algorithm;

_Static_assert(sizeof(Algorithm) <= sizeof(cublasLtMatmulAlgo_t), "fits");

#define REFUSE(...)                                                                                \
    do {                                                                                           \
        fake_wrong("cuBLASLt: " __VA_ARGS__);                                                      \
        return CUBLAS_STATUS_INVALID_VALUE;                                                        \
    } while (0)

/* ---- handle and descriptors ---- */

static cublasStatus_t fake_create(cublasLtHandle_t *handle)
{
    if (fake_cublaslt.broken) return CUBLAS_STATUS_NOT_INITIALIZED;
    *handle = (cublasLtHandle_t)(void *)&handle_token;
    fake_cublaslt.live++;
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t fake_destroy(cublasLtHandle_t handle)
{
    if ((void *)handle != &handle_token) REFUSE("a handle that is not its own");
    fake_cublaslt.live--;
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t fake_property(libraryPropertyType type, int *value)
{
    *value = type == MAJOR_VERSION ? 13 : 0;
    return CUBLAS_STATUS_SUCCESS;
}

static const char *fake_status(cublasStatus_t status)
{
    (void)status;
    return "a status of the fake cuBLASLt";
}

static cublasStatus_t make(size_t size, const void *from, void *out)
{
    void *object = malloc(size);
    memcpy(object, from, size);
    memcpy(out, &object, sizeof object);
    fake_cublaslt.live++;
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t unmake(void *object)
{
    if (!object) REFUSE("a descriptor that is none");
    free(object);
    fake_cublaslt.live--;
    return CUBLAS_STATUS_SUCCESS;
}

/* An attribute's value, which must have the size the header states. */
static cublasStatus_t set(void *to, size_t size, const void *value, size_t bytes)
{
    if (!value || bytes != size) REFUSE("an attribute of %zu bytes given as %zu", size, bytes);
    memcpy(to, value, size);
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t fake_operation(cublasLtMatmulDesc_t *out, cublasComputeType_t compute,
                                     cudaDataType_t scale)
{
    if (compute != CUBLAS_COMPUTE_32F || scale != CUDA_R_32F)
        REFUSE("compute type %d, scale type %d", (int)compute, (int)scale);
    return make(sizeof(Operation),
                &(Operation){.trans_a = CUBLAS_OP_N,
                             .trans_b = CUBLAS_OP_N,
                             .epilogue = CUBLASLT_EPILOGUE_DEFAULT},
                out);
}

static cublasStatus_t fake_operation_destroy(cublasLtMatmulDesc_t operation)
{
    return unmake(operation);
}

static cublasStatus_t fake_operation_set(cublasLtMatmulDesc_t operation,
                                         cublasLtMatmulDescAttributes_t attribute,
                                         const void *value, size_t bytes)
{
    Operation *o = (Operation *)(void *)operation;
    switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA: return set(&o->trans_a, 4, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB: return set(&o->trans_b, 4, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE: return set(&o->epilogue, 4, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: return set(&o->bias, sizeof o->bias, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE: return set(&o->bias_stride, 8, value, bytes);
    default: REFUSE("attribute %d of an operation", (int)attribute);
    }
}

static cublasStatus_t fake_layout(cublasLtMatrixLayout_t *out, cudaDataType type, uint64_t rows,
                                  uint64_t cols, int64_t ld)
{
    if (rows < 1 || cols < 1 || rows > INT32_MAX || cols > INT32_MAX || ld < (int64_t)rows)
        REFUSE("a layout of %llu x %llu, leading dimension %lld", (unsigned long long)rows,
               (unsigned long long)cols, (long long)ld);
    return make(sizeof(Layout),
                &(Layout){.type = type, .rows = rows, .cols = cols, .ld = ld, .batch = 1}, out);
}

static cublasStatus_t fake_layout_destroy(cublasLtMatrixLayout_t layout)
{
    return unmake(layout);
}

static cublasStatus_t fake_layout_set(cublasLtMatrixLayout_t layout,
                                      cublasLtMatrixLayoutAttribute_t attribute, const void *value,
                                      size_t bytes)
{
    Layout *l = (Layout *)(void *)layout;
    switch (attribute) {
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT: return set(&l->batch, 4, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET: return set(&l->stride, 8, value, bytes);
    default: REFUSE("attribute %d of a layout", (int)attribute);
    }
}

static cublasStatus_t fake_preference(cublasLtMatmulPreference_t *out)
{
    return make(
        sizeof(Preference),
        &(Preference){.schemes = CUBLASLT_REDUCTION_SCHEME_MASK, .alignment = {256, 256, 256, 256}},
        out);
}

static cublasStatus_t fake_preference_destroy(cublasLtMatmulPreference_t preference)
{
    return unmake(preference);
}

static cublasStatus_t fake_preference_set(cublasLtMatmulPreference_t preference,
                                          cublasLtMatmulPreferenceAttributes_t attribute,
                                          const void *value, size_t bytes)
{
    Preference *p = (Preference *)(void *)preference;
    switch (attribute) {
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK: return set(&p->schemes, 4, value, bytes);
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES: return set(&p->workspace, 8, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES: return set(&p->alignment[0], 4, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES: return set(&p->alignment[1], 4, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES: return set(&p->alignment[2], 4, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES: return set(&p->alignment[3], 4, value, bytes);
    default: REFUSE("attribute %d of a preference", (int)attribute);
    }
}

/* ---- products ---- */

typedef struct Product {
    Operation operation;
    Layout a, b, c, d;
    float alpha, beta;
    const void *at_a, *at_b, *at_c;
    void *at_d, *workspace;
    size_t workspace_bytes;
} Product;

static size_t element(cudaDataType type)
{
    return type == CUDA_R_32F ? 4 : 2;
}

/* The documented combinations for CUBLAS_COMPUTE_32F that are real. */
static bool types_known(cudaDataType a, cudaDataType b, cudaDataType c, cudaDataType d)
{
    bool half = a == CUDA_R_16F || a == CUDA_R_16BF;
    return a == b && c == d &&
           ((a == CUDA_R_32F && c == a) || (half && (c == a || c == CUDA_R_32F)));
}

static cublasStatus_t check_shapes(const Product *p)
{
    const Operation *o = &p->operation;
    bool turn_a = o->trans_a == CUBLAS_OP_T, turn_b = o->trans_b == CUBLAS_OP_T;
    uint64_t m = turn_a ? p->a.cols : p->a.rows, k = turn_a ? p->a.rows : p->a.cols;
    uint64_t k_b = turn_b ? p->b.cols : p->b.rows, n = turn_b ? p->b.rows : p->b.cols;
    if (m != p->d.rows || n != p->d.cols || k != k_b)
        REFUSE("%llu x %llu times %llu x %llu is not %llu x %llu", (unsigned long long)m,
               (unsigned long long)k, (unsigned long long)k_b, (unsigned long long)n,
               (unsigned long long)p->d.rows, (unsigned long long)p->d.cols);
    if (memcmp(&p->c, &p->d, sizeof p->c) != 0) REFUSE("C and D of different layouts");
    if (p->a.batch != p->d.batch || p->b.batch != p->d.batch || p->d.batch < 1)
        REFUSE("batches of %d, %d and %d", p->a.batch, p->b.batch, p->d.batch);
    if (!types_known(p->a.type, p->b.type, p->c.type, p->d.type))
        REFUSE("types %d, %d, %d", (int)p->a.type, (int)p->b.type, (int)p->d.type);
    if (o->epilogue != CUBLASLT_EPILOGUE_DEFAULT && o->epilogue != CUBLASLT_EPILOGUE_BIAS)
        REFUSE("epilogue %u", o->epilogue);
    /* A bias has D's type; this project's are float. */
    if (o->epilogue == CUBLASLT_EPILOGUE_BIAS && (!o->bias || p->d.type != CUDA_R_32F))
        REFUSE("a bias for a result of type %d", (int)p->d.type);
    return CUBLAS_STATUS_SUCCESS;
}

static uint64_t shape_hash(const Product *p)
{
    uint64_t hash = gpu_hash(GPU_HASH_START, &p->operation.trans_a, 8);
    hash = gpu_hash(hash, &p->operation.epilogue, 4);
    const Layout *layouts[] = {&p->a, &p->b, &p->d};
    for (int i = 0; i < 3; i++) {
        const uint64_t numbers[] = {(uint64_t)layouts[i]->type,
                                    layouts[i]->rows,
                                    layouts[i]->cols,
                                    (uint64_t)layouts[i]->ld,
                                    (uint64_t)layouts[i]->stride,
                                    (uint64_t)layouts[i]->batch};
        hash = gpu_hash(hash, numbers, sizeof numbers);
    }
    return hash;
}

static Product product_of(cublasLtMatmulDesc_t operation, cublasLtMatrixLayout_t a,
                          cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                          cublasLtMatrixLayout_t d)
{
    return (Product){.operation = *(const Operation *)(const void *)operation,
                     .a = *(const Layout *)(const void *)a,
                     .b = *(const Layout *)(const void *)b,
                     .c = *(const Layout *)(const void *)c,
                     .d = *(const Layout *)(const void *)d};
}

static cublasStatus_t fake_heuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                                     cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                     cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                     cublasLtMatmulPreference_t preference, int capacity,
                                     cublasLtMatmulHeuristicResult_t *results, int *count)
{
    if ((void *)handle != &handle_token || capacity < 1) REFUSE("heuristics of no handle");
    const Preference *wanted = (const Preference *)(const void *)preference;
    const Product product = product_of(operation, a, b, c, d);
    fake_cublaslt.asked++;
    *count = 0;
    if (check_shapes(&product)) return CUBLAS_STATUS_INVALID_VALUE;
    /* Sums in the result's type, or in turns that depend on nothing but luck, are not wanted. */
    if (wanted->schemes & ~(uint32_t)CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE)
        REFUSE("reduction schemes %u", wanted->schemes);
    if (fake_cublaslt.refuses) return CUBLAS_STATUS_NOT_SUPPORTED;
    Algorithm algorithm = {.shape = shape_hash(&product)};
    memcpy(algorithm.alignment, wanted->alignment, sizeof algorithm.alignment);
    algorithm.workspace = wanted->workspace < 4096 ? wanted->workspace : 4096;
    memset(results, 0, sizeof *results);
    memcpy(&results->algo, &algorithm, sizeof algorithm);
    results->workspaceSize = algorithm.workspace;
    results->state = CUBLAS_STATUS_SUCCESS;
    *count = 1;
    return CUBLAS_STATUS_SUCCESS;
}

static double load(const void *at, cudaDataType type, int64_t i)
{
    if (type == CUDA_R_16F) return (double)float_from_f16(((const uint16_t *)at)[i]);
    if (type == CUDA_R_16BF) return (double)float_from_bf16(((const uint16_t *)at)[i]);
    return (double)((const float *)at)[i];
}

static void store(void *at, cudaDataType type, int64_t i, double value)
{
    if (type == CUDA_R_16F)
        ((uint16_t *)at)[i] = f16_from_double(value);
    else if (type == CUDA_R_16BF)
        ((uint16_t *)at)[i] = bf16_from_double(value);
    else
        ((float *)at)[i] = (float)value;
}

static double coarse(double value)
{
    int exponent;
    double fraction = frexp(value, &exponent);
    return ldexp(round(ldexp(fraction, 11)), exponent - 11);
}

/* op(M)(row, col) of an item, M by columns. */
static double entry(const void *at, const Layout *layout, int32_t turn, int64_t item, int64_t row,
                    int64_t col)
{
    int64_t i = turn == CUBLAS_OP_T ? col : row, j = turn == CUBLAS_OP_T ? row : col;
    double value = load(at, layout->type, item * layout->stride + i + j * layout->ld);
    return fake_cublaslt.fault == COARSE ? coarse(value) : value;
}

static double sum_of(const Product *p, int64_t item, int64_t row, int64_t col)
{
    const Operation *o = &p->operation;
    int64_t inner = (int64_t)(o->trans_a == CUBLAS_OP_T ? p->a.rows : p->a.cols);
    double sum = 0;
    for (int64_t k = 0; k < inner; k++)
        sum += entry(p->at_a, &p->a, o->trans_a, item, row, k) *
               entry(p->at_b, &p->b, o->trans_b, item, k, col);
    if (fake_cublaslt.fault == LEAKS && row > 0)
        sum += 0 * entry(p->at_a, &p->a, o->trans_a, item, row - 1, 0);
    return sum;
}

/* β of 0 reads nothing of C; the workspace is used before anything is read. */
static void compute(const void *what)
{
    const Product *p = what;
    const Operation *o = &p->operation;
    memset(p->workspace, 0xff, p->workspace ? p->workspace_bytes : 0);
    for (int64_t item = 0; item < p->d.batch; item++)
        for (int64_t col = 0; col < (int64_t)p->d.cols; col++)
            for (int64_t row = 0; row < (int64_t)p->d.rows; row++) {
                int64_t at = item * p->d.stride + row + col * p->d.ld;
                double value = (double)p->alpha * sum_of(p, item, row, col);
                if (p->beta != 0 && fake_cublaslt.fault != FORGETS)
                    value += (double)p->beta * load(p->at_c, p->c.type, at);
                if (o->epilogue == CUBLASLT_EPILOGUE_BIAS)
                    value += load(o->bias, CUDA_R_32F, item * o->bias_stride + row);
                store(p->at_d, p->d.type, at, value);
                if (fake_cublaslt.fault == SPILLS && row + 1 == (int64_t)p->d.rows &&
                    row + 1 < p->d.ld)
                    store(p->at_d, p->d.type, at + 1, 0);
            }
}

static bool inside(const void *at, const Layout *layout)
{
    int64_t last = (layout->batch - 1) * layout->stride + (int64_t)layout->rows - 1 +
                   ((int64_t)layout->cols - 1) * layout->ld;
    return fake_holds((CUdeviceptr)(uintptr_t)at, (size_t)(last + 1) * element(layout->type));
}

static cublasStatus_t check_places(const Product *p, const Algorithm *algorithm)
{
    const void *places[] = {p->at_a, p->at_b, p->at_c, p->at_d};
    for (int i = 0; i < 4; i++)
        if ((uintptr_t)places[i] % algorithm->alignment[i])
            REFUSE("operand %d is not aligned to %u bytes", i, algorithm->alignment[i]);
    if (!inside(p->at_a, &p->a) || !inside(p->at_b, &p->b) || !inside(p->at_d, &p->d))
        REFUSE("an operand outside any allocation");
    if (p->workspace_bytes < algorithm->workspace || (uintptr_t)p->workspace % 256 ||
        !fake_holds((CUdeviceptr)(uintptr_t)p->workspace, p->workspace_bytes))
        REFUSE("%zu bytes of workspace at %p", p->workspace_bytes, p->workspace);
    int64_t bias = (p->d.batch - 1) * p->operation.bias_stride + (int64_t)p->d.rows;
    if (p->operation.epilogue == CUBLASLT_EPILOGUE_BIAS &&
        !fake_holds((CUdeviceptr)(uintptr_t)p->operation.bias, (size_t)bias * 4))
        REFUSE("a bias outside any allocation");
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t fake_matmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                                  const void *alpha, const void *a, cublasLtMatrixLayout_t a_layout,
                                  const void *b, cublasLtMatrixLayout_t b_layout, const void *beta,
                                  const void *c, cublasLtMatrixLayout_t c_layout, void *d,
                                  cublasLtMatrixLayout_t d_layout,
                                  const cublasLtMatmulAlgo_t *algorithm, void *workspace,
                                  size_t workspace_bytes, cudaStream_t stream)
{
    if ((void *)handle != &handle_token) REFUSE("a product of no handle");
    if (fake_cublaslt.fails) return CUBLAS_STATUS_EXECUTION_FAILED;
    Product product = product_of(operation, a_layout, b_layout, c_layout, d_layout);
    Algorithm chosen;
    memcpy(&chosen, algorithm, sizeof chosen);
    product.alpha = *(const float *)alpha;
    product.beta = *(const float *)beta;
    product.at_a = a;
    product.at_b = b;
    product.at_c = c;
    product.at_d = d;
    product.workspace = workspace;
    product.workspace_bytes = workspace_bytes;
    if (check_shapes(&product) || check_places(&product, &chosen))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (chosen.shape != shape_hash(&product)) REFUSE("an algorithm for another product");
    if (fake_work((CUstream)stream, compute, &product, sizeof product))
        fake_cublaslt.captured++;
    else
        fake_cublaslt.launched++;
    return CUBLAS_STATUS_SUCCESS;
}

/* ---- product_sum ---- */

typedef struct Sum {
    char *partial, *bias, *x, *c, *real, *y;
    cudaDataType type;
    product_sum_scalars arg;
} Sum;

static void add_up(const void *what)
{
    const Sum *s = what;
    const product_sum_scalars *arg = &s->arg;
    int64_t size = (int64_t)arg->rows * arg->cols;
    bool to_real = (arg->flags & PRODUCT_TO_REAL) != 0;
    void *to = to_real ? s->real : s->c, *from = to_real ? s->real : s->x;
    cudaDataType type = to_real ? CUDA_R_32F : s->type;
    for (int64_t item = 0; item < arg->items; item++)
        for (int64_t t = 0; t < size; t++) {
            double value = 0;
            for (int64_t split = 0; split < arg->splits; split++)
                value += load(s->partial, CUDA_R_32F, (item * arg->splits + split) * size + t);
            if (arg->flags & PRODUCT_BIAS)
                value += load(s->bias, CUDA_R_32F, item * arg->stride_bias + t % arg->cols);
            int64_t at = item * arg->stride_c + t / arg->cols * arg->ld_c + t % arg->cols;
            if (arg->flags & PRODUCT_ADDS) value += load(from, type, at);
            store(to, type, at, value);
        }
}

static void sum_kernel(KernelId kernel, void **parameters, CUstream stream)
{
    static const cudaDataType types[] = {CUDA_R_32F, CUDA_R_16F, CUDA_R_16BF};
    if (kernel < KERNEL_PRODUCT_SUM || kernel > KERNEL_PRODUCT_SUM + 2) return;
    Sum sum = {.type = types[kernel - KERNEL_PRODUCT_SUM]};
    char **places[] = {&sum.partial, &sum.bias, &sum.x, &sum.c, &sum.real, &sum.y};
    for (int i = 0; i < 6; i++) *places[i] = (char *)(uintptr_t) * (CUdeviceptr *)parameters[i];
    sum.arg = *(const product_sum_scalars *)parameters[6];
    fake_work(stream, add_up, &sum, sizeof sum);
}

void fake_cublaslt_install(void)
{
    fake_cublaslt = (FakeCublaslt){0};
    fake_kernel = sum_kernel;
    cublasLtCreate = fake_create;
    cublasLtDestroy = fake_destroy;
    cublasLtGetProperty = fake_property;
    cublasLtGetStatusString = fake_status;
    cublasLtMatmulDescCreate = fake_operation;
    cublasLtMatmulDescDestroy = fake_operation_destroy;
    cublasLtMatmulDescSetAttribute = fake_operation_set;
    cublasLtMatrixLayoutCreate = fake_layout;
    cublasLtMatrixLayoutDestroy = fake_layout_destroy;
    cublasLtMatrixLayoutSetAttribute = fake_layout_set;
    cublasLtMatmulPreferenceCreate = fake_preference;
    cublasLtMatmulPreferenceDestroy = fake_preference_destroy;
    cublasLtMatmulPreferenceSetAttribute = fake_preference_set;
    cublasLtMatmulAlgoGetHeuristic = fake_heuristic;
    cublasLtMatmul = fake_matmul;
}

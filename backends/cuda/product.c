/* Products through cuBLASLt.
 *
 * Its matrices lie by columns, ours by rows, so that each of ours is in its eyes the transpose. It
 * is asked for Cᵀ = op(B)ᵀ·op(A)ᵀ: B goes first, rows and columns change places, and an operand is
 * transposed for it where it is for us. Its bias, one number a row of the result, is then ours.
 *
 * float32 is CUBLAS_COMPUTE_32F: no TF32, which has compute types of its own. 16-bit operands are
 * summed in float32 too. A bias has the type of the result (cublasLt.h, _DESC_BIAS_DATA_TYPE), and
 * ours is float: for 16-bit results lowering adds it in a pass of its own.
 *
 * Results repeat: cuBLAS gives the same bits for the same version, architecture and number of
 * multiprocessors, cublasLtMatmul() with a workspace of the caller's own among streams too (its
 * manual, "Results Reproducibility"). The algorithm is chosen once, when a program is recorded, by
 * heuristics that depend on shapes, types and alignments. Sums of splits are kept in float32:
 * schemes that round them to the result's type are left out. */
#include "backends/cuda/cublaslt.h"
#include "backends/cuda/cuda.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ALIGNMENT = 256,           /* of allocations and of the workspace: what heuristics assume */
    MOST_WORKSPACE = 32 << 20, /* bytes: what cuBLAS itself takes on the largest cards */
    SPLITS = 16                /* of the inner axis there is workspace for, up to that */
};

struct CudaProduct {
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t first, second, result; /* Bᵀ, Aᵀ, Cᵀ */
    cublasLtMatmulAlgo_t algorithm;
    CUdeviceptr b, a, c, workspace;
    size_t workspace_bytes;
    float beta;
};

static cudaDataType type_of(DType dtype)
{
    return dtype == DTYPE_F16 ? CUDA_R_16F : dtype == DTYPE_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

static wf_status cublaslt_fail(cublasStatus_t error, const char *doing, const GpuProduct *product)
{
    const ProductParams *p = &product->shape;
    return fail(error == CUBLAS_STATUS_ALLOC_FAILED ? WF_ERROR_MEMORY : WF_ERROR_DEVICE,
                "CUDA: cuBLASLt, %s a product of %lldx%lldx%lld (%lld of them, %s): %s (error %d)",
                doing, (long long)p->rows, (long long)p->cols, (long long)p->inner,
                (long long)p->batch, dtype_name(product->operands), cublasLtGetStatusString(error),
                (int)error);
}

/* ---- in its terms ---- */

#define SET(what, object, attribute, type, value)                                                  \
    cublasLt##what##SetAttribute(object, attribute, &(type){value}, sizeof(type))

static cublasStatus_t make_layout(DType dtype, int64_t rows, int64_t cols, int64_t ld,
                                  int64_t batch, int64_t stride, cublasLtMatrixLayout_t *out)
{
    cublasStatus_t error =
        cublasLtMatrixLayoutCreate(out, type_of(dtype), (uint64_t)rows, (uint64_t)cols, ld);
    if (error || batch == 1) return error;
    error = SET(MatrixLayout, *out, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, int32_t, (int32_t)batch);
    if (error) return error;
    return SET(MatrixLayout, *out, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, int64_t, stride);
}

static cublasStatus_t make_layouts(const GpuProduct *product, CudaProduct *out)
{
    const ProductParams *p = &product->shape;
    /* As they are stored, rows and columns having changed places. */
    cublasStatus_t error =
        make_layout(product->operands, p->trans_b ? p->inner : p->cols,
                    p->trans_b ? p->cols : p->inner, p->ld_b, p->batch, p->stride_b, &out->first);
    if (error) return error;
    error =
        make_layout(product->operands, p->trans_a ? p->rows : p->inner,
                    p->trans_a ? p->inner : p->rows, p->ld_a, p->batch, p->stride_a, &out->second);
    if (error) return error;
    return make_layout(product->result, p->cols, p->rows, p->ld_c, p->batch, p->stride_c,
                       &out->result);
}

static cublasStatus_t add_bias(const ProductParams *p, CUdeviceptr bias, CudaProduct *out)
{
    cublasStatus_t error = SET(MatmulDesc, out->operation, CUBLASLT_MATMUL_DESC_EPILOGUE, uint32_t,
                               CUBLASLT_EPILOGUE_BIAS);
    if (error) return error;
    error = SET(MatmulDesc, out->operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, CUdeviceptr, bias);
    if (error || p->batch == 1) return error;
    return SET(MatmulDesc, out->operation, CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, int64_t,
               p->stride_bias);
}

static cublasStatus_t describe(const GpuProduct *product, CUdeviceptr bias, CudaProduct *out)
{
    const ProductParams *p = &product->shape;
    cublasStatus_t error =
        cublasLtMatmulDescCreate(&out->operation, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    if (error) return error;
    error = SET(MatmulDesc, out->operation, CUBLASLT_MATMUL_DESC_TRANSA, int32_t,
                p->trans_b ? CUBLAS_OP_T : CUBLAS_OP_N);
    if (error) return error;
    error = SET(MatmulDesc, out->operation, CUBLASLT_MATMUL_DESC_TRANSB, int32_t,
                p->trans_a ? CUBLAS_OP_T : CUBLAS_OP_N);
    if (!error && product->bias.size) error = add_bias(p, bias, out);
    return error ? error : make_layouts(product, out);
}

/* ---- how ---- */

static int64_t workspace_of(const GpuProduct *product)
{
    const ProductParams *p = &product->shape;
    double wanted = 4.0 * SPLITS * (double)p->batch * (double)p->rows * (double)p->cols;
    return wanted < MOST_WORKSPACE ? (int64_t)wanted : MOST_WORKSPACE;
}

/* Bytes that the place's address is a multiple of. Allocations begin at multiples of ALIGNMENT. */
static uint32_t alignment_of(Place place)
{
    int64_t offset = place.offset % ALIGNMENT;
    return offset ? (uint32_t)(offset & -offset) : ALIGNMENT;
}

static cublasStatus_t prefer(const GpuProduct *product, cublasLtMatmulPreference_t preference)
{
    /* Its A is our B. */
    const uint32_t values[][2] = {
        {CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(product->b)},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(product->a)},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of(product->c)},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(product->c)},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        cublasStatus_t error =
            SET(MatmulPreference, preference, (cublasLtMatmulPreferenceAttributes_t)values[i][0],
                uint32_t, values[i][1]);
        if (error) return error;
    }
    return SET(MatmulPreference, preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t,
               (uint64_t)workspace_of(product));
}

/* Sets the algorithm. CUBLAS_STATUS_NOT_SUPPORTED where there is none. */
static cublasStatus_t choose(const CudaDevice *device, const GpuProduct *product, CudaProduct *out)
{
    cublasLtMatmulPreference_t preference;
    cublasLtMatmulHeuristicResult_t best = {.state = CUBLAS_STATUS_NOT_SUPPORTED};
    int count = 0;
    cublasStatus_t error = cublasLtMatmulPreferenceCreate(&preference);
    if (error) return error;
    error = prefer(product, preference);
    if (!error)
        error = cublasLtMatmulAlgoGetHeuristic(device->cublaslt, out->operation, out->first,
                                               out->second, out->result, out->result, preference, 1,
                                               &best, &count);
    cublasLtMatmulPreferenceDestroy(preference);
    if (error) return error;
    if (count < 1) return CUBLAS_STATUS_NOT_SUPPORTED;
    out->algorithm = best.algo;
    out->workspace_bytes = best.workspaceSize;
    return best.state;
}

static void release(CudaProduct *product)
{
    if (product->operation) cublasLtMatmulDescDestroy(product->operation);
    if (product->first) cublasLtMatrixLayoutDestroy(product->first);
    if (product->second) cublasLtMatrixLayoutDestroy(product->second);
    if (product->result) cublasLtMatrixLayoutDestroy(product->result);
}

static bool fits(int64_t size)
{
    return size >= 1 && size <= INT32_MAX;
}

/* The question that recording asks, of places that are not known yet: the same alignments, the same
 * answer. */
static bool takes(const GpuLibrary *library, const GpuProduct *product)
{
    const ProductParams *p = &product->shape;
    if (!fits(p->batch) || !fits(p->rows) || !fits(p->cols) || !fits(p->inner)) return false;
    if (p->ld_a < (p->trans_a ? p->rows : p->inner) || p->ld_c < p->cols ||
        p->ld_b < (p->trans_b ? p->inner : p->cols))
        return false;
    if (product->bias.size && product->result != DTYPE_REAL) return false;
    const CudaDevice *device = cuda_device(library->device);
    if (cuda_enter(device)) return false;
    CudaProduct asked = {0};
    cublasStatus_t error = describe(product, (CUdeviceptr)alignment_of(product->bias), &asked);
    if (!error) error = choose(device, product, &asked);
    release(&asked);
    return !error;
}

static int64_t workspace(const GpuLibrary *library, const GpuProduct *product)
{
    (void)library;
    return workspace_of(product);
}

/* ---- products of programs ---- */

wf_status cuda_product_create(CudaDevice *device, const Plan *plan, const GpuProduct *from,
                              CudaProduct **out)
{
    CudaProduct *product = calloc(1, sizeof *product);
    if (!product) return fail(WF_ERROR_MEMORY, "out of memory for a product");
    cublasStatus_t error = describe(from, cuda_place(plan, from->bias), product);
    if (!error) error = choose(device, from, product);
    if (error) {
        cuda_product_destroy(product);
        return cublaslt_fail(error, "recording", from);
    }
    product->a = cuda_place(plan, from->a);
    product->b = cuda_place(plan, from->b);
    product->c = cuda_place(plan, from->c);
    product->workspace = cuda_place(plan, from->workspace);
    product->beta = from->accumulate ? 1 : 0;
    *out = product;
    return WF_OK;
}

void cuda_product_destroy(CudaProduct *product)
{
    if (!product) return;
    release(product);
    free(product);
}

static void *pointer(CUdeviceptr address)
{
    return (void *)(uintptr_t)address;
}

wf_status cuda_product_run(CudaDevice *device, const CudaProduct *product, const GpuProduct *from)
{
    const float alpha = 1;
    cublasStatus_t error = cublasLtMatmul(
        device->cublaslt, product->operation, &alpha, pointer(product->b), product->first,
        pointer(product->a), product->second, &product->beta, pointer(product->c), product->result,
        pointer(product->c), product->result, &product->algorithm, pointer(product->workspace),
        product->workspace_bytes, device->stream);
    return error ? cublaslt_fail(error, "running", from) : WF_OK;
}

/* ---- the library ---- */

static const char *name_of_library(char *text, size_t size)
{
    int major = 0, minor = 0, patch = 0;
    cublasLtGetProperty(MAJOR_VERSION, &major);
    cublasLtGetProperty(MINOR_VERSION, &minor);
    cublasLtGetProperty(PATCH_LEVEL, &patch);
    snprintf(text, size, "cuBLASLt %d.%d.%d", major, minor, patch);
    return text;
}

void cuda_products_describe(DeviceInfo *info)
{
    char name[64];
    const char *absent = cublaslt_load();
    gpu_library_describe(info, backend_cuda.name, absent,
                         absent ? NULL : name_of_library(name, sizeof name), true);
}

void cuda_products_open(CudaDevice *device)
{
    DeviceInfo *info = &device->base.info;
    GpuLibrary *library = &device->library;
    if (gpu_products_by() == PRODUCTS_BY_OWN || cublaslt_load()) return;
    *library = (GpuLibrary){
        .preferred = true, .device = &device->base, .takes = takes, .workspace = workspace};
    name_of_library(library->name, sizeof library->name);
    cublasStatus_t error = cublasLtCreate(&device->cublaslt);
    if (error) {
        device->cublaslt = NULL;
        snprintf(info->products, sizeof info->products, "own kernels: %s does not start: %s",
                 library->name, cublasLtGetStatusString(error));
        return;
    }
    device->gpu.library = library;
}

void cuda_products_close(CudaDevice *device)
{
    if (device->cublaslt) cublasLtDestroy(device->cublaslt);
}

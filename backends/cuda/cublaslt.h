/* cuBLASLt, loaded at run time as the driver is (loader.h): a machine without it runs the same
 * binary. Nothing of it may be called before cublaslt_load() has returned NULL. A test may put
 * functions of its own into the table. */
#ifndef BACKENDS_CUDA_CUBLASLT_H
#define BACKENDS_CUDA_CUBLASLT_H

#include <cublasLt.h>

/* clang-format off */
/* Name, parameters; each returns cublasStatus_t. */
#define CUBLASLT_FUNCTIONS(X)                                                                      \
    X(cublasLtCreate, (cublasLtHandle_t *handle))                                                  \
    X(cublasLtDestroy, (cublasLtHandle_t handle))                                                  \
    X(cublasLtGetProperty, (libraryPropertyType type, int *value))                                 \
    X(cublasLtMatmulDescCreate,                                                                    \
      (cublasLtMatmulDesc_t *operation, cublasComputeType_t compute, cudaDataType_t scale))        \
    X(cublasLtMatmulDescDestroy, (cublasLtMatmulDesc_t operation))                                 \
    X(cublasLtMatmulDescSetAttribute,                                                              \
      (cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t attribute,                   \
       const void *value, size_t bytes))                                                           \
    X(cublasLtMatrixLayoutCreate,                                                                  \
      (cublasLtMatrixLayout_t *layout, cudaDataType type, uint64_t rows, uint64_t cols,            \
       int64_t ld))                                                                                \
    X(cublasLtMatrixLayoutDestroy, (cublasLtMatrixLayout_t layout))                                \
    X(cublasLtMatrixLayoutSetAttribute,                                                            \
      (cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t attribute,                   \
       const void *value, size_t bytes))                                                           \
    X(cublasLtMatmulPreferenceCreate, (cublasLtMatmulPreference_t *preference))                    \
    X(cublasLtMatmulPreferenceDestroy, (cublasLtMatmulPreference_t preference))                    \
    X(cublasLtMatmulPreferenceSetAttribute,                                                        \
      (cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute,      \
       const void *value, size_t bytes))                                                           \
    X(cublasLtMatmulAlgoGetHeuristic,                                                              \
      (cublasLtHandle_t handle, cublasLtMatmulDesc_t operation, cublasLtMatrixLayout_t a,          \
       cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,               \
       cublasLtMatmulPreference_t preference, int capacity,                                        \
       cublasLtMatmulHeuristicResult_t *results, int *count))                                      \
    X(cublasLtMatmul,                                                                              \
      (cublasLtHandle_t handle, cublasLtMatmulDesc_t operation, const void *alpha, const void *a,  \
       cublasLtMatrixLayout_t a_layout, const void *b, cublasLtMatrixLayout_t b_layout,            \
       const void *beta, const void *c, cublasLtMatrixLayout_t c_layout, void *d,                  \
       cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *algorithm, void *workspace,    \
       size_t workspace_bytes, cudaStream_t stream))
/* clang-format on */

typedef struct CublasltTable {
#define X(name, parameters) cublasStatus_t(CUBLASWINAPI *p_##name) parameters;
    CUBLASLT_FUNCTIONS(X)
#undef X
    const char *(CUBLASWINAPI *p_cublasLtGetStatusString)(cublasStatus_t status);
} CublasltTable;

extern CublasltTable cublaslt_table;

/* The library of this machine, or NULL; *newer is the version of one that is too new for the
 * driver, or 0. */
void *cublaslt_open(int *newer);
/* Fills the table once a process. NULL, or why it is not there. */
const char *cublaslt_load(void);

#define cublasLtCreate                       cublaslt_table.p_cublasLtCreate
#define cublasLtDestroy                      cublaslt_table.p_cublasLtDestroy
#define cublasLtGetProperty                  cublaslt_table.p_cublasLtGetProperty
#define cublasLtMatmulDescCreate             cublaslt_table.p_cublasLtMatmulDescCreate
#define cublasLtMatmulDescDestroy            cublaslt_table.p_cublasLtMatmulDescDestroy
#define cublasLtMatmulDescSetAttribute       cublaslt_table.p_cublasLtMatmulDescSetAttribute
#define cublasLtMatrixLayoutCreate           cublaslt_table.p_cublasLtMatrixLayoutCreate
#define cublasLtMatrixLayoutDestroy          cublaslt_table.p_cublasLtMatrixLayoutDestroy
#define cublasLtMatrixLayoutSetAttribute     cublaslt_table.p_cublasLtMatrixLayoutSetAttribute
#define cublasLtMatmulPreferenceCreate       cublaslt_table.p_cublasLtMatmulPreferenceCreate
#define cublasLtMatmulPreferenceDestroy      cublaslt_table.p_cublasLtMatmulPreferenceDestroy
#define cublasLtMatmulPreferenceSetAttribute cublaslt_table.p_cublasLtMatmulPreferenceSetAttribute
#define cublasLtMatmulAlgoGetHeuristic       cublaslt_table.p_cublasLtMatmulAlgoGetHeuristic
#define cublasLtMatmul                       cublaslt_table.p_cublasLtMatmul
#define cublasLtGetStatusString              cublaslt_table.p_cublasLtGetStatusString

#endif

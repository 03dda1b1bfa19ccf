#include "backends/cpu/blas.h"

#include <stdio.h>

#ifdef WAVEFIELD_HAVE_OPENBLAS
#include <cblas.h>

/* What openblas_get_parallel() answers for a library built on OpenMP. */
enum { PARALLEL_OPENMP = 2 };

bool blas_wants_region(void)
{
#ifdef _OPENMP
    return openblas_get_parallel() == PARALLEL_OPENMP;
#else
    return false;
#endif
}

void blas_prepare(void)
{
    if (!blas_wants_region() && openblas_get_num_threads() != 1) openblas_set_num_threads(1);
}

const char *blas_describe(char *text, size_t size)
{
    char name[32] = "OpenBLAS", version[32] = "";
    if (sscanf(openblas_get_config(), "%31s %31s", name, version) < 1) version[0] = 0;
    snprintf(text, size, "%s %s (%s)", name, version, openblas_get_corename());
    return text;
}

#else

bool blas_wants_region(void)
{
    return false;
}

void blas_prepare(void) {}

const char *blas_describe(char *text, size_t size)
{
#ifdef WAVEFIELD_HAVE_CBLAS
    snprintf(text, size, "CBLAS");
#else
    snprintf(text, size, "no CBLAS");
#endif
    return text;
}

#endif

/* A cuBLASLt that computes on the fake driver's memory, in double, by the meaning that its manual
 * gives to layouts, operations and epilogues: matrices by columns, D = α·op(A)·op(B) + β·C, a bias
 * added to every column. It refuses what cuBLASLt refuses, and holds its caller to what was
 * promised: types, leading dimensions, alignments, workspace, stream, descriptors that are freed.
 *
 * Its sums are those of the kernel product_sum too, which finishes some of its products. */
#ifndef TESTS_CUBLASLT_FAKE_H
#define TESTS_CUBLASLT_FAKE_H

#include <stdbool.h>

/* What its products are wrong by. */
typedef enum FakeFault {
    NO_FAULT,
    COARSE,  /* operands are rounded to 11 bits, as in TF32 */
    FORGETS, /* C is never added to */
    LEAKS,   /* 0 times an element of the row before is added */
    SPILLS   /* a zero follows every column of C */
} FakeFault;

typedef struct FakeCublaslt {
    /* Set by tests. */
    bool broken;  /* cublasLtCreate() fails */
    bool refuses; /* heuristics know no algorithm */
    bool fails;   /* cublasLtMatmul() does */
    FakeFault fault;
    /* What happened. */
    int asked, launched, captured; /* heuristics; products */
    int live;                      /* handles and descriptors */
} FakeCublaslt;

extern FakeCublaslt fake_cublaslt;

/* Puts it into cublaslt_table; fake_install() comes first. */
void fake_cublaslt_install(void);

#endif

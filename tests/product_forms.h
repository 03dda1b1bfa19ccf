/* Products of every form that there is, drawn at random: sizes, transposes, gaps between rows and
 * items, items that share an operand, sums over a batch, biases, sums onto C. */
#ifndef TESTS_PRODUCT_FORMS_H
#define TESTS_PRODUCT_FORMS_H

#include "base/rng.h"
#include "tests/support.h"

/* One of them with its numbers, which live until test_release(). */
OneOp product_form(Rng *rng, uint64_t seed);

/* Fails where the result is not the expected one, saying of which form. */
void product_close(const OneOp *op, const double *got, const double *expected);

/* Elements that an operand of `batch` items of `rows` reaches over. */
int64_t product_extent(int64_t batch, int64_t stride, int64_t rows, int64_t ld);

#endif

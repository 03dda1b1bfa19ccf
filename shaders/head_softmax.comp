/* Softmax and cross-entropy of rows of logits; a group a row. Of a row with a target t:
 *
 *   loss = log Σ e^(x - m) - (x[t] - m), m the largest logit;
 *   hit = 1 where t is the first of the largest;
 *   gradient = seed·(e^(x - m) / Σ e^(x - m) - [t]), where `differentiate` is set; it may stand on
 *   the logits' bytes.
 *
 * A row without a target (-100) has loss 0, hit 0 and gradient 0; one with a logit that is not
 * finite has loss and gradient NaN. Each lane walks its logits once, keeping the largest so far, its
 * place, and the sum relative to it; it reads four at a time, to have them under way together. Past
 * the row's end it reads one of its own again, for another lane's may be a gradient by then: barriers
 * order group memory only. */
#include "math.h"

KERNEL(head_softmax, 256,
       READ_FLOAT(logits) READ_INT(target) READ_FLOAT(seed) WRITE_FLOAT(loss) WRITE_INT(hit)
       WRITE(gradient),
       UINT(rows) UINT(width) UINT(differentiate))
SHARED(float, largest, 256)
SHARED(uint, place, 256)
SHARED(float, total, 256)
BODY
{
    for (uint row = GROUP_X; row < arg.rows; row += GROUPS_X) {
        uint at = row * arg.width;
        int wanted = AT(target, row);
        if (wanted < 0) {
            if (arg.differentiate != 0u)
                for (uint i = LANE; i < arg.width; i += LANES) STORE(gradient, at + i, 0.0f);
            if (LANE == 0u) {
                AT(loss, row) = 0.0f;
                AT(hit, row) = 0;
            }
        }
        /* Rows without a target go on to the barriers with no logits. */
        uint width = wanted < 0 ? 0u : arg.width, chosen = TO_UINT(wanted);

        float most = FROM_BITS(0xff7fffffu), sum = 0.0f, of_target = 0.0f;
        uint first = 0xffffffffu, bad = 0u;
        for (uint i = LANE; i < width; i += 4u * LANES) {
            float x[4];
            UNROLL for (uint k = 0u; k < 4u; k++) {
                uint j = i + k * LANES;
                x[k] = AT(logits, at + (j < width ? j : i));
            }
            UNROLL for (uint k = 0u; k < 4u; k++) {
                uint j = i + k * LANES;
                if (j >= width) continue;
                if (is_finite(x[k]) == 0u) bad = 1u;
                if (j == chosen) of_target = x[k];
                float less = exp_of(-fabs(x[k] - most));
                if (x[k] > most) {
                    sum = sum * less + 1.0f;
                    most = x[k];
                    first = j;
                } else {
                    sum += less;
                }
            }
        }
        largest[LANE] = most;
        place[LANE] = first;
        BARRIER();
        for (uint half_ = LANES / 2u; half_ > 0u; half_ /= 2u) {
            if (LANE < half_) {
                float other = largest[LANE + half_];
                uint where = place[LANE + half_];
                if (other > largest[LANE] ||
                    (other == largest[LANE] && where < place[LANE])) {
                    largest[LANE] = other;
                    place[LANE] = where;
                }
            }
            BARRIER();
        }
        float top = largest[0];
        total[LANE] = bad != 0u ? FROM_BITS(0x7fc00000u) : sum * exp_of(most - top);
        GROUP_SUM(total)
        if (wanted >= 0 && chosen % LANES == LANE) {
            AT(loss, row) = log_of(total[0]) - (of_target - top);
            AT(hit, row) = place[0] == chosen ? 1 : 0;
        }
        if (arg.differentiate != 0u && width > 0u) {
            float by = AT(seed, 0u), scale = by / total[0];
            for (uint i = LANE; i < width; i += 4u * LANES) {
                float x[4];
                UNROLL for (uint k = 0u; k < 4u; k++) {
                    uint j = i + k * LANES;
                    x[k] = AT(logits, at + (j < width ? j : i));
                }
                UNROLL for (uint k = 0u; k < 4u; k++) {
                    uint j = i + k * LANES;
                    float value = exp_of(x[k] - top) * scale;
                    if (j < width) STORE(gradient, at + j, j == chosen ? value - by : value);
                }
            }
        }
        BARRIER();
    }
}
END

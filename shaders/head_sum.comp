/* loss += Σ of the rows' losses, counts += {rows with a target, hits}: one group, in a fixed order,
 * each lane's sum kept to twice a float's precision. */
#include "math.h"

KERNEL(head_sum, 256,
       READ_FLOAT(row_loss) READ_INT(row_hit) READ_INT(target)
       UPDATE_FLOAT(loss) UPDATE_INT(counts),
       UINT(rows))
SHARED(float, total, 256)
SHARED(int, counted, 256)
SHARED(int, hits, 256)
BODY
{
    float2 sum = FLOAT2(0.0f, 0.0f);
    int rows_counted = 0, rows_hit = 0;
    for (uint row = LANE; row < arg.rows; row += LANES) {
        sum = sum_add(sum, AT(row_loss, row));
        rows_counted += AT(target, row) >= 0 ? 1 : 0;
        rows_hit += AT(row_hit, row);
    }
    total[LANE] = sum.x + sum.y;
    counted[LANE] = rows_counted;
    hits[LANE] = rows_hit;
    GROUP_SUM(total)
    GROUP_SUM(counted)
    GROUP_SUM(hits)
    if (LANE == 0u) {
        AT(loss, 0u) += total[0];
        AT(counts, 0u) += counted[0];
        AT(counts, 1u) += hits[0];
    }
}
END

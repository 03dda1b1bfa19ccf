/* dx[b, 0] = dy[b] and 0 at the other tokens; or dx[b, 0] += dy[b]. n = batch·(tokens visited in
 * each sample)·width: all of them to overwrite, one to add. */
#include "dialect.h"

KERNEL(first_token_backward, 256, READ(dy) UPDATE(dx),
       UINT(n) UINT(tokens) UINT(width) UINT(accumulate))
BODY
{
    uint visited = (arg.accumulate != 0u ? 1u : arg.tokens) * arg.width;
    FOR_ALL(i, arg.n)
    {
        uint item = i / visited, at = i % visited, place = item * arg.tokens * arg.width + at;
        float value = at < arg.width ? LOAD(dy, item * arg.width + at) : 0.0f;
        STORE(dx, place, arg.accumulate != 0u ? LOAD(dx, place) + value : value);
    }
}
END

/* The numbers of the token scan (field_parts.h): computed once a call in double from exact powers
 * of the poles, rounded once, shared by all samples and channels. */
#include "backends/cpu/field_parts.h"

static int64_t chunk_end(const Field *field, int64_t chunk)
{
    return int64_min((chunk + 1) * FIELD_CHUNK, field->tokens);
}

/* The cell where the state sits after token n; n = -1: before the first. */
static int64_t cell_after(const Field *field, int64_t n, int64_t at)
{
    return n < 0 ? at : (int64_t)field->cell[n] + (field->fraction[n] > 0);
}

static int64_t chunk_cells(const Field *field, int64_t chunk, int64_t at)
{
    return cell_after(field, chunk_end(field, chunk) - 1, at) -
           cell_after(field, chunk * FIELD_CHUNK - 1, at);
}

/* ---- powers ---- */

static int powers_find(const Powers *powers, int64_t cells)
{
    for (int k = 0; k < powers->count; k++)
        if (powers->cells[k] == cells) return k;
    return -1;
}

static void powers_add(Powers *powers, int64_t cells)
{
    if (powers->count < POWERS && powers_find(powers, cells) < 0)
        powers->cells[powers->count++] = cells;
}

/* A uniform geometry moves by two or three distinct numbers of cells; whatever does not fit the
 * table is computed where it is met. */
static void powers_prepare(Steps *steps, const Field *field, int64_t at)
{
    Powers *powers = &steps->powers;
    powers->count = 0;
    for (int64_t n = 0; n < field->tokens; n++)
        powers_add(powers, field->cell[n] - cell_after(field, n - 1, at));
    for (int64_t chunk = 0; chunk < steps->chunks; chunk++)
        powers_add(powers, chunk_cells(field, chunk, at));
    for (int k = 0; k < powers->count; k++)
        for (int64_t h = 0; h < field->heads; h++)
            powers->value[k * field->heads + h] =
                CPU_NAME(pole_power)(&steps->poles[h], powers->cells[k]);
}

static Complex power_of(const Steps *steps, int64_t heads, int64_t h, int index, int64_t cells)
{
    return index >= 0 ? steps->powers.value[index * heads + h]
                      : CPU_NAME(pole_power)(&steps->poles[h], cells);
}

/* ---- one token ---- */

typedef struct Step {
    Complex read, own, move, take;
} Step;

/* Of a token that jumps by `power` to its cell and, where f > 0, one cell more. */
static inline Step step_of(const Pole *pole, Complex power, double f)
{
    Complex z = pole->z, c = pole->c;
    double e = 1 - f;
    Complex spread = {e + f * z.re, f * z.im}; /* both of its cells, seen from the first */
    Step step = {.read = complex_mul(complex_mul(c, power), spread),
                 .own = complex_mul(c, (Complex){e * e + f * f + f * e * z.re, f * e * z.im}),
                 .move = power,
                 .take = {1, 0}};
    if (f > 0) {
        step.move = complex_mul(power, z);
        step.take = (Complex){e * z.re + f, e * z.im};
    }
    return step;
}

/* Row `number` of a token's numbers is [H]. */
static inline void put(real *row, int64_t heads, int number, Complex value)
{
    row[number * heads] = (real)value.re;
    row[(number + 1) * heads] = (real)value.im;
}

static void chunk_forward(const Steps *steps, const Field *field, int64_t at, int64_t chunk)
{
    const int64_t heads = field->heads, end = chunk_end(field, chunk);
    Complex *past = steps->span + chunk * heads; /* until the chunk is done */
    for (int64_t h = 0; h < heads; h++) past[h] = (Complex){1, 0};
    for (int64_t n = chunk * FIELD_CHUNK; n < end; n++) {
        int64_t cells = field->cell[n] - cell_after(field, n - 1, at);
        int index = powers_find(&steps->powers, cells);
        for (int64_t h = 0; h < heads; h++) {
            real *row = steps->table + n * FORWARD_STEPS * heads + h;
            Step step = step_of(&steps->poles[h], power_of(steps, heads, h, index, cells),
                                (double)field->fraction[n]);
            put(row, heads, READ, step.read);
            row[OWN * heads] = (real)step.own.re;
            put(row, heads, MOVE, step.move);
            put(row, heads, TAKE, step.take);
            put(row, heads, PAST, complex_mul(step.read, past[h]));
            past[h] = complex_mul(past[h], step.move);
        }
    }
}

static void chunk_backward(const Steps *steps, const Field *field, int64_t chunk)
{
    const int64_t heads = field->heads, end = chunk_end(field, chunk);
    Complex *ahead = steps->span + chunk * heads; /* until the chunk is done */
    for (int64_t h = 0; h < heads; h++) ahead[h] = (Complex){1, 0};
    for (int64_t n = end - 1; n >= chunk * FIELD_CHUNK; n--) {
        int64_t cells = field->cell[n] - cell_after(field, n - 1, 0);
        int index = powers_find(&steps->powers, cells);
        double f = (double)field->fraction[n], jump = (double)cells;
        for (int64_t h = 0; h < heads; h++) {
            const Pole *pole = &steps->poles[h];
            real *row = steps->table + n * BACKWARD_STEPS * heads + h;
            Complex power = power_of(steps, heads, h, index, cells);
            Step step = step_of(pole, power, f);
            Complex hop = f > 0 ? complex_scale(pole->z, 1 - f) : (Complex){0, 0};
            put(row, heads, BACK_READ, step.read);
            put(row, heads, BACK_OWN, step.own);
            put(row, heads, BACK_MOVE, step.move);
            put(row, heads, BACK_TAKE, step.take);
            put(row, heads, BACK_AHEAD, ahead[h]);
            put(row, heads, Q_READ,
                complex_add(complex_scale(step.read, jump),
                            complex_scale(complex_mul(pole->c, complex_mul(power, pole->z)), f)));
            put(row, heads, Q_MOVE, complex_scale(step.move, jump + (f > 0)));
            put(row, heads, Q_OWN, complex_scale(complex_mul(pole->c, hop), f));
            put(row, heads, Q_TAKE, hop);
            ahead[h] = complex_mul(ahead[h], step.move);
        }
    }
}

static void set_span(const Steps *steps, const Field *field, int64_t at, int64_t chunk)
{
    int64_t cells = chunk_cells(field, chunk, at);
    int index = powers_find(&steps->powers, cells);
    for (int64_t h = 0; h < field->heads; h++)
        steps->span[chunk * field->heads + h] = power_of(steps, field->heads, h, index, cells);
}

Steps CPU_NAME(steps_carve)(Carve *carve, const Field *field, int numbers)
{
    Steps steps = {.chunks = ceil_div(field->tokens, FIELD_CHUNK)};
    steps.poles = CARVE(carve, Pole, field->heads);
    steps.powers.value = CARVE(carve, Complex, POWERS * field->heads);
    steps.table = CARVE(carve, real, field->tokens * numbers * field->heads);
    steps.span = CARVE(carve, Complex, steps.chunks * field->heads);
    return steps;
}

void CPU_NAME(steps_forward)(Steps *steps, const Field *field, int64_t at)
{
    CPU_NAME(field_poles)(field, steps->poles);
    powers_prepare(steps, field, at);
#pragma omp parallel for schedule(static)
    for (int64_t chunk = 0; chunk < steps->chunks; chunk++) {
        chunk_forward(steps, field, at, chunk);
        set_span(steps, field, at, chunk);
    }
}

void CPU_NAME(steps_backward)(Steps *steps, const Field *field)
{
    CPU_NAME(field_poles)(field, steps->poles);
    powers_prepare(steps, field, 0);
#pragma omp parallel for schedule(static)
    for (int64_t chunk = 0; chunk < steps->chunks; chunk++) {
        chunk_backward(steps, field, chunk);
        set_span(steps, field, 0, chunk);
    }
}

/* The numbers of the token scan (field_parts.h): computed in double from exact powers of the poles,
 * rounded once, shared by all samples and channels. Loops over heads are innermost and plain: they
 * are what is vectorised here. */
#include "backends/cpu/field_scan.h"

Steps steps_carve(Carve *carve, const Field *field)
{
    Steps steps = {.field = field, .chunks = ceil_div(field->tokens, FIELD_CHUNK)};
    steps.poles = CARVE(carve, Pole, field->heads);
    steps.z = CARVE(carve, double, 2 * field->heads);
    steps.c = CARVE(carve, double, 2 * field->heads);
    steps.power = CARVE(carve, double, POWERS * 2 * field->heads);
    return steps;
}

StepTable step_table_carve(Carve *carve, const Field *field, int numbers)
{
    StepTable table = {.chunk = -1};
    table.row = CARVE(carve, real, FIELD_CHUNK * numbers * field->heads);
    table.span = CARVE(carve, double, 2 * field->heads);
    table.run = CARVE(carve, double, 2 * field->heads);
    table.miss = CARVE(carve, double, 2 * field->heads);
    return table;
}

/* ---- where tokens lie ---- */

static int64_t chunk_end(const Steps *steps, int64_t chunk)
{
    return int64_min((chunk + 1) * FIELD_CHUNK, steps->field->tokens);
}

/* The cell where the state sits after token n; n = -1: before the first. */
static int64_t cell_after(const Steps *steps, int64_t n)
{
    const Field *field = steps->field;
    return n < 0 ? steps->at : (int64_t)field->cell[n] + (field->fraction[n] > 0);
}

/* Cells from there to token n; none to the end of the sequence. */
static int64_t jump_to(const Steps *steps, int64_t n)
{
    return n < steps->field->tokens ? steps->field->cell[n] - cell_after(steps, n - 1) : 0;
}

static int64_t chunk_cells(const Steps *steps, int64_t chunk)
{
    return cell_after(steps, chunk_end(steps, chunk) - 1) -
           cell_after(steps, chunk * FIELD_CHUNK - 1);
}

/* The way to the next chunk included. */
static bool chunks_alike(const Steps *steps, int64_t a, int64_t b)
{
    int64_t from = a * FIELD_CHUNK, to = b * FIELD_CHUNK, count = chunk_end(steps, a) - from;
    if (count != chunk_end(steps, b) - to ||
        jump_to(steps, from + count) != jump_to(steps, to + count))
        return false;
    for (int64_t i = 0; i < count; i++)
        if (jump_to(steps, from + i) != jump_to(steps, to + i) ||
            steps->field->fraction[from + i] != steps->field->fraction[to + i])
            return false;
    return true;
}

/* ---- powers ---- */

static int power_index(const Steps *steps, int64_t cells)
{
    for (int k = 0; k < steps->n_powers; k++)
        if (steps->cells[k] == cells) return k;
    return -1;
}

static void set_power(const Steps *steps, int64_t cells, double *power)
{
    const int64_t heads = steps->field->heads;
    for (int64_t h = 0; h < heads; h++) {
        Complex value = pole_power(&steps->poles[h], cells);
        power[h] = value.re;
        power[heads + h] = value.im;
    }
}

static void add_power(Steps *steps, int64_t cells)
{
    if (steps->n_powers == POWERS || power_index(steps, cells) >= 0) return;
    set_power(steps, cells, steps->power + steps->n_powers * 2 * steps->field->heads);
    steps->cells[steps->n_powers++] = cells;
}

/* z^cells [2, H]. A uniform geometry moves by a few distinct numbers of cells; what the table has
 * no room for is computed where it is met. */
static const double *power_of(const Steps *steps, const StepTable *table, int64_t cells)
{
    int k = power_index(steps, cells);
    if (k >= 0) return steps->power + k * 2 * steps->field->heads;
    set_power(steps, cells, table->miss);
    return table->miss;
}

void steps_prepare(Steps *steps, int64_t at)
{
    const Field *field = steps->field;
    steps->at = at;
    steps->n_powers = 0;
    field_poles(field, steps->poles);
    for (int64_t h = 0; h < field->heads; h++) {
        const Pole *pole = &steps->poles[h];
        steps->z[h] = pole->z.re;
        steps->z[field->heads + h] = pole->z.im;
        steps->c[h] = pole->c.re;
        steps->c[field->heads + h] = pole->c.im;
    }
    for (int64_t n = 0; n < field->tokens; n++) add_power(steps, jump_to(steps, n));
    for (int64_t k = 0; k < steps->chunks; k++) add_power(steps, chunk_cells(steps, k));
}

/* ---- one token ---- */

typedef struct Step {
    Complex read, own, move, take;
} Step;

/* Of a token that jumps by `power` to its cell and, where f > 0 (hops = 1), one cell more. */
static inline Step step_of(Complex z, Complex c, Complex power, double f, double hops)
{
    double e = 1 - f;
    Complex spread = {e + f * z.re, f * z.im}; /* both of its cells, seen from the first */
    Complex hop = {hops * z.re + (1 - hops), hops * z.im};
    return (Step){.read = complex_mul(complex_mul(c, power), spread),
                  .own = complex_mul(c, (Complex){e * e + f * f + f * e * z.re, f * e * z.im}),
                  .move = complex_mul(power, hop),
                  .take = {e * hop.re + f, e * hop.im}};
}

static inline Complex at_head(const double *restrict row, int64_t heads, int64_t h)
{
    return (Complex){row[h], row[heads + h]};
}

static inline void set_head(double *restrict row, int64_t heads, int64_t h, Complex value)
{
    row[h] = value.re;
    row[heads + h] = value.im;
}

/* Of one token, `number` is a row [H] and its imaginary part the next. */
static inline void put(real *restrict row, int64_t heads, int64_t h, int number, Complex value)
{
    row[number * heads + h] = (real)value.re;
    row[(number + 1) * heads + h] = (real)value.im;
}

static void token_forward(const Steps *steps, const double *restrict power, double f,
                          const StepTable *table, real *restrict row)
{
    const int64_t heads = steps->field->heads;
    const double *restrict z = steps->z, *restrict c = steps->c;
    double *restrict past = table->run;
    const double hops = f > 0;
    for (int64_t h = table->first_head; h < table->end_head; h++) {
        Complex before = at_head(past, heads, h);
        Step step =
            step_of(at_head(z, heads, h), at_head(c, heads, h), at_head(power, heads, h), f, hops);
        put(row, heads, h, READ, step.read);
        row[OWN * heads + h] = (real)step.own.re;
        put(row, heads, h, MOVE, step.move);
        put(row, heads, h, TAKE, step.take);
        put(row, heads, h, PAST, complex_mul(step.read, before));
        set_head(past, heads, h, complex_mul(before, step.move));
    }
}

static void token_backward(const Steps *steps, const double *restrict power, double weight,
                           double f, const StepTable *table, real *restrict row)
{
    const int64_t heads = steps->field->heads;
    const double *restrict z = steps->z, *restrict c = steps->c;
    double *restrict ahead = table->run;
    const double hops = f > 0;
    for (int64_t h = table->first_head; h < table->end_head; h++) {
        Complex couple = at_head(c, heads, h), after = at_head(ahead, heads, h);
        Step step = step_of(at_head(z, heads, h), couple, at_head(power, heads, h), f, hops);
        put(row, heads, h, BACK_READ, step.read);
        put(row, heads, h, BACK_OWN, step.own);
        put(row, heads, h, BACK_MOVE, step.move);
        put(row, heads, h, BACK_TAKE, step.take);
        put(row, heads, h, BACK_AHEAD, after);
        put(row, heads, h, BACK_MORE, (Complex){step.take.re - 1, step.take.im});
        put(row, heads, h, NEAR, complex_scale(couple, f));
        row[WEIGHT * heads + h] = (real)weight;
        set_head(ahead, heads, h, complex_mul(after, step.move));
    }
}

/* ---- a chunk ---- */

/* False: the table already holds the numbers. */
static bool begin_chunk(const Steps *steps, int64_t chunk, StepTable *table)
{
    const int64_t heads = steps->field->heads;
    bool alike = table->chunk >= 0 && chunks_alike(steps, table->chunk, chunk);
    table->chunk = chunk;
    if (alike) return false;
    const double *span = power_of(steps, table, chunk_cells(steps, chunk));
    for (int64_t i = 0; i < 2 * heads; i++) table->span[i] = span[i];
    for (int64_t h = 0; h < heads; h++) set_head(table->run, heads, h, (Complex){1, 0});
    return true;
}

void steps_forward(const Steps *steps, int64_t chunk, StepTable *table)
{
    if (!begin_chunk(steps, chunk, table)) return;
    const Field *field = steps->field;
    const int64_t first = chunk * FIELD_CHUNK;
    for (int64_t n = first; n < chunk_end(steps, chunk); n++)
        token_forward(steps, power_of(steps, table, jump_to(steps, n)), (double)field->fraction[n],
                      table, table->row + (n - first) * FORWARD_STEPS * field->heads);
}

void steps_backward(const Steps *steps, int64_t chunk, StepTable *table)
{
    if (!begin_chunk(steps, chunk, table)) return;
    const Field *field = steps->field;
    const int64_t first = chunk * FIELD_CHUNK;
    for (int64_t n = chunk_end(steps, chunk) - 1; n >= first; n--) {
        const double f = (double)field->fraction[n];
        token_backward(steps, power_of(steps, table, jump_to(steps, n)),
                       (double)(jump_to(steps, n + 1) + (f > 0)), f, table,
                       table->row + (n - first) * BACKWARD_STEPS * field->heads);
    }
}

#include "data/sentencepiece_file.h"

#include "base/array.h"
#include "base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    LONGEST_PIECE = 8000,       /* bytes; the library's own limit in newer versions */
    LONGEST_REPLACEMENT = 4096, /* bytes a rule of the normalisation may put */
    NESTED_RULES = 32,          /* the library's arrays for rules and for user-defined pieces */
    NESTED_PIECES = 64          /* that are prefixes of one another */
};
static const double LARGEST_SCORE = 1e15; /* sums of it over a text stay finite */

/* ---- the protocol buffer ---- */

typedef enum WireType { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 } WireType;

/* A field of a message: a number, or bytes (protobuf.dev, "Encoding"). */
typedef struct Field {
    uint64_t number;
    WireType type;
    uint64_t value;
    SpBytes bytes;
} Field;

static wf_status fail_broken(void)
{
    return fail(WF_ERROR_FORMAT, "not a SentencePiece model, or one that is damaged");
}

static bool take(SpBytes *rest, size_t size, SpBytes *out)
{
    if (size > rest->size) return false;
    *out = (SpBytes){rest->data, size};
    rest->data += size;
    rest->size -= size;
    return true;
}

static bool take_varint(SpBytes *rest, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && rest->size; shift += 7) {
        SpBytes byte;
        take(rest, 1, &byte);
        *value |= (uint64_t)(*byte.data & 0x7F) << shift;
        if (!(*byte.data & 0x80)) return true;
    }
    return false;
}

/* Takes the next field off a message. */
static wf_status next_field(SpBytes *rest, Field *field)
{
    uint64_t key, size = 0;
    if (!take_varint(rest, &key)) return fail_broken();
    *field = (Field){.number = key >> 3, .type = (WireType)(key & 7)};
    bool whole = false;
    switch (field->type) {
    case WIRE_VARINT: whole = take_varint(rest, &field->value); break;
    case WIRE_64: whole = take(rest, 8, &field->bytes); break;
    case WIRE_32: whole = take(rest, 4, &field->bytes); break;
    case WIRE_BYTES:
        whole = take_varint(rest, &size) && size <= rest->size &&
                take(rest, (size_t)size, &field->bytes);
        break;
    default: break; /* groups: none in this format */
    }
    return whole ? WF_OK : fail_broken();
}

static bool is_field(const Field *field, uint64_t number, WireType type)
{
    return field->number == number && field->type == type;
}

static uint32_t little_endian(const char *bytes)
{
    uint32_t value = 0;
    for (int i = 3; i >= 0; i--) value = value << 8 | (unsigned char)bytes[i];
    return value;
}

/* ---- pieces ---- */

static wf_status check_piece(const SpPiece *piece, int id)
{
    SpBytes name = piece->name;
    if (name.size == 0) return fail(WF_ERROR_FORMAT, "piece %d is empty", id);
    if (name.size >= LONGEST_PIECE)
        return fail(WF_ERROR_FORMAT, "piece %d has %zu bytes, at most %d are read", id, name.size,
                    LONGEST_PIECE - 1);
    if (memchr(name.data, 0, name.size) || utf8_check(name.data, name.size) < name.size)
        return fail(WF_ERROR_FORMAT, "piece %d is not UTF-8 without NUL", id);
    if (!(fabs((double)piece->score) <= LARGEST_SCORE))
        return fail(WF_ERROR_FORMAT, "piece %d, \"%.*s\", has the score %g", id, (int)name.size,
                    name.data, (double)piece->score);
    return WF_OK;
}

static wf_status read_piece(SpBytes rest, SpFile *file)
{
    Field field;
    SpPiece piece = {.kind = SP_NORMAL};
    while (rest.size) {
        TRY(next_field(&rest, &field));
        if (is_field(&field, 1, WIRE_BYTES)) piece.name = field.bytes;
        if (is_field(&field, 2, WIRE_32)) {
            uint32_t bits = little_endian(field.bytes.data);
            memcpy(&piece.score, &bits, sizeof bits);
        }
        if (is_field(&field, 3, WIRE_VARINT) && field.value >= SP_NORMAL && field.value <= SP_BYTE)
            piece.kind = (SpKind)field.value;
    }
    TRY(check_piece(&piece, file->count));
    if (!array_reserve((void **)&file->pieces, file->count, &file->capacity, sizeof piece))
        return fail(WF_ERROR_MEMORY, "out of memory for the pieces");
    file->pieces[file->count++] = piece;
    return WF_OK;
}

static int compare_names(const void *a, const void *b)
{
    const SpBytes *x = a, *y = b;
    size_t size = x->size < y->size ? x->size : y->size;
    int order = memcmp(x->data, y->data, size);
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

static bool is_prefix(SpBytes prefix, SpBytes name)
{
    return prefix.size <= name.size && !memcmp(prefix.data, name.data, prefix.size);
}

/* In sorted order the prefixes of a name stand before it, the longest last. */
static wf_status check_nesting(SpBytes *names, int n)
{
    const SpBytes *open[NESTED_PIECES];
    int depth = 0;
    qsort(names, (size_t)n, sizeof *names, compare_names);
    for (int i = 0; i < n; i++) {
        while (depth && !is_prefix(*open[depth - 1], names[i])) depth--;
        if (depth == NESTED_PIECES)
            return fail(WF_ERROR_FORMAT,
                        "more than %d user-defined pieces are beginnings of one another",
                        NESTED_PIECES);
        open[depth++] = &names[i];
    }
    return WF_OK;
}

static wf_status check_user_defined(const SpFile *file)
{
    int n = 0;
    SpBytes *names = malloc((size_t)file->count * sizeof *names + 1);
    if (!names) return fail(WF_ERROR_MEMORY, "out of memory for the pieces");
    for (int i = 0; i < file->count; i++)
        if (file->pieces[i].kind == SP_USER_DEFINED) names[n++] = file->pieces[i].name;
    wf_status status = check_nesting(names, n);
    free(names);
    return status;
}

/* ---- rules of the normalisation ---- */

/* A trie as a double array (Darts-clone): unit 0 is the root; a unit's children are at its index
 * exclusive-or its offset exclusive-or the label; a leaf's value is at label 0. Equal branches are
 * shared. Behind it, the replacements, which values are offsets of, each ending with NUL. */
typedef struct Rules {
    const char *units; /* 4 bytes each, little-endian */
    uint32_t n_units;
    SpBytes replacements;
    uint8_t *leaves; /* [n_units]: 1 + the most leaves on a way down from here; 0: not known yet */
    struct Node {
        uint32_t index, base, label;
    } * way; /* [n_units]: from the root to where we are */
    size_t depth;
} Rules;

enum { ON_THE_WAY = 255 };

static uint32_t unit_at(const Rules *rules, uint32_t index)
{
    return little_endian(rules->units + 4 * (size_t)index);
}

static uint32_t unit_offset(uint32_t unit)
{
    return (unit >> 10) << ((unit & 1u << 9) >> 6);
}

static bool check_replacement(const Rules *rules, uint32_t unit)
{
    size_t at = unit & 0x7FFFFFFFu;
    if (at >= rules->replacements.size) return false;
    size_t left = rules->replacements.size - at;
    if (left > LONGEST_REPLACEMENT) left = LONGEST_REPLACEMENT;
    const char *end = memchr(rules->replacements.data + at, 0, left);
    size_t size = end ? (size_t)(end - rules->replacements.data) - at : 0;
    return end && utf8_check(rules->replacements.data + at, size) == size;
}

/* Goes down to the unit at `index`, not seen before. */
static bool descend(Rules *rules, uint32_t index)
{
    uint32_t unit = unit_at(rules, index), base = index ^ unit_offset(unit);
    /* The places of its children differ in the last 8 bits: with base they are all there, since
     * the array is whole blocks of 256. */
    if (base >= rules->n_units) return false;
    if (unit & 1u << 8 && !check_replacement(rules, unit_at(rules, base))) return false;
    rules->leaves[index] = ON_THE_WAY;
    rules->way[rules->depth++] = (struct Node){index, base, 0};
    return true;
}

/* The most leaves on a way down from a unit whose children are all known. */
static bool ascend(Rules *rules)
{
    struct Node node = rules->way[--rules->depth];
    int most = 0;
    for (uint32_t label = 0; label < 256; label++) {
        uint32_t child = node.base ^ label;
        bool is_child = (unit_at(rules, child) & (1u << 31 | 0xFF)) == label;
        if (is_child && rules->leaves[child] - 1 > most) most = rules->leaves[child] - 1;
    }
    if (unit_at(rules, node.index) & 1u << 8) most++;
    rules->leaves[node.index] = (uint8_t)(1 + most);
    return most <= NESTED_RULES;
}

static bool check_trie(Rules *rules)
{
    if (!descend(rules, 0)) return false;
    while (rules->depth) {
        struct Node *node = &rules->way[rules->depth - 1];
        if (node->label == 256) {
            if (!ascend(rules)) return false;
            continue;
        }
        uint32_t label = node->label++, child = node->base ^ label;
        if ((unit_at(rules, child) & (1u << 31 | 0xFF)) != label) continue;
        if (rules->leaves[child] == ON_THE_WAY) return false; /* a circle */
        if (rules->leaves[child] == 0 && !descend(rules, child)) return false;
    }
    return true;
}

static wf_status check_rules(SpBytes charsmap)
{
    SpBytes size, units;
    if (charsmap.size == 0) return WF_OK;
    bool sound = take(&charsmap, 4, &size) && take(&charsmap, little_endian(size.data), &units) &&
                 units.size >= 1024 && units.size % 1024 == 0;
    if (sound) {
        Rules rules = {
            .units = units.data, .n_units = (uint32_t)(units.size / 4), .replacements = charsmap};
        rules.leaves = calloc(rules.n_units, 1);
        rules.way = malloc(rules.n_units * sizeof *rules.way);
        bool room = rules.leaves && rules.way;
        sound = room && check_trie(&rules);
        free(rules.leaves);
        free(rules.way);
        if (!room) return fail(WF_ERROR_MEMORY, "out of memory for the normalisation");
    }
    return sound ? WF_OK : fail(WF_ERROR_FORMAT, "normalizer_spec.precompiled_charsmap is damaged");
}

/* ---- the rest ---- */

static wf_status read_normalizer(SpBytes rest, SpFile *file)
{
    Field field;
    while (rest.size) {
        TRY(next_field(&rest, &field));
        if (is_field(&field, 2, WIRE_BYTES)) {
            TRY(check_rules(field.bytes));
            file->rules = field.bytes.size > 0;
        }
        if (is_field(&field, 3, WIRE_VARINT)) file->dummy_prefix = field.value != 0;
        if (is_field(&field, 4, WIRE_VARINT)) file->remove_spaces = field.value != 0;
    }
    return WF_OK;
}

static wf_status read_denormalizer(SpBytes rest)
{
    Field field;
    while (rest.size) {
        TRY(next_field(&rest, &field));
        if (is_field(&field, 2, WIRE_BYTES) && field.bytes.size)
            return fail(WF_ERROR_UNSUPPORTED, "denormalizer_spec.precompiled_charsmap: rules for "
                                              "decoded text are not supported");
    }
    return WF_OK;
}

static wf_status read_trainer(SpBytes rest, SpFile *file)
{
    Field field;
    while (rest.size) {
        TRY(next_field(&rest, &field));
        if (is_field(&field, 24, WIRE_VARINT) && field.value)
            return fail(WF_ERROR_UNSUPPORTED,
                        "trainer_spec.treat_whitespace_as_suffix is not supported");
        if (is_field(&field, 35, WIRE_VARINT)) file->byte_fallback = field.value != 0;
        if (is_field(&field, 44, WIRE_BYTES)) file->unknown_surface = field.bytes;
    }
    return WF_OK;
}

static wf_status read_model(SpBytes rest, SpFile *file)
{
    Field field;
    while (rest.size) {
        TRY(next_field(&rest, &field));
        if (field.type != WIRE_BYTES) continue;
        if (field.number == 1) TRY(read_piece(field.bytes, file));
        if (field.number == 2) TRY(read_trainer(field.bytes, file));
        if (field.number == 3) TRY(read_normalizer(field.bytes, file));
        if (field.number == 5) TRY(read_denormalizer(field.bytes));
    }
    if (file->count == 0) return fail(WF_ERROR_FORMAT, "a SentencePiece model without pieces");
    return check_user_defined(file);
}

wf_status sp_file_read(const char *bytes, size_t length, SpFile *out)
{
    static const char surface[] = " \xE2\x81\x87 ";
    SpFile file = {.dummy_prefix = true,
                   .remove_spaces = true,
                   .unknown_surface = {surface, sizeof surface - 1}};
    wf_status status = read_model((SpBytes){bytes, length}, &file);
    if (status)
        sp_file_destroy(&file);
    else
        *out = file;
    return status;
}

void sp_file_destroy(SpFile *file)
{
    free(file->pieces);
    file->pieces = NULL;
}

/* Reading a tokenizer.json: what the file says is either done or refused, naming its key. */
#include "data/bpe.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST_VOCABULARY = 1 << 22 };

static wf_status out_of_memory(void)
{
    return fail(WF_ERROR_MEMORY, "out of memory for a tokenizer");
}

/* ---- keys ---- */

static wf_status refuse(const char *where, const char *key, const json_t *value)
{
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    wf_status status = fail(WF_ERROR_UNSUPPORTED, "%s%s: %.60s is not supported", where, key,
                            text ? text : "its absence");
    free(text);
    return status;
}

static wf_status expect(const char *where, const char *key, const char *what)
{
    return fail(WF_ERROR_FORMAT, "%s%s: expected %s", where, key, what);
}

/* Refuses keys of an object that are not among the words of `known`. */
static wf_status check_keys(const json_t *object, const char *where, const char *known)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        size_t length = strlen(key);
        const char *at = length ? known : NULL; /* an empty key is nowhere */
        while (at && (at = strstr(at, key)) &&
               !((at == known || at[-1] == ' ') && (at[length] == ' ' || at[length] == 0)))
            at += length;
        if (!at) return refuse(where, key, value);
    }
    return WF_OK;
}

/* Refuses a key whose value is not null, false, "" or 0. */
static wf_status check_off(const json_t *object, const char *where, const char *key)
{
    const json_t *value = json_object_get(object, key);
    bool off = !value || json_is_null(value) || json_is_false(value) ||
               (json_is_string(value) && json_string_length(value) == 0) ||
               (json_is_number(value) && json_number_value(value) == 0);
    return off ? WF_OK : refuse(where, key, value);
}

static wf_status get_bool(const json_t *object, const char *where, const char *key, bool fallback,
                          bool *out)
{
    const json_t *value = json_object_get(object, key);
    *out = value && !json_is_null(value) ? json_is_true(value) : fallback;
    if (!value || json_is_null(value) || json_is_boolean(value)) return WF_OK;
    return expect(where, key, "true or false");
}

/* NULL for what is no text, or has a NUL in it. */
static const char *text_of(const json_t *value)
{
    const char *text = json_string_value(value);
    return text && strlen(text) == json_string_length(value) ? text : NULL;
}

static const char *get_text(const json_t *object, const char *key)
{
    return text_of(json_object_get(object, key));
}

static const char *type_of(const json_t *object)
{
    const char *type = json_string_value(json_object_get(object, "type"));
    return type ? type : "";
}

/* ---- the bytes' alphabet ---- */

/* Bytes are written as characters: printable ones of Latin-1 as themselves, the others in their
 * order from U+0100 on (GPT-2's bytes_to_unicode). */
static bool is_plain(int byte)
{
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
}

typedef struct Alphabet {
    uint32_t code[256];
    int16_t byte[0x144]; /* of a code, -1: none */
} Alphabet;

static void alphabet_fill(Alphabet *alphabet)
{
    uint32_t others = 0x100;
    memset(alphabet->byte, 0xFF, sizeof alphabet->byte);
    for (int byte = 0; byte < 256; byte++) {
        alphabet->code[byte] = is_plain(byte) ? (uint32_t)byte : others++;
        alphabet->byte[alphabet->code[byte]] = (int16_t)byte;
    }
}

/* Appends the bytes that a name in the vocabulary stands for. One with other characters is plain
 * text: false. */
static bool append_bytes(const Alphabet *alphabet, const char *name, size_t length, Text *out)
{
    size_t before = out->length;
    for (size_t at = 0; at < length;) {
        uint32_t code;
        int n = utf8_decode(name + at, length - at, &code);
        int byte = n && code < 0x144 ? alphabet->byte[code] : -1;
        if (byte < 0) {
            if (out->data) out->length = before;
            text_append_bytes(out, name, length);
            return false;
        }
        text_append_bytes(out, &(char){(char)byte}, 1);
        at += (size_t)n;
    }
    return true;
}

/* ---- vocabulary ---- */

typedef struct Entry {
    const char *name; /* NULL: no token has this number */
    size_t length;
    bool added, special, normalised;
    bool word; /* its piece is what the model's name says in the bytes' alphabet */
} Entry;

/* What is known while reading. */
typedef struct Reading {
    const json_t *root, *model, *vocabulary;
    Bpe *bpe;
    Entry *entries; /* [bpe->vocabulary] */
} Reading;

static wf_status check_id(const char *name, const json_t *value, const char *where)
{
    json_int_t id = json_integer_value(value);
    if (json_is_integer(value) && id >= 0 && id < LARGEST_VOCABULARY) return WF_OK;
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    wf_status status =
        fail(WF_ERROR_FORMAT, "%s: \"%.40s\": expected a token from 0 to %d, found %.40s", where,
             name, LARGEST_VOCABULARY - 1, text ? text : "");
    free(text);
    return status;
}

static wf_status measure_vocabulary(Reading *r)
{
    const char *name;
    json_t *value;
    size_t i;
    json_int_t last = -1;
    json_object_foreach((json_t *)r->vocabulary, name, value)
    {
        TRY(check_id(name, value, "model.vocab"));
        if (json_integer_value(value) > last) last = json_integer_value(value);
    }
    json_array_foreach(json_object_get(r->root, "added_tokens"), i, value)
    {
        const json_t *id = json_object_get(value, "id");
        const char *content = json_string_value(json_object_get(value, "content"));
        TRY(check_id(content ? content : "", id, "added_tokens"));
        if (json_integer_value(id) > last) last = json_integer_value(id);
    }
    r->bpe->vocabulary = (int32_t)last + 1;
    r->entries = calloc((size_t)last + 2, sizeof *r->entries);
    return r->entries ? WF_OK : out_of_memory();
}

static wf_status list_vocabulary(Reading *r)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)r->vocabulary, name, value)
    {
        Entry *entry = &r->entries[json_integer_value(value)];
        if (entry->name)
            return fail(WF_ERROR_FORMAT, "model.vocab: \"%.40s\" and \"%.40s\" are both token %d",
                        entry->name, name, (int)json_integer_value(value));
        *entry = (Entry){.name = name, .length = strlen(name)};
    }
    return WF_OK;
}

static wf_status read_byte_tokens(Reading *r, const Alphabet *alphabet)
{
    bool complete = true;
    for (int byte = 0; byte < 256; byte++) {
        char name[5] = "";
        utf8_encode(alphabet->code[byte], name);
        const json_t *value = json_object_get(r->vocabulary, name);
        r->bpe->byte_token[byte] = value ? (int32_t)json_integer_value(value) : -1;
        complete &= value != NULL;
    }
    if (complete) return WF_OK;
    /* These say what becomes of bytes without a token. Here they are an error where they come. */
    TRY(check_off(r->model, "model.", "unk_token"));
    return check_off(r->model, "model.", "byte_fallback");
}

/* The text of each token; none for special ones and for numbers that stand for nothing. */
static wf_status write_pieces(Reading *r, const Alphabet *alphabet)
{
    Text text = {0};
    Bpe *bpe = r->bpe;
    bpe->offset = calloc((size_t)bpe->vocabulary + 1, sizeof *bpe->offset);
    if (!bpe->offset) return out_of_memory();
    for (int32_t id = 0; id < bpe->vocabulary; id++) {
        Entry *entry = &r->entries[id];
        if (entry->name && entry->added && !entry->special)
            text_append_bytes(&text, entry->name, entry->length);
        else if (entry->name && !entry->special)
            entry->word = append_bytes(alphabet, entry->name, entry->length, &text);
        bpe->offset[id + 1] = (uint32_t)text.length; /* a file has less than 4 GiB */
    }
    bpe->bytes = text.data;
    return text.failed ? out_of_memory() : WF_OK;
}

/* ---- words that are pieces ---- */

static size_t hash_bytes(const char *text, size_t length)
{
    uint64_t hash = 0xCBF29CE484222325u; /* FNV-1a */
    for (size_t i = 0; i < length; i++) hash = (hash ^ (unsigned char)text[i]) * 0x100000001B3u;
    return (size_t)(hash ^ hash >> 32);
}

/* The place of a word in the table, or the free one where it would be. */
static size_t find_word(const Bpe *bpe, const char *text, size_t length)
{
    size_t at = hash_bytes(text, length) & (bpe->words_size - 1);
    for (;; at = (at + 1) & (bpe->words_size - 1)) {
        int32_t token = bpe->words[at];
        if (token < 0) return at;
        uint32_t first = bpe->offset[token];
        if (bpe->offset[token + 1] - first == length && !memcmp(bpe->bytes + first, text, length))
            return at;
    }
}

int32_t bpe_word(const Bpe *bpe, const char *text, size_t length)
{
    return bpe->words_size ? bpe->words[find_word(bpe, text, length)] : -1;
}

static wf_status index_words(Reading *r)
{
    Bpe *bpe = r->bpe;
    size_t size = 16;
    while (size < 2 * (size_t)bpe->vocabulary) size *= 2;
    bpe->words = malloc(size * sizeof *bpe->words);
    if (!bpe->words) return out_of_memory();
    memset(bpe->words, 0xFF, size * sizeof *bpe->words);
    bpe->words_size = size;
    for (int32_t id = 0; id < bpe->vocabulary; id++) {
        uint32_t first = bpe->offset[id], length = bpe->offset[id + 1] - first;
        if (!r->entries[id].word || length == 0) continue;
        size_t at = find_word(bpe, bpe->bytes + first, length);
        if (bpe->words[at] < 0) bpe->words[at] = id;
    }
    return WF_OK;
}

/* ---- merges ---- */

/* The two names of a merge: "a b", or ["a", "b"]. */
static bool split_merge(const json_t *merge, Text parts[2])
{
    const char *text = text_of(merge), *space = text ? strchr(text, ' ') : NULL;
    const char *a = text_of(json_array_get(merge, 0)), *b = text_of(json_array_get(merge, 1));
    if (text) {
        if (!space || strchr(space + 1, ' ')) return false;
        text_append_bytes(&parts[0], text, (size_t)(space - text));
        text_append_bytes(&parts[1], space + 1, strlen(space + 1));
    } else {
        if (json_array_size(merge) != 2 || !a || !b) return false;
        text_append_bytes(&parts[0], a, strlen(a));
        text_append_bytes(&parts[1], b, strlen(b));
    }
    return !parts[0].failed && !parts[1].failed && parts[0].length && parts[1].length;
}

static wf_status read_merge(Reading *r, const json_t *merge, size_t i)
{
    Text parts[2] = {{0}, {0}};
    wf_status status = WF_OK;
    if (!split_merge(merge, parts)) {
        status = fail(WF_ERROR_FORMAT, "model.merges[%zu]: expected two names", i);
    } else {
        const json_t *left = json_object_get(r->vocabulary, parts[0].data);
        const json_t *right = json_object_get(r->vocabulary, parts[1].data);
        text_append(&parts[0], "%s", parts[1].data);
        const json_t *joined =
            parts[0].failed ? NULL : json_object_get(r->vocabulary, parts[0].data);
        if (left && right && joined)
            merges_add(&r->bpe->merges, (Merge){(int32_t)json_integer_value(left),
                                                (int32_t)json_integer_value(right), (int32_t)i,
                                                (int32_t)json_integer_value(joined)});
        else
            status = fail(WF_ERROR_FORMAT,
                          "model.merges[%zu]: \"%.40s\" or a part of it is not in model.vocab", i,
                          parts[0].data);
    }
    text_destroy(&parts[0]);
    text_destroy(&parts[1]);
    return status;
}

static wf_status read_merges(Reading *r)
{
    const json_t *merges = json_object_get(r->model, "merges");
    size_t i, n = json_array_size(merges);
    const json_t *merge;
    if (!json_is_array(merges)) return expect("model.", "merges", "a list");
    if (n > (size_t)1 << 26) return fail(WF_ERROR_FORMAT, "model.merges: %zu of them", n);
    TRY(merges_create((int)n, &r->bpe->merges));
    json_array_foreach(merges, i, merge) TRY(read_merge(r, merge, i));
    return WF_OK;
}

/* ---- added tokens ---- */

static wf_status add_name(Names names[2], bool special, Name name)
{
    if (!special) TRY(names_add(&names[0], name));
    return names_add(&names[1], name);
}

static wf_status check_added(Reading *r, const json_t *token, const char *where)
{
    const char *content = get_text(token, "content");
    if (!content || !*content) return expect(where, "content", "a text without NUL");
    TRY(check_keys(token, where, "id content single_word lstrip rstrip normalized special"));
    TRY(check_off(token, where, "single_word"));
    TRY(check_off(token, where, "lstrip"));
    TRY(check_off(token, where, "rstrip"));
    const Entry *entry = &r->entries[json_integer_value(json_object_get(token, "id"))];
    const json_t *in_vocabulary = json_object_get(r->vocabulary, content);
    bool other = entry->name && (entry->added || strcmp(entry->name, content));
    if (other || (in_vocabulary && json_integer_value(in_vocabulary) !=
                                       json_integer_value(json_object_get(token, "id"))))
        return fail(WF_ERROR_FORMAT, "%sid: \"%.40s\" or its number is another token's too", where,
                    content);
    return WF_OK;
}

static wf_status read_added(Reading *r, const json_t *token, size_t i)
{
    char where[48];
    bool special, normalised;
    snprintf(where, sizeof where, "added_tokens[%zu].", i);
    TRY(check_added(r, token, where));
    TRY(get_bool(token, where, "special", false, &special));
    TRY(get_bool(token, where, "normalized", !special, &normalised));
    const char *content = json_string_value(json_object_get(token, "content"));
    Entry *entry = &r->entries[json_integer_value(json_object_get(token, "id"))];
    *entry = (Entry){.name = content,
                     .length = strlen(content),
                     .added = true,
                     .special = special,
                     .normalised = normalised};
    return WF_OK;
}

/* Appends the name of an added token as it is looked for in a text. */
static wf_status append_name(Bpe *bpe, const Entry *entry)
{
    char *text = (char *)entry->name;
    size_t length = entry->length;
    if (bpe->compose && entry->normalised) TRY(bpe_compose(text, length, &text, &length));
    text_append_bytes(&bpe->names, text, length);
    if (text != entry->name) free(text);
    return bpe->names.failed ? out_of_memory() : WF_OK;
}

/* The names' bytes have stopped growing: now they can be pointed into. */
static wf_status point_at_names(Reading *r, const size_t *end)
{
    Bpe *bpe = r->bpe;
    for (int32_t id = 0; id < bpe->vocabulary; id++) {
        const Entry *entry = &r->entries[id];
        size_t length = end[id + 1] - end[id];
        if (length == 0) continue;
        Name name = {bpe->names.data + end[id], length, id};
        TRY(add_name(entry->normalised ? bpe->normalised : bpe->raw, entry->special, name));
    }
    for (int s = 0; s < 2; s++) {
        names_sort(&bpe->raw[s]);
        names_sort(&bpe->normalised[s]);
    }
    return WF_OK;
}

static wf_status list_names(Reading *r)
{
    Bpe *bpe = r->bpe;
    size_t *end = calloc((size_t)bpe->vocabulary + 1, sizeof *end);
    wf_status status = end ? WF_OK : out_of_memory();
    for (int32_t id = 0; id < bpe->vocabulary && !status; id++) {
        if (r->entries[id].added) status = append_name(bpe, &r->entries[id]);
        end[id + 1] = bpe->names.length;
    }
    if (!status) status = point_at_names(r, end);
    free(end);
    return status;
}

/* The file does not say which token ends a text; these names are customary. */
static void find_end_of_text(Reading *r)
{
    static const char *const names[] = {"<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>"};
    r->bpe->end_of_text = -1;
    for (int i = sizeof names / sizeof *names - 1; i >= 0; i--)
        for (int32_t id = 0; id < r->bpe->vocabulary; id++) {
            const Entry *entry = &r->entries[id];
            if (entry->added && entry->special && !strcmp(entry->name, names[i]))
                r->bpe->end_of_text = id;
        }
}

static wf_status read_added_tokens(Reading *r)
{
    const json_t *tokens = json_object_get(r->root, "added_tokens"), *token;
    size_t i;
    if (tokens && !json_is_null(tokens) && !json_is_array(tokens))
        return expect("", "added_tokens", "a list");
    json_array_foreach(tokens, i, token) TRY(read_added(r, token, i));
    find_end_of_text(r);
    return list_names(r);
}

/* ---- model ---- */

static wf_status check_model(const Reading *r)
{
    const char *type = type_of(r->model);
    if (*type && strcmp(type, "BPE"))
        return refuse("model.", "type", json_object_get(r->model, "type"));
    if (!json_is_object(r->vocabulary)) return expect("model.", "vocab", "an object");
    TRY(check_keys(r->model, "model.",
                   "type dropout unk_token continuing_subword_prefix end_of_word_suffix fuse_unk "
                   "byte_fallback ignore_merges vocab merges"));
    TRY(check_off(r->model, "model.", "dropout"));
    TRY(check_off(r->model, "model.", "continuing_subword_prefix"));
    return check_off(r->model, "model.", "end_of_word_suffix");
}

static wf_status read_model(Reading *r)
{
    Alphabet alphabet;
    bool ignore_merges;
    alphabet_fill(&alphabet);
    TRY(check_model(r));
    TRY(get_bool(r->model, "model.", "ignore_merges", false, &ignore_merges));
    TRY(measure_vocabulary(r));
    TRY(list_vocabulary(r));
    TRY(read_byte_tokens(r, &alphabet));
    TRY(read_merges(r));
    TRY(read_added_tokens(r));
    TRY(write_pieces(r, &alphabet));
    return ignore_merges ? index_words(r) : WF_OK;
}

/* ---- pre-tokenizer ---- */

/* GPT-2's, which ByteLevel uses. */
static const char GPT2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+"
                           "|\\s+(?!\\S)|\\s+";

static wf_status add_step(Bpe *bpe, BpeStepKind kind, const char *pattern, bool literal,
                          const char *where)
{
    if (bpe->n_steps == BPE_MAX_STEPS)
        return fail(WF_ERROR_UNSUPPORTED, "%smore than %d steps", where, BPE_MAX_STEPS);
    BpeStep *step = &bpe->steps[bpe->n_steps];
    *step = (BpeStep){.kind = kind};
    if (pattern) {
        wf_status status = splitter_create(pattern, strlen(pattern), literal, &step->splitter);
        if (status) return fail_within(status, "%spattern", where);
    }
    bpe->n_steps++;
    return WF_OK;
}

static wf_status read_split(Bpe *bpe, const json_t *object, const char *where)
{
    const json_t *pattern = json_object_get(object, "pattern");
    const json_t *behavior = json_object_get(object, "behavior");
    const char *regex = get_text(pattern, "Regex"), *literal = get_text(pattern, "String");
    const char *name = json_string_value(behavior);
    bool invert;
    TRY(check_keys(object, where, "type pattern behavior invert"));
    TRY(get_bool(object, where, "invert", false, &invert));
    if (!regex == !literal || (literal && !*literal))
        return expect(where, "pattern", "a \"Regex\" or a \"String\"");
    BpeStepKind kind = invert ? BPE_KEEP_MATCHES : BPE_DROP_MATCHES;
    if (name && !strcmp(name, "Isolated"))
        kind = BPE_ISOLATE;
    else if (!name || strcmp(name, "Removed"))
        return refuse(where, "behavior", behavior);
    return add_step(bpe, kind, regex ? regex : literal, literal != NULL, where);
}

static wf_status read_digits(Bpe *bpe, const json_t *object, const char *where)
{
    bool individual;
    TRY(check_keys(object, where, "type individual_digits"));
    TRY(get_bool(object, where, "individual_digits", false, &individual));
    return add_step(bpe, BPE_ISOLATE, individual ? "\\p{N}" : "\\p{N}+", false, where);
}

static wf_status read_byte_level(Bpe *bpe, const json_t *object, const char *where)
{
    bool prefix, regex;
    TRY(check_keys(object, where, "type add_prefix_space trim_offsets use_regex"));
    TRY(get_bool(object, where, "add_prefix_space", true, &prefix));
    TRY(get_bool(object, where, "use_regex", true, &regex));
    if (prefix) TRY(add_step(bpe, BPE_PREFIX_SPACE, NULL, false, where));
    return regex ? add_step(bpe, BPE_ISOLATE, GPT2, false, where) : WF_OK;
}

static wf_status read_step(Bpe *bpe, const json_t *object, bool last, const char *where)
{
    const char *type = type_of(object);
    bool byte_level = !strcmp(type, "ByteLevel");
    if (byte_level != last) /* the bytes' alphabet is put on last, and only by this */
        return fail(WF_ERROR_UNSUPPORTED,
                    "%stype: the last step, and no other, must be \"ByteLevel\", found \"%.40s\"",
                    where, type);
    if (byte_level) return read_byte_level(bpe, object, where);
    if (!strcmp(type, "Split")) return read_split(bpe, object, where);
    if (!strcmp(type, "Digits")) return read_digits(bpe, object, where);
    return refuse(where, "type", json_object_get(object, "type"));
}

static wf_status read_pre_tokenizer(Bpe *bpe, const json_t *object)
{
    const json_t *list = json_object_get(object, "pretokenizers"), *step;
    size_t i;
    char where[64];
    if (strcmp(type_of(object), "Sequence")) return read_step(bpe, object, true, "pre_tokenizer.");
    TRY(check_keys(object, "pre_tokenizer.", "type pretokenizers"));
    if (json_array_size(list) == 0)
        return expect("pre_tokenizer.", "pretokenizers", "a list that ends with \"ByteLevel\"");
    json_array_foreach(list, i, step)
    {
        snprintf(where, sizeof where, "pre_tokenizer.pretokenizers[%zu].", i);
        TRY(read_step(bpe, step, i + 1 == json_array_size(list), where));
    }
    return WF_OK;
}

/* ---- the other parts ---- */

static wf_status read_normalizer(Bpe *bpe, const json_t *object, const char *where)
{
    const json_t *list = json_object_get(object, "normalizers"), *part;
    const char *type = type_of(object);
    size_t i;
    if (!object || json_is_null(object)) return WF_OK;
    if (!strcmp(type, "Sequence") && !strcmp(where, "normalizer.")) {
        TRY(check_keys(object, where, "type normalizers"));
        json_array_foreach(list, i, part)
            TRY(read_normalizer(bpe, part, "normalizer.normalizers."));
        return WF_OK;
    }
    if (strcmp(type, "NFC")) return refuse(where, "type", json_object_get(object, "type"));
    TRY(check_keys(object, where, "type"));
    char *out;
    size_t length;
    static const char accent[] = "e\xCC\x81"; /* is the library there? */
    TRY(bpe_compose(accent, sizeof accent - 1, &out, &length));
    free(out);
    bpe->compose = true;
    return WF_OK;
}

/* ByteLevel here changes offsets only. TemplateProcessing puts special tokens around a text, which
 * the library never does: a text may be a part of one. */
static wf_status check_post_processor(const json_t *object, const char *where)
{
    const json_t *list = json_object_get(object, "processors"), *part;
    const char *type = type_of(object);
    size_t i;
    if (!object || json_is_null(object)) return WF_OK;
    if (!strcmp(type, "ByteLevel") || !strcmp(type, "TemplateProcessing")) return WF_OK;
    if (strcmp(type, "Sequence") || strcmp(where, "post_processor."))
        return refuse(where, "type", json_object_get(object, "type"));
    json_array_foreach(list, i, part) TRY(check_post_processor(part, "post_processor.processors."));
    return WF_OK;
}

static wf_status check_decoder(const json_t *object)
{
    const char *type = type_of(object);
    if (!strcmp(type, "ByteLevel")) return WF_OK;
    return refuse("", "decoder", object);
}

wf_status bpe_read(const json_t *root, Bpe *bpe)
{
    Reading reading = {.root = root, .model = json_object_get(root, "model"), .bpe = bpe};
    reading.vocabulary = json_object_get(reading.model, "vocab");
    TRY(check_keys(root, "",
                   "version truncation padding added_tokens normalizer pre_tokenizer "
                   "post_processor decoder model"));
    TRY(check_off(root, "", "truncation"));
    TRY(check_off(root, "", "padding"));
    TRY(check_post_processor(json_object_get(root, "post_processor"), "post_processor."));
    TRY(check_decoder(json_object_get(root, "decoder")));
    TRY(read_normalizer(bpe, json_object_get(root, "normalizer"), "normalizer."));
    TRY(read_pre_tokenizer(bpe, json_object_get(root, "pre_tokenizer")));
    wf_status status = read_model(&reading);
    free(reading.entries);
    return status;
}

void bpe_destroy(Bpe *bpe)
{
    for (int i = 0; i < bpe->n_steps; i++) splitter_destroy(bpe->steps[i].splitter);
    for (int s = 0; s < 2; s++) {
        names_destroy(&bpe->raw[s]);
        names_destroy(&bpe->normalised[s]);
    }
    merges_destroy(&bpe->merges);
    text_destroy(&bpe->names);
    free(bpe->bytes);
    free(bpe->offset);
    free(bpe->words);
}

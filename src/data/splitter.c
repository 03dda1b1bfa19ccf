#define PCRE2_CODE_UNIT_WIDTH 8
#include "data/splitter.h"

#include "base/text.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

struct Splitter {
    pcre2_code *code;
};

/* ---- patterns ---- */

/* Unicode's White_Space, for a class. */
static const char SPACES[] = "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}"
                             "\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}";

typedef struct Pattern {
    const char *text;
    size_t length, at;
    Text out;
    bool in_class;
} Pattern;

static int peek(const Pattern *p, size_t ahead)
{
    return p->at + ahead < p->length ? (unsigned char)p->text[p->at + ahead] : -1;
}

static void copy(Pattern *p, size_t n)
{
    if (n > p->length - p->at) n = p->length - p->at;
    text_append_bytes(&p->out, p->text + p->at, n);
    p->at += n;
}

/* The construct that is not taken, up to a few bytes of it. */
static wf_status refuse(const Pattern *p, size_t n)
{
    if (n > p->length - p->at) n = p->length - p->at;
    return fail(WF_ERROR_UNSUPPORTED, "byte %zu of the pattern: \"%.*s\" is not supported", p->at,
                (int)n, p->text + p->at);
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* \p{Lu}, \P{N}, \p{^L}: general categories as they are, longer names as scripts. */
static wf_status translate_property(Pattern *p)
{
    const char *end = memchr(p->text + p->at, '}', p->length - p->at);
    if (peek(p, 2) != '{' || !end) return refuse(p, 3);
    size_t length = (size_t)(end - p->text) + 1 - p->at;
    const char *name = p->text + p->at + 3;
    bool negated = *name == '^';
    size_t n = length - 4 - (negated ? 1 : 0);
    name += negated;
    for (size_t i = 0; i < n; i++)
        if (!is_letter(name[i]) && name[i] != '_') return refuse(p, length);
    if (n == 0) return refuse(p, length);
    text_append(&p->out, "\\%c{%s%s%.*s}", peek(p, 1), negated ? "^" : "", n > 2 ? "sc:" : "",
                (int)n, name);
    p->at += length;
    return WF_OK;
}

static wf_status translate_hex(Pattern *p)
{
    size_t n = 0;
    char digits[5] = "";
    for (; n < 4 && peek(p, 2 + n) > 0 && strchr("0123456789abcdefABCDEF", peek(p, 2 + n)); n++)
        digits[n] = (char)peek(p, 2 + n);
    size_t expected = peek(p, 1) == 'u' ? 4 : 2;
    if (n < expected) return refuse(p, 2 + n);
    digits[expected] = 0;
    text_append(&p->out, "\\x{%s}", digits);
    p->at += 2 + expected;
    return WF_OK;
}

static wf_status translate_escape(Pattern *p)
{
    int c = peek(p, 1);
    if (c == 'p' || c == 'P') return translate_property(p);
    if (c == 'x' || c == 'u') return translate_hex(p);
    if (c == 's' || (c == 'S' && !p->in_class)) {
        text_append(&p->out, "%s%s%s",
                    p->in_class ? ""
                    : c == 's'  ? "["
                                : "[^",
                    SPACES, p->in_class ? "" : "]");
        p->at += 2;
        return WF_OK;
    }
    bool known = c > 0 && c < 0x80 && (strchr("dDrntf", c) || (!is_letter(c) && !is_digit(c)));
    if (!known) return refuse(p, 2);
    copy(p, 2);
    return WF_OK;
}

static wf_status translate_in_class(Pattern *p)
{
    int c = peek(p, 0);
    if (c == '\\') return translate_escape(p);
    if (c == '[') return refuse(p, 4); /* a class within a class */
    if (c == '&' && peek(p, 1) == '&') return refuse(p, 4);
    if (c == ']') p->in_class = false;
    copy(p, 1);
    return WF_OK;
}

static wf_status open_class(Pattern *p)
{
    size_t n = peek(p, 1) == '^' ? 2 : 1;
    if (peek(p, n) == ']') return refuse(p, n + 1);
    p->in_class = true;
    copy(p, n);
    return WF_OK;
}

static wf_status open_group(Pattern *p)
{
    static const char *const kinds[] = {"(?:", "(?i:", "(?=", "(?!", "(?<=", "(?<!", "(?>"};
    if (peek(p, 1) == '*') return refuse(p, 4);
    if (peek(p, 1) != '?') {
        copy(p, 1);
        return WF_OK;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t n = strlen(kinds[i]);
        if (n > p->length - p->at || memcmp(p->text + p->at, kinds[i], n)) continue;
        copy(p, n);
        return WF_OK;
    }
    return refuse(p, 4);
}

/* {2}, {1,3}, {1,}: Oniguruma reads {,3} and {1,3}+ in its own way. */
static wf_status translate_count(Pattern *p)
{
    size_t n = 1;
    if (!is_digit(peek(p, n))) return refuse(p, 4);
    while (is_digit(peek(p, n))) n++;
    if (peek(p, n) == ',') n++;
    while (is_digit(peek(p, n))) n++;
    if (peek(p, n) != '}' || peek(p, n + 1) == '+') return refuse(p, n + 2);
    copy(p, n + 1);
    return WF_OK;
}

static wf_status translate(Pattern *p)
{
    while (p->at < p->length) {
        if (p->in_class) {
            TRY(translate_in_class(p));
            continue;
        }
        switch (p->text[p->at]) {
        case '\\': TRY(translate_escape(p)); break;
        case '[': TRY(open_class(p)); break;
        case '(': TRY(open_group(p)); break;
        case '{': TRY(translate_count(p)); break;
        case '^':
        case '$': return refuse(p, 1);
        case '.':
            text_append(&p->out, "[^\\n]");
            p->at++;
            break;
        default: copy(p, 1);
        }
    }
    return p->out.failed ? fail(WF_ERROR_MEMORY, "out of memory for a pattern") : WF_OK;
}

/* ---- compiling ---- */

static wf_status compile(const char *pattern, size_t length, uint32_t options, Splitter *splitter)
{
    int error;
    PCRE2_SIZE offset;
    uint32_t empty = 1;
    char message[128];
    splitter->code = pcre2_compile((PCRE2_SPTR)pattern, length, options, &error, &offset, NULL);
    if (!splitter->code) {
        pcre2_get_error_message(error, (PCRE2_UCHAR *)message, sizeof message);
        return fail(WF_ERROR_UNSUPPORTED, "%s, in byte %zu of \"%.*s\"", message, (size_t)offset,
                    (int)length, pattern);
    }
    pcre2_pattern_info(splitter->code, PCRE2_INFO_MATCHEMPTY, &empty);
    if (empty)
        return fail(WF_ERROR_UNSUPPORTED, "the pattern \"%.*s\" can match nothing", (int)length,
                    pattern);
    pcre2_jit_compile(splitter->code, PCRE2_JIT_COMPLETE); /* without, it is only slower */
    return WF_OK;
}

static wf_status compile_translated(const char *pattern, size_t length, Splitter *splitter)
{
    Pattern p = {.text = pattern, .length = length};
    wf_status status = translate(&p);
    if (!status)
        status =
            compile(p.out.data ? p.out.data : "", p.out.length, PCRE2_UTF | PCRE2_UCP, splitter);
    text_destroy(&p.out);
    return status;
}

wf_status splitter_create(const char *pattern, size_t length, bool literal, Splitter **out)
{
    Splitter *splitter = calloc(1, sizeof *splitter);
    if (!splitter) return fail(WF_ERROR_MEMORY, "out of memory for a pattern");
    wf_status status = literal ? compile(pattern, length, PCRE2_UTF | PCRE2_LITERAL, splitter)
                               : compile_translated(pattern, length, splitter);
    if (status)
        splitter_destroy(splitter);
    else
        *out = splitter;
    return status;
}

void splitter_destroy(Splitter *splitter)
{
    if (!splitter) return;
    pcre2_code_free(splitter->code);
    free(splitter);
}

/* ---- matching ---- */

SplitterMatch *splitter_match_create(void)
{
    return (SplitterMatch *)pcre2_match_data_create(1, NULL);
}

void splitter_match_destroy(SplitterMatch *match)
{
    pcre2_match_data_free((pcre2_match_data *)match);
}

wf_status splitter_next(const Splitter *splitter, SplitterMatch *match, const char *text,
                        size_t length, size_t from, size_t *first, size_t *last)
{
    pcre2_match_data *data = (pcre2_match_data *)match;
    uint32_t options = PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY;
    int found = pcre2_match(splitter->code, (PCRE2_SPTR)text, length, from, options, data, NULL);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) /* its small stack; the interpreter has the heap */
        found = pcre2_match(splitter->code, (PCRE2_SPTR)text, length, from, options | PCRE2_NO_JIT,
                            data, NULL);
    *first = *last = length;
    if (found == PCRE2_ERROR_NOMATCH) return WF_OK;
    if (found < 0) {
        char message[128];
        pcre2_get_error_message(found, (PCRE2_UCHAR *)message, sizeof message);
        return fail(WF_ERROR_UNSUPPORTED, "the pattern fails on a text of %zu bytes: %s", length,
                    message);
    }
    const PCRE2_SIZE *bounds = pcre2_get_ovector_pointer(data);
    *first = bounds[0];
    *last = bounds[1];
    return WF_OK;
}

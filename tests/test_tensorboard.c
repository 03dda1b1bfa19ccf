/* Event files, read back by the definition of their format, with a checksum of their own kind. */
#include "base/files.h"
#include "cli/tensorboard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- reading ---- */

/* CRC-32C by its definition: the remainder of the message as a polynomial, most significant bit
 * first after reversing the bits of each byte and of the result (RFC 3720, appendix B.4). */
static uint32_t reversed(uint32_t value, int bits)
{
    uint32_t out = 0;
    for (int i = 0; i < bits; i++) out |= (value >> i & 1) << (bits - 1 - i);
    return out;
}

static uint32_t checksum(const unsigned char *data, size_t n)
{
    uint32_t remainder = 0xFFFFFFFFu;
    for (size_t i = 0; i < n; i++)
        for (int bit = 7; bit >= 0; bit--) {
            uint32_t in = reversed(data[i], 8) >> bit & 1, top = remainder >> 31;
            remainder <<= 1;
            if (in ^ top) remainder ^= 0x1EDC6F41u;
        }
    return reversed(remainder, 32) ^ 0xFFFFFFFFu;
}

static uint32_t masked(const unsigned char *data, size_t n)
{
    uint32_t crc = checksum(data, n);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

typedef struct Reader {
    const unsigned char *at, *end;
} Reader;

static uint64_t read_fixed(Reader *r, int bytes)
{
    uint64_t value = 0;
    assert_true(r->end - r->at >= bytes);
    for (int i = 0; i < bytes; i++) value |= (uint64_t)*r->at++ << 8 * i;
    return value;
}

static uint64_t read_varint(Reader *r)
{
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
        assert_true(r->at < r->end && shift < 64);
        unsigned char byte = *r->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return value;
    }
}

static Reader read_part(Reader *r, uint64_t length)
{
    assert_true((uint64_t)(r->end - r->at) >= length);
    Reader part = {r->at, r->at + length};
    r->at = part.end;
    return part;
}

static void read_text(Reader *r, char *text, size_t size)
{
    Reader part = read_part(r, read_varint(r));
    size_t n = (size_t)(part.end - part.at);
    assert_true(n < size);
    memcpy(text, part.at, n);
    text[n] = 0;
}

enum { MOST = 8 };

typedef struct Event {
    double wall_time;
    int64_t step;
    char version[32];
    int session_status, n_values;
    char tag[MOST][64];
    float value[MOST];
} Event;

static void read_value(Reader r, Event *event)
{
    int i = event->n_values++;
    assert_true(i < MOST);
    assert_int_equal(read_varint(&r), 1 << 3 | 2);
    read_text(&r, event->tag[i], sizeof event->tag[i]);
    assert_int_equal(read_varint(&r), 2 << 3 | 5);
    uint32_t bits = (uint32_t)read_fixed(&r, 4);
    memcpy(&event->value[i], &bits, sizeof bits);
    assert_true(r.at == r.end);
}

static Event read_event(Reader r)
{
    Event event = {0};
    while (r.at < r.end) {
        uint64_t key = read_varint(&r);
        if (key == (1 << 3 | 1)) {
            uint64_t bits = read_fixed(&r, 8);
            memcpy(&event.wall_time, &bits, sizeof bits);
        } else if (key == (2 << 3 | 0)) {
            event.step = (int64_t)read_varint(&r);
        } else if (key == (3 << 3 | 2)) {
            read_text(&r, event.version, sizeof event.version);
        } else if (key == (5 << 3 | 2)) {
            Reader summary = read_part(&r, read_varint(&r));
            while (summary.at < summary.end) {
                assert_int_equal(read_varint(&summary), 1 << 3 | 2);
                read_value(read_part(&summary, read_varint(&summary)), &event);
            }
        } else {
            assert_int_equal(key, 7 << 3 | 2);
            Reader session = read_part(&r, read_varint(&r));
            assert_int_equal(read_varint(&session), 1 << 3 | 0);
            event.session_status = (int)read_varint(&session);
        }
    }
    return event;
}

static Event next_event(Reader *file)
{
    const unsigned char *length_at = file->at;
    uint64_t length = read_fixed(file, 8);
    assert_int_equal(read_fixed(file, 4), masked(length_at, 8));
    Reader data = read_part(file, length);
    assert_int_equal(read_fixed(file, 4), masked(data.at, length));
    return read_event(data);
}

/* ---- tests ---- */

static const wf_step_stats STATS = {.step = 300,
                                    .loss = 2.5,
                                    .accuracy = 0.25,
                                    .gradient_norm = 1.5,
                                    .learning_rate = 1e-3,
                                    .tokens = 4096};
static const wf_evaluation EVALUATION = {.loss = 3,
                                         .perplexity = 20.085536923187668,
                                         .accuracy = 0.125,
                                         .bits_per_byte = 1.75,
                                         .tokens = 100};

static void assert_scalar(const Event *event, int i, const char *tag, double value)
{
    assert_true(i < event->n_values);
    assert_string_equal(event->tag[i], tag);
    assert_true(event->value[i] == (float)value);
}

static void assert_header(Reader *file, int64_t first_step)
{
    Event version = next_event(file), start = next_event(file);
    assert_string_equal(version.version, "brain.Event:2");
    assert_true(fabs(version.wall_time - (double)time(NULL)) < 3600);
    assert_int_equal(start.session_status, 1);
    assert_int_equal(start.step, first_step);
}

static void assert_content(const char *path, int64_t first_step)
{
    char *data;
    size_t size;
    assert_int_equal(file_read(path, 1 << 20, &data, &size), WF_OK);
    Reader file = {(unsigned char *)data, (unsigned char *)data + size};
    assert_header(&file, first_step);
    Event step = next_event(&file), evaluation = next_event(&file), bytes = next_event(&file);
    assert_int_equal(step.step, 300);
    assert_int_equal(step.n_values, 5);
    assert_scalar(&step, 0, "train/loss", 2.5);
    assert_scalar(&step, 1, "train/accuracy", 0.25);
    assert_scalar(&step, 2, "train/learning_rate", 1e-3);
    assert_scalar(&step, 3, "train/gradient_norm", 1.5);
    assert_scalar(&step, 4, "train/tokens_per_second", 8192);
    assert_int_equal(evaluation.step, 300);
    assert_int_equal(evaluation.n_values, 4);
    assert_scalar(&evaluation, 0, "eval/loss", 3);
    assert_scalar(&evaluation, 1, "eval/perplexity", EVALUATION.perplexity);
    assert_scalar(&evaluation, 2, "eval/accuracy", 0.125);
    assert_scalar(&evaluation, 3, "eval/bits_per_byte", 1.75);
    assert_int_equal(bytes.n_values, 3); /* the bytes of its text are not known */
    assert_int_equal(bytes.step, (int64_t)1 << 40);
    assert_true(file.at == file.end);
    free(data);
}

static void write_run(const char *folder, int64_t step)
{
    EventFile *events;
    wf_evaluation evaluation = EVALUATION;
    evaluation.bits_per_byte = 0;
    assert_int_equal(events_open(folder, step, &events), WF_OK);
    assert_int_equal(events_step(events, &STATS, 0.5), WF_OK);
    assert_int_equal(events_evaluation(events, 300, &EVALUATION), WF_OK);
    assert_int_equal(events_evaluation(events, (int64_t)1 << 40, &evaluation), WF_OK);
    events_close(events);
}

static void checksums_are_those_of_the_standard(void **state)
{
    (void)state;
    assert_int_equal(checksum((const unsigned char *)"123456789", 9), 0xE3069283u);
}

static void files_hold_what_was_written(void **state)
{
    (void)state;
    char folder[] = "/tmp/wavefield-test-events-XXXXXX", command[128];
    assert_non_null(mkdtemp(folder));
    const int64_t first[] = {0, 299, 123456789};
    for (int run = 0; run < 3; run++) {
        FolderList list;
        write_run(folder, first[run]);
        assert_int_equal(folder_list(folder, &list), WF_OK); /* sorted by name */
        assert_int_equal(list.count, run + 1);
        for (int i = 0; i <= run; i++) {
            char *path = path_join(folder, list.names[i]);
            assert_int_equal(strncmp(list.names[i], "events.out.tfevents.", 20), 0);
            assert_content(path, first[i] + 1); /* the order of runs */
            free(path);
        }
        folder_list_destroy(&list);
    }
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    assert_int_equal(system(command), 0);
}

static void failures_name_the_file(void **state)
{
    (void)state;
    EventFile *events;
    assert_int_equal(events_open("/dev/null/folder", 0, &events), WF_ERROR_IO);
    assert_non_null(strstr(wf_error_message(), "/dev/null"));
    assert_int_equal(events_step(NULL, &STATS, 1), WF_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksums_are_those_of_the_standard),
        cmocka_unit_test(files_hold_what_was_written),
        cmocka_unit_test(failures_name_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

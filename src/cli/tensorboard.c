#include "cli/tensorboard.h"

#include "base/files.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char PREFIX[] = "events.out.tfevents.";

struct EventFile {
    char *path;
    FILE *file;
};

/* ---- protobuf: a field is its key (number and wire type), then its value ---- */

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

/* Numbers of the fields, as in event.proto and summary.proto. */
enum {
    EVENT_WALL_TIME = 1,    /* double, seconds since 1970 */
    EVENT_STEP = 2,         /* int64 */
    EVENT_FILE_VERSION = 3, /* string */
    EVENT_SUMMARY = 5,      /* Summary */
    EVENT_SESSION_LOG = 7,  /* SessionLog */
    SUMMARY_VALUE = 1,      /* repeated Value */
    VALUE_TAG = 1,          /* string */
    VALUE_SIMPLE = 2,       /* float */
    SESSION_STATUS = 1,     /* enum, of which START is 1 */
    SESSION_START = 1
};

static void put_little_endian(Text *out, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        char byte = (char)(unsigned char)(value >> 8 * i & 0xff);
        text_append_bytes(out, &byte, 1);
    }
}

static void put_varint(Text *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7) put_little_endian(out, (value & 0x7f) | 0x80, 1);
    put_little_endian(out, value, 1);
}

static void put_key(Text *out, int field, int wire)
{
    put_varint(out, (uint64_t)(field << 3 | wire));
}

static void put_integer(Text *out, int field, int64_t value)
{
    put_key(out, field, WIRE_VARINT);
    put_varint(out, (uint64_t)value);
}

static void put_double(Text *out, int field, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_key(out, field, WIRE_FIXED64);
    put_little_endian(out, bits, 8);
}

static void put_float(Text *out, int field, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_key(out, field, WIRE_FIXED32);
    put_little_endian(out, bits, 4);
}

static void put_bytes(Text *out, int field, const char *bytes, size_t length)
{
    put_key(out, field, WIRE_BYTES);
    put_varint(out, length);
    text_append_bytes(out, bytes, length);
}

/* A message within one. */
static void put_message(Text *out, int field, const Text *message)
{
    put_bytes(out, field, message->data ? message->data : "", message->length);
    out->failed |= message->failed;
}

/* ---- records ---- */

/* CRC-32C (Castagnoli), bit by bit: records are some hundred bytes. */
static uint32_t crc32c(const char *bytes, size_t length)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < length; i++) {
        crc ^= (unsigned char)bytes[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
    }
    return ~crc;
}

static uint32_t masked_crc(const char *bytes, size_t length)
{
    uint32_t crc = crc32c(bytes, length);
    return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

static Text event_begin(void)
{
    struct timespec now;
    Text event = {0};
    timespec_get(&now, TIME_UTC);
    put_double(&event, EVENT_WALL_TIME, (double)now.tv_sec + 1e-9 * (double)now.tv_nsec);
    return event;
}

/* Writes the event as a record, through to the operating system, and releases it. */
static wf_status write_event(EventFile *events, Text *event)
{
    Text record = {0};
    put_little_endian(&record, event->length, 8);
    if (record.data) put_little_endian(&record, masked_crc(record.data, 8), 4);
    text_append_bytes(&record, event->data ? event->data : "", event->length);
    put_little_endian(&record, event->data ? masked_crc(event->data, event->length) : 0, 4);
    wf_status status = WF_OK;
    errno = 0;
    if (event->failed || record.failed)
        status = fail(WF_ERROR_MEMORY, "%s: out of memory", events->path);
    else if (fwrite(record.data, 1, record.length, events->file) != record.length ||
             fflush(events->file) != 0)
        status = fail(WF_ERROR_IO, "%s: cannot write: %s", events->path, strerror(errno));
    text_destroy(&record);
    text_destroy(event);
    return status;
}

/* ---- files ---- */

/* Files are read in the order of their names: a time after those of all that are there. */
static wf_status next_time(const char *folder, long long *seconds)
{
    FolderList list;
    TRY(folder_list(folder, &list));
    *seconds = (long long)time(NULL);
    for (int i = 0; i < list.count; i++) {
        if (strncmp(list.names[i], PREFIX, sizeof PREFIX - 1) != 0) continue;
        long long there = strtoll(list.names[i] + sizeof PREFIX - 1, NULL, 10);
        if (there >= *seconds && there < INT64_MAX) *seconds = there + 1;
    }
    folder_list_destroy(&list);
    return WF_OK;
}

static wf_status open_file(EventFile *events, const char *folder)
{
    char host[128] = "localhost", name[256];
    long long seconds;
    TRY(folder_make(folder));
    TRY(next_time(folder, &seconds));
    if (gethostname(host, sizeof host)) strcpy(host, "localhost");
    host[sizeof host - 1] = 0;
    snprintf(name, sizeof name, "%s%010lld.%s.%ld", PREFIX, seconds, host, (long)getpid());
    events->path = path_join(folder, name);
    if (!events->path) return fail(WF_ERROR_MEMORY, "out of memory for an event file");
    events->file = fopen(events->path, "wb");
    if (events->file) return WF_OK;
    return fail(WF_ERROR_IO, "%s: cannot create: %s", events->path, strerror(errno));
}

static wf_status write_header(EventFile *events, int64_t step)
{
    static const char version[] = "brain.Event:2";
    Text event = event_begin(), session = {0};
    put_bytes(&event, EVENT_FILE_VERSION, version, sizeof version - 1);
    TRY(write_event(events, &event));
    event = event_begin();
    put_integer(&event, EVENT_STEP, step + 1);
    put_integer(&session, SESSION_STATUS, SESSION_START);
    put_message(&event, EVENT_SESSION_LOG, &session);
    text_destroy(&session);
    return write_event(events, &event);
}

wf_status events_open(const char *folder, int64_t step, EventFile **out)
{
    EventFile *events = calloc(1, sizeof *events);
    if (!events) return fail(WF_ERROR_MEMORY, "out of memory for an event file");
    wf_status status = open_file(events, folder);
    if (!status) status = write_header(events, step);
    if (status) {
        events_close(events);
        return status;
    }
    *out = events;
    return WF_OK;
}

void events_close(EventFile *events)
{
    if (!events) return;
    if (events->file) fclose(events->file);
    free(events->path);
    free(events);
}

/* ---- scalars ---- */

typedef struct Scalar {
    const char *tag;
    double value;
} Scalar;

static wf_status write_scalars(EventFile *events, int64_t step, const Scalar *scalars, int count)
{
    Text event = event_begin(), summary = {0};
    put_integer(&event, EVENT_STEP, step);
    for (int i = 0; i < count; i++) {
        Text value = {0};
        put_bytes(&value, VALUE_TAG, scalars[i].tag, strlen(scalars[i].tag));
        put_float(&value, VALUE_SIMPLE, (float)scalars[i].value);
        put_message(&summary, SUMMARY_VALUE, &value);
        text_destroy(&value);
    }
    put_message(&event, EVENT_SUMMARY, &summary);
    text_destroy(&summary);
    return write_event(events, &event);
}

wf_status events_step(EventFile *events, const wf_step_stats *s, double seconds)
{
    const Scalar scalars[] = {
        {"train/loss", s->loss},
        {"train/accuracy", s->accuracy},
        {"train/learning_rate", s->learning_rate},
        {"train/gradient_norm", s->gradient_norm},
        {"train/tokens_per_second", seconds > 0 ? (double)s->tokens / seconds : 0},
    };
    if (!events) return WF_OK;
    return write_scalars(events, s->step, scalars, sizeof scalars / sizeof *scalars);
}

wf_status events_evaluation(EventFile *events, int64_t step, const wf_evaluation *e)
{
    const Scalar scalars[] = {
        {"eval/loss", e->loss},
        {"eval/perplexity", e->perplexity},
        {"eval/accuracy", e->accuracy},
        {"eval/bits_per_byte", e->bits_per_byte},
    };
    if (!events) return WF_OK;
    int count = sizeof scalars / sizeof *scalars;
    return write_scalars(events, step, scalars, e->bits_per_byte > 0 ? count : count - 1);
}

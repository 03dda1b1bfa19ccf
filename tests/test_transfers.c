/* Bytes to a device and back: test_transfers [vulkan|opencl], the CPU without.
 *
 * Writes and fills of many sizes over one another, reads, and readbacks that are taken up only
 * after more was enqueued: the host does the same and must hold the same. Exit code 77, a skip,
 * where this build or machine has no such device. */
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE = 3 << 20, READBACKS = 3 };

static Device *device;

typedef struct Late {
    Readback *readback;
    unsigned char *expected; /* what the buffer held when it was begun; NULL: not begun */
    unsigned char *memory;
    int64_t offset;
} Late;

typedef struct Mirror {
    Buffer *buffer;
    unsigned char *host, *data, *got; /* SIZE each */
    Late late[READBACKS];
    uint64_t random;
} Mirror;

static int64_t draw(Mirror *m, int64_t below)
{
    m->random = m->random * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)(m->random >> 33) % below;
}

static void write_some(Mirror *m, int i)
{
    int64_t size = draw(m, i % 5 ? 3000 : SIZE), offset = draw(m, SIZE - size);
    for (int64_t k = 0; k < size; k++) m->data[k] = (unsigned char)(k * (i + 1) >> 3);
    test_ok(device->backend->buffer_write(m->buffer, offset, m->data, size));
    memcpy(m->host + offset, m->data, (size_t)size);
    memset(m->data, 0xee, (size_t)size); /* ours again */
}

static void fill_some(Mirror *m, int i)
{
    int64_t size = 4 * draw(m, SIZE / 16), offset = 4 * draw(m, (SIZE - size) / 4);
    test_ok(
        device->backend->buffer_fill(m->buffer, offset, size, 0x01010101u * (uint32_t)(i % 256)));
    memset(m->host + offset, i, (size_t)size);
}

static void read_some(Mirror *m)
{
    int64_t size = draw(m, SIZE), offset = draw(m, SIZE - size);
    test_ok(device->backend->buffer_read(m->buffer, offset, m->got, size));
    assert_memory_equal(m->got, m->host + offset, size);
}

static void take_up(Mirror *m, Late *late)
{
    size_t size = (size_t)late->readback->size;
    if (!late->expected) return;
    for (int again = 0; again < 2; again++) {
        memset(m->got, 0, size);
        test_ok(device->backend->readback_end(late->readback, m->got));
        assert_memory_equal(m->got, late->expected, size);
    }
}

/* One that was begun before is taken up first, or, one time in four, forgotten. */
static void begin_one(Mirror *m, Late *late)
{
    int64_t size = late->readback->size;
    if (draw(m, 4)) take_up(m, late);
    late->offset = draw(m, SIZE - size);
    test_ok(device->backend->readback_begin(late->readback, m->buffer, late->offset));
    late->expected = late->memory;
    memcpy(late->expected, m->host + late->offset, (size_t)size);
}

static void open_mirror(Mirror *m)
{
    static const int64_t sizes[READBACKS] = {1, 1280, SIZE / 3};
    *m = (Mirror){.host = test_memory(SIZE), .data = test_memory(SIZE), .got = test_memory(SIZE)};
    test_ok(device->backend->buffer_create(device, SIZE, &m->buffer));
    test_ok(device->backend->buffer_fill(m->buffer, 0, SIZE, 0));
    memset(m->host, 0, SIZE);
    for (int i = 0; i < READBACKS; i++) {
        test_ok(device->backend->readback_create(device, sizes[i], &m->late[i].readback));
        m->late[i].memory = test_memory((size_t)sizes[i]);
    }
}

static void close_mirror(Mirror *m)
{
    for (int i = 0; i < READBACKS; i++) device->backend->readback_destroy(m->late[i].readback);
    device->backend->buffer_destroy(m->buffer);
}

static void all_keep_their_order(void **state)
{
    (void)state;
    enum { CALLS = 400 };
    Mirror m;
    open_mirror(&m);
    for (int i = 0; i < CALLS; i++) {
        int64_t what = draw(&m, 16);
        if (what < 9)
            write_some(&m, i);
        else if (what < 11)
            fill_some(&m, i);
        else if (what < 12)
            read_some(&m);
        else
            begin_one(&m, &m.late[draw(&m, READBACKS)]);
    }
    for (int i = 0; i < READBACKS; i++) take_up(&m, &m.late[i]);
    close_mirror(&m); /* the readbacks first, then the buffer */
}

/* Of any ring that writes pass through. */
static void more_bytes_than_a_ring_holds(void **state)
{
    (void)state;
    enum { LARGE = 37 << 20 };
    Buffer *buffer;
    unsigned char *sent = test_memory(LARGE), *got = test_memory(LARGE);
    for (int i = 0; i < LARGE; i++) sent[i] = (unsigned char)((i >> 12) * 7 + i);
    test_ok(device->backend->buffer_create(device, LARGE, &buffer));
    test_ok(device->backend->buffer_write(buffer, 0, sent, LARGE));
    test_ok(device->backend->buffer_read(buffer, 0, got, LARGE));
    assert_memory_equal(got, sent, LARGE);
    device->backend->buffer_destroy(buffer);
}

/* What lies outside is refused, and the readback can be used all the same, or not at all. */
static void readbacks_are_checked(void **state)
{
    (void)state;
    Buffer *buffer;
    Readback *readback;
    char got[8];
    test_ok(device->backend->buffer_create(device, 16, &buffer));
    test_ok(device->backend->readback_create(device, 8, &readback));
    assert_int_equal(device->backend->readback_begin(readback, buffer, 9), WF_ERROR_ARGUMENT);
    assert_int_equal(device->backend->readback_begin(readback, buffer, -1), WF_ERROR_ARGUMENT);
    test_ok(device->backend->buffer_write(buffer, 0, "sixteen letters", 16));
    test_ok(device->backend->readback_begin(readback, buffer, 8));
    test_ok(device->backend->readback_end(readback, got));
    assert_memory_equal(got, "letters", 8);
    test_ok(device->backend->readback_begin(readback, buffer, 0));
    device->backend->readback_destroy(readback); /* under way */
    device->backend->readback_destroy(NULL);
    device->backend->buffer_destroy(buffer);
}

int main(int argc, char **argv)
{
    int closed = test_open(argc > 1 ? argv[1] : "cpu", &device);
    if (closed) return closed;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(all_keep_their_order, test_release),
        cmocka_unit_test_teardown(more_bytes_than_a_ring_holds, test_release),
        cmocka_unit_test(readbacks_are_checked),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    device->backend->close(device);
    return failed;
}

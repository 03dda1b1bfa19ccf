/* Safetensors: what is written is read, and no file, however damaged, is trusted. */
#include "base/files.h"
#include "tensor/half.h"
#include "tensor/safetensors.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/wavefield-test-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    int file = mkstemp(path);
    return file < 0 ? -1 : close(file);
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(path);
}

/* A file of a header and `n_data` bytes 0, 1, 2, … */
static void write_raw(const char *header, size_t n_data)
{
    size_t length = strlen(header), size = 8 + length + n_data;
    uint8_t *bytes = calloc(1, size);
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)((uint64_t)length >> 8 * i);
    memcpy(bytes + 8, header, length);
    for (size_t i = 0; i < n_data; i++) bytes[8 + length + i] = (uint8_t)i;
    assert_int_equal(file_write_atomic(path, bytes, size), WF_OK);
    free(bytes);
}

static void assert_refused(const char *part_of_message)
{
    SafeTensors *file = NULL;
    assert_int_equal(safetensors_open(path, &file), WF_ERROR_FORMAT);
    assert_non_null(strstr(wf_error_message(), path));
    if (!strstr(wf_error_message(), part_of_message))
        fail_msg("\"%s\" is not in: %s", part_of_message, wf_error_message());
}

static const float weights[6] = {1, -2.5f, 0, 3e-39f, INFINITY, 1e30f};
static const int64_t steps[2] = {7, -9};

static void write_sample(void)
{
    SafeTensorsWriter *writer;
    assert_int_equal(safetensors_writer_create(&writer), WF_OK);
    assert_int_equal(safetensors_writer_metadata(writer, "format", "pt"), WF_OK);
    assert_int_equal(safetensors_writer_declare(writer, "z.weight", FILE_F32, SHAPE(2, 3)), WF_OK);
    assert_int_equal(safetensors_writer_declare(writer, "empty", FILE_U8, SHAPE(0, 5)), WF_OK);
    assert_int_equal(safetensors_writer_declare(writer, "a.steps", FILE_I64, SHAPE(2)), WF_OK);
    assert_int_equal(safetensors_writer_declare(writer, "scalar", FILE_BOOL, shape_make(NULL, 0)),
                     WF_OK);
    assert_int_equal(safetensors_writer_begin(writer, path), WF_OK);
    assert_int_equal(safetensors_writer_write(writer, weights, 5), WF_OK);
    assert_int_equal(safetensors_writer_write(writer, (const char *)weights + 5, 19), WF_OK);
    assert_int_equal(safetensors_writer_write(writer, steps, sizeof steps), WF_OK);
    assert_int_equal(safetensors_writer_write(writer, "\1", 1), WF_OK);
    assert_int_equal(safetensors_writer_commit(writer), WF_OK);
    safetensors_writer_destroy(writer);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    SafeTensors *file;
    float values[6];
    write_sample();
    assert_int_equal(safetensors_open(path, &file), WF_OK);
    assert_int_equal(safetensors_count(file), 4);
    assert_string_equal(safetensors_metadata(file, "format"), "pt");
    assert_null(safetensors_metadata(file, "other"));
    const FileTensor *tensor = safetensors_find(file, "z.weight");
    assert_non_null(tensor);
    assert_ptr_equal(tensor, safetensors_at(file, 0));
    assert_int_equal(tensor->dtype, FILE_F32);
    assert_true(shape_equal(tensor->shape, SHAPE(2, 3)));
    assert_int_equal(safetensors_read_floats(file, tensor, values), WF_OK);
    assert_memory_equal(values, weights, sizeof weights);
    tensor = safetensors_find(file, "a.steps");
    assert_int_equal(tensor->elements, 2);
    assert_memory_equal(tensor->data, steps, sizeof steps);
    assert_int_equal(safetensors_read_floats(file, tensor, values), WF_ERROR_FORMAT);
    assert_non_null(strstr(wf_error_message(), "a.steps"));
    assert_non_null(strstr(wf_error_message(), "found I64"));
    assert_int_equal(safetensors_find(file, "empty")->elements, 0);
    assert_int_equal(safetensors_find(file, "scalar")->shape.rank, 0);
    assert_int_equal(safetensors_find(file, "scalar")->elements, 1);
    assert_null(safetensors_find(file, "b"));
    assert_null(safetensors_find(file, "__metadata__"));
    safetensors_close(file);
    safetensors_close(NULL);
}

static void writing_is_deterministic_and_aligned(void **state)
{
    (void)state;
    char *first, *second;
    size_t size, size2;
    write_sample();
    assert_int_equal(file_read(path, 4096, &first, &size), WF_OK);
    write_sample();
    assert_int_equal(file_read(path, 4096, &second, &size2), WF_OK);
    assert_int_equal(size, size2);
    assert_memory_equal(first, second, size);
    assert_int_equal((size - 41) % 8, 0); /* 41 bytes of data */
    free(first);
    free(second);
}

static void a_writer_refuses_misuse(void **state)
{
    (void)state;
    SafeTensorsWriter *writer;
    write_sample();
    assert_int_equal(safetensors_writer_create(&writer), WF_OK);
    assert_int_equal(safetensors_writer_declare(writer, "a", FILE_F32, SHAPE(2)), WF_OK);
    assert_int_equal(safetensors_writer_declare(writer, "a", FILE_F32, SHAPE(2)),
                     WF_ERROR_ARGUMENT);
    assert_int_equal(safetensors_writer_declare(writer, "__metadata__", FILE_F32, SHAPE(2)),
                     WF_ERROR_ARGUMENT);
    assert_int_equal(safetensors_writer_declare(writer, "b", FILE_F32,
                                                SHAPE((int64_t)1 << 40, (int64_t)1 << 40)),
                     WF_ERROR_ARGUMENT);
    assert_int_equal(safetensors_writer_write(writer, weights, 4), WF_ERROR_ARGUMENT);
    assert_int_equal(safetensors_writer_begin(writer, path), WF_OK);
    assert_int_equal(safetensors_writer_declare(writer, "c", FILE_F32, SHAPE(2)),
                     WF_ERROR_ARGUMENT);
    assert_int_equal(safetensors_writer_write(writer, weights, 4), WF_OK);
    assert_int_equal(safetensors_writer_commit(writer), WF_ERROR_ARGUMENT); /* 4 of 8 bytes */
    assert_int_equal(safetensors_writer_write(writer, weights, 5), WF_ERROR_ARGUMENT);
    safetensors_writer_destroy(writer);
    safetensors_writer_destroy(NULL);
    SafeTensors *file; /* the old file still stands */
    assert_int_equal(safetensors_open(path, &file), WF_OK);
    assert_int_equal(safetensors_count(file), 4);
    safetensors_close(file);
}

/* Every 16-bit pattern against its meaning in real numbers. */
static void halves_convert_exactly(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits <= 0xFFFF; bits++) {
        int exponent = bits >> 10 & 0x1F, fraction = bits & 0x3FF;
        double value = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
        if (exponent == 0x1F) value = fraction ? NAN : INFINITY;
        if (bits & 0x8000) value = -value;
        float half = float_from_f16((uint16_t)bits);
        if (isnan(value))
            assert_true(isnan(half));
        else
            assert_true((double)half == value && !signbit(half) == !(bits & 0x8000));
        exponent = bits >> 7 & 0xFF, fraction = bits & 0x7F;
        value = exponent ? ldexp(128 + fraction, exponent - 134) : ldexp(fraction, -133);
        if (exponent == 0xFF) value = fraction ? NAN : INFINITY;
        if (bits & 0x8000) value = -value;
        float brain = float_from_bf16((uint16_t)bits);
        if (isnan(value))
            assert_true(isnan(brain));
        else
            assert_true((double)brain == value);
    }
}

static void sixteen_bit_tensors_load(void **state)
{
    (void)state;
    SafeTensors *file;
    float values[2];
    write_raw("{\"h\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]},"
              "\"b\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[4,8]}}",
              8); /* bytes 0 … 7, at an odd address */
    assert_int_equal(safetensors_open(path, &file), WF_OK);
    assert_int_equal(safetensors_read_floats(file, safetensors_find(file, "h"), values), WF_OK);
    assert_true(values[0] == float_from_f16(0x0100) && values[1] == float_from_f16(0x0302));
    assert_int_equal(safetensors_read_floats(file, safetensors_find(file, "b"), values), WF_OK);
    assert_true(values[0] == float_from_bf16(0x0504) && values[1] == float_from_bf16(0x0706));
    safetensors_close(file);
}

static void damaged_files_are_refused(void **state)
{
    (void)state;
#define A             "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"
#define B(begin, end) "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[" begin "," end "]}"
    static const struct {
        const char *header;
        size_t n_data;
        const char *message;
    } cases[] = {
        {"{" A "}", 7, "outside the file's 7 bytes"},
        {"{" A "}", 9, "has 9 bytes of data, its tensors take 8"},
        {"{" A "," B("4", "8") "}", 8, "overlaps"},
        {"{" A "," B("9", "13") "}", 13, "unused"},
        {"{" A "," A "}", 8, "duplicate"},
        {"{" A ",\"b\":1}", 8, "tensor b"},
        {"{" A ",\"b\":{}}", 8, "tensor b"},
        {"{\"a\":{\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "dtype \"F33\""},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8, "shape [3] of F32"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8, "axis 0"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}", 8, "axis 0"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", 8, "no shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,2],\"data_offsets\":[0,8]}}", 8, "6 axes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 8, "data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8, "outside"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", 8, "outside"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,2],"
         "\"data_offsets\":[0,8]}}",
         8, "does not take"},
        {"{\"a\":{\"dtype\":\"F64\",\"shape\":[2305843009213693953],\"data_offsets\":[0,8]}}", 8,
         "does not take"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,9223372036854775808]}}", 8,
         "not a JSON object"},
        {"[]", 0, "not a JSON object"},
        {"", 0, "not a JSON object"},
        {"{" A ",\"__metadata__\":3}", 8, "__metadata__"},
        {"{" A ",\"__metadata__\":{\"x\":3}}", 8, "__metadata__"},
        {"{" A, 8, "not a JSON object"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_raw(cases[i].header, cases[i].n_data);
        assert_refused(cases[i].message);
    }
    assert_int_equal(file_write_atomic(path, "1234567", 7), WF_OK);
    assert_refused("too few");
    assert_int_equal(file_write_atomic(path, "\xff\xff\xff\xff\xff\xff\xff\xff", 8), WF_OK);
    assert_refused("cut short");
    assert_int_equal(file_write_atomic(path, "\x03\0\0\0\0\0\0\0{}", 10), WF_OK);
    assert_refused("cut short");
    assert_int_equal(file_write_atomic(path, "\x02\0\0\0\0\0\0\0{}", 10), WF_OK);
    SafeTensors *file;
    assert_int_equal(safetensors_open(path, &file), WF_OK); /* no tensors is fine */
    assert_int_equal(safetensors_count(file), 0);
    assert_null(safetensors_find(file, "a"));
    safetensors_close(file);
}

/* Reads all there is to read, so that a wrong size shows under a sanitizer. */
static void read_everything(const SafeTensors *file)
{
    for (int i = 0; i < safetensors_count(file); i++) {
        const FileTensor *tensor = safetensors_at(file, i);
        assert_ptr_equal(safetensors_find(file, tensor->name), tensor);
        float *values = malloc((size_t)tensor->elements * sizeof *values + 1);
        wf_status status = safetensors_read_floats(file, tensor, values);
        assert_true(status == WF_OK || status == WF_ERROR_FORMAT);
        free(values);
        uint8_t sum = 0;
        for (int64_t j = 0; j < tensor->elements * file_dtype_size(tensor->dtype); j++)
            sum = (uint8_t)(sum + tensor->data[j]);
        (void)sum;
    }
}

static void try_bytes(const char *bytes, size_t size, int *accepted)
{
    SafeTensors *file;
    unlink(path); /* some file systems synchronise a file that is emptied and rewritten */
    FILE *out = fopen(path, "wb");
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    fclose(out);
    wf_status status = safetensors_open(path, &file);
    if (status) {
        assert_int_equal(status, WF_ERROR_FORMAT);
        return;
    }
    read_everything(file);
    safetensors_close(file);
    ++*accepted;
}

static void no_mutation_is_trusted(void **state)
{
    (void)state;
    char *bytes;
    size_t size;
    int accepted = 0, tried = 0;
    write_sample();
    assert_int_equal(file_read(path, 4096, &bytes, &size), WF_OK);
    static const char values[] = {0, 1, ' ', '"', ',', '0', '9', '[', '}', '\x7f', '\x80', '\xff'};
    for (size_t i = 0; i < size; i++) {
        char original = bytes[i];
        for (size_t j = 0; j < sizeof values + 8; j++, tried++) {
            int flipped = original ^ (1 << (j % 8));
            bytes[i] = j < 8 ? (char)flipped : values[j - 8];
            try_bytes(bytes, size, &accepted);
        }
        bytes[i] = original;
        try_bytes(bytes, i, &accepted); /* cut short */
    }
    free(bytes);
    /* Changes of a name or of data leave a valid file; most others must not. */
    assert_true(accepted > 0 && accepted < tried / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(writing_is_deterministic_and_aligned),
        cmocka_unit_test(a_writer_refuses_misuse),
        cmocka_unit_test(halves_convert_exactly),
        cmocka_unit_test(sixteen_bit_tensors_load),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(no_mutation_is_trusted),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

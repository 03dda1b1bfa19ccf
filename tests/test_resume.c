/* Resuming from a checkpoint: every way to hand over a wrong one named, what earlier versions left
 * out, and what computed it. */
#include "base/files.h"
#include "tensor/safetensors.h"

#include "tests/checkpoint_fixture.h"
#include "tests/scratch.h"

#include <sys/stat.h>
#include <unistd.h>

/* ---- checkpoints that do not fit ---- */

/* Writes a checkpoint of step 1, spoils it, and expects resuming to fail and change nothing. */
typedef void (*Spoil)(void);

static void refuse(const wf_trainer_params *params, Spoil spoil, wf_status expected,
                   const char *message)
{
    Fixture f = open_fixture(), other = fixture_open(fixture_cpu(), SHAPE_4, params);
    Fixture untouched = fixture_open(fixture_cpu(), SHAPE_4, params);
    steps(&f, 1);
    must(wf_trainer_save(f.trainer, folder, 1));
    if (spoil) spoil();
    assert_int_equal(wf_trainer_resume(other.trainer, folder), expected);
    assert_message(message);
    assert_same_training(other.trainer, untouched.trainer);
    steps(&other, 1);
    steps(&untouched, 1);
    assert_same_training(other.trainer, untouched.trainer);
    fixture_close(&f);
    fixture_close(&other);
    fixture_close(&untouched);
}

#define AT_1(name) IN_FOLDER("step-00000001/" name)

static void cut(const char *path, double share)
{
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(truncate(path, (off_t)(share * (double)info.st_size)), 0);
}

static void cut_parameters(void)
{
    cut(AT_1("model.safetensors"), 0.9);
}

static void cut_moments(void)
{
    cut(AT_1("optimizer.safetensors"), 0.5);
}

static void cut_state(void)
{
    cut(AT_1("state.json"), 0.7);
}

/* Copies a file's tensors but one, which `edit` leaves out, renames or reshapes. */
typedef enum Edit { LEAVE_OUT, RENAME, RESHAPE } Edit;

static void rewrite(const char *path, const char *name, Edit edit)
{
    SafeTensors *file;
    SafeTensorsWriter *writer;
    must(safetensors_open(path, &file));
    must(safetensors_writer_create(&writer));
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < safetensors_count(file); i++) {
            const FileTensor *tensor = safetensors_at(file, i);
            bool chosen = strcmp(tensor->name, name) == 0;
            if (chosen && edit == LEAVE_OUT) continue;
            const char *as = chosen && edit == RENAME ? "unknown" : tensor->name;
            Shape shape = chosen && edit == RESHAPE ? SHAPE(tensor->elements) : tensor->shape;
            if (pass == 0)
                must(safetensors_writer_declare(writer, as, tensor->dtype, shape));
            else
                must(safetensors_writer_write(writer, tensor->data, (size_t)tensor->elements * 4));
        }
        if (pass == 0) must(safetensors_writer_begin(writer, path));
    }
    must(safetensors_writer_commit(writer));
    safetensors_writer_destroy(writer);
    safetensors_close(file);
}

static void leave_out_parameter(void)
{
    rewrite(AT_1("model.safetensors"), "layers.1.ffn.3.bias", LEAVE_OUT);
}

static void leave_out_moment(void)
{
    rewrite(AT_1("optimizer.safetensors"), "second.norm.weight", LEAVE_OUT);
}

static void rename_moment(void)
{
    rewrite(AT_1("optimizer.safetensors"), "first.layers.0.norm1.bias", RENAME);
}

static void reshape_parameter(void)
{
    rewrite(AT_1("model.safetensors"), "token_embedding.weight", RESHAPE);
}

static void reshape_moment(void)
{
    rewrite(AT_1("optimizer.safetensors"), "first.token_embedding.weight", RESHAPE);
}

/* The first `from` in a file becomes `to`. */
static void replace_text(const char *path, const char *from, const char *to)
{
    char *text, *at, result[8192];
    size_t size;
    must(file_read(path, sizeof result / 2, &text, &size));
    at = strstr(text, from);
    assert_non_null(at);
    int length =
        snprintf(result, sizeof result, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    must(file_write_atomic(path, result, (size_t)length));
    free(text);
}

static void other_config(void)
{
    replace_text(AT_1("config.json"), "\"field_size\": 41", "\"field_size\": 43");
}

static void other_format(void)
{
    replace_text(AT_1("state.json"), "\"format\": 1", "\"format\": 2");
}

static void no_cursor(void)
{
    replace_text(AT_1("state.json"), "\"position\": 2", "\"location\": 2");
}

static void wrong_cursor(void)
{
    replace_text(AT_1("state.json"), "\"position\": 2", "\"position\": 99999");
}

static void wrong_loss_scale(void)
{
    replace_text(AT_1("state.json"), "\"scale\": 1.0", "\"scale\": 2.0");
}

static void no_loss_scale(void)
{
    replace_text(AT_1("state.json"), "\"scale\": 1.0", "\"scale\": 3.0");
}

static void wrong_setting(void)
{
    replace_text(AT_1("state.json"), "\"accumulation\": 1", "\"accumulation\": \"1\"");
}

static void negative_loss(void)
{
    replace_text(AT_1("state.json"), "\"loss\": ", "\"loss\": -1");
}

static void evaluated_ahead(void)
{
    replace_text(AT_1("state.json"), "\"evaluated\": 0", "\"evaluated\": 2");
}

static void other_data(void)
{
    char expected[64];
    Fixture f = open_fixture();
    snprintf(expected, sizeof expected, "\"fingerprint\": \"%016llx\"",
             (unsigned long long)f.data->fingerprint);
    fixture_close(&f);
    replace_text(AT_1("state.json"), expected, "\"fingerprint\": \"0123456789abcdef\"");
}

static void bad_tuning(void)
{
    replace_text(AT_1("state.json"), "\"tuning\": \"0", "\"tuning\": \"x");
}

static void bad_products(void)
{
    replace_text(AT_1("state.json"), "\"products\": \"\"", "\"products\": 5");
}

static void remove_optimizer(void)
{
    assert_int_equal(unlink(AT_1("optimizer.safetensors")), 0);
}

static void names_what_does_not_fit(void **state)
{
    (void)state;
    const wf_trainer_params *same = wf_trainer_params(.batch_size = 2);
    refuse(same, cut_parameters, WF_ERROR_FORMAT, "model.safetensors: ");
    refuse(same, cut_moments, WF_ERROR_FORMAT, "optimizer.safetensors: ");
    refuse(same, bad_tuning, WF_ERROR_FORMAT, "state.json: tuning: expected 16 hexadecimal digits");
    refuse(same, bad_products, WF_ERROR_FORMAT, "state.json: products: expected a text, found 5");
    refuse(same, cut_state, WF_ERROR_FORMAT, "state.json: line ");
    refuse(same, leave_out_parameter, WF_ERROR_FORMAT,
           "model.safetensors: tensor layers.1.ffn.3.bias [12] is missing");
    refuse(same, leave_out_moment, WF_ERROR_FORMAT,
           "optimizer.safetensors: tensor second.norm.weight [12] is missing");
    refuse(same, rename_moment, WF_ERROR_FORMAT,
           "optimizer.safetensors: tensor first.layers.0.norm1.bias [12] is missing");
    refuse(same, reshape_parameter, WF_ERROR_FORMAT,
           "tensor token_embedding.weight: expected shape [11, 12], found [132]");
    refuse(same, reshape_moment, WF_ERROR_FORMAT,
           "tensor first.token_embedding.weight: expected shape [11, 12], found [132]");
    refuse(same, remove_optimizer, WF_ERROR_IO, "optimizer.safetensors: ");
    refuse(same, other_config, WF_ERROR_ARGUMENT,
           "config.json: field_size is 43, this trainer's model has 41");
    refuse(same, other_format, WF_ERROR_UNSUPPORTED, "state.json: format 2, expected 1");
    refuse(same, no_cursor, WF_ERROR_FORMAT,
           "state.json: data: position: expected a count of at most 2^53, found nothing");
    refuse(same, wrong_cursor, WF_ERROR_FORMAT, "state.json: data cursor: ");
    refuse(same, wrong_loss_scale, WF_ERROR_FORMAT, "loss_scale: scale: expected 1, found 2");
    refuse(same, no_loss_scale, WF_ERROR_FORMAT,
           "state.json: loss_scale: scale: expected a power of two from 1 on, found 3.0");
    refuse(same, wrong_setting, WF_ERROR_FORMAT, "state.json: settings: accumulation is not");
    refuse(same, negative_loss, WF_ERROR_FORMAT, "state.json: best: loss: expected a number of 0");
    refuse(same, evaluated_ahead, WF_ERROR_FORMAT, "state.json: evaluated after step 2 and best");
    refuse(same, other_data, WF_ERROR_ARGUMENT, "was trained on other data");
}

static void names_other_settings(void **state)
{
    (void)state;
    refuse(wf_trainer_params(.batch_size = 3), NULL, WF_ERROR_ARGUMENT,
           "was trained with batch_size = 2, this trainer has 3");
    refuse(wf_trainer_params(.batch_size = 2, .seed = 12), NULL, WF_ERROR_ARGUMENT,
           "was trained with seed = 0, this trainer has 12");
    refuse(wf_trainer_params(.batch_size = 2, .evaluator = "fft"), NULL, WF_ERROR_ARGUMENT,
           "was trained with evaluator = scan, this trainer has fft");
    refuse(wf_trainer_params(.batch_size = 2, .precision = "bf16"), NULL, WF_ERROR_ARGUMENT,
           "was trained with precision = f32, this trainer has bf16");
    refuse(wf_trainer_params(.batch_size = 2, .learning_rate = 0.1), NULL, WF_ERROR_ARGUMENT,
           "was trained with learning_rate = 0.002");
}

/* Earlier versions knew less: what their checkpoints lack has the value it had for them. */
static void what_earlier_versions_did_not_write_has_its_value(void **state)
{
    (void)state;
    static const char *const later[] = {
        "evaluated", "since",    "loss_scale", "scale",      "good",     "tuning",   "device",
        "driver",    "products", "recompute",  "eval_every", "patience", "precision"};
    Fixture f = open_fixture(), resumed = open_fixture();
    steps(&f, 2);
    must(wf_trainer_save(f.trainer, folder, 1));
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
        char key[32], other[32];
        snprintf(key, sizeof key, "\"%s\"", later[i]);
        snprintf(other, sizeof other, "\"x%s\"", later[i]);
        replace_text(IN_FOLDER("step-00000002/state.json"), key, other);
        must(wf_trainer_resume(resumed.trainer, folder));
        assert_same_training(f.trainer, resumed.trainer);
        assert_true(resumed.trainer->loss_scale.scale == 1);
    }
    wf_trainer_params settings;
    must(wf_checkpoint_settings(IN_FOLDER("step-00000002"), &settings));
    assert_string_equal(settings.precision, "f32");
    fixture_close(&f);
    fixture_close(&resumed);
}

/* In f16 a scale of 1 would be no beginning. */
static void a_missing_loss_scale_is_the_first(void **state)
{
    (void)state;
    Fixture f = fixture_open(fixture_cpu(), SHAPE_4, wf_trainer_params(.precision = "f16"));
    double first = f.trainer->loss_scale.scale;
    must(wf_trainer_save(f.trainer, folder, 1));
    replace_text(IN_FOLDER("step-00000000/state.json"), "\"loss_scale\"", "\"x\"");
    f.trainer->loss_scale.scale = 4;
    must(wf_trainer_resume(f.trainer, folder));
    assert_true(first > 1 && f.trainer->loss_scale.scale == first);
    fixture_close(&f);
}

static void settings_survive(void **state)
{
    (void)state;
    const wf_trainer_params *params =
        wf_trainer_params(.batch_size = 3, .sequence_length = 13, .accumulation = 2, .steps = 77,
                          .warmup = 0, .learning_rate = 0.1 / 3, .min_learning_rate = 0,
                          .weight_decay = 0, .clip = 0, .qk_lr_mult = 1.1, .kernel_lr_mult = 1e-7,
                          .seed = UINT64_MAX, .evaluator = "direct", .precision = "bf16");
    Fixture f = fixture_open(fixture_cpu(), SHAPE_4, params);
    wf_trainer_params saved;
    must(wf_trainer_save(f.trainer, folder, 1));
    must(wf_checkpoint_settings(folder, &saved));
    assert_string_equal(saved.evaluator, "direct");
    assert_string_equal(saved.precision, "bf16");
    saved.evaluator = params->evaluator;
    saved.precision = params->precision;
    assert_memory_equal(&saved, params, sizeof saved);
    fixture_close(&f);
}

/* ---- what computed it ---- */

static void expect_change(const char *expected)
{
    char text[1024];
    must(wf_checkpoint_compare(folder, fixture_cpu(), text, sizeof text));
    assert_string_equal(text, expected);
}

static void save_by(const DeviceInfo *info)
{
    fixture_cpu()->info = *info;
    Fixture f = open_fixture();
    must(wf_trainer_save(f.trainer, folder, 1));
    fixture_close(&f);
}

/* As on a device whose library, driver and tuning come and go. */
static void what_computed_it_is_noted(void **state)
{
    (void)state;
    DeviceInfo honest = fixture_cpu()->info, *info = &fixture_cpu()->info;
    DeviceInfo by = {.name = "A", .driver = "D 1", .products = "cuBLASLt 13.0.0", .tuning = 0xabc};
    save_by(&by);
    expect_change("");
    info->threads++;
    info->memory++;
    expect_change("");
    strcpy(info->products, "cuBLASLt 13.1.0");
    expect_change("the library of products was cuBLASLt 13.0.0 and is cuBLASLt 13.1.0");
    strcpy(info->products, "own kernels: WAVEFIELD_PRODUCTS is own");
    strcpy(info->driver, "D 2");
    info->tuning = 0;
    expect_change("the driver was D 1 and is D 2; the library of products was cuBLASLt 13.0.0 and "
                  "is own kernels: WAVEFIELD_PRODUCTS is own; the tuning of products was "
                  "0000000000000abc and is none");
    strcpy(info->name, "B");
    expect_change("the device was A and is B");
    fixture_cpu()->info = honest;
}

static void our_kernels_are_ours_for_any_reason(void **state)
{
    (void)state;
    DeviceInfo honest = fixture_cpu()->info, *info = &fixture_cpu()->info;
    DeviceInfo by = {.name = "A", .driver = "D", .products = "own kernels: no libclblast here"};
    save_by(&by);
    strcpy(info->products, "own kernels: WAVEFIELD_PRODUCTS is own");
    expect_change("");
    strcpy(info->products, "own kernels, and CLBlast where tuned so");
    expect_change("the library of products was own kernels: no libclblast here and is own kernels, "
                  "and CLBlast where tuned so");
    fixture_cpu()->info = honest;
}

/* A driver may call itself anything: a checkpoint is whole and compares with itself all the same,
 * and no byte of it, or of a file, reaches a terminal. */
static void names_may_hold_anything(void **state)
{
    (void)state;
    DeviceInfo honest = fixture_cpu()->info;
    DeviceInfo by = {.name = "\xc3\xa9\x80\"\n", .driver = "\033[1m"};
    save_by(&by);
    expect_change("");
    replace_text(IN_FOLDER("step-00000000/state.json"), "\"?[1m\"", "\"\\u001b[2m\"");
    expect_change("the driver was ?[2m and is ?[1m");
    fixture_cpu()->info = honest;
}

/* An earlier version noted the tuning alone. */
static void what_was_not_noted_is_not_compared(void **state)
{
    (void)state;
    DeviceInfo honest = fixture_cpu()->info;
    DeviceInfo by = {.name = "A", .driver = "D", .products = "cuBLASLt 13.0.0"};
    save_by(&by);
    const char *path = IN_FOLDER("step-00000000/state.json");
    replace_text(path, "\"device\"", "\"xdevice\"");
    replace_text(path, "\"driver\"", "\"xdriver\"");
    replace_text(path, "\"products\"", "\"xproducts\"");
    fixture_cpu()->info.products[0] = '\0';
    expect_change("");
    fixture_cpu()->info.tuning = 1;
    expect_change("the tuning of products was none and is 0000000000000001");
    fixture_cpu()->info = honest;
}

int main(void)
{
#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_set_up, folder_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(names_what_does_not_fit),
        WITH_FOLDER(names_other_settings),
        WITH_FOLDER(what_earlier_versions_did_not_write_has_its_value),
        WITH_FOLDER(a_missing_loss_scale_is_the_first),
        WITH_FOLDER(settings_survive),
        WITH_FOLDER(what_computed_it_is_noted),
        WITH_FOLDER(our_kernels_are_ours_for_any_reason),
        WITH_FOLDER(names_may_hold_anything),
        WITH_FOLDER(what_was_not_noted_is_not_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

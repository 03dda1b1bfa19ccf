// The same as a C++ user writes it: owners instead of destroy calls, exceptions instead of
// statuses.
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <vector>

#include <wavefield/config.h>
#include <wavefield/data.h>
#include <wavefield/device.h>
#include <wavefield/field.h>
#include <wavefield/generate.h>
#include <wavefield/model.h>
#include <wavefield/status.h>
#include <wavefield/tokenizer.h>
#include <wavefield/train.h>

namespace
{
constexpr int vocabulary = 8, steps = 100, generated = 12;

void check(wf_status status)
{
    if (status != WF_OK) throw std::runtime_error(wf_error_message());
}

template <class T, void (*destroy)(T *)> struct Destroy {
    void operator()(T *object) const { destroy(object); }
};
template <class T, void (*destroy)(T *)> using Owner = std::unique_ptr<T, Destroy<T, destroy>>;
using Device = Owner<wf_device, wf_device_close>;
using Config = Owner<wf_config, wf_config_destroy>;
using Model = Owner<wf_model, wf_model_destroy>;
using Dataset = Owner<wf_dataset, wf_dataset_destroy>;
using Trainer = Owner<wf_trainer, wf_trainer_destroy>;
using Decoder = Owner<wf_decoder, wf_decoder_destroy>;
using Sampler = Owner<wf_sampler, wf_sampler_destroy>;

// make<Owner>(create, arguments…): what create(arguments…, &out) made.
template <class Owned, class Create, class... Arguments>
Owned make(Create create, Arguments... arguments)
{
    typename Owned::pointer made = nullptr;
    check(create(arguments..., &made));
    return Owned(made);
}

Model tiny_model(wf_device *device)
{
    Config config = make<Config>(wf_config_create, "demo");
    for (const char *key : {"vocab_size=8", "embedding_dim=16", "num_layers=1", "num_heads=2",
                            "ffn_dim=32", "field_size=64", "max_seq_len=32"})
        check(wf_config_set(config.get(), key));
    return make<Model>(wf_model_create, device, config.get(), uint64_t{1});
}

double learn_to_count(wf_model *model)
{
    std::vector<int32_t> tokens(2000);
    for (size_t i = 0; i < tokens.size(); i++) tokens[i] = int32_t(i % vocabulary);
    Dataset data = make<Dataset>(wf_dataset_from_tokens, tokens.data(), int64_t(tokens.size()),
                                 int64_t{vocabulary}, 0.0);
    wf_trainer_params params = {};
    params.steps = steps;
    params.batch_size = 4;
    params.learning_rate = 0.02;
    params.min_learning_rate = params.weight_decay = params.clip = -1;
    params.warmup = 1;
    Trainer trainer = make<Trainer>(wf_trainer_create, model, data.get(), &params);
    wf_step_stats stats = {};
    for (int i = 0; i < steps; i++) check(wf_trainer_step(trainer.get(), &stats));
    return stats.loss;
}

int count_on(wf_model *model)
{
    wf_sampler_params greedy = {};
    Decoder decoder = make<Decoder>(wf_decoder_create, model, int64_t{1});
    Sampler sampler = make<Sampler>(wf_sampler_create, int64_t{vocabulary}, &greedy);
    const int32_t start[] = {0, 1, 2, 3};
    float logits[vocabulary];
    int right = 0;
    check(wf_decoder_feed(decoder.get(), start, 4, logits, nullptr));
    for (int i = 4; i < 4 + generated; i++) {
        int32_t token;
        check(wf_sampler_draw(sampler.get(), logits, &token));
        right += token == i % vocabulary;
        check(wf_decoder_feed(decoder.get(), &token, 1, logits, nullptr));
    }
    return right;
}
} // namespace

int main()
{
    try {
        Device device = make<Device>(wf_device_open, "cpu");
        Model model = tiny_model(device.get());
        double loss = learn_to_count(model.get());
        int right = count_on(model.get());
        std::printf("C++: loss %.3f, %d of %d tokens right\n", loss, right, generated);
        return loss < 0.5 && right == generated ? 0 : 1;
    } catch (const std::exception &problem) {
        std::fprintf(stderr, "%s\n", problem.what());
        return 1;
    }
}

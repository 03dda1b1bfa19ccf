extern "C" {
#include "data/sentencepiece_library.h"
}

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <unordered_map>
#include <vector>

/* Exported by the library, declared in none of the headers it installs. */
namespace sentencepiece
{
namespace logging
{
void SetMinLogLevel(int level);
}
} // namespace sentencepiece

struct SpLibrary {
    sentencepiece::SentencePieceProcessor processor;
};

namespace
{

/* Runs f; what it throws becomes a status. */
template <typename F> wf_status guarded(F f)
{
    constexpr int FATAL = 3;
    try {
        sentencepiece::logging::SetMinLogLevel(FATAL);
        return f();
    } catch (const std::bad_alloc &) {
        return fail(WF_ERROR_MEMORY, "SentencePiece: out of memory");
    } catch (const std::exception &error) {
        return fail(WF_ERROR_FORMAT, "SentencePiece: %s", error.what());
    } catch (...) {
        return fail(WF_ERROR_FORMAT, "SentencePiece: an unknown exception");
    }
}

wf_status check(const sentencepiece::util::Status &status)
{
    if (status.ok()) return WF_OK;
    return fail(WF_ERROR_FORMAT, "SentencePiece: %s", status.error_message());
}

/* Why nothing was learnt, in our words, as SentencePiece's name places in its source and options
 * that are not ours; what it says otherwise is passed on. */
wf_status check_training(const sentencepiece::util::Status &status)
{
    if (status.ok()) return WF_OK;
    const std::string message = status.error_message();
    const std::string most = "set it to a value <= ", least = "smaller than required_chars. ";
    size_t at = message.find(most);
    if (at != std::string::npos)
        return fail(WF_ERROR_ARGUMENT, "that is too high: the text gives %ld tokens at most",
                    strtol(message.c_str() + at + most.size(), nullptr, 10));
    at = message.find(least);
    size_t needed = at == std::string::npos ? at : message.find(" vs ", at);
    if (needed != std::string::npos)
        return fail(WF_ERROR_ARGUMENT,
                    "that is too low: the text's characters and the 256 bytes take %ld tokens",
                    strtol(message.c_str() + needed + 4, nullptr, 10));
    if (message.find("!sentences_.empty()") != std::string::npos)
        return fail(WF_ERROR_FORMAT, "the text has no words to learn from");
    return check(status);
}

class Sentences : public sentencepiece::SentenceIterator
{
  public:
    explicit Sentences(const SpTexts *texts) : texts_(texts) { Next(); }

    bool done() const override { return done_; }
    const std::string &value() const override { return value_; }
    sentencepiece::util::Status status() const override { return {}; }

    void Next() override
    {
        const char *text;
        size_t length;
        done_ = !texts_->next(texts_->context, &text, &length);
        if (!done_) value_.assign(text, length);
    }

  private:
    const SpTexts *texts_;
    std::string value_;
    bool done_ = false;
};

} // namespace

extern "C" {

wf_status sp_library_open(const char *bytes, size_t length, SpLibrary **out)
{
    SpLibrary *library = nullptr;
    wf_status status = guarded([&] {
        library = new SpLibrary;
        return check(library->processor.LoadFromSerializedProto({bytes, length}));
    });
    if (status)
        sp_library_close(library);
    else
        *out = library;
    return status;
}

void sp_library_close(SpLibrary *library)
{
    delete library;
}

int32_t sp_library_end_of_text(const SpLibrary *library)
{
    int32_t id = -1;
    guarded([&] {
        id = library->processor.eos_id();
        return WF_OK;
    });
    return id;
}

wf_status sp_library_encode(const SpLibrary *library, const char *text, size_t length,
                            int32_t **ids, size_t *count)
{
    return guarded([&] {
        std::vector<int> found;
        wf_status status = check(library->processor.Encode({text, length}, &found));
        if (status) return status;
        *ids = static_cast<int32_t *>(malloc((found.size() + 1) * sizeof **ids));
        if (!*ids) throw std::bad_alloc();
        for (size_t i = 0; i < found.size(); i++) (*ids)[i] = found[i];
        *count = found.size();
        return WF_OK;
    });
}

wf_status sp_library_train(const SpOption *options, int n_options, const SpTexts *texts,
                           char **bytes, size_t *length)
{
    return guarded([&] {
        std::unordered_map<std::string, std::string> arguments;
        for (int i = 0; i < n_options; i++) arguments[options[i].name] = options[i].value;
        Sentences sentences(texts);
        std::string model;
        wf_status status = check_training(
            sentencepiece::SentencePieceTrainer::Train(arguments, &sentences, &model));
        if (status) return status;
        *bytes = static_cast<char *>(malloc(model.size() + 1));
        if (!*bytes) throw std::bad_alloc();
        memcpy(*bytes, model.data(), model.size());
        *length = model.size();
        return WF_OK;
    });
}

} // extern "C"

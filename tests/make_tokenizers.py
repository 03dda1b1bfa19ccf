#!/usr/bin/env python3
"""Makes the tokenizers in tests/data and what the reference packages make of awkward texts.

    make_tokenizers.py TEXT        the King James text, from `bible -l 200 -f gen1:1-rev22:21`

Needs the Python packages tokenizers and sentencepiece. For each tokenizer NAME, NAME.expected has a
line a text, its columns separated by tabs: the text in hexadecimal, how often it is repeated, its
tokens, its tokens with special ones recognised, and the text decoded from the first, in hexadecimal,
"=" where it is the text itself, "-" where it is not and long. Of more than 100 tokens only the number and a hash are kept.
"""
import io
import json
import pathlib
import sys
import tempfile

import sentencepiece
import tokenizers
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers,
                        processors, trainers)

DATA = pathlib.Path(__file__).parent / "data"

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
         r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
         r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")

# A little of other scripts, so that there are merges across the bytes of a character.
FOREIGN = """日本語の文章です。日本の言語。한국어 문장입니다. שלום עולם שלום. مرحبا بالعالم العربية
नमस्ते दुनिया. Ελληνικά κείμενα. Русский текст и ещё текст. café naïve über Straße déjà vu
👍🏽 👩‍🚀 👨‍👩‍👧‍👦 🇩🇪 😀😀 e\u0301te\u0301 l’été don’t “quotes” — dash …
"""

AWKWARD = [
    "", " ", "  ", "\n", "\r\n", "\r\n\r\n", "\t", "\0", "a\0b", "hello world", " hello", "hello ",
    "In the beginning God created the heaven and the earth.", "  two  spaces  ", "   three",
    "a\nb", "a \n b", "a\r\nb\r\n", "line\n\n\nline", "tab\there", "\t\tindent", "x" * 200,
    "I'm you're he's we'll they'd I've can't", "I'M YOU'RE HE'S WE'LL THEY'D I'VE CAN'T",
    "l’été don’t ’s 's 'S", "'\u017f '\u212a", "'ſ 'S 's", "O'Neil's dogs' 'quoted'",
    "0 12 345 6789 12345678901", "١٢٣ ४५६ ⅷ ½ ² 百", "3.14 1,000,000 1e-5", "日本語 テスト",
    "中文字符，没有空格。", "한국어 문장", "\u1112\u1161\u11ab\u1100\u1173\u11af jamo",
    "שלום עולם", "مرحبا بالعالم", "\u200fRTL\u200e mark", "नमस्ते", "ไทยไม่มีช่องว่าง",
    "e\u0301 combining é", "a\u0308\u0323 two marks", "Z̷̢͓a̸l̵g̶o̸", "ﬁ ligature ① ㎏",
    "\u212b \u2126 \ufb1d \u0344", "👍🏽", "👨‍👩‍👧‍👦 family", "🇩🇪🇫🇷", "❤️ heart", "😀" * 20,
    "nbsp\u00a0here", "em\u2003space", "\u3000ideographic\u3000", "\u00a0\u00a0 \u2009x",
    "\u180emvs\u180e", "\u2028ls\u2029ps", "\u0085nel\u0085", "zero\u200bwidth", "\ufeffbom",
    "\x0b\x0cvt ff", "\x1c\x1d\x1e\x1f", "soft\u00adhyphen", "{}[]()<>#$%^&*", "!!!???...",
    "a_b __init__ snake_case", "camelCase XMLHttpRequest", "http://example.com/?q=1&r=2",
    "for (int i = 0; i < n; i++) {\n    sum += a[i];\n}\n", "\ufffd replacement", "\U0010ffff\ue000",
    "<|endoftext|>", "a<|endoftext|>b <|begin|> <|endoftext|><|endoftext|>", "<|endoftext|",
    "see <tool> and <tool", "caf\u00e9 cafe\u0301 tok\u01d8n toku\u0308\u0301n", "▁▁ mark",
    "<s></s><unk><0x41>", "</s>", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟙𝟚", "ⅣⅤ ꟸ ʰ", "ǅ ǲ titlecase",
]
REPEATED = [("ab", 50000), ("a", 100000), ("the", 30000), (" ", 100000), ("\n", 1000),
            ("é", 30000), ("'s", 2000), ("12", 3000)]


def fnv(ids):
    """FNV-1a over the tokens as 64-bit words."""
    value = 0xCBF29CE484222325
    for i in ids:
        value = (value ^ i) * 0x100000001B3 % 2**64
    return value


def show(ids):
    return " ".join(map(str, ids)) if len(ids) <= 100 else f"{len(ids)}:{fnv(ids):016x}"


def write_expected(name, encode, decode):
    with open(DATA / (name + ".expected"), "w", encoding="ascii", newline="\n") as file:
        for text, times in [(t, 1) for t in AWKWARD] + REPEATED:
            plain, special = encode(text * times, False), encode(text * times, True)
            back = decode(plain)
            back = "=" if back == text * times else back.encode().hex() if times == 1 else "-"
            print(text.encode().hex(), times, show(plain), show(special), back, sep="\t", file=file)


# ---- byte-level BPE ----

def train(corpus, vocabulary, pre_tokenizer, special, normalizer=None, alphabet=True):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=special, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if alphabet else [])
    tokenizer.train_from_iterator(corpus, trainer)
    return tokenizer


def byte_level(pattern):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def write_json(name, tokenizer, change=lambda root: None):
    root = json.loads(tokenizer.to_str())
    change(root)
    text = json.dumps(root, ensure_ascii=False, separators=(",", ":"))
    (DATA / (name + ".json")).write_text(text, encoding="utf-8")
    tokenizer = Tokenizer.from_str(text)

    def encode(text, special):
        tokenizer.encode_special_tokens = not special
        return tokenizer.encode(text, add_special_tokens=False).ids
    write_expected(name, encode, lambda ids: tokenizer.decode(ids))


def make_bpe(corpus):
    end = ["<|endoftext|>"]
    gpt2 = train(corpus, 480, pre_tokenizers.ByteLevel(add_prefix_space=False), end)
    gpt2.post_processor = processors.ByteLevel(trim_offsets=False)

    def strings(root):
        root["model"]["merges"] = [" ".join(m) for m in root["model"]["merges"]]
        del root["model"]["type"]
    write_json("gpt2", gpt2, strings)

    prefix = train(corpus, 400, pre_tokenizers.ByteLevel(add_prefix_space=True), end)
    write_json("prefix", prefix)

    llama3 = train(corpus, 480, byte_level(LLAMA3), [])
    llama3.add_special_tokens(["<|begin|>", "<|endoftext|>"])
    llama3.add_tokens([AddedToken("<tool>", normalized=False)])
    llama3.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=True),
        processors.TemplateProcessing(single="<|begin|> $A", special_tokens=[
            ("<|begin|>", llama3.token_to_id("<|begin|>"))])])

    def ignore_merges(root):
        # Words that merging alone would not give: a few merges are taken away.
        root["model"]["ignore_merges"] = True
        merges = root["model"]["merges"]
        root["model"]["merges"] = merges[:120] + merges[140:]
        vocabulary = root["model"]["vocab"]
        made = {a + b for a, b in root["model"]["merges"]} | {c for c in vocabulary if len(c) == 1}
        root["model"]["merges"] = [m for m in root["model"]["merges"]
                                   if m[0] in made and m[1] in made]
    write_json("llama3", llama3, ignore_merges)

    qwen = train(corpus, 440, byte_level(QWEN2), [], normalizers.NFC())
    qwen.add_special_tokens(["<|endoftext|>"])
    qwen.add_tokens([AddedToken("tok\u01d8n", normalized=True)])
    write_json("qwen", qwen)

    o200k = train(corpus, 400, pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.Split("__", "isolated"),
        pre_tokenizers.Split(Regex(O200K), "removed", invert=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]), end)
    write_json("o200k", o200k)


# ---- SentencePiece ----

def make_model(name, corpus, **options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(corpus), model_writer=model,
                                             minloglevel=3, **options)
    (DATA / (name + ".model")).write_bytes(model.getvalue())
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    # What the package does with names of control pieces in a text: nothing.
    write_expected(name, lambda text, special: processor.encode(text), processor.decode)


def make_models(corpus):
    lines = [line.rstrip("\n") for line in corpus]
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        # A to a, € to EUR, e and an acute to é, and a few spaces; newline is a space too.
        rules.write("41\t61\n20AC\t45 55 52\n65 301\tE9\nA\t20\nA0\t20\n3000\t20\n")
        rules.flush()
        make_model("rules", lines, vocab_size=420, byte_fallback=True,
                   normalization_rule_tsv=rules.name)
    make_model("llama2", lines, vocab_size=420, byte_fallback=True, model_type="bpe",
               normalization_rule_name="identity", remove_extra_whitespaces=False,
               user_defined_symbols=["<tool>", "\n\n"])
    make_model("unknowns", lines, vocab_size=180, model_type="unigram", character_coverage=0.99,
               normalization_rule_name="identity")


def main():
    corpus = open(sys.argv[1], encoding="utf-8").readlines()[:4000] + FOREIGN.splitlines(True) * 40
    DATA.mkdir(exist_ok=True)
    make_bpe(corpus)
    make_models(corpus)
    print("tokenizers", tokenizers.__version__, "sentencepiece", sentencepiece.__version__)


main()

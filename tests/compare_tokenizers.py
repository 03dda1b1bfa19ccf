#!/usr/bin/env python3
"""Compares tokenizers with the reference packages on random text.

    compare_tokenizers.py TOKENIZE FILE... [--texts N] [--seed S]

TOKENIZE is the program built from tokenize.c; a FILE is a tokenizer.json or a SentencePiece model.
Exit status 77: a package is missing, nothing was compared. Characters are those that Python's own
Unicode tables know (14.0 in Python 3.11, as in PCRE2 10.42): the packages may know newer ones.
"""
import argparse
import random
import struct
import subprocess
import sys
import unicodedata

try:
    import sentencepiece
    import tokenizers
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

POOLS = ["abc de  f\n's\t.,!?0123456789", "éàüñßœ \u0301\u0308\u0323", "日本語한국어\u1112\u1161\u11ab",
         "עבר العربية हिन्दी ", "\u00a0\u2003\u3000\u200b\u200d\u180e\r\n ", "👍🏽👩‍🚀🇩🇪❤️ ",
         "'sS'tT’d \u017f\u212aDlLrReEvVmM", "<|endoftext|><tool><|begin|></s>__ ", "AaǅΣσς ⅷ½²①"]
WORDS = ("in the beginning God created heaven and earth I'm you've 1234 don't <|endoftext|> <tool> "
         "<|begin|> </s> <s> tok\u01d8n toku\u0308\u0301n __init__").split()
SPACES = [" ", "  ", "\n", "\r\n", "\t", "", "\u00a0"]


def random_character(r):
    while True:
        limit = r.choice([0x80, 0x800, 0x3000, 0x10000, 0x30000])
        c = chr(r.randrange(limit))
        if unicodedata.category(c) not in ("Cs", "Cn"):
            return c


def random_text(r):
    kind = r.random()
    if kind < .3:
        return "".join(r.choice(WORDS) + r.choice(SPACES) for _ in range(r.randrange(30)))
    if kind < .7:
        pool = r.choice(POOLS) + r.choice(POOLS)
        return "".join(r.choice(pool) for _ in range(r.randrange(40)))
    return "".join(random_character(r) for _ in range(r.randrange(25)))


def ours(program, file, texts, special):
    """The tokens, as a line, and the decoded text of each."""
    data = b"".join(struct.pack("<I", len(t)) + t for t in texts)
    command = [program, "encode", file] + (["special"] if special else [])
    out = subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout
    at = 0
    for _ in texts:
        end = out.index(b"\n", at)
        length = struct.unpack_from("<I", out, end + 1)[0]
        yield out[at:end], out[end + 5:end + 5 + length]
        at = end + 5 + length


def reference(file, special):
    if file.endswith(".json"):
        t = tokenizers.Tokenizer.from_file(file)
        t.encode_special_tokens = not special
        return lambda s: t.encode(s, add_special_tokens=False).ids, t.decode
    p = sentencepiece.SentencePieceProcessor(model_file=file)
    return p.encode, p.decode


def compare(program, file, texts, special):
    encode, decode = reference(file, special)
    wrong = 0
    for text, (tokens, back) in zip(texts, ours(program, file, [t.encode() for t in texts],
                                                special)):
        expected = encode(text)
        same = tokens.decode() == " ".join(map(str, expected))
        # Bytes that are no characters stay as they are here; the packages put U+FFFD.
        same_back = back.decode(errors="replace") == decode(expected)
        if same and same_back:
            continue
        wrong += 1
        if wrong <= 3:
            print(f"{file}: {text!a}\n  tokens   {tokens.decode()}\n  expected {expected}\n"
                  f"  text     {back!a}\n  expected {decode(expected)!a}")
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()
    r = random.Random(a.seed)
    texts = [random_text(r) for _ in range(a.texts)]
    wrong = 0
    for file in a.files:
        # SentencePiece never recognises control pieces in a text.
        for special in [False, True] if file.endswith(".json") else [False]:
            found = compare(a.program, file, texts, special)
            print(f"{file}{' with special tokens' if special else ''}: {len(texts)} texts, "
                  f"{found} differ")
            wrong += found
    return 1 if wrong else 0


sys.exit(main())

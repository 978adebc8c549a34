"""Trains the small tokenizers under src/test/resources/tokenizers and stores what transformers makes of some texts.

    python make_tokenizers.py DIRECTORY
"""

import json
import pathlib
import shutil
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

TEXTS = [
    "",
    "a",
    "The lattice of eight dimensions, the lattice of twenty-four.",
    "  two leading spaces, one trailing ",
    "lines\n\nand\ttabs",
    "naïve café — 漢字 🎈👩‍👩‍👧 \u0000 end",
    "special </s> tokens <s> inside<|turn|>text",
]
CORPUS = ["the lattice of the eight dimensions is the densest", "two leading spaces and one trailing space"] * 20


def bytelevel():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
        special_tokens=["<s>", "</s>", "<|turn|>"]))
    t.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    t.enable_truncation(5)
    return t, {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}


def metaspace():
    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2}
    for i in range(256):
        vocab[f"<0x{i:02X}>"] = len(vocab)
    for c in "\u2581abcdefghijklmnopqrstuvwxyz,.-":
        vocab[c] = len(vocab)
    merges = []
    for a, b in [("t", "h"), ("th", "e"), ("\u2581", "the"), ("l", "a"), ("t", "t"), ("la", "tt"), ("i", "c"), ("ic", "e"),
                 ("\u2581", "latt"), ("\u2581latt", "ice"), ("\u2581", "o"), ("\u2581o", "f")]:
        merges.append((a, b))
        vocab[a + b] = len(vocab)
    t = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    t.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    t.add_special_tokens([AddedToken("<s>", normalized=False), AddedToken("</s>", normalized=False)])
    return t, {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>",
               "unk_token": "<unk>", "add_bos_token": True, "add_eos_token": True}


def bare(model, decoder, special=("<s>", "</s>")):
    """A tokenizer that is only decoded with."""
    t = Tokenizer(model)
    t.decoder = decoder
    t.add_special_tokens([AddedToken(s, normalized=False) for s in special])
    return t


MARKED = ["\u2581", "\u2581\u2581", "\u2581the", "lattice", "\u2581of\u2581", "a", "\u2581\u6f22", "\U0001f388", "\ufffd", "</w>",
          "\u2581\u2581x", ".", "\u2581.", "\u00e9"]


def unigram(scheme):
    vocab = [("<unk>", 0.0)] + [(p, -1.0 - i) for i, p in enumerate(MARKED)]
    t = bare(models.Unigram(vocab, 0, False), decoders.Metaspace(prepend_scheme=scheme, split=True))
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=True)
    return t


def words(pieces):
    return models.WordLevel({p: i for i, p in enumerate(pieces)}, unk_token=pieces[0])


def byte_words(pieces):
    return words(["<unk>"] + [f"<0x{i:02X}>" for i in range(256)] + pieces)


def tekken():
    """Bytes as characters, a regular expression of today's, many special tokens in front."""
    special = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"] + [f"<SPECIAL_{i}>" for i in range(20)]
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex("[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"),
                             behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(CORPUS + ["\ufffd\ufffd \u6f22\u5b57 \U0001f388\U0001f388"] * 9, trainers.BpeTrainer(
        vocab_size=360, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False, special_tokens=special))
    return t


def decoded_only():
    """Kinds of decoders, each with a vocabulary in which its cases come up often."""
    d = decoders
    return {
        "unigram-always": unigram("always"),
        "unigram-first": unigram("first"),
        "unigram-never": unigram("never"),
        "tekken": tekken(),
        "wordpiece": bare(words(["[UNK]", "the", "##s", "##", ".", "do", "not", "do not", "'", "n't", "'s", "##.", "a ' b", "!", "\u6f22"]),
                          d.WordPiece(prefix="##", cleanup=True), ["[CLS]", "[SEP]"]),
        "wordpiece-raw": bare(words(["[UNK]", "the", "##s", ".", "do", "n't"]), d.WordPiece(prefix="##", cleanup=False)),
        "suffix": bare(words(["<unk>", "a</w>", "b", "</w>", "</w></w>", "c</w>d", "e</w>", " "]), d.BPEDecoder("</w>")),
        "ctc": bare(words(["<pad>", "a", "b", "|", "a|", "<pad>x", " .", "a ."]), d.CTC("<pad>", "|", True)),
        "none": bare(words(["<unk>", "a", "b c", " ", "\u6f22"]), None),
        "gemma": bare(byte_words(MARKED), d.Sequence([d.Replace("\u2581", " "), d.ByteFallback(), d.Fuse()])),
        "llama-strip": bare(byte_words(MARKED + [" ", "  "]), d.Sequence(
            [d.Replace("\u2581", " "), d.ByteFallback(), d.Fuse(), d.Strip(" ", 3, 0)])),
        "strip-each": bare(words(["<unk>", "xxaxx", "xxxbxxx", "cxxxxd", "x\u6f22x"]), d.Sequence([d.Strip("x", 2, 1), d.Fuse()])),
        "strip-end": bare(words(["<unk>", "abc", "d", "e  ", "f   g", "h "]), d.Sequence([d.Fuse(), d.Strip(" ", 1, 2)])),
        "replace": bare(words(["<unk>", "ab1", "a", "b", "aab", "22", "b\u6f22"]), d.Sequence(
            [d.Replace(Regex("[0-9]+"), "#"), d.Fuse(), d.Replace("aab", "X"), d.Replace("bX", "")])),
        "byte-level-suffix": bare(words(["<unk>", "a</w>", "\u0120b", "\u00f0\u0141", "\u0130\u012a", "\u00e2", "\u4e2d", "\u00e2\u0124", "z"]),
                                  d.Sequence([d.ByteLevel(), d.Replace("</w>", " ")])),
    }


def main(root):
    for name, tokenizer in decoded_only().items():
        directory = root / name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        tokenizer.save(str(directory / "tokenizer.json"), pretty=False)
    for name, make in {"bytelevel": bytelevel, "metaspace": metaspace}.items():
        directory = root / name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        tokenizer, config = make()
        tokenizer.save(str(directory / "tokenizer.json"), pretty=False)
        (directory / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
        fast = PreTrainedTokenizerFast.from_pretrained(directory)
        cases = []
        for text in TEXTS:
            ids = fast(text)["input_ids"]
            bare = fast(text, add_special_tokens=False)["input_ids"]
            cases.append({
                "text": text, "ids": ids, "bare": bare,
                "decoded": fast.decode(ids, clean_up_tokenization_spaces=False),
                "skipped": fast.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)})
        (directory / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")
        print(name, [len(c["ids"]) for c in cases])


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))

"""Trains the small tokenizers under src/test/resources/tokenizers and stores what transformers makes of some texts.

    python make_tokenizers.py DIRECTORY
"""

import json
import pathlib
import shutil
import sys

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
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


def main(root):
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

"""Makes the small GGUF files under src/test/resources/gguf, the logits that transformers reads from them, and tokens: by
transformers of byte pairs, by SentencePiece itself of pieces.

    python make_gguf.py DIRECTORY

Written with gguf 0.19, sentencepiece 0.2, torch 2.13 (CPU), transformers 5.18.
"""

import json
import pathlib
import re
import sys

import gguf
import numpy as np
import sentencepiece
import torch
from safetensors.torch import save_file
from sentencepiece import sentencepiece_model_pb2
from transformers import AutoModelForCausalLM, AutoTokenizer

HIDDEN, WIDTH, LAYERS, HEADS, SHARED = 32, 48, 2, 4, 2
TEXTS = ["the cat sat", " two  spaces", "It's 12345 o'clock\n\nthen\u00e9\u4e2d", "<s>the</s> end", ""]
TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"


def permuted(weight, heads):
    """As convert_hf_to_gguf.py writes queries and keys of llama: pairs side by side."""
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)


def byte_letters():
    """GPT-2's printable characters for bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {b: chr(b) for b in plain}
    for b in range(256):
        letters.setdefault(b, chr(256 + sum(1 for other in range(b) if other not in plain)))
    return [letters[b] for b in range(256)]


def pieces_of(pieces, types, scores, text):
    """What SentencePiece and llama.cpp make of a text: a space before it and after each special token, and the first token."""
    proto = sentencepiece_model_pb2.ModelProto()
    for piece, kind, score in zip(pieces, types, scores):
        proto.pieces.add(piece=piece, score=score, type=kind)
    proto.trainer_spec.model_type = sentencepiece_model_pb2.TrainerSpec.BPE
    proto.trainer_spec.byte_fallback = True
    proto.normalizer_spec.name = "identity"
    proto.normalizer_spec.add_dummy_prefix = True
    proto.normalizer_spec.remove_extra_whitespaces = False
    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromSerializedProto(proto.SerializeToString())
    ids = [1]
    for part in re.split("(</?s>)", text):
        ids += [pieces.index(part)] if part in ("<s>", "</s>") else processor.encode(part)
    return ids


def sentence_pieces(writer):
    words = ["th", "the", "at", "\u2581the", "\u2581c", "\u2581cat", "\u2581s", "\u2581sat", "cat", "ca", "sa", "en", "\u2581en", "\u2581t", "\u2581\u2581"]
    letters = ["\u2581"] + [chr(c) for c in range(ord("a"), ord("z") + 1)]
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + words + letters
    types = [2, 3, 3] + [6] * 256 + [1] * (len(words) + len(letters))
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(pieces)
    scores = [0.0] * 259 + [-float(i) for i in range(len(words) + len(letters))]
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(True)
    return len(pieces), [pieces_of(pieces, types, scores, text) for text in TEXTS]


def byte_pairs(writer):
    space = "\u0120"
    merges = ["t h", "th e", f"{space} the", "c a", "ca t", f"{space} cat", f"{space} s", f"{space}s at", "a t"]
    tokens = byte_letters()
    tokens += [m.replace(" ", "") for m in merges] + ["<s>", "</s>"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * (len(tokens) - 2) + [3, 3])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(len(tokens) - 2)
    writer.add_eos_token_id(len(tokens) - 1)
    return len(tokens), None


def write(path, architecture, seed):
    rng = np.random.default_rng(seed)
    llama = architecture == "llama"
    writer = gguf.GGUFWriter(path, architecture)
    vocabulary, encoded = sentence_pieces(writer) if llama else byte_pairs(writer)
    writer.add_chat_template(TEMPLATE)
    writer.add_block_count(LAYERS)
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(SHARED)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(50000.0)
    dim = HIDDEN // HEADS

    def add(name, *shape, kind="F16", heads=0):
        weight = rng.standard_normal(shape).astype(np.float32)
        weight = 1 + 0.3 * weight if name.endswith("norm.weight") else weight * 1.2 / (1 if len(shape) == 1 else shape[-1] ** 0.5)
        if heads:
            weight = permuted(weight, heads)
        if kind == "F32":
            writer.add_tensor(name, weight.astype(np.float32))
        else:
            quantized = gguf.quants.quantize(weight, gguf.GGMLQuantizationType[kind])
            writer.add_tensor(name, quantized, raw_dtype=gguf.GGMLQuantizationType[kind])

    add("token_embd.weight", vocabulary, HIDDEN, kind="BF16")
    for layer in range(LAYERS):
        at = f"blk.{layer}."
        add(at + "attn_norm.weight", HIDDEN, kind="F32")
        add(at + "attn_q.weight", HEADS * dim, HIDDEN, kind="Q8_0", heads=HEADS if llama else 0)
        add(at + "attn_k.weight", SHARED * dim, HIDDEN, kind="F16", heads=SHARED if llama else 0)
        add(at + "attn_v.weight", SHARED * dim, HIDDEN, kind="Q8_0")
        if not llama:
            add(at + "attn_q.bias", HEADS * dim, kind="F32")
            add(at + "attn_k.bias", SHARED * dim, kind="F32")
            add(at + "attn_v.bias", SHARED * dim, kind="F32")
        add(at + "attn_output.weight", HIDDEN, HEADS * dim, kind="BF16")
        add(at + "ffn_norm.weight", HIDDEN, kind="F32")
        add(at + "ffn_gate.weight", WIDTH, HIDDEN, kind="Q8_0")
        add(at + "ffn_up.weight", WIDTH, HIDDEN, kind="Q8_0")
        add(at + "ffn_down.weight", HIDDEN, WIDTH, kind="F32")
    add("output_norm.weight", HIDDEN, kind="F32")
    if llama:
        add("output.weight", vocabulary, HIDDEN, kind="Q8_0")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return vocabulary, encoded


def main(root):
    root.mkdir(parents=True, exist_ok=True)
    for seed, architecture in enumerate(("llama", "qwen2")):
        path = root / f"{architecture}.gguf"
        vocabulary, encoded = write(path, architecture, seed)
        model = AutoModelForCausalLM.from_pretrained(
            root, gguf_file=path.name, dtype=torch.float32, attn_implementation="eager",
        ).eval()
        torch.manual_seed(seed)
        ids = torch.randint(0, vocabulary, (1, 40))
        with torch.no_grad():
            logits = model(ids, use_cache=False).logits[0].float()
        rows = torch.tensor([0, 13, 39], dtype=torch.int32)
        save_file({"ids": ids[0].int(), "rows": rows, "logits": logits[rows.long()].contiguous()}, root / f"{architecture}.safetensors")
        if encoded is None:
            tokenizer = AutoTokenizer.from_pretrained(root, gguf_file=path.name)
            encoded = [tokenizer(t).input_ids for t in TEXTS]
        cases = [{"text": t, "ids": ids} for t, ids in zip(TEXTS, encoded)]
        (root / f"{architecture}.json").write_text(json.dumps(cases, ensure_ascii=True, indent=1) + "\n")
        print(path, path.stat().st_size, cases)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))

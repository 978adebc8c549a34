"""Trains the bundled demo model: a byte-level BPE tokenizer and a small Llama, from the texts that SmallWorld writes.

    python train.py DATA OUT             tokenizer, training, then the measurements
    python train.py DATA OUT --measure   the measurements alone, on what OUT holds

DATA holds train.txt, heldout.txt and questions.jsonl; README.md beside this file has the commands.
"""

import argparse
import hashlib
import json
import math
import random
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, LlamaConfig, LlamaForCausalLM

BOS, EOS = "<s>", "</s>"
CONTEXT = 256
KINDS = ("story", "sum", "fact")  # the order in which questions.jsonl takes turns

# A conversation is one exchange after another, as in the training text; a system message becomes a first line,
# where the training text has the story that the question is about.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token }}"
    "{% elif message['role'] == 'system' %}{{ bos_token + message['content'] + '\n' }}"
    "{% else %}{% if loop.first or loop.previtem['role'] != 'system' %}{{ bos_token }}{% endif %}"
    "{{ 'Question: ' + message['content'] + '\nAnswer:' }}"
    "{% endif %}{% endfor %}"
)


def groups(text, rng):
    """The text's documents as the model reads them: a question that stands alone is often a conversation of its own
    and then always ends; the others come in runs with empty lines between them."""
    run = []
    for document in text.strip().split("\n\n"):
        asked = document.startswith("Question:")
        if asked and rng.random() < 0.6:
            yield document
            continue
        if asked and not run:
            yield document
            continue
        run.append(document)
        if rng.random() < 0.2:
            yield "\n\n".join(run)
            run = []
    if run:
        yield "\n\n".join(run)


def train_tokenizer(text, vocabulary):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    numbers = " " + " ".join(map(str, range(53)))  # one token for every number that is counted or added
    tokenizer.train_from_iterator(
        text.split("\n\n")[:40000] + [numbers] * 2000,
        trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=[BOS, EOS],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, 0)]
    )
    return tokenizer


def save_tokenizer(tokenizer, out):
    tokenizer.save(str(out / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "clean_up_tokenization_spaces": False,
        "model_max_length": CONTEXT,
        "chat_template": CHAT_TEMPLATE,
    }
    (out / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def train(args):
    torch.manual_seed(args.seed)
    rng = random.Random(args.seed)
    text = (args.data / "train.txt").read_text()
    tokenizer = train_tokenizer(text, args.vocabulary)
    stream = []
    for encoded in tokenizer.encode_batch([g + EOS for g in groups(text, rng)]):
        stream.extend(encoded.ids)
    windows = torch.tensor(stream[: len(stream) // CONTEXT * CONTEXT], dtype=torch.int32).view(-1, CONTEXT)
    windows = windows[torch.randperm(len(windows))]
    steps = min(args.steps or len(windows), len(windows) // args.batch)
    print(f"{len(stream)} tokens of training text, {tokenizer.get_vocab_size()} in the vocabulary, {steps} steps", flush=True)

    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=256,
            intermediate_size=448,
            num_hidden_layers=args.layers,
            num_attention_heads=8,
            num_key_value_heads=2,
            max_position_embeddings=CONTEXT,
            rms_norm_eps=1e-5,
            tie_word_embeddings=False,
            bos_token_id=0,
            eos_token_id=1,
        )
    )
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)
    # Muon for the matrices of the blocks: it learns to look things up in a story several times faster than AdamW.
    blocks = [p for n, p in model.named_parameters() if "proj" in n]
    others = [p for n, p in model.named_parameters() if "proj" not in n]
    optimizers = [
        torch.optim.Muon(blocks, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, weight_decay=0.0, betas=(0.9, 0.95), fused=True),
    ]
    questions = (args.data / "questions.jsonl").read_text().splitlines()
    warmup = min(100, steps // 10)
    start, total, count = time.time(), 0.0, 0
    for step in range(steps):
        rate = args.rate * min((step + 1) / warmup, 0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * step / steps)))
        for optimizer in optimizers:
            optimizer.param_groups[0]["lr"] = rate
        batch = windows[step * args.batch : (step + 1) * args.batch].long()
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(input_ids=batch).logits
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].float().flatten(0, 1), batch[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        total, count = total + loss.item(), count + 1
        if (step + 1) % 100 == 0 or step + 1 == steps:
            print(f"step {step + 1} loss {total / count:.4f} rate {rate:.2e} seconds {time.time() - start:.0f}", flush=True)
            total, count = 0.0, 0
        if (step + 1) % 500 == 0:
            right, asked = answer(model, tokenizer, questions[:150])
            print("  right of the first 150 questions:", {k: f"{r}/{n}" for k, r, n in zip(KINDS, right, asked)}, flush=True)

    args.out.mkdir(parents=True, exist_ok=True)
    model.generation_config = GenerationConfig(bos_token_id=0, eos_token_id=1)
    model.half().save_pretrained(args.out)
    save_tokenizer(tokenizer, args.out)


@torch.no_grad()
def answer(model, tokenizer, lines):
    """How many questions of each kind the model gets right, by the log-likelihood of the choices, and how many there are."""
    ids = lambda text: [0] + tokenizer.encode(text, add_special_tokens=False).ids
    right, asked = [0] * len(KINDS), [0] * len(KINDS)
    for i, line in enumerate(lines):
        question = json.loads(line)
        prefix = len(ids(question["context"]))
        rows = [ids(question["context"] + choice) for choice in question["choices"]]
        width = max(map(len, rows))
        padded = torch.tensor([r + [1] * (width - len(r)) for r in rows])
        scores = model(input_ids=padded).logits[:, :-1].log_softmax(-1).gather(2, padded[:, 1:, None])[..., 0]
        sums = [scores[k, prefix - 1 : len(r) - 1].sum().item() for k, r in enumerate(rows)]
        right[i % len(KINDS)] += max(range(len(sums)), key=sums.__getitem__) == question["answer"]
        asked[i % len(KINDS)] += 1
    return right, asked


@torch.no_grad()
def measure(args):
    """Held-out perplexity (windows of 256, the last part dropped) and questions answered right, from the saved files."""
    tokenizer = AutoTokenizer.from_pretrained(args.out)
    model = AutoModelForCausalLM.from_pretrained(args.out, dtype=torch.float32).eval()
    ids = tokenizer((args.data / "heldout.txt").read_text())["input_ids"]
    losses = []
    for i in range(0, len(ids) - CONTEXT + 1, CONTEXT):
        window = torch.tensor([ids[i : i + CONTEXT]])
        losses.append(model(input_ids=window, labels=window).loss.item())
    print(f"held-out perplexity {math.exp(sum(losses) / len(losses)):.4f} over {len(losses)} windows")

    lines = (args.data / "questions.jsonl").read_text().splitlines()
    right, asked = answer(model, tokenizer.backend_tokenizer, lines)
    for kind, r, n in zip(KINDS, right, asked):
        print(f"{kind}: {r} of {n} right ({100 * r / n:.1f} %)")
    print(f"all: {sum(right)} of {sum(asked)} right ({100 * sum(right) / sum(asked):.1f} %)")

    for question in ("Hello!", "Where does the mossling live?", "What is 8 + 5?", "Tell me a story."):
        prompt = tokenizer.apply_chat_template([{"role": "user", "content": question}], tokenize=False)
        inputs = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")
        out = model.generate(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], max_new_tokens=120, do_sample=False)
        print(repr(prompt), "->", repr(tokenizer.decode(out[0][inputs["input_ids"].shape[1] :])))
    digest = hashlib.sha256((args.out / "model.safetensors").read_bytes()).hexdigest()
    print(f"sha256 of model.safetensors {digest}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--measure", action="store_true", help="no training")
    parser.add_argument("--steps", type=int, default=0, help="at most this many; 0 for one pass over the text")
    parser.add_argument("--batch", type=int, default=8, help="windows of 256 tokens in a step")
    parser.add_argument("--rate", type=float, default=3e-3, help="peak learning rate")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--vocabulary", type=int, default=1280)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not arguments.measure:
        train(arguments)
    measure(arguments)

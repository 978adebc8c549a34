"""Compares lm-evaluation-harness through a running server with its own run of the same model by transformers.

    ./gosset serve MODEL --port 8080 --context 1024 &
    python lm_eval_check.py --model MODEL --url http://127.0.0.1:8080 --text FILE

Needs lm_eval 0.4.13 with datasets, transformers and torch. The task is made of the text: which of four word groups goes on a
passage. Log-likelihoods have to agree within --tolerance, accuracies exactly. Exit code 1 where they do not.
"""

import argparse
import importlib.machinery
import json
import os
import random
import sys
import tempfile
import types

# Only other tasks use them; where they are not installed, the harness need not know.
for name in ("evaluate", "sqlitedict", "pytablewriter", "rouge_score", "jsonlines", "word2number", "tqdm_multiprocess"):
    try:
        __import__(name)
    except ImportError:
        module = types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        module.SqliteDict = dict
        sys.modules[name] = module

import torch  # noqa: E402
from lm_eval import evaluator  # noqa: E402
from lm_eval.models.huggingface import HFLM  # noqa: E402
from lm_eval.models.openai_completions import LocalCompletionsAPI  # noqa: E402
from lm_eval.tasks import TaskManager  # noqa: E402


def questions(text, count, seed):
    words = text.split()
    rng = random.Random(seed)

    def group(at, length):
        return " ".join(words[at : at + length])

    for _ in range(count):
        at = rng.randrange(len(words) - 60)
        context = rng.randrange(4, 40)
        length = rng.randrange(2, 8)
        choices = [group(at + context, length)] + [group(rng.randrange(len(words) - 8), length) for _ in range(3)]
        gold = rng.randrange(4)
        choices[0], choices[gold] = choices[gold], choices[0]
        yield {"query": group(at, context), "choices": choices, "gold": gold}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tolerance", type=float, default=0.02)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        data = os.path.join(directory, "data.jsonl")
        with open(args.text, encoding="utf-8") as source, open(data, "w", encoding="utf-8") as out:
            for question in questions(source.read(), args.count, args.seed):
                out.write(json.dumps(question) + "\n")
        task = {
            "task": "next_words",
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": data}},
            "output_type": "multiple_choice",
            "test_split": "test",
            "doc_to_text": "{{query}}",
            "doc_to_choice": "choices",
            "doc_to_target": "gold",
            "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
        }
        name = os.path.basename(os.path.normpath(args.model))
        models = {
            # Alone the one adds what begins a text, and the other does not.
            "transformers": HFLM(
                pretrained=args.model, dtype="float32", device="cpu", batch_size=1, add_bos_token=True
            ),
            "gosset": LocalCompletionsAPI(
                base_url=args.url + "/v1/completions",
                model=name,
                tokenizer=args.model,
                tokenizer_backend="huggingface",
                num_concurrent=8,
                add_bos_token=True,
                max_length=1024,
            ),
        }
        found = {}
        for who, model in models.items():
            with torch.no_grad():
                result = evaluator.simple_evaluate(
                    model, tasks=[task], task_manager=TaskManager(include_defaults=False), log_samples=True, bootstrap_iters=0
                )
            samples = sorted(result["samples"]["next_words"], key=lambda s: s["doc_id"])
            likelihoods = [(float(r[0][0]), str(r[0][1])) for s in samples for r in s["resps"]]
            found[who] = (likelihoods, result["results"]["next_words"])
    ours, theirs = found["gosset"], found["transformers"]
    worst = max(abs(a[0] - b[0]) for a, b in zip(ours[0], theirs[0]))
    greedy = sum(a[1] != b[1] for a, b in zip(ours[0], theirs[0]))
    same = True
    for metric in ("acc,none", "acc_norm,none"):
        print(f"{metric}: {ours[1][metric]:.4f} here, {theirs[1][metric]:.4f} by transformers")
        same &= ours[1][metric] == theirs[1][metric]
    print(f"{len(ours[0])} log-likelihoods, at most {worst:.5f} apart; greedy or not differs in {greedy}")
    sys.exit(0 if same and worst <= args.tolerance and len(ours[0]) == len(theirs[0]) == 4 * args.count else 1)


if __name__ == "__main__":
    main()

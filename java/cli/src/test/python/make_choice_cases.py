"""Small made-up sets of questions in the forms that `gosset eval choice --format` reads, and what lm-evaluation-harness makes of them.

    python make_choice_cases.py --model ../../main/resources/dev/gosset/cli/demo/model --out ../resources/choice
    python make_choice_cases.py --model MODEL --check "../../../../../gosset"

The first form writes the sets and, in expected.json, the harness's log-likelihoods and scores of every question by transformers in
float32. The second compares any model's with those of the command, question by question; exit code 1 where they differ. Needs lm_eval
0.4 with datasets, transformers and torch. The prompts are those of the harness's own tasks; only the data are replaced.
"""

import argparse
import importlib.machinery
import json
import os
import subprocess
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

TOLERANCE = 2e-3

TASKS = {
    "arc": "arc/arc_easy",
    "boolq": "super_glue/boolq/default",
    "piqa": "piqa/piqa",
    "winogrande": "winogrande/default",
    "hellaswag": "hellaswag/hellaswag",
    "lambada": "lambada/lambada_openai",
}


def arc(identity, question, texts, labels, key):
    return {"id": identity, "question": question, "choices": {"text": texts, "label": labels}, "answerKey": key}


def piqa(goal, first, second, label):
    return {"goal": goal, "sol1": first, "sol2": second, "label": label}


def winogrande(sentence, first, second, answer):
    return {"qID": f"made-up-{len(sentence)}", "sentence": sentence, "option1": first, "option2": second, "answer": answer}


def hellaswag(activity, a, b, endings, label):
    return {"ind": len(a), "activity_label": activity, "ctx_a": a, "ctx_b": b, "ctx": f"{a} {b}", "endings": endings, "label": label}


ANIMALS = ["a cat", "the old dog", "a grey horse, which sleeps", "nobody"]
SETS = {
    "arc": [
        arc("1", "Which animal sleeps under the table?", ANIMALS, ["A", "B", "C", "D"], "B"),
        arc("2", "What does Anna carry to the market?", ["apples", "a river"], ["1", "2"], "1"),
        arc("3", "Where is the key of the house?", ["in the box", "on the moon", "under the tree"], ["A", "B", "C"], "A"),
        arc("4", "How many eggs are there? ", ["one", "two", "three", "four", "five"], ["A", "B", "C", "D", "E"], "E"),
        arc("5", "Who opened the door\u2014and why?", ["Tom \u2014 he was cold", "the caf\u00e9's owner \U0001f600", "Ben"], ["A", "B", "C"], "C"),
        arc("6", "What colour has the big ball?", ["Red", "red", "RED", "the big ball is red"], ["A", "B", "C", "D"], "D"),
    ],
    "boolq": [
        {"passage": "Tom has a red ball. Anna has a blue ball.", "question": "does tom have a red ball", "idx": 0, "label": 1},
        {"passage": "The market -- The market is open in the morning.", "question": "is the market open at night", "idx": 1, "label": 0},
        {"passage": "Ben put the key into the box and closed it.", "question": "is the key in the box", "idx": 2, "label": 1},
        {"passage": "A caf\u00e9 in Z\u00fcrich.\nIt sells bread.", "question": "can you buy bread in the caf\u00e9", "idx": 3, "label": 1},
        {"passage": "The dog ran after the cat.", "question": "did the cat run after the dog", "idx": 4, "label": 0},
    ],
    "piqa": [
        piqa("How do you open a box?", "Lift the lid.", "Paint it blue and wait for a week.", 0),
        piqa("To carry water", "use a net with large holes", "use a bucket", 1),
        piqa("keep bread fresh ", "put it into a bag.", "put it into the river.", 0),
        piqa("find the key", "look.", "look under the table, then in the box, then in the garden", 1),
        piqa("Draw a circle \u25cb", "with a compass", "with a ruler \u2014 slowly", 0),
    ],
    "winogrande": [
        winogrande("The ball did not fit into the box because the _ was too big.", "ball", "box", "1"),
        winogrande("Anna gave Tom the apple because _ was hungry.", "Anna", "Tom", "2"),
        winogrande("_ opened the door, and Ben saw the cat.", "Tom", "The cat", "1"),
        winogrande("Sarah was a better cook than Maria, so _  got the easier dish.", "Sarah", "Maria", "2"),
        winogrande("The key was in the bag and not in the box, so he looked into the _ .", "bag", "box", "1"),
    ],
    "hellaswag": [
        hellaswag("Cooking", "A man stands in a kitchen.", "he", ["cuts an apple.", "flies to the moon.", "is a box.", "sleeps in the river."], "0"),
        hellaswag("How to open a door", "[header] How to open a door [title] Find the key. [step] Look in the bag.", "", ["[substeps] Then turn it.", "Then  eat it.", "[title] Never [step] mind.", "Wait."], "0"),
        hellaswag("Playing ball", "Two boys are in a garden. One has a ball.", "the other BOY", ["runs after the dog and the dog runs.", "runs.", "carries the house", "sings"], "1"),
        hellaswag("Family Life", "[header] Why [title] Because.", "\u00e9lan", ["is a word", "was.", "goes on and on and on", "ends"], "3"),
    ],
    "lambada": [
        {"text": "Tom has a ball. Anna wants the ball. Tom gives Anna the ball"},
        {"text": "Ben opened the box. In the box there was a key. He took the key"},
        {"text": "the market was far , and nobody went to the market ."},
        {"text": "She said \u201cgood morning\u201d to the old man and went into the caf\u00e9"},
        {"text": "one two three four five one two three four five one two three four"},
        {"text": "The dog saw a cat.\nThe cat saw the dog. The"},
    ],
}


def write(directory):
    for form, lines in SETS.items():
        with open(os.path.join(directory, form + ".jsonl"), "w", encoding="utf-8") as out:
            for line in lines:
                out.write(json.dumps(line, ensure_ascii=False) + "\n")


def harness(model, directory):
    import torch
    from lm_eval import evaluator
    from lm_eval.models.huggingface import HFLM
    from lm_eval import tasks
    from lm_eval.tasks import TaskManager
    from lm_eval.tasks._yaml_loader import load_yaml

    lm = HFLM(pretrained=model, dtype="float32", device="cpu", batch_size=1, add_bos_token=True)
    manager = TaskManager(include_defaults=False)
    found = {}
    for form, task in TASKS.items():
        path = os.path.join(os.path.dirname(tasks.__file__), task + ".yaml")
        config = dict(load_yaml(path, resolve_func=True))
        config.pop("tag", None)
        config |= {
            "dataset_path": "json",
            "dataset_name": None,
            "dataset_kwargs": {"data_files": {"test": os.path.join(directory, form + ".jsonl")}},
            "training_split": None,
            "validation_split": None,
            "fewshot_split": None,
            "test_split": "test",
        }
        with torch.no_grad():
            result = evaluator.simple_evaluate(
                lm, tasks=[config], task_manager=manager, num_fewshot=0, log_samples=True, bootstrap_iters=10
            )
        scores = next(iter(result["results"].values()))
        samples = sorted(next(iter(result["samples"].values())), key=lambda s: s["doc_id"])
        found[form] = {
            "accuracy": scores["acc,none"],
            "accuracy_error": scores["acc_stderr,none"],
            "questions": [
                {
                    "log_likelihoods": [round(float(r[0][0]), 5) for r in s["resps"]],
                    "right": bool(s["acc"]),
                    **({"right_normalized": bool(s["acc_norm"])} if "acc_norm" in s else {}),
                }
                for s in samples
            ],
        }
        if "acc_norm,none" in scores:
            found[form]["normalized_accuracy"] = scores["acc_norm,none"]
            found[form]["normalized_accuracy_error"] = scores["acc_norm_stderr,none"]
    return found


def check(expected, command, model, directory):
    wrong = 0
    for form, wanted in expected.items():
        answers = os.path.join(directory, form + ".answers")
        data = os.path.join(directory, form + ".jsonl")
        done = subprocess.run(
            command.split() + ["eval", "choice", model, "--task", data, "--format", form, "--answers", answers, "--json"],
            check=True,
            stdout=subprocess.PIPE,
        )
        summary = json.loads(done.stdout)
        with open(answers, encoding="utf-8") as lines:
            found = [json.loads(line) for line in lines]
        worst = 0
        differ = abs(len(found) - len(wanted["questions"]))
        for theirs, ours in zip(wanted["questions"], found):
            worst = max(worst, *(abs(a - b) for a, b in zip(theirs["log_likelihoods"], ours["log_likelihoods"])))
            differ += len(theirs["log_likelihoods"]) != len(ours["log_likelihoods"])
            differ += any(theirs[key] != ours[key] for key in theirs if key != "log_likelihoods")
        differ += sum(abs(wanted[key] - summary[key]) > 1e-9 for key in wanted if key != "questions")
        print(f"{form}: {len(found)} questions, log-likelihoods at most {worst:.5f} apart, {differ} scores differ")
        wrong += differ + (worst > TOLERANCE)
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--out")
    parser.add_argument("--check", help="the command to compare with")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        directory = args.out or temporary
        write(directory)
        expected = harness(args.model, directory)
        if args.out:
            with open(os.path.join(directory, "expected.json"), "w", encoding="utf-8") as out:
                json.dump(expected, out, indent=1)
                out.write("\n")
        if args.check:
            sys.exit(1 if check(expected, args.check, args.model, directory) else 0)


if __name__ == "__main__":
    main()

"""Processed scores and kept tokens of transformers' LogitsProcessorList for random logits.

    python make_sampling_cases.py FILE
"""

import json
import random
import sys

import torch
from transformers.generation import logits_process as p


def case(seed):
    r = random.Random(seed)
    torch.manual_seed(seed)
    n = r.choice([5, 40, 90])
    logits = torch.randn(1, n) * r.choice([0.5, 3, 10])
    ids = [r.randrange(n) for _ in range(r.randrange(1, 30))]
    bias = {r.randrange(n): round(r.uniform(-3, 3), 3) for _ in range(r.randrange(4))}
    settings = {
        "temperature": r.choice([1.0, 0.3, 1.7]), "top_k": r.choice([0, 0, 3, 50]), "top_p": r.choice([1.0, 0.9, 0.5]),
        "min_p": r.choice([0.0, 0.0, 0.05, 0.3]), "repetition_penalty": r.choice([1.0, 1.3, 0.7])}
    changing = []
    if bias:
        changing.append(p.SequenceBiasLogitsProcessor([[[k], v] for k, v in bias.items()]))
    if settings["repetition_penalty"] != 1:
        changing.append(p.RepetitionPenaltyLogitsProcessor(settings["repetition_penalty"]))
    keeping = []
    if settings["temperature"] != 1:
        keeping.append(p.TemperatureLogitsWarper(settings["temperature"]))
    if settings["top_k"]:
        keeping.append(p.TopKLogitsWarper(settings["top_k"]))
    if settings["top_p"] < 1:
        keeping.append(p.TopPLogitsWarper(settings["top_p"]))
    if settings["min_p"]:
        keeping.append(p.MinPLogitsWarper(settings["min_p"]))
    input_ids = torch.tensor([ids])
    changed = p.LogitsProcessorList(changing)(input_ids, logits)
    kept = p.LogitsProcessorList(keeping)(input_ids, changed)
    probabilities = torch.softmax(kept.double(), -1)[0]
    log = torch.log_softmax(logits.double(), -1)[0]
    return {
        "settings": settings, "logits": logits[0].tolist(), "prompt": ids, "bias": {str(k): v for k, v in bias.items()},
        "changed": changed[0].tolist(), "log_probabilities": [round(v, 9) for v in log.tolist()],
        "kept": {str(i): round(probabilities[i].item(), 9) for i in range(n) if kept[0, i] != float("-inf")}}


def main(file, seeds=range(16)):
    with open(file, "w", encoding="utf-8") as out:
        json.dump([case(s) for s in seeds], out)
        out.write("\n")


if __name__ == "__main__":
    main(sys.argv[1], range(int(sys.argv[2]), int(sys.argv[3])) if len(sys.argv) > 2 else range(16))

"""Makes src/test/resources/rotary/cases.json: random configurations of the rotary embedding, and the inverse frequencies and
attention factors that transformers computes for them.

    python make_rotary_cases.py FILE

Written with torch 2.13 (CPU), transformers 5.18.
"""

import json
import pathlib
import random
import sys

import torch
from transformers import LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding
from transformers.models.mistral.modeling_mistral import MistralRotaryEmbedding
from transformers.models.qwen2.modeling_qwen2 import Qwen2RotaryEmbedding
from transformers.models.qwen3.modeling_qwen3 import Qwen3RotaryEmbedding

FAMILIES = {
    "LlamaForCausalLM": (LlamaConfig, LlamaRotaryEmbedding),
    "MistralForCausalLM": (MistralConfig, MistralRotaryEmbedding),
    "Qwen2ForCausalLM": (Qwen2Config, Qwen2RotaryEmbedding),
    "Qwen3ForCausalLM": (Qwen3Config, Qwen3RotaryEmbedding),
}


def maybe(draw, values, key, value, chance=0.5):
    if draw.random() < chance:
        values[key] = value


def parameters(draw, kind, half, positions):
    rope = {"rope_type": kind}
    if kind in ("linear", "dynamic", "yarn", "llama3"):
        rope["factor"] = draw.choice([1.0, 2.0, 2.5, 8, 40.0])
    if kind == "proportional":
        maybe(draw, rope, "factor", 4.0)
        rope["partial_rotary_factor"] = draw.choice([0.25, 0.5, 1.0])
    if kind in ("yarn", "longrope", "llama3"):
        maybe(draw, rope, "original_max_position_embeddings", draw.choice([64, 100, 512]), 0.8)
    if kind == "yarn":
        if "original_max_position_embeddings" in rope:
            maybe(draw, rope, "factor", None, 0.2)
        maybe(draw, rope, "attention_factor", draw.choice([1.0, 1.25]), 0.2)
        maybe(draw, rope, "mscale", draw.choice([0.707, 1.0, 0]))
        maybe(draw, rope, "mscale_all_dim", draw.choice([0.5, 1.0, 0]))
        maybe(draw, rope, "beta_fast", draw.choice([16, 40.0, None]))
        maybe(draw, rope, "beta_slow", draw.choice([0.5, 2, None]))
        maybe(draw, rope, "truncate", draw.choice([True, False]))
    if kind == "longrope":
        rope["short_factor"] = [round(draw.uniform(1, 2), 3) for _ in range(half)]
        rope["long_factor"] = [round(draw.uniform(1, 30), 3) for _ in range(half)]
        maybe(draw, rope, "factor", 4.0, 0.3)
        maybe(draw, rope, "attention_factor", 1.19, 0.3)
    if kind == "llama3":
        rope["low_freq_factor"] = draw.choice([1, 1.5])
        rope["high_freq_factor"] = draw.choice([4.0, 1.5])
    return rope


def main(file):
    draw = random.Random(12)
    cases = []
    for kind in ("default", "linear", "dynamic", "yarn", "longrope", "llama3", "proportional"):
        for i in range(14 if kind == "yarn" else 8):
            architecture = draw.choice(list(FAMILIES))
            config_class, rotary_class = FAMILIES[architecture]
            dim = draw.choice([8, 16, 20, 64])
            positions = draw.choice([512, 700, 2048])
            values = dict(
                vocab_size=100, hidden_size=4 * dim, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
                num_key_value_heads=2, head_dim=dim, max_position_embeddings=positions)
            rope = parameters(draw, kind, dim // 2, positions)
            theta = draw.choice([10000.0, 500000.0, 1e6])
            if draw.random() < 0.5:
                values["rope_parameters"] = {**rope, "rope_theta": theta}
            else:
                values["rope_theta"] = theta
                values["rope_scaling"] = {("type" if k == "rope_type" else k): v for k, v in rope.items()}
            if kind in ("yarn", "longrope", "llama3"):
                maybe(draw, values, "original_max_position_embeddings", 128, 0.2)
            length = draw.choice([10, 512, positions + 1, 4 * positions])
            config = config_class(**json.loads(json.dumps(values)))
            rotary = rotary_class(config)
            with torch.no_grad():
                rotary(torch.zeros(1), torch.tensor([[length - 1]]))
            cases.append(dict(
                config={"architectures": [architecture], **values}, length=length,
                attention=float(rotary.attention_scaling),
                frequencies=[float(f"{f:.9g}") for f in rotary.inv_freq.tolist()]))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
    print(len(cases), "cases,", file.stat().st_size, "bytes")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))

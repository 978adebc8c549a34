"""Makes the small random models under src/test/resources/models and their logits, with Hugging Face transformers.

    python make_models.py DIRECTORY [NAME ...]

Each model is stored in its own dtype, loaded again and run in float32, so that the logits are those of the stored
weights. Written with torch 2.13 (CPU), transformers 5.18.
"""

import json
import pathlib
import shutil
import sys

import torch
from safetensors.torch import save_file
from transformers import (
    Cohere2Config,
    Cohere2ForCausalLM,
    CohereConfig,
    CohereForCausalLM,
    Ernie4_5Config,
    Ernie4_5ForCausalLM,
    Exaone4Config,
    Exaone4ForCausalLM,
    FalconConfig,
    FalconForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3Config,
    Gemma3ForCausalLM,
    Gemma3ForConditionalGeneration,
    Gemma3TextConfig,
    Glm4Config,
    Glm4ForCausalLM,
    GlmConfig,
    GlmForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    GraniteMoeConfig,
    GraniteMoeForCausalLM,
    HunYuanDenseV1Config,
    HunYuanDenseV1ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Ministral3Config,
    Ministral3ForCausalLM,
    MinistralConfig,
    MinistralForCausalLM,
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    MistralConfig,
    MistralForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    NemotronConfig,
    NemotronForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    Olmo3Config,
    Olmo3ForCausalLM,
    OlmoeConfig,
    OlmoeForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2MoeConfig,
    Qwen2MoeForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
    SeedOssConfig,
    SeedOssForCausalLM,
    SmolLM3Config,
    SmolLM3ForCausalLM,
    StableLmConfig,
    StableLmForCausalLM,
    Starcoder2Config,
    Starcoder2ForCausalLM,
)


# What the tensors tell.
HEADS = ("num_attention_heads", "num_key_value_heads", "head_dim")


def gemma3_of_2025(config):
    """The configuration of Gemma 3 as it is on the Hub: little, in the spelling of transformers 4."""
    text = config["text_config"]
    keep = ("hidden_size", "intermediate_size", "num_hidden_layers", "sliding_window", "query_pre_attn_scalar",
            "max_position_embeddings", "model_type", "vocab_size", *HEADS)
    config["text_config"] = {
        **{k: text[k] for k in keep}, "sliding_window_pattern": 2, "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
    }
    config["bos_token_id"], config["eos_token_id"] = 1, [2, 3]
    return config


def phi4_of_2025(config):
    """The rotary embedding of Phi-4-mini as it is on the Hub, in the spelling of transformers 4."""
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope["rope_theta"]
    config["partial_rotary_factor"] = rope["partial_rotary_factor"]
    config["rope_scaling"] = {"type": "longrope", "short_factor": rope["short_factor"], "long_factor": rope["long_factor"]}
    return config


COMMON = dict(
    num_hidden_layers=2,
    max_position_embeddings=128,
    attention_dropout=0.0,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=None,
)

MODELS = {
    # Multi-head attention, untied head, F32; old spelling of the rotary base.
    "llama": dict(
        model=LlamaForCausalLM,
        config=LlamaConfig(
            **COMMON, vocab_size=100, hidden_size=32, intermediate_size=72, num_attention_heads=4, num_key_value_heads=4,
            rms_norm_eps=1e-5, tie_word_embeddings=False,
            rope_parameters=dict(rope_type="default", rope_theta=10000.0),
        ),
        dtype=torch.float32,
        old_spelling=True,
        shards=1,
    ),
    # Grouped queries, stretched frequencies, tied head, biases, BF16.
    "llama3": dict(
        model=LlamaForCausalLM,
        config=LlamaConfig(
            **COMMON, vocab_size=132, hidden_size=48, intermediate_size=120, num_attention_heads=6, num_key_value_heads=2,
            rms_norm_eps=1e-5, tie_word_embeddings=True, attention_bias=True, mlp_bias=True,
            rope_parameters=dict(
                rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                original_max_position_embeddings=32,
            ),
        ),
        dtype=torch.bfloat16,
        old_spelling=False,
        shards=1,
    ),
    # Linear scaling, an intermediate size that is not a multiple of 8, F32.
    "llama-linear": dict(
        model=LlamaForCausalLM,
        config=LlamaConfig(
            **COMMON, vocab_size=100, hidden_size=32, intermediate_size=50, num_attention_heads=2, num_key_value_heads=1,
            rms_norm_eps=1e-6, tie_word_embeddings=False,
            rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=4.0),
        ),
        dtype=torch.float32,
        old_spelling=True,
        shards=1,
    ),
    # A window shorter than the test's sequences, F16.
    "mistral": dict(
        model=MistralForCausalLM,
        config=MistralConfig(
            **COMMON, vocab_size=110, hidden_size=64, intermediate_size=80, num_attention_heads=4, num_key_value_heads=2,
            rms_norm_eps=1e-5, tie_word_embeddings=False, sliding_window=9,
            rope_parameters=dict(rope_type="default", rope_theta=1000000.0),
        ),
        dtype=torch.float16,
        old_spelling=False,
        shards=1,
    ),
    # Biases on q, k, v; two shards with an index; a window on the second layer only; BF16.
    "qwen2": dict(
        model=Qwen2ForCausalLM,
        config=Qwen2Config(
            **COMMON, vocab_size=150, hidden_size=48, intermediate_size=96, num_attention_heads=6, num_key_value_heads=2,
            rms_norm_eps=1e-6, tie_word_embeddings=True, use_sliding_window=True, sliding_window=12,
            max_window_layers=1, rope_parameters=dict(rope_type="default", rope_theta=1000000.0),
        ),
        dtype=torch.bfloat16,
        old_spelling=False,
        shards=2,
    ),
    # Norms on queries and keys; heads wider than hidden size / heads; F16.
    "qwen3": dict(
        model=Qwen3ForCausalLM,
        config=Qwen3Config(
            **COMMON, vocab_size=120, hidden_size=40, intermediate_size=88, num_attention_heads=4, num_key_value_heads=2,
            head_dim=16, rms_norm_eps=1e-6, tie_word_embeddings=True,
            rope_parameters=dict(rope_type="default", rope_theta=1000000.0),
        ),
        dtype=torch.float16,
        old_spelling=False,
        shards=1,
    ),
    # A base that grows with sequences longer than 32 tokens, F32.
    "llama-dynamic": dict(
        model=LlamaForCausalLM,
        config=LlamaConfig(
            **{**COMMON, "max_position_embeddings": 32}, vocab_size=100, hidden_size=32, intermediate_size=40,
            num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True,
            rope_parameters=dict(rope_type="dynamic", rope_theta=10000.0, factor=3.0),
        ),
        dtype=torch.float32,
        old_spelling=False,
        shards=1,
        steps=True,
    ),
    # A ramp of frequencies and an attention factor, BF16.
    "mistral-yarn": dict(
        model=MistralForCausalLM,
        config=MistralConfig(
            **{**COMMON, "max_position_embeddings": 64}, vocab_size=100, hidden_size=64, intermediate_size=40,
            num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True, sliding_window=None,
            rope_parameters=dict(
                rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=16, beta_fast=4.0,
                beta_slow=0.5,
            ),
        ),
        dtype=torch.bfloat16,
        old_spelling=False,
        shards=1,
        steps=True,
    ),
    # Factors of their own for sequences up to 24 tokens and for longer ones, F16.
    "qwen3-longrope": dict(
        model=Qwen3ForCausalLM,
        config=Qwen3Config(
            **COMMON, vocab_size=100, hidden_size=40, intermediate_size=48, num_attention_heads=4,
            num_key_value_heads=2, head_dim=16, tie_word_embeddings=True,
            rope_parameters=dict(
                rope_type="longrope", rope_theta=1000000.0, original_max_position_embeddings=24,
                short_factor=[1.0, 1.05, 1.1, 1.2, 1.3, 1.5, 1.75, 2.0],
                long_factor=[1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 5.33],
            ),
        ),
        dtype=torch.float16,
        old_spelling=False,
        shards=1,
        steps=True,
    ),
    # A layer without rotary embedding and with a window, and one with the embedding and none; grouped queries, biases, BF16.
    "smollm3": dict(
        model=SmolLM3ForCausalLM,
        config=SmolLM3Config(
            **COMMON, vocab_size=100, hidden_size=48, intermediate_size=56, num_attention_heads=6, num_key_value_heads=2,
            attention_bias=True, no_rope_layers=[0, 1], use_sliding_window=True, sliding_window=13,
            layer_types=["sliding_attention", "full_attention"],
        ),
        dtype=torch.bfloat16,
        old_spelling=False,
        shards=1,
    ),
    # Norms around, 1 + w, both bounds, an embedding scale that bfloat16 rounds, a query scale that is not the head's, BF16.
    "gemma2": dict(
        model=Gemma2ForCausalLM,
        config=Gemma2Config(
            **COMMON, vocab_size=100, hidden_size=40, intermediate_size=52, num_attention_heads=4, num_key_value_heads=2,
            head_dim=16, query_pre_attn_scalar=11, sliding_window=9, attn_logit_softcapping=4.0,
            final_logit_softcapping=9.0, attention_bias=True,
            rope_parameters=dict(rope_type="default", rope_theta=10000.0),
        ),
        dtype=torch.bfloat16,
        old_spelling=False,
        shards=1,
        without=["layer_types"],
    ),
    # The same with norms on queries and keys and two rotary bases, one of them scaled; keys that classes fill in, F32.
    "gemma3": dict(
        model=Gemma3ForCausalLM,
        config=Gemma3TextConfig(
            **{**COMMON, "num_hidden_layers": 3}, vocab_size=100, hidden_size=36, intermediate_size=50,
            num_attention_heads=3, num_key_value_heads=1, head_dim=12, query_pre_attn_scalar=7, sliding_window=10,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"], final_logit_softcapping=20.0,
            rope_parameters=dict(
                full_attention=dict(rope_type="linear", factor=4.0, rope_theta=50000.0),
                sliding_attention=dict(rope_type="default", rope_theta=100.0),
            ),
        ),
        dtype=torch.float32,
        old_spelling=False,
        shards=1,
    ),
    # The text part of a model that sees images: its own names and configuration within, spelled as before transformers 5, BF16.
    "gemma3-vision": dict(
        model=Gemma3ForConditionalGeneration,
        config=Gemma3Config(
            text_config=dict(
                **COMMON, vocab_size=100, hidden_size=40, intermediate_size=48, num_attention_heads=4,
                num_key_value_heads=2, head_dim=16, query_pre_attn_scalar=16, sliding_window=12,
                layer_types=["sliding_attention", "full_attention"],
                rope_parameters=dict(
                    full_attention=dict(rope_type="linear", factor=8.0, rope_theta=1000000.0),
                    sliding_attention=dict(rope_type="default", rope_theta=10000.0),
                ),
            ),
            vision_config=dict(
                hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, image_size=8, patch_size=4,
            ),
            image_token_index=99, boi_token_index=98, eoi_token_index=97, mm_tokens_per_image=1,
        ),
        dtype=torch.bfloat16,
        old_spelling=False,
        shards=1,
        rewrite=gemma3_of_2025,
        strip=HEADS,
    ),
    # All four multipliers, biases, BF16.
    "granite": dict(
        model=GraniteForCausalLM,
        config=GraniteConfig(
            **COMMON, vocab_size=100, hidden_size=48, intermediate_size=52, num_attention_heads=6, num_key_value_heads=2,
            embedding_multiplier=12.0, attention_multiplier=0.3, residual_multiplier=0.22, logits_scaling=8.0,
            attention_bias=True, mlp_bias=True, tie_word_embeddings=True,
            rope_parameters=dict(rope_type="default", rope_theta=10000.0),
        ),
        dtype=torch.bfloat16,
        old_spelling=False,
        shards=1,
    ),
    # Biases on q, k, v and none on o, heads wider than hidden size / heads, F16.
    "seed-oss": dict(
        model=SeedOssForCausalLM,
        config=SeedOssConfig(
            **COMMON, vocab_size=100, hidden_size=40, intermediate_size=44, num_attention_heads=5, num_key_value_heads=1,
            head_dim=16, residual_dropout=0.0, rope_parameters=dict(rope_type="default", rope_theta=10000.0),
        ),
        dtype=torch.float16,
        old_spelling=False,
        shards=1,
        without=["attention_bias", "attention_out_bias"],
    ),
    # Common tensors, a window, F32.
    "phi3": dict(
        model=Phi3ForCausalLM,
        config=Phi3Config(
            **COMMON, vocab_size=100, hidden_size=32, intermediate_size=36, num_attention_heads=4, num_key_value_heads=2,
            sliding_window=11, rope_parameters=dict(rope_type="default", rope_theta=10000.0),
        ),
        dtype=torch.float32,
        old_spelling=True,
        shards=1,
    ),
    # The same with three quarters of each head turned, by factors of their own for sequences longer than 24 tokens, BF16.
    "phi4-mini": dict(
        model=Phi3ForCausalLM,
        config=Phi3Config(
            **COMMON, vocab_size=100, hidden_size=48, intermediate_size=40, num_attention_heads=3, num_key_value_heads=1,
            tie_word_embeddings=True, original_max_position_embeddings=24, partial_rotary_factor=0.75,
            rope_scaling=dict(
                type="longrope", short_factor=[1.0, 1.05, 1.1, 1.3, 1.5, 2.0],
                long_factor=[1.0, 1.25, 1.5, 2.5, 4.0, 5.33],
            ),
        ),
        dtype=torch.bfloat16,
        old_spelling=False,
        shards=1,
        rewrite=phi4_of_2025,
        steps=True,
        gain=1.0,
    ),
    # Beyond the trained context, F16.
    "granite-yarn": dict(
        model=GraniteForCausalLM,
        config=GraniteConfig(
            **{**COMMON, "max_position_embeddings": 96}, vocab_size=100, hidden_size=32, intermediate_size=36,
            num_attention_heads=2, num_key_value_heads=1, attention_multiplier=0.25,
            rope_parameters=dict(
                rope_type="yarn", rope_theta=10000.0, factor=3.0, original_max_position_embeddings=32, truncate=False,
            ),
        ),
        dtype=torch.float16,
        old_spelling=False,
        shards=1,
        steps=True,
        gain=1.0,
    ),
    # Three experts, two of them for each token, BF16.
    "mixtral": dict(
        model=MixtralForCausalLM,
        config=MixtralConfig(
            **COMMON, vocab_size=100, hidden_size=32, intermediate_size=36, num_attention_heads=4, num_key_value_heads=2,
            num_local_experts=3, num_experts_per_tok=2, sliding_window=12, rms_norm_eps=1e-5,
            rope_parameters=dict(rope_type="default", rope_theta=1000000.0),
        ),
        dtype=torch.bfloat16,
        old_spelling=False,
        shards=1,
        gain=1.0,
    ),
    # Six experts, two for each token, whose weights do not add up to 1, and one for all; a layer without them; F16.
    "qwen2-moe": dict(
        model=Qwen2MoeForCausalLM,
        config=Qwen2MoeConfig(
            **{**COMMON, "num_hidden_layers": 3}, vocab_size=100, hidden_size=32, intermediate_size=44,
            moe_intermediate_size=20, shared_expert_intermediate_size=28, num_attention_heads=4, num_key_value_heads=2,
            num_experts=6, num_experts_per_tok=2, mlp_only_layers=[1],
            rope_parameters=dict(rope_type="default", rope_theta=1000000.0),
        ),
        dtype=torch.float16,
        old_spelling=False,
        shards=1,
        gain=1.0,
    ),
    # Twelve experts in every second layer, three for each token, with weights that add up to 1, F32.
    "qwen3-moe": dict(
        model=Qwen3MoeForCausalLM,
        config=Qwen3MoeConfig(
            **COMMON, vocab_size=100, hidden_size=32, intermediate_size=40, moe_intermediate_size=12,
            num_attention_heads=4, num_key_value_heads=2, head_dim=16, num_experts=12, num_experts_per_tok=3,
            norm_topk_prob=True, decoder_sparse_step=2, attention_bias=True, use_sliding_window=True, sliding_window=14,
            rope_parameters=dict(rope_type="default", rope_theta=1000000.0),
        ),
        dtype=torch.float32,
        old_spelling=False,
        shards=1,
        gain=1.0,
    ),
    # A window in the second layer only, BF16.
    "ministral": dict(
        model=MinistralForCausalLM,
        config=MinistralConfig(
            **COMMON, vocab_size=100, hidden_size=40, intermediate_size=36, num_attention_heads=4, num_key_value_heads=2,
            head_dim=16, sliding_window=11, layer_types=["full_attention", "sliding_attention"],
            rope_parameters=dict(rope_type="default", rope_theta=1000000.0),
        ),
        dtype=torch.bfloat16,
        old_spelling=False,
        shards=1,
    ),
    # Queries that grow beyond 20 tokens, yarn with its two scales of attention, F32.
    "ministral3": dict(
        model=Ministral3ForCausalLM,
        config=Ministral3Config(
            **COMMON, vocab_size=100, hidden_size=32, intermediate_size=36, num_attention_heads=4, num_key_value_heads=2,
            head_dim=16, rope_parameters=dict(
                rope_type="yarn", rope_theta=1000000.0, factor=6.4, original_max_position_embeddings=20, beta_fast=32.0,
                beta_slow=1.0, mscale=1.0, mscale_all_dim=1.0, llama_4_scaling_beta=0.6,
            ),
        ),
        dtype=torch.float32,
        old_spelling=False,
        shards=1,
        gain=1.0,
    ),
    # The text part of a model that sees images, with a head of its own, BF16.
    "mistral3-vision": dict(
        model=Mistral3ForConditionalGeneration,
        config=Mistral3Config(
            text_config=dict(
                **COMMON, model_type="mistral", vocab_size=100, hidden_size=32, intermediate_size=40,
                num_attention_heads=4, num_key_value_heads=2, head_dim=16, sliding_window=None, rms_norm_eps=1e-5,
                rope_parameters=dict(rope_type="default", rope_theta=1000000000.0),
            ),
            vision_config=dict(
                model_type="pixtral", hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
                head_dim=8, image_size=8, patch_size=4,
            ),
            tie_word_embeddings=False, image_token_index=99,
        ),
        dtype=torch.bfloat16,
        old_spelling=False,
        shards=1,
    ),
    # Norms behind attention and feed-forward and over all heads, F16.
    "olmo2": dict(
        model=Olmo2ForCausalLM,
        config=Olmo2Config(
            **COMMON, vocab_size=100, hidden_size=48, intermediate_size=44, num_attention_heads=6, num_key_value_heads=2,
            attention_bias=True, rope_parameters=dict(rope_type="default", rope_theta=500000.0),
        ),
        dtype=torch.float16,
        old_spelling=False,
        shards=1,
    ),
    # The same with windows, and a scaling in the layers without, F32.
    "olmo3": dict(
        model=Olmo3ForCausalLM,
        config=Olmo3Config(
            **COMMON, vocab_size=100, hidden_size=32, intermediate_size=36, num_attention_heads=4, num_key_value_heads=4,
            sliding_window=13, layer_types=["sliding_attention", "full_attention"],
            rope_parameters=dict(
                full_attention=dict(
                    rope_type="yarn", rope_theta=500000.0, factor=4.0, original_max_position_embeddings=32,
                    attention_factor=1.2, beta_fast=32.0, beta_slow=1.0,
                ),
                sliding_attention=dict(rope_type="default", rope_theta=500000.0),
            ),
        ),
        dtype=torch.float32,
        old_spelling=False,
        shards=1,
    ),
    # Eight experts, three for each token, whose weights do not add up to 1; norms over all heads; BF16.
    "olmoe": dict(
        model=OlmoeForCausalLM,
        config=OlmoeConfig(
            **COMMON, vocab_size=100, hidden_size=32, intermediate_size=20, num_attention_heads=4, num_key_value_heads=2,
            num_experts=8, num_experts_per_tok=3, attention_bias=True, rope_parameters=dict(rope_type="default", rope_theta=10000.0),
        ),
        dtype=torch.bfloat16,
        gain=1.0,
    ),
    # Five experts in two common tensors, all four multipliers, F16.
    "granite-moe": dict(
        model=GraniteMoeForCausalLM,
        config=GraniteMoeConfig(
            **COMMON, vocab_size=100, hidden_size=32, intermediate_size=20, num_attention_heads=4, num_key_value_heads=2,
            num_local_experts=5, num_experts_per_tok=2, embedding_multiplier=12.0, attention_multiplier=0.3,
            residual_multiplier=0.22, logits_scaling=6.0, tie_word_embeddings=True, rope_parameters=dict(rope_type="default", rope_theta=10000.0),
        ),
        dtype=torch.float16,
        gain=1.0,
    ),
    # Pairs side by side in half of each head, gate and up in one tensor, biases on q, k and v, BF16.
    "glm": dict(
        model=GlmForCausalLM,
        config=GlmConfig(
            **COMMON, vocab_size=100, hidden_size=40, intermediate_size=36, num_attention_heads=4, num_key_value_heads=2,
            head_dim=16, rope_parameters=dict(rope_type="default", rope_theta=10000.0),
        ),
        dtype=torch.bfloat16,
        without=["attention_bias"],
    ),
    # The same with norms around, F32.
    "glm4": dict(
        model=Glm4ForCausalLM,
        config=Glm4Config(
            **COMMON, vocab_size=100, hidden_size=32, intermediate_size=36, num_attention_heads=4, num_key_value_heads=1,
            head_dim=12, rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.5),
        ),
        dtype=torch.float32,
    ),
    # Pairs side by side in whole heads, biases everywhere, F16.
    "ernie4.5": dict(
        model=Ernie4_5ForCausalLM,
        config=Ernie4_5Config(
            **COMMON, vocab_size=100, hidden_size=40, intermediate_size=36, num_attention_heads=4, num_key_value_heads=2,
            head_dim=16, use_bias=True, tie_word_embeddings=True,
            rope_parameters=dict(rope_type="default", rope_theta=500000.0),
        ),
        dtype=torch.float16,
    ),
    # Norms of turned queries and keys, a base made greater, BF16.
    "hunyuan": dict(
        model=HunYuanDenseV1ForCausalLM,
        config=HunYuanDenseV1Config(
            **COMMON, vocab_size=100, hidden_size=40, intermediate_size=36, num_attention_heads=4, num_key_value_heads=2,
            head_dim=12, attention_bias=True,
            rope_parameters=dict(rope_type="dynamic", rope_theta=10000.0, alpha=20.0, factor=1.0),
        ),
        dtype=torch.bfloat16,
    ),
    # Norms behind and per head; three layers with a window, which are turned, and one that is not; F32.
    "exaone4": dict(
        model=Exaone4ForCausalLM,
        config=Exaone4Config(
            **{**COMMON, "num_hidden_layers": 4}, vocab_size=100, hidden_size=32, intermediate_size=36,
            num_attention_heads=4, num_key_value_heads=2, sliding_window=12, sliding_window_pattern=4,
            rope_parameters=dict(
                rope_type="llama3", rope_theta=1000000.0, factor=16.0, low_freq_factor=1.0, high_freq_factor=4.0,
                original_max_position_embeddings=32,
            ),
        ),
        dtype=torch.float32,
        without=["layer_types"],
    ),
    # Norms that take the mean away, attention beside the MLP, pairs side by side, scaled logits, BF16.
    "cohere": dict(
        model=CohereForCausalLM,
        config=CohereConfig(
            **COMMON, vocab_size=100, hidden_size=48, intermediate_size=36, num_attention_heads=6, num_key_value_heads=2,
            attention_bias=True, logit_scale=0.25, rope_parameters=dict(rope_type="default", rope_theta=500000.0),
        ),
        dtype=torch.bfloat16,
    ),
    # The same with windows in the layers that are turned, F16.
    "cohere2": dict(
        model=Cohere2ForCausalLM,
        config=Cohere2Config(
            **COMMON, vocab_size=100, hidden_size=32, intermediate_size=36, num_attention_heads=4, num_key_value_heads=1,
            sliding_window=11, layer_types=["sliding_attention", "full_attention"], rope_parameters=dict(rope_type="default", rope_theta=10000.0),
        ),
        dtype=torch.float16,
    ),
    # Norms with biases, half of each head turned, biases on q, k and v, F16.
    "stablelm": dict(
        model=StableLmForCausalLM,
        config=StableLmConfig(
            **COMMON, vocab_size=100, hidden_size=48, intermediate_size=36, num_attention_heads=3, num_key_value_heads=1,
            use_qkv_bias=True, rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.5),
        ),
        dtype=torch.float16,
    ),
    # The same with attention beside the MLP and a quarter turned, F32.
    "stablelm-parallel": dict(
        model=StableLmForCausalLM,
        config=StableLmConfig(
            **COMMON, vocab_size=100, hidden_size=32, intermediate_size=36, num_attention_heads=4, num_key_value_heads=4,
            use_parallel_residual=True, rope_parameters=dict(rope_type="default", rope_theta=10000.0),
        ),
        dtype=torch.float32,
    ),
    # An MLP without a gate, biases everywhere, a window, BF16.
    "starcoder2": dict(
        model=Starcoder2ForCausalLM,
        config=Starcoder2Config(
            **COMMON, vocab_size=100, hidden_size=48, intermediate_size=60, num_attention_heads=6, num_key_value_heads=2,
            sliding_window=13, residual_dropout=0.0, embedding_dropout=0.0, rope_parameters=dict(rope_type="default", rope_theta=10000.0),
        ),
        dtype=torch.bfloat16,
    ),
    # Norms of 1 + w with biases, a squared ReLU, half of each head turned, F16.
    "nemotron": dict(
        model=NemotronForCausalLM,
        config=NemotronConfig(
            **COMMON, vocab_size=100, hidden_size=40, intermediate_size=60, num_attention_heads=4, num_key_value_heads=2,
            head_dim=16, mlp_bias=True, rope_parameters=dict(rope_type="default", rope_theta=10000.0),
        ),
        dtype=torch.float16,
        gain=1.0,
    ),
    # One head of keys in one tensor with the queries, one norm, no gate, BF16.
    "falcon": dict(
        model=FalconForCausalLM,
        config=FalconConfig(
            **COMMON, vocab_size=100, hidden_size=40, num_attention_heads=5, rope_parameters=dict(rope_type="default", rope_theta=10000.0),
        ),
        dtype=torch.bfloat16,
    ),
    # Heads in groups within one tensor and two norms, F32.
    "falcon-new": dict(
        model=FalconForCausalLM,
        config=FalconConfig(
            **COMMON, vocab_size=100, hidden_size=32, num_attention_heads=4, num_kv_heads=2, ffn_hidden_size=44,
            new_decoder_architecture=True, rope_parameters=dict(rope_type="default", rope_theta=10000.0),
        ),
        dtype=torch.float32,
    ),
}

LENGTHS = (1, 7, 90)

# Of a model whose frequencies may change with the length: a prompt of so many tokens, then one token after the other.
PROMPT = 20


def randomize(model, gain):
    """Weights large enough that every part of the model shows in the logits."""
    with torch.no_grad():
        shift = 0 if model.config.model_type.startswith(("gemma", "nemotron")) else 1
        for name, p in model.named_parameters():
            if name.endswith(("norm.weight", "ln_f.weight", "ln_attn.weight", "ln_mlp.weight")):
                p.copy_(shift + 0.3 * torch.randn_like(p))
            elif name.endswith("bias"):
                p.copy_(0.5 * torch.randn_like(p))
            elif "embed" in name:
                p.copy_(torch.randn_like(p))
            else:
                p.copy_(gain * torch.randn_like(p) / p.shape[-1] ** 0.5)


def write_config(config, dtype, spec, path):
    values = config.to_diff_dict()
    values["torch_dtype"] = {torch.float32: "float32", torch.float16: "float16", torch.bfloat16: "bfloat16"}[dtype]
    values.pop("dtype", None)
    values.pop("transformers_version", None)
    for key in spec.get("without", []):
        values.pop(key)
    values = spec.get("rewrite", lambda v: v)(values)
    if spec.get("old_spelling"):
        rope = values.pop("rope_parameters")
        values["rope_theta"] = rope["rope_theta"]
        if rope["rope_type"] == "default":
            values["rope_scaling"] = None
        else:
            values["rope_scaling"] = {"type": rope["rope_type"], "factor": rope["factor"]}
    path.write_text(json.dumps(values, indent=1, sort_keys=True) + "\n")


# As files of Granite have them.
STACKED = {
    "experts.gate_up_proj": "input_linear.weight", "experts.down_proj": "output_linear.weight",
    "sparse_moe.router.weight": "sparse_moe.router.layer.weight",
}


def by_expert(state, model_type):
    """As files have them: a tensor for each linear of each expert."""
    mixtral = model_type == "mixtral"
    if model_type == "granitemoe":
        for ours, theirs in STACKED.items():
            state = {k.replace(ours, theirs): v for k, v in state.items()}
        return state
    names = ("w1", "w3", "w2") if mixtral else ("gate_proj", "up_proj", "down_proj")
    out = {}
    for k, v in state.items():
        k = k.replace(".mlp.", ".block_sparse_moe.") if mixtral else k
        base, _, last = k.rpartition(".")
        if not base.endswith(".experts"):
            out[k] = v
            continue
        for e in range(v.shape[0]):
            pieces = zip(names[:2], v[e].chunk(2)) if last == "gate_up_proj" else [(names[2], v[e])]
            out.update({f"{base}.{e}.{name}.weight": piece.contiguous() for name, piece in pieces})
    return out


def write_weights(model, shards, directory):
    state = {k: v.contiguous() for k, v in model.state_dict().items()}
    state = by_expert(state, model.config.model_type)
    if hasattr(model.config, "text_config"):
        # As on the Hub, before transformers 5 exchanged the two words.
        state = {k.replace("model.language_model.", "language_model.model."): v for k, v in state.items()}
    if model.config.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    if shards == 1:
        save_file(state, directory / "model.safetensors", metadata={"format": "pt"})
        return
    names = sorted(state)
    index = {"metadata": {"total_size": sum(v.nbytes for v in state.values())}, "weight_map": {}}
    for i in range(shards):
        file = f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
        part = names[i::shards]
        save_file({n: state[n] for n in part}, directory / file, metadata={"format": "pt"})
        index["weight_map"].update({n: file for n in part})
    (directory / "model.safetensors.index.json").write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")


def decode(model, directory, ids):
    """The logits after each token from the prompt's last one on; a fresh model, as a rotary embedding keeps a state."""
    fresh = model.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()
    rows, past = [], None
    with torch.no_grad():
        for piece in [ids[:PROMPT]] + list(ids[PROMPT:].split(1)):
            out = fresh(piece[None].long(), past_key_values=past, use_cache=True)
            past = out.past_key_values
            rows.append(out.logits[0, -1].float())
    return torch.stack(rows[::10]).contiguous()


def main(root, names):
    for seed, (name, spec) in enumerate(MODELS.items()):
        if names and name not in names:
            continue
        torch.manual_seed(seed)
        directory = root / name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        spec["config"].architectures = [spec["model"].__name__]
        spec["config"]._attn_implementation = "eager"
        model = spec["model"](spec["config"]).eval()
        randomize(model, spec.get("gain", 1.5))
        model.to(spec["dtype"])
        write_config(spec["config"], spec["dtype"], spec, directory / "config.json")
        write_weights(model, spec.get("shards", 1), directory)
        loaded = spec["model"].from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()
        for module in loaded.modules():
            if hasattr(module, "scalar_embed_scale"):
                # In a model of the stored type, as it is loaded by itself and was trained, the scale is rounded.
                module.embed_scale = module.embed_scale.to(spec["dtype"]).to(torch.float32)
        expected = {}
        for i, length in enumerate(LENGTHS):
            ids = torch.randint(0, spec["config"].get_text_config().vocab_size, (1, length))
            with torch.no_grad():
                logits = loaded(ids, use_cache=False).logits[0].float()
            # Rows enough to see every kind of position; whole sequences would be most of the files.
            rows = sorted({0, length // 3, length // 2, length - 2, length - 1} & set(range(length)))
            expected[f"ids{i}"] = ids[0].to(torch.int32)
            expected[f"rows{i}"] = torch.tensor(rows, dtype=torch.int32)
            expected[f"logits{i}"] = logits[rows].contiguous()
        if spec.get("steps"):
            expected["steps"] = decode(spec["model"], directory, expected["ids2"])
        save_file(expected, directory / "expected.safetensors")
        if spec.get("strip"):
            path = directory / "config.json"
            values = json.loads(path.read_text())
            for key in spec["strip"]:
                values["text_config"].pop(key)
            path.write_text(json.dumps(values, indent=1, sort_keys=True) + "\n")
        size = sum(f.stat().st_size for f in directory.iterdir())
        print(f"{name:14s} {size:7d} bytes, max |logit| {expected['logits2'].abs().max():.2f}")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2:])

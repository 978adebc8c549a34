package dev.gosset.llm.plan;

import dev.gosset.core.UnsupportedModelException;
import dev.gosset.core.memory.Quoted;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * What distinguishes one family of decoder-only transformers from another, as data.
 *
 * <p>A new family that needs no new field here is one more entry of {@link #KNOWN}; see docs/model-families.md.
 *
 * @param name the family's name in messages
 * @param architecture the class that {@code architectures} in config.json names
 * @param modelType {@code model_type} in config.json, consulted where {@code architectures} is absent
 * @param attentionBias which attention linears have a bias
 * @param window what a sliding window in config.json applies to
 * @param traits what else it has
 * @param defaults what holds where config.json leaves a key out
 */
public record ModelFamily(
        String name,
        String architecture,
        String modelType,
        AttentionBias attentionBias,
        Window window,
        Set<Trait> traits,
        Defaults defaults) {
    public ModelFamily {
        traits = Set.copyOf(traits);
    }

    /** What some families have and others do not. */
    public enum Trait {
        /** {@code mlp_bias} in config.json is honoured; otherwise there is none. */
        CONFIGURED_MLP_BIAS,
        /** Queries and keys are normalized per head before they are turned. */
        QUERY_KEY_NORM,
        /** All queries of a token are normalized together before they are turned, and all its keys. */
        PROJECTION_NORM,
        /** Norms stand behind attention and feed-forward and not before them. */
        NORMS_AFTER,
        /** Layers with a window are turned without scaling. */
        LOCAL_UNSCALED,
        /** {@code llama_4_scaling_beta} makes queries greater beyond the trained context. */
        QUERY_GROWTH,
        /**
         * {@code no_rope_layers} and {@code no_rope_layer_interval} are honoured: layers whose queries and keys are not turned by
         * their positions.
         */
        UNTURNED_LAYERS,
        /** Norms multiply by 1 + w, and those of attention and feed-forward stand before and after them. */
        SHIFTED_NORMS_AROUND,
        /** Embeddings are multiplied by the square root of the hidden size, which is rounded to the type of the model. */
        SCALED_EMBEDDING,
        /** Scores are scaled by {@code query_pre_attn_scalar} to the power of -1/2, not by the head dimension. */
        QUERY_SCALE,
        /** {@code attn_logit_softcapping} is honoured; otherwise a model that has it is refused. */
        SCORE_CAP,
        /** {@code final_logit_softcapping} is honoured. */
        LOGIT_CAP,
        /** {@code embedding_multiplier}, {@code attention_multiplier}, {@code residual_multiplier} and {@code logits_scaling} are honoured. */
        MULTIPLIERS,
        /** q, k and v are rows of one tensor, {@code qkv_proj}, and gate and up of another, {@code gate_up_proj}. */
        FUSED,
        /** {@code partial_rotary_factor} is honoured: that part of a head is turned. Otherwise only 1 is known. */
        PARTIAL_ROTARY,
        /** {@code yarn} is an old name of {@code longrope}; the trained context is 4096 where nothing says so. */
        PHI_ROTARY,
        /** Layers are mixtures of experts as {@code num_experts}, {@code decoder_sparse_step} and {@code mlp_only_layers} say. */
        EXPERTS,
        /** Each of those has an expert for all tokens, as wide as {@code shared_expert_intermediate_size}. */
        SHARED_EXPERT,
        /** All layers are mixtures of {@code num_local_experts}, whose linears are called w1, w2 and w3. */
        MIXTRAL_EXPERTS,
        /** Layers with a window are turned by a base of their own, {@code rope_local_base_freq}, and by no scaling. */
        LOCAL_BASE
    }

    /**
     * What a family's configuration class in transformers 5.18 has for keys that config.json does not mention, as far as
     * families differ; where a tensor tells the number, that goes before.
     *
     * @param keyValueHeads {@code num_key_value_heads}; 0 for as many as there are heads
     * @param headDim {@code head_dim}; 0 for hidden size / heads
     * @param positions {@code max_position_embeddings}
     * @param window {@code sliding_window}; 0 for none
     * @param theta {@code rope_theta}
     * @param tied {@code tie_word_embeddings}
     * @param activation {@code hidden_act}
     * @param epsilon {@code rms_norm_eps}
     */
    public record Defaults(
            int keyValueHeads,
            int headDim,
            int positions,
            int window,
            double theta,
            boolean tied,
            String activation,
            double epsilon) {
        Defaults(int keyValueHeads, int headDim, int positions, int window) {
            this(keyValueHeads, headDim, positions, window, 10_000, false, "silu", 1e-6);
        }
    }

    /** Which of the attention linears add a bias. */
    public enum AttentionBias {
        NONE,
        /** q, k and v always; o never. */
        QKV,
        /** q, k and v unless {@code qkv_bias} is false; o never. */
        QKV_CONFIGURED,
        /** q, k, v and o where {@code attention_bias} is true. */
        CONFIGURED,
        /** q, k and v unless {@code attention_bias} is false, o where {@code attention_out_bias} is true. */
        APART
    }

    /** Which layers attend only to the last {@code sliding_window} positions. */
    public enum Window {
        /** The family has no sliding window: the key is ignored. */
        NEVER,
        /** All layers, or those that {@code layer_types} names, where {@code sliding_window} is above 0. */
        ALL_LAYERS,
        /**
         * Where {@code use_sliding_window} is true, the layers that {@code layer_types} names, or those from
         * {@code max_window_layers} on.
         */
        SOME_LAYERS,
        /** Where {@code use_sliding_window} is true, all layers. */
        ALL_WHERE_USED,
        /** Where {@code use_sliding_window} is true, the layers that {@code layer_types} must name. */
        NAMED_LAYERS,
        /** The layers that {@code layer_types} names, or the first of every two. */
        EVERY_OTHER,
        /** The layers that {@code layer_types} names, or all but every fourth. */
        ALL_BUT_FOURTH,
        /** The layers that {@code layer_types} names, or all but every {@code sliding_window_pattern}-th, 6 where that is missing. */
        PATTERN
    }

    /** Llama 1, 2 and 3.x. */
    public static final ModelFamily LLAMA = new ModelFamily(
            "Llama",
            "LlamaForCausalLM",
            "llama",
            AttentionBias.CONFIGURED,
            Window.NEVER,
            Set.of(Trait.CONFIGURED_MLP_BIAS),
            new Defaults(0, 0, 2048, 0));

    /** Mistral 7B and its kin. */
    public static final ModelFamily MISTRAL = new ModelFamily(
            "Mistral",
            "MistralForCausalLM",
            "mistral",
            AttentionBias.NONE,
            Window.ALL_LAYERS,
            Set.of(),
            new Defaults(8, 0, 131_072, 4096));

    /** Qwen 2 and 2.5. */
    public static final ModelFamily QWEN2 = new ModelFamily(
            "Qwen2",
            "Qwen2ForCausalLM",
            "qwen2",
            AttentionBias.QKV,
            Window.SOME_LAYERS,
            Set.of(),
            new Defaults(32, 0, 32_768, 4096));

    /** Qwen 3, dense. */
    public static final ModelFamily QWEN3 = new ModelFamily(
            "Qwen3",
            "Qwen3ForCausalLM",
            "qwen3",
            AttentionBias.CONFIGURED,
            Window.SOME_LAYERS,
            Set.of(Trait.QUERY_KEY_NORM),
            new Defaults(32, 128, 32_768, 4096));

    /** SmolLM 3: some layers do not know where tokens stand. */
    public static final ModelFamily SMOLLM3 = new ModelFamily(
            "SmolLM3",
            "SmolLM3ForCausalLM",
            "smollm3",
            AttentionBias.CONFIGURED,
            Window.NAMED_LAYERS,
            Set.of(Trait.CONFIGURED_MLP_BIAS, Trait.UNTURNED_LAYERS),
            new Defaults(4, 0, 32_768, 0, 2_000_000, true, "silu", 1e-6));

    /** Gemma 2. */
    public static final ModelFamily GEMMA2 = new ModelFamily(
            "Gemma 2",
            "Gemma2ForCausalLM",
            "gemma2",
            AttentionBias.CONFIGURED,
            Window.EVERY_OTHER,
            Set.of(
                    Trait.SHIFTED_NORMS_AROUND,
                    Trait.SCALED_EMBEDDING,
                    Trait.QUERY_SCALE,
                    Trait.SCORE_CAP,
                    Trait.LOGIT_CAP),
            new Defaults(4, 256, 8192, 4096, 10_000, true, "gelu_pytorch_tanh", 1e-6));

    /** Gemma 3, and the text part of models that see images too. */
    public static final ModelFamily GEMMA3 = new ModelFamily(
            "Gemma 3",
            "Gemma3ForCausalLM",
            "gemma3_text",
            AttentionBias.CONFIGURED,
            Window.PATTERN,
            Set.of(
                    Trait.QUERY_KEY_NORM,
                    Trait.SHIFTED_NORMS_AROUND,
                    Trait.SCALED_EMBEDDING,
                    Trait.QUERY_SCALE,
                    Trait.LOGIT_CAP,
                    Trait.LOCAL_BASE),
            new Defaults(4, 256, 131_072, 4096, 1_000_000, true, "gelu_pytorch_tanh", 1e-6));

    /** Granite 3 and 4, dense: numbers that multiply. */
    public static final ModelFamily GRANITE = new ModelFamily(
            "Granite",
            "GraniteForCausalLM",
            "granite",
            AttentionBias.CONFIGURED,
            Window.NEVER,
            Set.of(Trait.CONFIGURED_MLP_BIAS, Trait.MULTIPLIERS),
            new Defaults(0, 0, 2048, 0));

    /** Seed-OSS. */
    public static final ModelFamily SEED_OSS = new ModelFamily(
            "Seed-OSS",
            "SeedOssForCausalLM",
            "seed_oss",
            AttentionBias.APART,
            Window.NEVER,
            Set.of(Trait.CONFIGURED_MLP_BIAS),
            new Defaults(8, 128, 524_288, 0));

    /** Phi 3 and 4: linears in common tensors. */
    public static final ModelFamily PHI3 = new ModelFamily(
            "Phi-3",
            "Phi3ForCausalLM",
            "phi3",
            AttentionBias.NONE,
            Window.ALL_LAYERS,
            Set.of(Trait.FUSED, Trait.PARTIAL_ROTARY, Trait.PHI_ROTARY),
            new Defaults(0, 0, 4096, 0, 10_000, false, "silu", 1e-5));

    /** Mixtral: Mistral with experts. */
    public static final ModelFamily MIXTRAL = new ModelFamily(
            "Mixtral",
            "MixtralForCausalLM",
            "mixtral",
            AttentionBias.NONE,
            Window.ALL_LAYERS,
            Set.of(Trait.MIXTRAL_EXPERTS),
            new Defaults(8, 0, 131_072, 0, 1_000_000, false, "silu", 1e-5));

    /** Qwen 1.5 and 2 with experts. */
    public static final ModelFamily QWEN2_MOE = new ModelFamily(
            "Qwen2-MoE",
            "Qwen2MoeForCausalLM",
            "qwen2_moe",
            AttentionBias.QKV_CONFIGURED,
            Window.NAMED_LAYERS,
            Set.of(Trait.EXPERTS, Trait.SHARED_EXPERT),
            new Defaults(16, 0, 32_768, 4096));

    /** Qwen 3 with experts. */
    public static final ModelFamily QWEN3_MOE = new ModelFamily(
            "Qwen3-MoE",
            "Qwen3MoeForCausalLM",
            "qwen3_moe",
            AttentionBias.CONFIGURED,
            Window.ALL_WHERE_USED,
            Set.of(Trait.QUERY_KEY_NORM, Trait.EXPERTS),
            new Defaults(4, 0, 32_768, 4096));

    /** Ministral 8B: Mistral with a window in some layers. */
    public static final ModelFamily MINISTRAL = new ModelFamily(
            "Ministral",
            "MinistralForCausalLM",
            "ministral",
            AttentionBias.NONE,
            Window.ALL_LAYERS,
            Set.of(),
            new Defaults(8, 0, 131_072, 4096));

    /** Ministral 3. */
    public static final ModelFamily MINISTRAL3 = new ModelFamily(
            "Ministral 3",
            "Ministral3ForCausalLM",
            "ministral3",
            AttentionBias.NONE,
            Window.ALL_LAYERS,
            Set.of(Trait.QUERY_GROWTH),
            new Defaults(8, 128, 262_144, 0, 1_000_000, false, "silu", 1e-5));

    /** OLMo 2. */
    public static final ModelFamily OLMO2 = new ModelFamily(
            "OLMo 2",
            "Olmo2ForCausalLM",
            "olmo2",
            AttentionBias.CONFIGURED,
            Window.NEVER,
            Set.of(Trait.PROJECTION_NORM, Trait.NORMS_AFTER),
            new Defaults(0, 0, 2048, 0, 10_000, false, "silu", 1e-5));

    /** OLMo 3: some layers have a window. */
    public static final ModelFamily OLMO3 = new ModelFamily(
            "OLMo 3",
            "Olmo3ForCausalLM",
            "olmo3",
            AttentionBias.CONFIGURED,
            Window.ALL_BUT_FOURTH,
            Set.of(Trait.PROJECTION_NORM, Trait.NORMS_AFTER, Trait.LOCAL_UNSCALED),
            new Defaults(0, 0, 2048, 4096, 500_000, false, "silu", 1e-5));

    /** Every family that Gosset runs. */
    public static final List<ModelFamily> KNOWN = List.of(
            LLAMA,
            MISTRAL,
            QWEN2,
            QWEN3,
            SMOLLM3,
            GEMMA2,
            GEMMA3,
            GRANITE,
            SEED_OSS,
            PHI3,
            MIXTRAL,
            QWEN2_MOE,
            QWEN3_MOE,
            MINISTRAL,
            MINISTRAL3,
            OLMO2,
            OLMO3);

    /** Models whose language model has a configuration of its own, {@code text_config}, that names its {@code model_type}. */
    private static final Set<String> WITH_OTHER_PARTS =
            Set.of("Gemma3ForConditionalGeneration", "gemma3", "Mistral3ForConditionalGeneration", "mistral3");

    /** Whether the model has the trait. */
    public boolean has(Trait trait) {
        return traits.contains(trait);
    }

    /** Whether a model's language model is described by {@code text_config} in its config.json. */
    static boolean isPart(List<String> architectures, String modelType) {
        return architectures.isEmpty()
                ? WITH_OTHER_PARTS.contains(modelType.toLowerCase(Locale.ROOT))
                : architectures.stream().anyMatch(WITH_OTHER_PARTS::contains);
    }

    /** The class of a model saved without its head, such as {@code LlamaModel}. */
    private String baseArchitecture() {
        return architecture.replace("ForCausalLM", modelType.endsWith("_text") ? "TextModel" : "Model");
    }

    /**
     * The family of a model.
     *
     * @param where the file in messages
     * @param architectures {@code architectures} of config.json, perhaps empty
     * @param modelType {@code model_type} of config.json, perhaps empty
     * @throws UnsupportedModelException where none is known, with the known ones
     */
    static ModelFamily of(String where, List<String> architectures, String modelType) {
        for (ModelFamily f : KNOWN) {
            if (architectures.isEmpty()
                    ? f.modelType.equals(modelType.toLowerCase(Locale.ROOT))
                    : architectures.contains(f.architecture) || architectures.contains(f.baseArchitecture())) {
                return f;
            }
        }
        String seen = architectures.isEmpty()
                ? (modelType.isEmpty() ? "no architecture" : "model_type " + Quoted.of(modelType))
                : "architecture " + Quoted.of(String.join(", ", architectures));
        throw new UnsupportedModelException(where + ": found " + seen + ", known are "
                + KNOWN.stream().map(ModelFamily::architecture).collect(Collectors.joining(", ")));
    }
}

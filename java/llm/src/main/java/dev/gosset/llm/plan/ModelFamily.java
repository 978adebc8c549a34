package dev.gosset.llm.plan;

import static java.util.Map.entry;

import dev.gosset.core.UnsupportedModelException;
import dev.gosset.core.memory.Quoted;
import dev.gosset.llm.io.JsonFile;
import java.util.List;
import java.util.Locale;
import java.util.Map;
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
 * @param bias which linears have a bias
 * @param window what a sliding window in config.json applies to
 * @param traits what else it has
 * @param defaults what holds where config.json leaves a key out
 * @param spellings what the family calls keys of config.json, and in the names of tensors a layer, a part of one, the embedding
 *     and the last norm, by what they are usually called
 */
public record ModelFamily(
        String name,
        String architecture,
        String modelType,
        Bias bias,
        Window window,
        Set<Trait> traits,
        Defaults defaults,
        Map<String, String> spellings) {
    public ModelFamily {
        traits = Set.copyOf(traits);
        spellings = Map.copyOf(spellings);
    }

    private ModelFamily(
            String name,
            String architecture,
            String modelType,
            Bias bias,
            Window window,
            Set<Trait> traits,
            Defaults defaults) {
        this(name, architecture, modelType, bias, window, traits, defaults, Map.of());
    }

    /** What the family calls a key or a part of a name. */
    public String spelled(String usual) {
        return spellings.getOrDefault(usual, usual);
    }

    /** What some families have and others do not. */
    public enum Trait {
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
        /** Queries and keys are normalized after they are turned. */
        NORMS_TURNED,
        /** Norms of attention and feed-forward stand before and after them. */
        NORMS_AROUND,
        /** Norms multiply by 1 + w. */
        SHIFTED_NORMS,
        /** Norms take the mean away. */
        LAYER_NORM,
        /** Those add a bias. */
        NORM_BIAS,
        /** Attention and feed-forward read the same hidden state, by one norm. */
        PARALLEL,
        /** The same where {@code use_parallel_residual} is true. */
        CONFIGURED_PARALLEL,
        /**
         * {@code multi_query}, {@code new_decoder_architecture}, {@code parallel_attn} and {@code num_ln_in_parallel_attn} are
         * honoured, and q, k and v of each key-value head are rows of one tensor.
         */
        FALCON,
        /** The MLP has no gate. */
        PLAIN_MLP,
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
        /** {@code logit_scale} multiplies logits, 1/16 where it is missing. */
        LOGIT_SCALE,
        /** q, k and v are rows of one tensor, {@code qkv_proj}. */
        FUSED_QKV,
        /** gate and up are rows of one tensor, {@code gate_up_proj}. */
        FUSED_GATE_UP,
        /** {@code partial_rotary_factor} is honoured: that part of a head is turned. Otherwise only 1 is known. */
        PARTIAL_ROTARY,
        /** The elements of a pair that is turned stand side by side. */
        INTERLEAVED,
        /** {@code alpha} beside the {@code rope_type} dynamic makes the base greater, whatever the length. */
        STRETCHED_BASE,
        /** Only layers with a window are turned. */
        LOCAL_TURNED,
        /** But all are in a model without one. */
        TURNED_WITHOUT_WINDOW,
        /** {@code yarn} is an old name of {@code longrope}; the trained context is 4096 where nothing says so. */
        PHI_ROTARY,
        /** Layers are mixtures of experts as {@code num_experts}, {@code decoder_sparse_step} and {@code mlp_only_layers} say. */
        EXPERTS,
        /** Each of those has an expert for all tokens, as wide as {@code shared_expert_intermediate_size}. */
        SHARED_EXPERT,
        /** They are as wide as {@code intermediate_size}. */
        EXPERTS_OF_USUAL_WIDTH,
        /** All layers are mixtures of {@code num_local_experts}, whose linears are called w1, w2 and w3. */
        MIXTRAL_EXPERTS,
        /** The linears of those are stacked in two tensors, {@code input_linear} and {@code output_linear}. */
        STACKED_EXPERTS,
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
     * @param turned {@code partial_rotary_factor}
     */
    public record Defaults(
            int keyValueHeads,
            int headDim,
            int positions,
            int window,
            double theta,
            boolean tied,
            String activation,
            double epsilon,
            double turned) {
        Defaults(int keyValueHeads, int headDim, int positions, int window) {
            this(keyValueHeads, headDim, positions, window, 10_000, false, "silu", 1e-6);
        }

        Defaults(
                int keyValueHeads,
                int headDim,
                int positions,
                int window,
                double theta,
                boolean tied,
                String activation,
                double epsilon) {
            this(keyValueHeads, headDim, positions, window, theta, tied, activation, epsilon, 1);
        }
    }

    /** Which linears add a bias: where a key of config.json is true, always or never. */
    public enum Bias {
        NONE(null, false, null, false, null, false),
        /** q, k and v always. */
        QKV(null, true, null, false, null, false),
        /** q, k and v unless {@code qkv_bias} is false. */
        QKV_CONFIGURED("qkv_bias", true, null, false, null, false),
        /** q, k and v where {@code use_qkv_bias} is true. */
        QKV_USED("use_qkv_bias", false, null, false, null, false),
        /** q, k and v unless {@code attention_bias} is false. */
        QKV_UNLESS("attention_bias", true, null, false, null, false),
        /** q, k, v and o where {@code attention_bias} is true. */
        CONFIGURED("attention_bias", false, "attention_bias", false, null, false),
        /** The same, and up, gate and down where {@code mlp_bias} is true. */
        CONFIGURED_MLP("attention_bias", false, "attention_bias", false, "mlp_bias", false),
        /** q, k and v unless {@code attention_bias} is false, o where {@code attention_out_bias} is true; {@code mlp_bias}. */
        APART("attention_bias", true, "attention_out_bias", false, "mlp_bias", false),
        /** All where {@code use_bias} is true. */
        ALL_USED("use_bias", false, "use_bias", false, "use_bias", false),
        /** All unless {@code use_bias} is false. */
        ALL_UNLESS("use_bias", true, "use_bias", true, "use_bias", true);

        /** Whether some linears have a bias: as the key says, or as {@code absent} does where there is none. */
        record Flag(String key, boolean absent) {
            boolean in(JsonFile json) {
                return key == null ? absent : json.flag(key, absent);
            }
        }

        final Flag qkv;
        final Flag output;
        final Flag mlp;

        Bias(String qkv, boolean qkvAbsent, String output, boolean outputAbsent, String mlp, boolean mlpAbsent) {
            this.qkv = new Flag(qkv, qkvAbsent);
            this.output = new Flag(output, outputAbsent);
            this.mlp = new Flag(mlp, mlpAbsent);
        }
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
        PATTERN,
        /** The same, 4 where that is missing. */
        PATTERN_OF_FOUR
    }

    /** Llama 1, 2 and 3.x. */
    public static final ModelFamily LLAMA = new ModelFamily(
            "Llama",
            "LlamaForCausalLM",
            "llama",
            Bias.CONFIGURED_MLP,
            Window.NEVER,
            Set.of(),
            new Defaults(0, 0, 2048, 0));

    /** Mistral 7B and its kin. */
    public static final ModelFamily MISTRAL = new ModelFamily(
            "Mistral",
            "MistralForCausalLM",
            "mistral",
            Bias.NONE,
            Window.ALL_LAYERS,
            Set.of(),
            new Defaults(8, 0, 131_072, 4096));

    /** Qwen 2 and 2.5. */
    public static final ModelFamily QWEN2 = new ModelFamily(
            "Qwen2",
            "Qwen2ForCausalLM",
            "qwen2",
            Bias.QKV,
            Window.SOME_LAYERS,
            Set.of(),
            new Defaults(32, 0, 32_768, 4096));

    /** Qwen 3, dense. */
    public static final ModelFamily QWEN3 = new ModelFamily(
            "Qwen3",
            "Qwen3ForCausalLM",
            "qwen3",
            Bias.CONFIGURED,
            Window.SOME_LAYERS,
            Set.of(Trait.QUERY_KEY_NORM),
            new Defaults(32, 128, 32_768, 4096));

    /** SmolLM 3: some layers do not know where tokens stand. */
    public static final ModelFamily SMOLLM3 = new ModelFamily(
            "SmolLM3",
            "SmolLM3ForCausalLM",
            "smollm3",
            Bias.CONFIGURED_MLP,
            Window.NAMED_LAYERS,
            Set.of(Trait.UNTURNED_LAYERS),
            new Defaults(4, 0, 32_768, 0, 2_000_000, true, "silu", 1e-6));

    /** Gemma 2. */
    public static final ModelFamily GEMMA2 = new ModelFamily(
            "Gemma 2",
            "Gemma2ForCausalLM",
            "gemma2",
            Bias.CONFIGURED,
            Window.EVERY_OTHER,
            Set.of(
                    Trait.NORMS_AROUND,
                    Trait.SHIFTED_NORMS,
                    Trait.SCALED_EMBEDDING,
                    Trait.QUERY_SCALE,
                    Trait.SCORE_CAP,
                    Trait.LOGIT_CAP),
            new Defaults(4, 256, 8192, 4096, 10_000, true, "gelu_pytorch_tanh", 1e-6),
            Map.of("hidden_act", "hidden_activation"));

    /** Gemma 3, and the text part of models that see images too. */
    public static final ModelFamily GEMMA3 = new ModelFamily(
            "Gemma 3",
            "Gemma3ForCausalLM",
            "gemma3_text",
            Bias.CONFIGURED,
            Window.PATTERN,
            Set.of(
                    Trait.QUERY_KEY_NORM,
                    Trait.NORMS_AROUND,
                    Trait.SHIFTED_NORMS,
                    Trait.SCALED_EMBEDDING,
                    Trait.QUERY_SCALE,
                    Trait.LOGIT_CAP,
                    Trait.LOCAL_BASE),
            new Defaults(4, 256, 131_072, 4096, 1_000_000, true, "gelu_pytorch_tanh", 1e-6),
            Map.of("hidden_act", "hidden_activation"));

    /** Granite 3 and 4, dense: numbers that multiply. */
    public static final ModelFamily GRANITE = new ModelFamily(
            "Granite",
            "GraniteForCausalLM",
            "granite",
            Bias.CONFIGURED_MLP,
            Window.NEVER,
            Set.of(Trait.MULTIPLIERS),
            new Defaults(0, 0, 2048, 0));

    /** Seed-OSS. */
    public static final ModelFamily SEED_OSS = new ModelFamily(
            "Seed-OSS",
            "SeedOssForCausalLM",
            "seed_oss",
            Bias.APART,
            Window.NEVER,
            Set.of(),
            new Defaults(8, 128, 524_288, 0));

    /** Phi 3 and 4: linears in common tensors. */
    public static final ModelFamily PHI3 = new ModelFamily(
            "Phi-3",
            "Phi3ForCausalLM",
            "phi3",
            Bias.NONE,
            Window.ALL_LAYERS,
            Set.of(Trait.FUSED_QKV, Trait.FUSED_GATE_UP, Trait.PARTIAL_ROTARY, Trait.PHI_ROTARY),
            new Defaults(0, 0, 4096, 0, 10_000, false, "silu", 1e-5));

    /** Mixtral: Mistral with experts. */
    public static final ModelFamily MIXTRAL = new ModelFamily(
            "Mixtral",
            "MixtralForCausalLM",
            "mixtral",
            Bias.NONE,
            Window.ALL_LAYERS,
            Set.of(Trait.MIXTRAL_EXPERTS),
            new Defaults(8, 0, 131_072, 0, 1_000_000, false, "silu", 1e-5));

    /** Qwen 1.5 and 2 with experts. */
    public static final ModelFamily QWEN2_MOE = new ModelFamily(
            "Qwen2-MoE",
            "Qwen2MoeForCausalLM",
            "qwen2_moe",
            Bias.QKV_CONFIGURED,
            Window.NAMED_LAYERS,
            Set.of(Trait.EXPERTS, Trait.SHARED_EXPERT),
            new Defaults(16, 0, 32_768, 4096));

    /** Qwen 3 with experts. */
    public static final ModelFamily QWEN3_MOE = new ModelFamily(
            "Qwen3-MoE",
            "Qwen3MoeForCausalLM",
            "qwen3_moe",
            Bias.CONFIGURED,
            Window.ALL_WHERE_USED,
            Set.of(Trait.QUERY_KEY_NORM, Trait.EXPERTS),
            new Defaults(4, 0, 32_768, 4096));

    /** Ministral 8B: Mistral with a window in some layers. */
    public static final ModelFamily MINISTRAL = new ModelFamily(
            "Ministral",
            "MinistralForCausalLM",
            "ministral",
            Bias.NONE,
            Window.ALL_LAYERS,
            Set.of(),
            new Defaults(8, 0, 131_072, 4096));

    /** Ministral 3. */
    public static final ModelFamily MINISTRAL3 = new ModelFamily(
            "Ministral 3",
            "Ministral3ForCausalLM",
            "ministral3",
            Bias.NONE,
            Window.ALL_LAYERS,
            Set.of(Trait.QUERY_GROWTH),
            new Defaults(8, 128, 262_144, 0, 1_000_000, false, "silu", 1e-5));

    /** OLMo 2. */
    public static final ModelFamily OLMO2 = new ModelFamily(
            "OLMo 2",
            "Olmo2ForCausalLM",
            "olmo2",
            Bias.CONFIGURED,
            Window.NEVER,
            Set.of(Trait.PROJECTION_NORM, Trait.NORMS_AFTER),
            new Defaults(0, 0, 2048, 0, 10_000, false, "silu", 1e-5));

    /** OLMo 3: some layers have a window. */
    public static final ModelFamily OLMO3 = new ModelFamily(
            "OLMo 3",
            "Olmo3ForCausalLM",
            "olmo3",
            Bias.CONFIGURED,
            Window.ALL_BUT_FOURTH,
            Set.of(Trait.PROJECTION_NORM, Trait.NORMS_AFTER, Trait.LOCAL_UNSCALED),
            new Defaults(0, 0, 2048, 4096, 500_000, false, "silu", 1e-5));

    /** OLMoE: many small experts. */
    public static final ModelFamily OLMOE = new ModelFamily(
            "OLMoE",
            "OlmoeForCausalLM",
            "olmoe",
            Bias.CONFIGURED,
            Window.NEVER,
            Set.of(Trait.PROJECTION_NORM, Trait.EXPERTS, Trait.EXPERTS_OF_USUAL_WIDTH),
            new Defaults(0, 0, 4096, 0, 10_000, false, "silu", 1e-5));

    /** Granite 3 with experts. */
    public static final ModelFamily GRANITE_MOE = new ModelFamily(
            "Granite-MoE",
            "GraniteMoeForCausalLM",
            "granitemoe",
            Bias.CONFIGURED,
            Window.NEVER,
            Set.of(Trait.MULTIPLIERS, Trait.MIXTRAL_EXPERTS, Trait.STACKED_EXPERTS),
            new Defaults(0, 0, 2048, 0),
            Map.of("block_sparse_moe.gate", "block_sparse_moe.router.layer"));

    /** GLM 4 of 2024. */
    public static final ModelFamily GLM = new ModelFamily(
            "GLM",
            "GlmForCausalLM",
            "glm",
            Bias.QKV_UNLESS,
            Window.NEVER,
            Set.of(Trait.FUSED_GATE_UP, Trait.PARTIAL_ROTARY, Trait.INTERLEAVED),
            new Defaults(2, 128, 131_072, 0, 10_000, false, "silu", 1.5625e-7, 0.5));

    /** GLM 4 of 2025: norms around. */
    public static final ModelFamily GLM4 = new ModelFamily(
            "GLM 4",
            "Glm4ForCausalLM",
            "glm4",
            Bias.QKV_UNLESS,
            Window.NEVER,
            Set.of(Trait.FUSED_GATE_UP, Trait.PARTIAL_ROTARY, Trait.INTERLEAVED, Trait.NORMS_AROUND),
            new Defaults(2, 128, 131_072, 0, 10_000, false, "silu", 1.5625e-7, 0.5),
            Map.of(
                    "post_attention_layernorm",
                    "post_self_attn_layernorm",
                    "pre_feedforward_layernorm",
                    "post_attention_layernorm",
                    "post_feedforward_layernorm",
                    "post_mlp_layernorm"));

    /** ERNIE 4.5, dense. */
    public static final ModelFamily ERNIE45 = new ModelFamily(
            "ERNIE 4.5",
            "Ernie4_5ForCausalLM",
            "ernie4_5",
            Bias.ALL_USED,
            Window.NEVER,
            Set.of(Trait.INTERLEAVED),
            new Defaults(2, 128, 131_072, 0, 500_000, true, "silu", 1e-5));

    /** Hunyuan, dense: queries and keys are normalized when they are turned. */
    public static final ModelFamily HUNYUAN = new ModelFamily(
            "Hunyuan",
            "HunYuanDenseV1ForCausalLM",
            "hunyuan_v1_dense",
            Bias.CONFIGURED,
            Window.NEVER,
            Set.of(Trait.QUERY_KEY_NORM, Trait.NORMS_TURNED, Trait.STRETCHED_BASE),
            new Defaults(0, 0, 2048, 0, 10_000, false, "silu", 1e-5),
            Map.of("self_attn.q_norm", "self_attn.query_layernorm", "self_attn.k_norm", "self_attn.key_layernorm"));

    /** EXAONE 4: norms behind, and where layers have windows only those know where tokens stand. */
    public static final ModelFamily EXAONE4 = new ModelFamily(
            "EXAONE 4",
            "Exaone4ForCausalLM",
            "exaone4",
            Bias.NONE,
            Window.PATTERN_OF_FOUR,
            Set.of(Trait.QUERY_KEY_NORM, Trait.NORMS_AFTER, Trait.LOCAL_TURNED, Trait.TURNED_WITHOUT_WINDOW),
            new Defaults(32, 0, 2048, 4096, 10_000, false, "silu", 1e-5));

    /** Command R. */
    public static final ModelFamily COHERE = new ModelFamily(
            "Cohere",
            "CohereForCausalLM",
            "cohere",
            Bias.CONFIGURED,
            Window.NEVER,
            Set.of(Trait.LAYER_NORM, Trait.PARALLEL, Trait.INTERLEAVED, Trait.LOGIT_SCALE),
            new Defaults(0, 0, 8192, 0, 500_000, true, "silu", 1e-5),
            Map.of("rms_norm_eps", "layer_norm_eps"));

    /** Command R7B and Command A: some layers have a window, and only those know where tokens stand. */
    public static final ModelFamily COHERE2 = new ModelFamily(
            "Cohere 2",
            "Cohere2ForCausalLM",
            "cohere2",
            Bias.CONFIGURED,
            Window.PATTERN_OF_FOUR,
            Set.of(Trait.LAYER_NORM, Trait.PARALLEL, Trait.INTERLEAVED, Trait.LOGIT_SCALE, Trait.LOCAL_TURNED),
            new Defaults(0, 0, 8192, 4096, 10_000, true, "silu", 1e-5),
            Map.of("rms_norm_eps", "layer_norm_eps"));

    /** StableLM. */
    public static final ModelFamily STABLELM = new ModelFamily(
            "StableLM",
            "StableLmForCausalLM",
            "stablelm",
            Bias.QKV_USED,
            Window.NEVER,
            Set.of(Trait.LAYER_NORM, Trait.NORM_BIAS, Trait.CONFIGURED_PARALLEL, Trait.PARTIAL_ROTARY),
            new Defaults(32, 0, 4096, 0, 10_000, false, "silu", 1e-5, 0.25),
            Map.of("rms_norm_eps", "layer_norm_eps"));

    /** StarCoder 2. */
    public static final ModelFamily STARCODER2 = new ModelFamily(
            "StarCoder2",
            "Starcoder2ForCausalLM",
            "starcoder2",
            Bias.ALL_UNLESS,
            Window.ALL_LAYERS,
            Set.of(Trait.LAYER_NORM, Trait.NORM_BIAS, Trait.PLAIN_MLP),
            new Defaults(2, 0, 4096, 0, 10_000, true, "gelu_pytorch_tanh", 1e-5),
            Map.of("rms_norm_eps", "norm_epsilon", "mlp.up_proj", "mlp.c_fc", "mlp.down_proj", "mlp.c_proj"));

    /** Nemotron 3 and 4, Minitron. */
    public static final ModelFamily NEMOTRON = new ModelFamily(
            "Nemotron",
            "NemotronForCausalLM",
            "nemotron",
            Bias.CONFIGURED_MLP,
            Window.NEVER,
            Set.of(Trait.LAYER_NORM, Trait.NORM_BIAS, Trait.SHIFTED_NORMS, Trait.PLAIN_MLP, Trait.PARTIAL_ROTARY),
            new Defaults(0, 0, 4096, 0, 10_000, false, "relu2", 1e-5, 0.5),
            Map.of("rms_norm_eps", "norm_eps"));

    /** Falcon 7B, 40B, 180B and Falcon 2. */
    public static final ModelFamily FALCON = new ModelFamily(
            "Falcon",
            "FalconForCausalLM",
            "falcon",
            Bias.NONE,
            Window.NEVER,
            Set.of(Trait.LAYER_NORM, Trait.NORM_BIAS, Trait.PLAIN_MLP, Trait.FALCON),
            new Defaults(0, 0, 2048, 0, 10_000, true, "gelu", 1e-5),
            Map.ofEntries(
                    entry("rms_norm_eps", "layer_norm_epsilon"),
                    entry("hidden_act", "activation"),
                    entry("intermediate_size", "ffn_hidden_size"),
                    entry("num_key_value_heads", "num_kv_heads"),
                    entry("model.embed_tokens", "transformer.word_embeddings"),
                    entry("model.layers", "transformer.h"),
                    entry("model.norm", "transformer.ln_f"),
                    entry("self_attn.qkv_proj", "self_attention.query_key_value"),
                    entry("self_attn.o_proj", "self_attention.dense"),
                    entry("mlp.up_proj", "mlp.dense_h_to_4h"),
                    entry("mlp.down_proj", "mlp.dense_4h_to_h")));

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
            OLMO3,
            OLMOE,
            GRANITE_MOE,
            GLM,
            GLM4,
            ERNIE45,
            HUNYUAN,
            EXAONE4,
            COHERE,
            COHERE2,
            STABLELM,
            STARCODER2,
            NEMOTRON,
            FALCON);

    /** Models whose language model has a configuration of its own, {@code text_config}, that names its {@code model_type}. */
    private static final Set<String> WITH_OTHER_PARTS =
            Set.of("Gemma3ForConditionalGeneration", "gemma3", "Mistral3ForConditionalGeneration", "mistral3");

    /** The name of the embedding. */
    String embedding() {
        return spelled("model.embed_tokens") + ".weight";
    }

    /** The name of a weight of a layer, which is usually called {@code part} within it. */
    String inLayer(int layer, String part) {
        return spelled("model.layers") + "." + layer + "." + spelled(part) + ".weight";
    }

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

package dev.gosset.llm.plan;

import dev.gosset.core.UnsupportedModelException;
import dev.gosset.core.memory.Quoted;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/**
 * What distinguishes one family of decoder-only transformers from another, as data. All families share the block: RMS
 * norm, rotary attention with grouped queries, RMS norm, gated MLP with SiLU, both with residuals.
 *
 * <p>A new family that needs no new field here is one more entry of {@link #KNOWN}; see docs/model-families.md.
 *
 * @param name the family's name in messages
 * @param architecture the class that {@code architectures} in config.json names
 * @param modelType {@code model_type} in config.json, consulted where {@code architectures} is absent
 * @param attentionBias which attention linears have a bias
 * @param configurableMlpBias whether {@code mlp_bias} in config.json is honoured; otherwise there is none
 * @param queryKeyNorm whether queries and keys are RMS-normalized per head before the rotation
 * @param window what a sliding window in config.json applies to
 * @param unturnedLayers whether {@code no_rope_layers} and {@code no_rope_layer_interval} are honoured: layers whose queries and keys
 *     are not turned by their positions
 * @param defaults what holds where config.json leaves a key out
 */
public record ModelFamily(
        String name,
        String architecture,
        String modelType,
        AttentionBias attentionBias,
        boolean configurableMlpBias,
        boolean queryKeyNorm,
        Window window,
        boolean unturnedLayers,
        Defaults defaults) {
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
     */
    public record Defaults(int keyValueHeads, int headDim, int positions, int window, double theta, boolean tied) {
        Defaults(int keyValueHeads, int headDim, int positions, int window) {
            this(keyValueHeads, headDim, positions, window, 10_000, false);
        }
    }

    /** Which of the attention linears add a bias. */
    public enum AttentionBias {
        NONE,
        /** q, k and v always; o never. */
        QKV,
        /** q, k, v and o where {@code attention_bias} is true. */
        CONFIGURED
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
        /** Where {@code use_sliding_window} is true, the layers that {@code layer_types} must name. */
        NAMED_LAYERS
    }

    /** Llama 1, 2 and 3.x. */
    public static final ModelFamily LLAMA = new ModelFamily(
            "Llama",
            "LlamaForCausalLM",
            "llama",
            AttentionBias.CONFIGURED,
            true,
            false,
            Window.NEVER,
            false,
            new Defaults(0, 0, 2048, 0));

    /** Mistral 7B and its kin. */
    public static final ModelFamily MISTRAL = new ModelFamily(
            "Mistral",
            "MistralForCausalLM",
            "mistral",
            AttentionBias.NONE,
            false,
            false,
            Window.ALL_LAYERS,
            false,
            new Defaults(8, 0, 131_072, 4096));

    /** Qwen 2 and 2.5. */
    public static final ModelFamily QWEN2 = new ModelFamily(
            "Qwen2",
            "Qwen2ForCausalLM",
            "qwen2",
            AttentionBias.QKV,
            false,
            false,
            Window.SOME_LAYERS,
            false,
            new Defaults(32, 0, 32_768, 4096));

    /** Qwen 3, dense. */
    public static final ModelFamily QWEN3 = new ModelFamily(
            "Qwen3",
            "Qwen3ForCausalLM",
            "qwen3",
            AttentionBias.CONFIGURED,
            false,
            true,
            Window.SOME_LAYERS,
            false,
            new Defaults(32, 128, 32_768, 4096));

    /** SmolLM 3: some layers do not know where tokens stand. */
    public static final ModelFamily SMOLLM3 = new ModelFamily(
            "SmolLM3",
            "SmolLM3ForCausalLM",
            "smollm3",
            AttentionBias.CONFIGURED,
            true,
            false,
            Window.NAMED_LAYERS,
            true,
            new Defaults(4, 0, 32_768, 0, 2_000_000, true));

    /** Every family that Gosset runs. */
    public static final List<ModelFamily> KNOWN = List.of(LLAMA, MISTRAL, QWEN2, QWEN3, SMOLLM3);

    /** The class of a model saved without its head, such as {@code LlamaModel}. */
    private String baseArchitecture() {
        return architecture.replace("ForCausalLM", "Model");
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

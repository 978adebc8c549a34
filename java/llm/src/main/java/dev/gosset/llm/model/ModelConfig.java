package dev.gosset.llm.model;

import dev.gosset.core.FormatException;
import dev.gosset.core.UnsupportedModelException;
import dev.gosset.llm.io.JsonFile;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * The shape of a model, from the config.json (and generation_config.json) of its directory. Immutable; every value has
 * been checked against its bounds and the others.
 *
 * @param family what the model's code looks like
 * @param hiddenSize width d of the residual stream
 * @param intermediateSize width of the MLP
 * @param layers number of blocks
 * @param heads number of query heads
 * @param keyValueHeads number of key and value heads; divides {@code heads}
 * @param headDim dimension of one head, even
 * @param vocabularySize number of token ids, rows of the embedding
 * @param maxPositions longest sequence the model was made for
 * @param normEpsilon added to the mean square in every RMS norm
 * @param rotaryTheta base of the rotary frequencies
 * @param rotaryScaling what becomes of them
 * @param windows for each layer how many positions a token attends to, itself included; 0 for all
 * @param tiedEmbeddings whether the head is the embedding matrix
 * @param qkvBias whether q, k and v add a bias
 * @param outputBias whether o adds a bias
 * @param mlpBias whether up, gate and down add a bias
 * @param bosTokenId the token that begins a text, or -1
 * @param eosTokenIds the tokens that end a generation, perhaps none; generation_config.json goes before config.json
 */
public record ModelConfig(
        ModelFamily family,
        int hiddenSize,
        int intermediateSize,
        int layers,
        int heads,
        int keyValueHeads,
        int headDim,
        int vocabularySize,
        int maxPositions,
        float normEpsilon,
        double rotaryTheta,
        RotaryScaling rotaryScaling,
        List<Integer> windows,
        boolean tiedEmbeddings,
        boolean qkvBias,
        boolean outputBias,
        boolean mlpBias,
        int bosTokenId,
        List<Integer> eosTokenIds) {
    private static final int WIDEST = 1 << 20;
    private static final int LARGEST_VOCABULARY = 1 << 24;
    private static final int LONGEST = 1 << 28;

    public ModelConfig {
        windows = List.copyOf(windows);
        eosTokenIds = List.copyOf(eosTokenIds);
    }

    /**
     * Reads config.json and, where it is there, generation_config.json.
     *
     * @throws UnsupportedModelException where the architecture is unknown
     * @throws FormatException where a value is missing, out of bounds or at odds with another
     */
    public static ModelConfig read(Path directory) {
        return parse(
                JsonFile.read(directory.resolve("config.json")),
                JsonFile.readIfPresent(directory.resolve("generation_config.json")));
    }

    /** The same from parsed files. */
    static ModelConfig parse(JsonFile json, JsonFile generation) {
        ModelFamily family = ModelFamily.of(json.where(), json.texts("architectures"), json.text("model_type", ""));
        String activation = json.text("hidden_act", "silu");
        if (!activation.equals("silu")) {
            throw json.bad("hidden_act", "\"silu\", the activation of every known family");
        }
        int hidden = json.integer("hidden_size", 1, WIDEST);
        int layers = json.integer("num_hidden_layers", 1, 10_000);
        int heads = json.integer("num_attention_heads", 1, WIDEST);
        int keyValueHeads = json.integer("num_key_value_heads", 1, WIDEST, heads);
        if (heads % keyValueHeads != 0) {
            throw json.bad("num_key_value_heads", "a divisor of num_attention_heads " + heads);
        }
        int headDim = json.integer("head_dim", 2, 4096, family.defaultHeadDim());
        if (headDim == 0) {
            if (hidden % heads != 0) {
                throw json.bad(
                        "num_attention_heads", "a divisor of hidden_size " + hidden + ", as head_dim is missing");
            }
            headDim = hidden / heads;
        }
        if (headDim % 2 != 0) {
            throw new FormatException(json.where() + ": head_dim: found " + headDim
                    + ", expected an even number, as the rotary embedding turns pairs");
        }
        if ((long) heads * headDim > WIDEST) {
            throw json.bad("num_attention_heads", "at most " + WIDEST / headDim + " with a head_dim of " + headDim);
        }
        if (json.number("partial_rotary_factor", 0, 1, 1) != 1) {
            throw json.bad("partial_rotary_factor", "1");
        }
        int vocabulary = json.integer("vocab_size", 1, LARGEST_VOCABULARY);
        int positions = json.integer("max_position_embeddings", 1, LONGEST);
        JsonFile ids = generation.has("eos_token_id") ? generation : json;
        boolean bias = json.flag("attention_bias", false);
        return new ModelConfig(
                family,
                hidden,
                json.integer("intermediate_size", 1, WIDEST),
                layers,
                heads,
                keyValueHeads,
                headDim,
                vocabulary,
                positions,
                (float) json.number("rms_norm_eps", 0, 1, 1e-6),
                theta(json),
                scaling(json, positions),
                windows(family, json, layers),
                json.flag("tie_word_embeddings", false),
                switch (family.attentionBias()) {
                    case NONE -> false;
                    case QKV -> true;
                    case CONFIGURED -> bias;
                },
                family.attentionBias() == ModelFamily.AttentionBias.CONFIGURED && bias,
                family.configurableMlpBias() && json.flag("mlp_bias", false),
                json.integer("bos_token_id", 0, vocabulary - 1, -1),
                ids.integers("eos_token_id", 0, vocabulary - 1));
    }

    private static double theta(JsonFile json) {
        double old = json.number("rope_theta", 0, 1e15, 10_000);
        if (!json.has("rope_parameters")) {
            return old;
        }
        JsonFile parameters = json.object("rope_parameters");
        double theta = parameters.number("rope_theta", 0, 1e15, old);
        if (json.has("rope_theta") && theta != old) {
            throw parameters.bad("rope_theta", "the same as rope_theta, " + old);
        }
        return theta;
    }

    private static RotaryScaling scaling(JsonFile json, int positions) {
        String key = json.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
        if (!json.has(key)) {
            return new RotaryScaling.None();
        }
        JsonFile rope = json.object(key);
        String typeKey = rope.has("rope_type") || !rope.has("type") ? "rope_type" : "type";
        String type = key.equals("rope_parameters") ? rope.text(typeKey, "default") : rope.text(typeKey);
        if (rope.number("partial_rotary_factor", 0, 1, 1) != 1) {
            throw rope.bad("partial_rotary_factor", "1");
        }
        return switch (type) {
            case "default" -> new RotaryScaling.None();
            case "linear" -> new RotaryScaling.Linear(rope.number("factor", 0, 1e6));
            case "llama3" -> {
                double low = rope.number("low_freq_factor", 0, 1e6);
                double high = rope.number("high_freq_factor", 0, 1e6);
                if (low >= high) {
                    throw rope.bad("high_freq_factor", "a number above low_freq_factor " + low);
                }
                yield new RotaryScaling.Llama3(
                        rope.number("factor", 0, 1e6),
                        low,
                        high,
                        rope.integer("original_max_position_embeddings", 1, LONGEST, positions));
            }
            default -> throw rope.bad(typeKey, "\"default\", \"linear\" or \"llama3\"");
        };
    }

    private static List<Integer> windows(ModelFamily family, JsonFile json, int layers) {
        int window = json.mentions("sliding_window")
                ? json.integer("sliding_window", 1, LONGEST, 0)
                : family.defaultWindow();
        boolean used = switch (family.window()) {
            case NEVER -> false;
            case ALL_LAYERS -> window > 0;
            case SOME_LAYERS -> window > 0 && json.flag("use_sliding_window", false);
        };
        if (!used) {
            return Collections.nCopies(layers, 0);
        }
        if (family.window() == ModelFamily.Window.ALL_LAYERS) {
            return Collections.nCopies(layers, window);
        }
        List<String> types = json.texts("layer_types");
        if (!types.isEmpty() && types.size() != layers) {
            throw json.bad("layer_types", "one entry for each of the " + layers + " layers");
        }
        int first = json.integer("max_window_layers", 0, Integer.MAX_VALUE, layers);
        List<Integer> windows = new ArrayList<>();
        for (int i = 0; i < layers; i++) {
            String type = types.isEmpty() ? (i < first ? "full_attention" : "sliding_attention") : types.get(i);
            windows.add(
                    switch (type) {
                        case "full_attention" -> 0;
                        case "sliding_attention" -> window;
                        default -> throw json.bad("layer_types", "entries \"full_attention\" or \"sliding_attention\"");
                    });
        }
        return windows;
    }

    /** Number of outputs of q: heads times head dimension. */
    public int querySize() {
        return heads * headDim;
    }

    /** Number of outputs of k, and of v. */
    public int keyValueSize() {
        return keyValueHeads * headDim;
    }
}

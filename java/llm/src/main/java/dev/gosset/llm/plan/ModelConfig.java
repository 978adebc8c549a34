package dev.gosset.llm.plan;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.core.FormatException;
import dev.gosset.core.UnsupportedModelException;
import dev.gosset.core.memory.Tensor;
import dev.gosset.llm.io.JsonFile;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;

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
 * @param maxPositions longest sequence the model was made for; see {@link #longestSequence}
 * @param normEpsilon added to the mean square in every RMS norm
 * @param rotaryTheta base of the rotary frequencies
 * @param rotaryScaling what becomes of them
 * @param windows for each layer how many positions a token attends to, itself included; 0 for all
 * @param turned for each layer whether queries and keys are turned by their positions
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
        List<Boolean> turned,
        boolean tiedEmbeddings,
        boolean qkvBias,
        boolean outputBias,
        boolean mlpBias,
        int bosTokenId,
        List<Integer> eosTokenIds) {
    private static final int WIDEST = 1 << 20;
    private static final int LARGEST_VOCABULARY = 1 << 24;
    private static final int LONGEST = 1 << 28;
    private static final int MOST_LAYERS = 1000;
    private static final String EMBEDDING = "model.embed_tokens.weight";
    private static final String LAYER = "model.layers.";
    private static final String FULL = "full_attention";
    private static final String SLIDING = "sliding_attention";

    public ModelConfig {
        windows = List.copyOf(windows);
        turned = List.copyOf(turned);
        eosTokenIds = List.copyOf(eosTokenIds);
    }

    /** Heads of every known family where config.json does not say. */
    private static final int DEFAULT_HEADS = 32;

    /** The dimension of those heads; with any other, 32 would be a guess. */
    private static final int DEFAULT_HEAD_DIM = 128;

    /** The first layer with a window where config.json does not say. */
    private static final int DEFAULT_FIRST_WINDOW = 28;

    /**
     * Reads config.json and, where it is there, generation_config.json. What they leave out is read from the shapes of the
     * stored tensors, or is what the family's class in transformers has.
     *
     * @param stored finds a tensor by its name
     * @throws UnsupportedModelException where the architecture is unknown
     * @throws FormatException where a value is missing, out of bounds or at odds with another
     */
    public static ModelConfig read(Path directory, Function<String, Optional<Tensor>> stored) {
        return parse(
                JsonFile.read(directory.resolve("config.json")),
                JsonFile.readIfPresent(directory.resolve("generation_config.json")),
                stored);
    }

    /** The same from parsed files. */
    static ModelConfig parse(JsonFile json, JsonFile generation, Function<String, Optional<Tensor>> stored) {
        ModelFamily family = ModelFamily.of(json.where(), json.texts("architectures"), json.text("model_type", ""));
        String activation = json.text("hidden_act", "silu");
        if (!activation.equals("silu") && !activation.equals("swish")) {
            throw json.bad("hidden_act", "\"silu\", the activation of every known family");
        }
        int queries = size(stored, LAYER + "0.self_attn.q_proj.weight", 0);
        int keys = size(stored, LAYER + "0.self_attn.k_proj.weight", 0);
        int hidden = integer(json, "hidden_size", WIDEST, size(stored, EMBEDDING, 1));
        int layers = integer(json, "num_hidden_layers", MOST_LAYERS, layers(stored));
        int headDim = json.integer("head_dim", 2, 4096, size(stored, LAYER + "0.self_attn.q_norm.weight", 0));
        int heads = integer(
                json,
                "num_attention_heads",
                WIDEST,
                headDim > 0
                        ? exact(queries, headDim)
                        : queries == DEFAULT_HEADS * DEFAULT_HEAD_DIM ? DEFAULT_HEADS : 0);
        if (headDim == 0) {
            int known = exact(queries, heads);
            headDim = known > 0 ? known : family.defaults().headDim();
        }
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
        int keyValueHeads = exact(keys, headDim);
        if (keyValueHeads == 0 || heads % keyValueHeads != 0) {
            int usual =
                    json.mentions("num_key_value_heads") ? 0 : family.defaults().keyValueHeads();
            keyValueHeads = usual == 0 ? heads : usual;
        }
        keyValueHeads = json.integer("num_key_value_heads", 1, WIDEST, keyValueHeads);
        if (heads % keyValueHeads != 0) {
            throw new FormatException(json.where() + ": num_key_value_heads: found "
                    + (json.has("num_key_value_heads") ? "" : "nothing and took the usual ") + keyValueHeads
                    + ", expected a divisor of num_attention_heads " + heads);
        }
        int vocabulary = integer(json, "vocab_size", LARGEST_VOCABULARY, size(stored, EMBEDDING, 0));
        int positions = json.integer(
                "max_position_embeddings", 1, LONGEST, family.defaults().positions());
        JsonFile ids = generation.has("eos_token_id") ? generation : json;
        boolean bias = json.flag("attention_bias", false);
        List<Integer> windows = windows(family, json, layers);
        RotaryParameters rotary = RotaryParameters.parse(
                json, headDim, positions, layerTypes(windows), family.defaults().theta());
        return new ModelConfig(
                family,
                hidden,
                integer(json, "intermediate_size", WIDEST, size(stored, LAYER + "0.mlp.up_proj.weight", 0)),
                layers,
                heads,
                keyValueHeads,
                headDim,
                vocabulary,
                positions,
                (float) json.number("rms_norm_eps", 0, 1, 1e-6),
                rotary.theta(),
                rotary.scaling(),
                windows,
                turned(family, json, layers),
                tied(json, stored, family.defaults().tied()),
                switch (family.attentionBias()) {
                    case NONE -> false;
                    case QKV -> true;
                    case CONFIGURED -> bias;
                },
                family.attentionBias() == ModelFamily.AttentionBias.CONFIGURED && bias,
                family.configurableMlpBias() && json.flag("mlp_bias", false),
                json.tokenIds("bos_token_id", vocabulary).stream().findFirst().orElse(-1),
                ids.tokenIds("eos_token_id", vocabulary));
    }

    /** A whole number from 1 to {@code max}; where the key is missing the one found elsewhere, unless that is 0. */
    private static int integer(JsonFile json, String key, int max, int found) {
        return found >= 1 && found <= max ? json.integer(key, 1, max, found) : json.integer(key, 1, max);
    }

    /** A dimension of a stored tensor, or 0. */
    private static int size(Function<String, Optional<Tensor>> stored, String name, int axis) {
        return stored.apply(name)
                .filter(t -> axis < t.shape().size() && t.shape().get(axis) <= WIDEST << 4)
                .map(t -> t.dim(axis))
                .orElse(0);
    }

    private static int layers(Function<String, Optional<Tensor>> stored) {
        int layers = 0;
        while (layers < MOST_LAYERS
                && stored.apply(LAYER + layers + ".input_layernorm.weight").isPresent()) {
            layers++;
        }
        return layers;
    }

    /** {@code a / b} where that is a whole number, else 0. */
    private static int exact(int a, int b) {
        return a % b == 0 ? a / b : 0;
    }

    /** A head that is stored counts, whatever config.json says of it; one that is not must be the embedding. */
    private static boolean tied(JsonFile json, Function<String, Optional<Tensor>> stored, boolean usual) {
        boolean said = json.flag("tie_word_embeddings", usual);
        boolean stands = stored.apply("lm_head.weight").isPresent();
        if (!said && !stands && stored.apply(EMBEDDING).isPresent()) {
            throw new FormatException(json.where() + ": tie_word_embeddings: found "
                    + (json.has("tie_word_embeddings") ? "false" : "nothing")
                    + " beside weights without lm_head.weight, a model without a head that can neither generate nor be"
                    + " evaluated; expected true where its head is the embedding, or the weights with the head");
        }
        return said && !stands;
    }

    /** Where config.json names no layers, every fourth is not turned, or as often as it says. */
    private static List<Boolean> turned(ModelFamily family, JsonFile json, int layers) {
        if (!family.unturnedLayers()) {
            return Collections.nCopies(layers, true);
        }
        List<Boolean> turned = new ArrayList<>();
        JsonNode given = json.node().path("no_rope_layers");
        if (given.isMissingNode() || given.isNull()) {
            int interval = json.integer("no_rope_layer_interval", 1, MOST_LAYERS, 4);
            for (int i = 0; i < layers; i++) {
                turned.add((i + 1) % interval != 0);
            }
            return turned;
        }
        for (int i = 0; i < layers; i++) {
            JsonNode flag = given.path(i);
            if (!given.isArray() || !flag.isInt() || flag.intValue() < 0 || flag.intValue() > 1) {
                throw json.bad("no_rope_layers", "1 or 0 for each of the " + layers + " layers, 0 where it has none");
            }
            turned.add(flag.intValue() == 1);
        }
        return turned;
    }

    private static Set<String> layerTypes(List<Integer> windows) {
        Set<String> types = new LinkedHashSet<>();
        windows.forEach(window -> types.add(window == 0 ? FULL : SLIDING));
        return types;
    }

    private static List<Integer> windows(ModelFamily family, JsonFile json, int layers) {
        int given = json.integer("sliding_window", Integer.MIN_VALUE, Integer.MAX_VALUE, 0);
        int window = json.mentions("sliding_window") ? given : family.defaults().window();
        boolean used = switch (family.window()) {
            case NEVER -> false;
            case ALL_LAYERS -> true;
            case SOME_LAYERS, NAMED_LAYERS -> json.flag("use_sliding_window", false);
        };
        // 0 and -1 mean none; a window that no sequence fills is none either.
        if (!used || window < 1 || window > LONGEST) {
            return Collections.nCopies(layers, 0);
        }
        List<String> types = json.texts("layer_types");
        if (json.has("layer_types") && types.size() != layers) {
            throw json.bad("layer_types", "one entry for each of the " + layers + " layers");
        }
        if (types.isEmpty() && family.window() == ModelFamily.Window.NAMED_LAYERS) {
            throw json.bad("layer_types", "one entry for each of the " + layers + " layers beside use_sliding_window");
        }
        int first = family.window() == ModelFamily.Window.ALL_LAYERS
                ? 0
                : json.integer("max_window_layers", Integer.MIN_VALUE, Integer.MAX_VALUE, DEFAULT_FIRST_WINDOW);
        List<Integer> windows = new ArrayList<>();
        for (int i = 0; i < layers; i++) {
            String type = types.isEmpty() ? (i < first ? FULL : SLIDING) : types.get(i);
            windows.add(
                    switch (type) {
                        case FULL -> 0;
                        case SLIDING -> window;
                        default -> throw json.bad("layer_types", "entries \"full_attention\" or \"sliding_attention\"");
                    });
        }
        return windows;
    }

    /**
     * Adds to the config.json of a model derived from this one what was not in the original's and the derived one's tensors
     * no longer tell; leaves one that says everything as it is.
     */
    public void complete(ObjectNode json) {
        JsonFile bare = JsonFile.parse("config.json", json.toString());
        try {
            JsonFile none = JsonFile.parse("config.json", "{}");
            ModelConfig said = parse(bare, none, name -> Optional.empty());
            if (said.sizes().equals(sizes())) {
                return;
            }
        } catch (FormatException e) {
            // It lacks what only the tensors tell.
        }
        sizes().forEach(json::putPOJO);
    }

    /** What decides the shapes of a model's tensors, by the keys of config.json. */
    public Map<String, Object> sizes() {
        Map<String, Object> sizes = new LinkedHashMap<>();
        sizes.put("hidden_size", hiddenSize);
        sizes.put("intermediate_size", intermediateSize);
        sizes.put("num_hidden_layers", layers);
        sizes.put("num_attention_heads", heads);
        sizes.put("num_key_value_heads", keyValueHeads);
        sizes.put("head_dim", headDim);
        sizes.put("vocab_size", vocabularySize);
        sizes.put("tie_word_embeddings", tiedEmbeddings);
        return sizes;
    }

    /**
     * Checks that every token is an id from 0 to {@code vocabulary - 1}.
     *
     * @throws IllegalArgumentException naming the first that is not
     */
    public static void requireTokens(int[] tokens, int vocabulary) {
        for (int t = 0; t < tokens.length; t++) {
            if (tokens[t] < 0 || tokens[t] >= vocabulary) {
                throw new IllegalArgumentException(
                        "token " + t + " is " + tokens[t] + ", expected an id from 0 to " + (vocabulary - 1));
            }
        }
    }

    /** What the model computes and how its tensors are called: made anew by each call. */
    public ModelPlan plan() {
        return ModelPlan.of(this);
    }

    /** The longest sequence that the model, stretched as its configuration says, is meant for. */
    public int longestSequence() {
        return (int) Math.clamp(rotaryScaling.longest(maxPositions), maxPositions, LONGEST);
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

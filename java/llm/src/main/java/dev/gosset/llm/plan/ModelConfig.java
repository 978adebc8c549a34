package dev.gosset.llm.plan;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.core.FormatException;
import dev.gosset.core.UnsupportedModelException;
import dev.gosset.core.memory.Tensor;
import dev.gosset.llm.io.JsonFile;
import dev.gosset.llm.plan.ModelFamily.Trait;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.IntStream;

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
 * @param positions for each layer how its attention knows where tokens stand
 * @param windows for each layer how many positions a token attends to, itself included; 0 for all
 * @param tiedEmbeddings whether the head is the embedding matrix
 * @param qkvBias whether q, k and v add a bias
 * @param outputBias whether o adds a bias
 * @param mlpBias whether up, gate and down add a bias
 * @param parallelNorms by how many norms attention and feed-forward read the same hidden state; 0 where one follows the other
 * @param activation what gates go through
 * @param scales what is multiplied or bounded
 * @param experts of the layers that are mixtures; empty where none is
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
        List<PositionPlan> positions,
        List<Integer> windows,
        boolean tiedEmbeddings,
        boolean qkvBias,
        boolean outputBias,
        boolean mlpBias,
        int parallelNorms,
        FeedForwardPlan.Activation activation,
        Scales scales,
        Optional<Experts> experts,
        int bosTokenId,
        List<Integer> eosTokenIds) {
    private static final int WIDEST = 1 << 20;
    private static final int LARGEST_VOCABULARY = 1 << 24;
    private static final int LONGEST = 1 << 28;
    private static final int MOST_LAYERS = 1000;
    private static final int MOST_EXPERTS = 1024;
    private static final String FULL = "full_attention";
    static final String SLIDING = "sliding_attention";

    /** Where a language model that is part of another is described, and what that one may say of it. */
    private static final String PART = "text_config";

    private static final List<String> INHERITED =
            List.of("tie_word_embeddings", "dtype", "torch_dtype", "bos_token_id", "eos_token_id");

    /** Types of a model, whose embedding scale is rounded to them. */
    private static final List<String> DTYPES = List.of("float32", "bfloat16", "float16");

    /**
     * What is multiplied or bounded on the way through a model.
     *
     * @param embedding of embeddings
     * @param outputs of what attention and feed-forward add to the hidden state
     * @param scores of attention scores
     * @param scoreCap bound of the scaled scores, or 0
     * @param logits what becomes of logits
     */
    public record Scales(float embedding, float outputs, float scores, float scoreCap, LogitPlan logits) {
        /** Those of a model that multiplies nothing but its scores. */
        public static Scales usual(int headDim) {
            return new Scales(1, 1, (float) (1 / Math.sqrt(headDim)), 0, new LogitPlan.Products());
        }
    }

    /**
     * Mixtures of experts.
     *
     * @param count how many there are in a layer
     * @param chosen how many of them a token goes through
     * @param width of the MLP of one
     * @param normalized whether their weights are divided by their sum
     * @param sharedWidth width of the MLP of one that all tokens go through; 0 where there is none
     * @param layers for each layer whether it is a mixture
     */
    public record Experts(int count, int chosen, int width, boolean normalized, int sharedWidth, List<Boolean> layers) {
        public Experts {
            layers = List.copyOf(layers);
        }
    }

    public ModelConfig {
        positions = List.copyOf(positions);
        windows = List.copyOf(windows);
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
    static ModelConfig parse(JsonFile whole, JsonFile generation, Function<String, Optional<Tensor>> stored) {
        JsonFile json = isPart(whole) ? whole.object(PART, INHERITED) : whole;
        ModelFamily family = ModelFamily.of(json.where(), json.texts("architectures"), json.text("model_type", ""));
        if (json.flag("use_bidirectional_attention", false)) {
            throw json.bad("use_bidirectional_attention", "false, as text is generated from left to right");
        }
        refuse(family, json);
        int queries = size(stored, family.inLayer(0, "self_attn.o_proj"), 1);
        int keys = size(stored, family.inLayer(0, "self_attn.k_proj"), 0);
        int hidden = integer(json, "hidden_size", WIDEST, size(stored, family.embedding(), 1));
        int layers = integer(json, "num_hidden_layers", MOST_LAYERS, layers(family, stored));
        int headDim = json.integer(
                "head_dim",
                2,
                4096,
                family.has(Trait.QUERY_KEY_NORM) ? size(stored, family.inLayer(0, "self_attn.q_norm"), 0) : 0);
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
        String shared = family.spelled("num_key_value_heads");
        int keyValueHeads = exact(keys, headDim);
        if (keyValueHeads == 0 || heads % keyValueHeads != 0) {
            int usual = json.mentions(shared) ? 0 : family.defaults().keyValueHeads();
            keyValueHeads = usual == 0 ? heads : usual;
        }
        keyValueHeads = family.has(Trait.FALCON)
                        && !json.flag("new_decoder_architecture", false)
                        && json.flag("multi_query", true)
                ? 1
                : json.integer(shared, 1, WIDEST, keyValueHeads);
        if (heads % keyValueHeads != 0) {
            throw new FormatException(json.where() + ": " + shared + ": found "
                    + (json.has(shared) ? "" : "nothing and took the usual ") + keyValueHeads
                    + ", expected a divisor of num_attention_heads " + heads);
        }
        int vocabulary = integer(json, "vocab_size", LARGEST_VOCABULARY, size(stored, family.embedding(), 0));
        int positions = json.integer(
                "max_position_embeddings", 1, LONGEST, family.defaults().positions());
        JsonFile ids = generation.has("eos_token_id") ? generation : json;
        int window = window(family, json);
        List<String> types = layerTypes(family, json, window, layers);
        int turnedDim = RotaryParameters.turned(json, headDim, family);
        Map<String, RotaryParameters> rotary =
                RotaryParameters.parse(json, turnedDim, positions, new LinkedHashSet<>(types), family);
        List<Boolean> turned = turned(family, json, types, window);
        List<PositionPlan> turns = new ArrayList<>();
        for (int i = 0; i < layers; i++) {
            RotaryParameters own = rotary.get(types.get(i));
            turns.add(
                    turned.get(i) ? RotaryParameters.position(json, turnedDim, own, family) : new PositionPlan.None());
        }
        Optional<Experts> experts = experts(family, json, stored, layers);
        return new ModelConfig(
                family,
                hidden,
                intermediate(family, json, stored, experts, hidden, layers),
                layers,
                heads,
                keyValueHeads,
                headDim,
                vocabulary,
                positions,
                (float) json.number(
                        family.spelled("rms_norm_eps"), 0, 1, family.defaults().epsilon()),
                turns,
                types.stream().map(type -> type.equals(FULL) ? 0 : window).toList(),
                tied(family, json, stored),
                family.bias().qkv.in(json),
                family.bias().output.in(json),
                family.bias().mlp.in(json),
                parallelNorms(family, json),
                activation(family, json),
                scales(family, json, stored, hidden, headDim),
                experts,
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

    private static int layers(ModelFamily family, Function<String, Optional<Tensor>> stored) {
        int layers = 0;
        while (layers < MOST_LAYERS
                && stored.apply(family.inLayer(layers, "post_attention_layernorm"))
                        .isPresent()) {
            layers++;
        }
        return layers;
    }

    /** {@code a / b} where that is a whole number, else 0. */
    private static int exact(int a, int b) {
        return a % b == 0 ? a / b : 0;
    }

    /** A head that is stored counts, whatever config.json says of it; one that is not must be the embedding. */
    private static boolean tied(ModelFamily family, JsonFile json, Function<String, Optional<Tensor>> stored) {
        boolean said = json.flag("tie_word_embeddings", family.defaults().tied());
        boolean stands = stored.apply("lm_head.weight").isPresent();
        if (!said && !stands && stored.apply(family.embedding()).isPresent()) {
            throw new FormatException(json.where() + ": tie_word_embeddings: found "
                    + (json.has("tie_word_embeddings") ? "false" : "nothing")
                    + " beside weights without lm_head.weight, a model without a head that can neither generate nor be"
                    + " evaluated; expected true where its head is the embedding, or the weights with the head");
        }
        return said && !stands;
    }

    /** Where config.json names no layers, every fourth is not turned, or as often as it says. */
    private static List<Boolean> turned(ModelFamily family, JsonFile json, List<String> types, int window) {
        int layers = types.size();
        if (family.has(Trait.LOCAL_TURNED) && (window > 0 || !family.has(Trait.TURNED_WITHOUT_WINDOW))) {
            return types.stream()
                    .map(type -> window > 0 && type.equals(SLIDING))
                    .toList();
        }
        if (!family.has(Trait.UNTURNED_LAYERS)) {
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

    private static boolean isPart(JsonFile json) {
        return ModelFamily.isPart(json.texts("architectures"), json.text("model_type", ""));
    }

    private static FeedForwardPlan.Activation activation(ModelFamily family, JsonFile json) {
        String key = family.spelled("hidden_act");
        return switch (json.text(key, family.defaults().activation())) {
            case "silu", "swish" -> FeedForwardPlan.Activation.SILU;
            case "gelu_pytorch_tanh", "gelu_new" -> FeedForwardPlan.Activation.GELU_TANH;
            case "gelu" -> FeedForwardPlan.Activation.GELU;
            case "relu2" -> FeedForwardPlan.Activation.SQUARED_RELU;
            default -> throw json.bad(key, "\"silu\", \"gelu_pytorch_tanh\", \"gelu\" or \"relu2\"");
        };
    }

    /** What a family may have and Gosset does not know. */
    private static void refuse(ModelFamily family, JsonFile json) {
        List<String> flags = family.has(Trait.FALCON)
                ? List.of("alibi", "bias")
                : family.has(Trait.LAYER_NORM) ? List.of("use_qk_norm", "qk_layernorm") : List.of();
        for (String flag : flags) {
            if (json.flag(flag, false)) {
                throw json.bad(flag, "false, as nothing else is known");
            }
        }
        if (family.has(Trait.EXPERTS_OF_USUAL_WIDTH) && json.has("clip_qkv")) {
            throw json.bad("clip_qkv", "null");
        }
    }

    private static int parallelNorms(ModelFamily family, JsonFile json) {
        if (family.has(Trait.CONFIGURED_PARALLEL)) {
            return json.flag("use_parallel_residual", false) ? 1 : 0;
        }
        if (family.has(Trait.FALCON)) {
            return json.flag("new_decoder_architecture", false)
                    ? json.integer("num_ln_in_parallel_attn", 1, 2, 2)
                    : json.flag("parallel_attn", true) ? 1 : 0;
        }
        return family.has(Trait.PARALLEL) ? 1 : 0;
    }

    /** The width of layers that are no mixtures; where all are, that of their experts. */
    private static int intermediate(
            ModelFamily family,
            JsonFile json,
            Function<String, Optional<Tensor>> stored,
            Optional<Experts> experts,
            int hidden,
            int layers) {
        if (experts.isPresent() && !experts.get().layers().contains(false)) {
            return experts.get().width();
        }
        int found = 0;
        for (int i = 0; i < layers && found == 0; i++) {
            found = size(stored, family.inLayer(i, "mlp.down_proj"), 1);
        }
        found = found == 0 && family.has(Trait.FALCON) ? 4 * hidden : found;
        return integer(json, family.spelled("intermediate_size"), WIDEST, found);
    }

    private static Optional<Experts> experts(
            ModelFamily family, JsonFile json, Function<String, Optional<Tensor>> stored, int layers) {
        boolean mixtral = family.has(Trait.MIXTRAL_EXPERTS);
        if (!mixtral && !family.has(Trait.EXPERTS)) {
            return Optional.empty();
        }
        List<Boolean> mixtures = new ArrayList<>(Collections.nCopies(layers, true));
        if (!mixtral) {
            int step = json.integer("decoder_sparse_step", 1, MOST_LAYERS, 1);
            JsonNode dense = json.node().path("mlp_only_layers");
            for (int i = 0; i < layers; i++) {
                mixtures.set(i, (i + 1) % step == 0);
            }
            for (JsonNode layer : dense) {
                if (!layer.isInt()) {
                    throw json.bad("mlp_only_layers", "a list of numbers of layers");
                }
                if (layer.intValue() >= 0 && layer.intValue() < layers) {
                    mixtures.set(layer.intValue(), false);
                }
            }
            if (json.has("mlp_only_layers") && !dense.isArray()) {
                throw json.bad("mlp_only_layers", "a list of numbers of layers");
            }
        }
        if (!mixtures.contains(true)) {
            return Optional.empty();
        }
        int first = mixtures.indexOf(true);
        String mlp = mixtral ? "block_sparse_moe." : "mlp.";
        // Newer files call it as Mixtral does.
        String key = mixtral || json.has("num_local_experts") && !json.has("num_experts")
                ? "num_local_experts"
                : "num_experts";
        int count = integer(json, key, MOST_EXPERTS, size(stored, family.inLayer(first, mlp + "gate"), 0));
        String down = family.inLayer(first, mlp + "experts.0." + (mixtral ? "w2" : "down_proj"));
        String shared = family.inLayer(first, "mlp.shared_expert.down_proj");
        return Optional.of(new Experts(
                count,
                mixtral
                        ? json.integer("num_experts_per_tok", 1, count, Math.min(2, count))
                        : json.integer("num_experts_per_tok", 1, count),
                integer(json, expertWidth(family), WIDEST, size(stored, down, 1)),
                mixtral || json.flag("norm_topk_prob", false),
                family.has(Trait.SHARED_EXPERT)
                        ? integer(json, "shared_expert_intermediate_size", WIDEST, size(stored, shared, 1))
                        : 0,
                mixtures));
    }

    private static String expertWidth(ModelFamily family) {
        return family.has(Trait.MIXTRAL_EXPERTS) || family.has(Trait.EXPERTS_OF_USUAL_WIDTH)
                ? "intermediate_size"
                : "moe_intermediate_size";
    }

    private static Scales scales(
            ModelFamily family, JsonFile json, Function<String, Optional<Tensor>> stored, int hidden, int headDim) {
        Scales usual = Scales.usual(headDim);
        if (family.has(Trait.MULTIPLIERS)) {
            double logits = json.number("logits_scaling", 0, LONGEST, 1);
            return new Scales(
                    (float) json.number("embedding_multiplier", 0, LONGEST, 1),
                    (float) json.number("residual_multiplier", 0, LONGEST, 1),
                    (float) json.number("attention_multiplier", 0, LONGEST, 1),
                    0,
                    logits == 1 ? usual.logits() : new LogitPlan.Scaled((float) (1 / logits)));
        }
        if (family.has(Trait.LOGIT_SCALE)) {
            double factor = json.number("logit_scale", 0, LONGEST, 0.0625);
            return new Scales(1, 1, usual.scores(), 0, new LogitPlan.Scaled((float) factor));
        }
        boolean capped = family.has(Trait.SCORE_CAP);
        float scoreCap = cap(json, "attn_logit_softcapping", capped, capped ? 50 : 0);
        float logitCap = cap(json, "final_logit_softcapping", family.has(Trait.LOGIT_CAP), capped ? 30 : 0);
        return new Scales(
                family.has(Trait.SCALED_EMBEDDING) ? rounded(Math.sqrt(hidden), dtype(family, json, stored)) : 1,
                1,
                family.has(Trait.QUERY_SCALE)
                        ? (float) Math.pow(json.number("query_pre_attn_scalar", 0, LONGEST, 256), -0.5)
                        : usual.scores(),
                scoreCap,
                logitCap == 0 ? usual.logits() : new LogitPlan.SoftCapped(logitCap));
    }

    /** A bound above 0, or 0 for none. */
    private static float cap(JsonFile json, String key, boolean honoured, float usual) {
        if (json.has(key) && !honoured) {
            throw json.bad(key, "null, as the classes of this family do not read it");
        }
        return json.has(key) ? (float) json.number(key, 0, LONGEST) : json.mentions(key) ? 0 : usual;
    }

    /** What the model computes in by itself: what config.json says, or the type of its embedding. */
    private static String dtype(ModelFamily family, JsonFile json, Function<String, Optional<Tensor>> stored) {
        String key = json.has("dtype") ? "dtype" : "torch_dtype";
        if (json.has(key) && !DTYPES.contains(json.text(key))) {
            throw json.bad(key, "one of " + DTYPES);
        }
        return json.text(
                key,
                stored.apply(family.embedding())
                        .map(t -> switch (t.dtype()) {
                            case BF16 -> "bfloat16";
                            case F16 -> "float16";
                            default -> "float32";
                        })
                        .orElse("float32"));
    }

    /** A number rounded to nearest in one of {@link #DTYPES}. */
    private static float rounded(double value, String dtype) {
        float single = (float) value;
        return switch (dtype) {
            case "float16" -> Float.float16ToFloat(Float.floatToFloat16(single));
            case "bfloat16" -> {
                int bits = Float.floatToRawIntBits(single);
                yield Float.intBitsToFloat((bits + 0x7fff + (bits >>> 16 & 1)) & 0xffff0000);
            }
            default -> single;
        };
    }

    /** The window of the layers that have one, or 0 where none has: 0 and -1 in the file, and what no sequence fills. */
    private static int window(ModelFamily family, JsonFile json) {
        int given = json.integer("sliding_window", Integer.MIN_VALUE, Integer.MAX_VALUE, 0);
        int window = json.mentions("sliding_window") ? given : family.defaults().window();
        boolean used = switch (family.window()) {
            case NEVER -> false;
            case ALL_LAYERS, EVERY_OTHER, ALL_BUT_FOURTH, PATTERN, PATTERN_OF_FOUR -> true;
            case SOME_LAYERS, NAMED_LAYERS, ALL_WHERE_USED -> json.flag("use_sliding_window", false);
        };
        return used && window >= 1 && window <= LONGEST ? window : 0;
    }

    private static List<String> layerTypes(ModelFamily family, JsonFile json, int window, int layers) {
        // Without a window all layers are the same, unless their positions differ.
        if (window == 0 && !family.has(Trait.LOCAL_BASE) && !family.has(Trait.LOCAL_UNSCALED)) {
            return Collections.nCopies(layers, FULL);
        }
        List<String> types = json.texts("layer_types");
        if (json.has("layer_types") && types.size() != layers) {
            throw json.bad("layer_types", "one entry for each of the " + layers + " layers");
        }
        if (types.isEmpty() && family.window() == ModelFamily.Window.NAMED_LAYERS) {
            throw json.bad("layer_types", "one entry for each of the " + layers + " layers beside use_sliding_window");
        }
        if (!types.stream().allMatch(type -> type.equals(FULL) || type.equals(SLIDING))) {
            throw json.bad("layer_types", "entries \"full_attention\" or \"sliding_attention\"");
        }
        if (!types.isEmpty()) {
            return types;
        }
        int first = json.integer("max_window_layers", Integer.MIN_VALUE, Integer.MAX_VALUE, DEFAULT_FIRST_WINDOW);
        int pattern = json.integer(
                "sliding_window_pattern", 1, MOST_LAYERS, family.window() == ModelFamily.Window.PATTERN ? 6 : 4);
        return IntStream.range(0, layers)
                .mapToObj(i -> switch (family.window()) {
                    case NEVER, NAMED_LAYERS -> FULL;
                    case ALL_LAYERS, ALL_WHERE_USED -> SLIDING;
                    case SOME_LAYERS -> i < first ? FULL : SLIDING;
                    case EVERY_OTHER -> i % 2 == 1 ? FULL : SLIDING;
                    case ALL_BUT_FOURTH -> i % 4 == 3 ? FULL : SLIDING;
                    case PATTERN, PATTERN_OF_FOUR -> (i + 1) % pattern == 0 ? FULL : SLIDING;
                })
                .toList();
    }

    /**
     * Adds to the config.json of a model derived from this one what was not in the original's and the derived one's tensors
     * no longer tell; leaves one that says everything as it is.
     */
    public void complete(ObjectNode json) {
        JsonFile bare = JsonFile.parse("config.json", json.toString());
        ObjectNode own = isPart(bare) ? (ObjectNode) json.get(PART) : json;
        try {
            JsonFile none = JsonFile.parse("config.json", "{}");
            ModelConfig said = parse(bare, none, name -> Optional.empty());
            if (!said.scales.equals(scales)) {
                DTYPES.stream()
                        .filter(dtype -> rounded(Math.sqrt(hiddenSize), dtype) == scales.embedding())
                        .findFirst()
                        .ifPresent(dtype -> own.put("torch_dtype", dtype));
            }
            if (said.sizes().equals(sizes())) {
                return;
            }
        } catch (FormatException e) {
            // It lacks what only the tensors tell.
        }
        sizes().forEach(own::putPOJO);
    }

    /** What decides the shapes of a model's tensors, by the keys of config.json. */
    public Map<String, Object> sizes() {
        Map<String, Object> sizes = new LinkedHashMap<>();
        sizes.put("hidden_size", hiddenSize);
        sizes.put(family.spelled("intermediate_size"), intermediateSize);
        sizes.put("num_hidden_layers", layers);
        sizes.put("num_attention_heads", heads);
        sizes.put(family.spelled("num_key_value_heads"), keyValueHeads);
        sizes.put("head_dim", headDim);
        sizes.put("vocab_size", vocabularySize);
        sizes.put("tie_word_embeddings", tiedEmbeddings);
        experts.ifPresent(e -> {
            boolean mixtral = family.has(Trait.MIXTRAL_EXPERTS);
            sizes.put(mixtral ? "num_local_experts" : "num_experts", e.count());
            sizes.put(expertWidth(family), e.width());
            if (e.sharedWidth() > 0) {
                sizes.put("shared_expert_intermediate_size", e.sharedWidth());
            }
        });
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
        double longest = positions.stream()
                .flatMap(p -> p.turning().stream())
                .mapToDouble(rotary -> rotary.scaling().longest(maxPositions))
                .min()
                .orElse(maxPositions);
        return (int) Math.clamp(longest, maxPositions, LONGEST);
    }

    /** Sequences up to this length have the same keys whatever their length. */
    public int fixedLength() {
        return positions.stream()
                .flatMap(p -> p.turning().stream())
                .mapToInt(rotary -> rotary.scaling().fixedLength())
                .min()
                .orElse(Integer.MAX_VALUE);
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

package dev.gosset.llm.plan;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gosset.llm.io.JsonFile;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;

/**
 * What a config.json says about the rotary embedding, in all spellings: {@code rope_parameters} (transformers 5), for each
 * type of layer where it is nested; {@code rope_scaling} and {@code rope_theta} (before); {@code type} for {@code
 * rope_type}. Of several that stand side by side none is passed over: they must agree.
 */
record RotaryParameters(double theta, RotaryScaling scaling) {
    private static final double LARGEST = 1e9;
    private static final String PARTIAL = "partial_rotary_factor";

    private static final JsonFile NONE = JsonFile.parse("config.json", "{}");
    private static final Set<String> TYPE = Set.of("rope_type", "type");

    /**
     * What turns the layers of each type.
     *
     * @param dim dimension of a head
     * @param positions {@code max_position_embeddings}
     * @param layerTypes what the model's layers are, {@code full_attention} or {@code sliding_attention}
     * @param family says which base is the usual one, and whether layers with a window have one of their own
     */
    static Map<String, RotaryParameters> parse(
            JsonFile json, int dim, int positions, Set<String> layerTypes, ModelFamily family) {
        JsonFile parameters = object(json, "rope_parameters");
        boolean byType = parameters != null
                && parameters.node().properties().stream()
                        .anyMatch(e -> e.getValue().isObject());
        boolean ownBase = family.has(ModelFamily.Trait.LOCAL_BASE);
        boolean local = ownBase || family.has(ModelFamily.Trait.LOCAL_UNSCALED);
        if (local && parameters != null && !byType) {
            throw json.bad("rope_parameters", "an object for each type of layer");
        }
        Map<String, RotaryParameters> byLayerType = new HashMap<>();
        for (String type : layerTypes) {
            boolean own = local && type.equals(ModelConfig.SLIDING);
            JsonFile now = !byType ? parameters : own && !parameters.has(type) ? null : parameters.object(type);
            JsonFile old = own ? null : object(json, "rope_scaling");
            JsonFile rope = now == null ? old : old == null ? now : agreed(json, now, old);
            double theta = own && ownBase
                    ? theta(json, "rope_local_base_freq", now, null, 10_000)
                    : theta(json, "rope_theta", now, old, family.defaults().theta());
            JsonFile said = rope == null ? NONE : rope;
            boolean stretched = family.has(ModelFamily.Trait.STRETCHED_BASE)
                    && said.has("alpha")
                    && type(said).equals("dynamic");
            byLayerType.put(
                    type,
                    stretched
                            ? new RotaryParameters(
                                    theta * Math.pow(said.number("alpha", 0, LARGEST), dim / (dim - 2.0)),
                                    new RotaryScaling.None())
                            : new RotaryParameters(theta, scaling(json, said, dim, positions, family)));
        }
        return byLayerType;
    }

    /** What these parameters say of a layer that is turned. */
    static PositionPlan position(JsonFile json, int dim, RotaryParameters own, ModelFamily family) {
        PositionPlan.Rotary rotary =
                new PositionPlan.Rotary(dim, own.theta(), own.scaling(), family.has(ModelFamily.Trait.INTERLEAVED));
        if (!family.has(ModelFamily.Trait.QUERY_GROWTH)) {
            return rotary;
        }
        JsonFile rope = json.object(json.has("rope_parameters") ? "rope_parameters" : "rope_scaling");
        return new PositionPlan.ScaledRotary(
                rotary,
                rope.number("llama_4_scaling_beta", 0, LARGEST),
                rope.integer("original_max_position_embeddings", 1, Integer.MAX_VALUE));
    }

    /** How many elements of a head are turned. */
    static int turned(JsonFile json, int headDim, ModelFamily family) {
        if (!family.has(ModelFamily.Trait.PARTIAL_ROTARY)) {
            return headDim;
        }
        JsonFile place = json;
        for (String key : new String[] {"rope_parameters", "rope_scaling"}) {
            JsonFile rope = object(json, key);
            if (rope != null && rope.has(PARTIAL)) {
                place = rope;
            }
        }
        int turned =
                (int) (headDim * place.number(PARTIAL, 0, 1, family.defaults().turned()));
        if (turned < 2 || turned % 2 != 0) {
            throw place.bad(PARTIAL, "an even number of the " + headDim + " elements of a head, found " + turned);
        }
        return turned;
    }

    private static JsonFile object(JsonFile json, String key) {
        JsonFile found = json.has(key) ? json.object(key) : null;
        return found == null || found.node().isEmpty() ? null : found;
    }

    /** One of two descriptions that stand side by side. */
    private static JsonFile agreed(JsonFile json, JsonFile now, JsonFile old) {
        String type = type(now);
        if (type.equals("default")) {
            return old;
        }
        if (!type.equals(type(old))) {
            throw json.bad("rope_scaling", "the same rope_type as in rope_parameters beside it, " + type);
        }
        for (Map.Entry<String, JsonNode> e : old.node().properties()) {
            JsonNode other = now.node().get(e.getKey());
            boolean counts = !TYPE.contains(e.getKey()) && !e.getValue().isNull();
            if (counts && (other == null || !same(other, e.getValue()))) {
                throw old.bad(
                        e.getKey(),
                        "the same as in rope_parameters, " + (other == null ? "where it is missing" : other));
            }
        }
        return now;
    }

    private static boolean same(JsonNode a, JsonNode b) {
        return a.isNumber() && b.isNumber() ? a.doubleValue() == b.doubleValue() : a.equals(b);
    }

    /**
     * @param key what the base is called beside the other keys of config.json
     */
    private static double theta(JsonFile json, String key, JsonFile now, JsonFile old, double usual) {
        double theta = json.has(key) ? json.number(key, 0, 1e15) : 0;
        for (JsonFile place : new JsonFile[] {now, old}) {
            if (place != null && place.has("rope_theta")) {
                double own = place.number("rope_theta", 0, 1e15);
                if (theta != 0 && own != theta) {
                    throw place.bad("rope_theta", "the same as " + key + " elsewhere, " + theta);
                }
                theta = own;
            }
        }
        theta = theta == 0 ? usual : theta;
        // transformers takes rope_scaling in the place of all of rope_parameters, the base included.
        if (old != null && now != null && !json.has(key) && !old.has("rope_theta") && theta != usual) {
            throw now.bad(
                    "rope_theta",
                    "it in rope_scaling or as rope_theta too: others read nothing of rope_parameters beside rope_scaling");
        }
        return theta;
    }

    private static String type(JsonFile rope) {
        String type = rope.text("rope_type", rope.text("type", ""));
        if (rope.has("type") && !rope.text("type").equals(type)) {
            throw rope.bad("type", "the same as rope_type, " + type);
        }
        return switch (type) {
            case "" -> "default";
            case "su" -> "longrope";
            default -> type;
        };
    }

    private static RotaryScaling scaling(JsonFile json, JsonFile rope, int dim, int positions, ModelFamily family) {
        boolean phi = family.has(ModelFamily.Trait.PHI_ROTARY);
        String type = phi && type(rope).equals("yarn") ? "longrope" : type(rope);
        JsonFile partial = rope.has(PARTIAL) ? rope : json;
        double share = partial.number(PARTIAL, 0, 1, 1);
        if (share != 1 && !type.equals("proportional") && !family.has(ModelFamily.Trait.PARTIAL_ROTARY)) {
            throw partial.bad(PARTIAL, "1");
        }
        return switch (type) {
            case "default" -> {
                if (!rope.has("rope_type") && !rope.has("type") && !onlyBase(rope)) {
                    throw rope.bad("rope_type", "a text, as there are other keys");
                }
                if (rope.has("factor") && rope.number("factor", 0, LARGEST) != 1) {
                    throw rope.bad("factor", "none beside the rope_type default");
                }
                yield new RotaryScaling.None();
            }
            case "linear" -> new RotaryScaling.Linear(factor(rope));
            case "proportional" -> new RotaryScaling.Proportional(rope.number("factor", 0, LARGEST, 1), share);
            // The trained context is max_position_embeddings here, whatever else the file says.
            case "dynamic" -> new RotaryScaling.Dynamic(factor(rope), positions);
            case "yarn" -> yarn(json, rope, positions);
            case "longrope" -> longRope(json, rope, dim, positions, phi ? 4096 : positions);
            case "llama3" -> {
                double low = rope.number("low_freq_factor", 0, LARGEST);
                double high = rope.number("high_freq_factor", 0, LARGEST);
                if (low > high) {
                    throw rope.bad("high_freq_factor", "a number not below low_freq_factor " + low);
                }
                yield new RotaryScaling.Llama3(factor(rope), low, high, original(json, rope, positions));
            }
            default ->
                throw rope.bad(
                        rope.has("rope_type") ? "rope_type" : "type",
                        "\"default\", \"linear\", \"dynamic\", \"yarn\", \"longrope\", \"llama3\" or \"proportional\"");
        };
    }

    private static boolean onlyBase(JsonFile rope) {
        return rope.node().properties().stream()
                .allMatch(e -> e.getValue().isNull()
                        || e.getKey().equals("rope_theta")
                        || e.getKey().equals(PARTIAL));
    }

    private static double factor(JsonFile rope) {
        return rope.number("factor", 0, LARGEST);
    }

    /** The trained context: beside the other keys of config.json it goes first. */
    private static int original(JsonFile json, JsonFile rope, int positions) {
        String key = "original_max_position_embeddings";
        return (json.has(key) ? json : rope).integer(key, 1, Integer.MAX_VALUE, positions);
    }

    private static boolean namesOriginal(JsonFile json, JsonFile rope) {
        return json.has("original_max_position_embeddings") || rope.has("original_max_position_embeddings");
    }

    private static RotaryScaling yarn(JsonFile json, JsonFile rope, int positions) {
        int original = original(json, rope, positions);
        double factor = rope.has("factor") || !namesOriginal(json, rope) ? factor(rope) : (double) positions / original;
        double scale = positive(rope, "mscale", 0);
        double scaleOfAll = positive(rope, "mscale_all_dim", 0);
        double attention = scale > 0 && scaleOfAll > 0
                ? sharpening(factor, scale) / sharpening(factor, scaleOfAll)
                : sharpening(factor, 1);
        return new RotaryScaling.Yarn(
                factor,
                original,
                rope.number("attention_factor", 0, LARGEST, attention),
                positive(rope, "beta_fast", 32),
                positive(rope, "beta_slow", 1),
                rope.flag("truncate", true));
    }

    private static double sharpening(double factor, double scale) {
        return factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1;
    }

    /** A number above 0, or {@code absent} where it is missing or 0. */
    private static double positive(JsonFile rope, String key, double absent) {
        boolean zero = rope.has(key)
                && rope.node().get(key).isNumber()
                && rope.node().get(key).doubleValue() == 0;
        return zero ? absent : rope.number(key, 0, LARGEST, absent);
    }

    private static RotaryScaling longRope(JsonFile json, JsonFile rope, int dim, int positions, int trained) {
        int original = original(json, rope, trained);
        double factor = rope.number("factor", 0, LARGEST, (double) positions / original);
        double attention = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
        return new RotaryScaling.LongRope(
                rope.numbers("short_factor", dim / 2),
                rope.numbers("long_factor", dim / 2),
                original,
                rope.number("attention_factor", 0, LARGEST, attention));
    }
}

package dev.gosset.llm.model;

import java.util.ArrayList;
import java.util.List;

/**
 * The linears of one block that read the same input, stacked from the top down: the unit of a Hessian, of quantization
 * and of storage. The names are those of published QuIP# checkpoints and Hessians (spec/quip-sharp.md, sections 2 and 5).
 */
public enum LinearGroup {
    /** q, k, v: reads the normalized input of the attention. */
    QKV("self_attn.qkv_proj", "qkv", List.of("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
    /** Reads the attention's heads side by side. */
    O("self_attn.o_proj", "o", List.of("self_attn.o_proj")),
    /** up, gate, in this order: reads the normalized input of the MLP. */
    UP_GATE("mlp.upgate_proj", "up", List.of("mlp.up_proj", "mlp.gate_proj")),
    /** Reads silu(gate) * up. */
    DOWN("mlp.down_proj", "down", List.of("mlp.down_proj"));

    private final String publishedName;
    private final String hessianTag;
    private final List<String> partNames;

    LinearGroup(String publishedName, String hessianTag, List<String> partNames) {
        this.publishedName = publishedName;
        this.hessianTag = hessianTag;
        this.partNames = partNames;
    }

    /**
     * One linear of a group, as the original model names it.
     *
     * @param name the name inside the block, such as {@code self_attn.q_proj}
     * @param rows its number of outputs
     */
    public record Part(String name, int rows) {
        /** The last element of the name, such as {@code q_proj}. */
        public String shortName() {
            return name.substring(name.lastIndexOf('.') + 1);
        }

        /** The name of its weight in the original model. */
        public String weight(int layer) {
            return "model.layers." + layer + "." + name + ".weight";
        }

        /** The name of its bias in the original model. */
        public String bias(int layer) {
            return "model.layers." + layer + "." + name + ".bias";
        }
    }

    /** The name of the stack inside a block, such as {@code self_attn.qkv_proj}. */
    public String publishedName() {
        return publishedName;
    }

    /** The name of the stack in the model: {@code model.layers.L.self_attn.qkv_proj}. */
    public String fullName(int layer) {
        return "model.layers." + layer + "." + publishedName;
    }

    /** The name of its Hessian: {@code qkv}, {@code o}, {@code up} or {@code down}. */
    public String hessianTag() {
        return hessianTag;
    }

    /** The stacked linears from the top down, with their numbers of outputs. */
    public List<Part> parts(ModelConfig config) {
        List<Part> parts = new ArrayList<>();
        for (String name : partNames) {
            int rows = switch (name) {
                case "self_attn.q_proj" -> config.querySize();
                case "self_attn.k_proj", "self_attn.v_proj" -> config.keyValueSize();
                case "mlp.up_proj", "mlp.gate_proj" -> config.intermediateSize();
                default -> config.hiddenSize();
            };
            parts.add(new Part(name, rows));
        }
        return parts;
    }

    /** Number of inputs n. */
    public int inputs(ModelConfig config) {
        return switch (this) {
            case QKV, UP_GATE -> config.hiddenSize();
            case O -> config.querySize();
            case DOWN -> config.intermediateSize();
        };
    }

    /** Number of outputs m of the whole stack. */
    public int outputs(ModelConfig config) {
        return parts(config).stream().mapToInt(Part::rows).sum();
    }

    /** Whether the linears of this group add a bias. */
    public boolean hasBias(ModelConfig config) {
        return switch (this) {
            case QKV -> config.qkvBias();
            case O -> config.outputBias();
            case UP_GATE, DOWN -> config.mlpBias();
        };
    }
}

package dev.gosset.llm.plan;

import java.util.List;

/**
 * Linears that read the same input and are stacked from the top down: the unit of quantization and of storage. Groups that
 * read the same input share a Hessian. The names are those of published QuIP# checkpoints and Hessians (spec/quip-sharp.md,
 * sections 2 and 5). Immutable; two groups are equal where all they say is.
 *
 * @param name the name of the stack in the model, such as {@code model.layers.3.self_attn.qkv_proj}
 * @param hessian the name of the Hessian of its input, such as {@code 3_qkv}
 * @param inputs number of inputs n
 * @param parts the stacked linears from the top down
 * @param biased whether they add a bias
 * @param reach which tokens it sees
 */
public record LinearGroup(String name, String hessian, int inputs, List<Part> parts, boolean biased, Reach reach) {
    public LinearGroup {
        parts = List.copyOf(parts);
    }

    /** A group that sees every token. */
    public LinearGroup(String name, String hessian, int inputs, List<Part> parts, boolean biased) {
        this(name, hessian, inputs, parts, biased, Reach.EVERY_TOKEN);
    }

    /** Which tokens a group sees, and what its inputs have in common with those of others where these are few. */
    public enum Reach {
        /** All. */
        EVERY_TOKEN,
        /** Those that a router chooses, by the same inputs as all groups of the block that say so. */
        CHOSEN_TOKENS,
        /** Those that a router chooses, by inputs that no other group has. */
        WITHIN_EXPERT
    }

    /**
     * One linear of a group, as the original model names it.
     *
     * @param name its name in the model, such as {@code model.layers.3.self_attn.q_proj}
     * @param rows its number of outputs
     * @param weight the tensor that holds its weight in the original model, perhaps below those of other linears
     * @param firstRow of that tensor
     * @param allRows of that tensor
     */
    public record Part(String name, int rows, String weight, int firstRow, int allRows) {
        /** A linear with a tensor of its own. */
        public Part(String name, int rows) {
            this(name, rows, name + ".weight", 0, rows);
        }

        /** The last element of the name, such as {@code q_proj}. */
        public String shortName() {
            return name.substring(name.lastIndexOf('.') + 1);
        }

        /** Its bias in the original model, beside a weight that is its own or by the part's name. */
        public TensorPlan bias() {
            String own = rows == allRows ? weight.replaceAll("weight$", "bias") : name + ".bias";
            return new TensorPlan(own, "bias", List.of((long) rows));
        }
    }

    /** The same group of other parts. */
    LinearGroup of(List<Part> others) {
        return new LinearGroup(name, hessian, inputs, others, biased, reach);
    }

    /** Number of outputs m of the whole stack. */
    public int outputs() {
        return parts.stream().mapToInt(Part::rows).sum();
    }

    /** The biases of its parts; none where there are none. */
    public List<TensorPlan> biases() {
        return biased ? parts.stream().map(Part::bias).toList() : List.of();
    }
}

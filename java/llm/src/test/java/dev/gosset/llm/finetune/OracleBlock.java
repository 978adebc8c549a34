package dev.gosset.llm.finetune;

import dev.gosset.llm.plan.ModelConfig;
import dev.gosset.llm.plan.PositionPlan;
import java.util.LinkedHashMap;
import java.util.Map;

/** A block on a {@link Tape}, written from the formulas, with no thought of speed. Its parameters are nodes by name. */
final class OracleBlock {
    private final Tape tape;
    private final ModelConfig config;
    private final int window;
    private final Map<String, int[]> parameters = new LinkedHashMap<>();
    private final Map<BlockLinears, double[]> matrices = new LinkedHashMap<>();

    OracleBlock(Tape tape, ModelConfig config, int layer) {
        this.tape = tape;
        this.config = config;
        this.window = config.windows().get(layer);
    }

    /** Parameters: {@code n1}, {@code n2}, {@code qn}, {@code kn}, and of a linear {@code qkv.SU}, {@code qkv.SV} or {@code qkv.W}, {@code qkv.bias}. */
    OracleBlock put(String name, double[] values) {
        parameters.put(name, tape.leaves(values));
        return this;
    }

    /** The decoded matrix of a quantized linear, a constant. */
    OracleBlock matrix(BlockLinears group, double[] m) {
        matrices.put(group, m);
        return this;
    }

    Map<String, int[]> parameters() {
        return parameters;
    }

    double[] gradient(String name) {
        int[] nodes = parameters.get(name);
        double[] out = new double[nodes.length];
        for (int i = 0; i < out.length; i++) {
            out[i] = tape.gradient(nodes[i]);
        }
        return out;
    }

    ModelConfig config() {
        return config;
    }

    int[][] forward(int[][] x) {
        int tokens = x.length;
        int dim = config.headDim();
        int[][] qkv = new int[tokens][];
        for (int t = 0; t < tokens; t++) {
            qkv[t] = linear(BlockLinears.QKV, norm(x[t], parameters.get("n1")));
            for (int h = 0; h < config.heads() + config.keyValueHeads(); h++) {
                int[] head = part(qkv[t], h * dim, dim);
                int[] weight = parameters.get(h < config.heads() ? "qn" : "kn");
                if (weight != null) {
                    head = norm(head, weight);
                }
                System.arraycopy(turned(head, t), 0, qkv[t], h * dim, dim);
            }
        }
        int[][] y = new int[tokens][];
        int group = config.heads() / config.keyValueHeads();
        for (int t = 0; t < tokens; t++) {
            int[] mixed = new int[config.querySize()];
            for (int h = 0; h < config.heads(); h++) {
                int key = (config.heads() + h / group) * dim;
                int value = key + config.keyValueSize();
                int first = window == 0 ? 0 : Math.max(0, t - window + 1);
                int[] weights = new int[t + 1 - first];
                for (int s = first; s <= t; s++) {
                    int product = tape.dot(part(qkv[t], h * dim, dim), part(qkv[s], key, dim));
                    weights[s - first] = tape.exp(tape.linear(new int[] {product}, 1 / Math.sqrt(dim)));
                }
                int share = tape.power(tape.sum(weights), -1);
                for (int i = 0; i < dim; i++) {
                    int[] column = new int[weights.length];
                    for (int s = 0; s < column.length; s++) {
                        column[s] = qkv[first + s][value + i];
                    }
                    mixed[h * dim + i] = tape.times(tape.dot(weights, column), share);
                }
            }
            int[] middle = sum(x[t], linear(BlockLinears.O, mixed));
            int[] upGate = linear(BlockLinears.UP, norm(middle, parameters.get("n2")));
            int f = config.intermediateSize();
            int[] gated = new int[f];
            for (int i = 0; i < f; i++) {
                int gate = upGate[f + i];
                int e = tape.exp(tape.linear(new int[] {gate}, -1));
                int sigmoid = tape.power(tape.plus(e, tape.leaf(1)), -1);
                gated[i] = tape.times(tape.times(upGate[i], gate), sigmoid);
            }
            y[t] = sum(middle, linear(BlockLinears.DOWN, gated));
        }
        return y;
    }

    private int[] linear(BlockLinears group, int[] x) {
        String name = group.tag();
        int m = group.outputs(config);
        int[] y = new int[m];
        double[] matrix = matrices.get(group);
        int[] su = parameters.get(name + ".SU");
        int[] scaled = x;
        if (matrix != null) {
            scaled = new int[x.length];
            for (int j = 0; j < x.length; j++) {
                scaled[j] = tape.times(x[j], su[j]);
            }
        }
        for (int i = 0; i < m; i++) {
            if (matrix != null) {
                double[] row = java.util.Arrays.copyOfRange(matrix, i * x.length, (i + 1) * x.length);
                y[i] = tape.times(parameters.get(name + ".SV")[i], tape.linear(scaled, row));
            } else {
                y[i] = tape.dot(part(parameters.get(name + ".W"), i * x.length, x.length), x);
            }
            if (parameters.get(name + ".bias") != null) {
                y[i] = tape.plus(y[i], parameters.get(name + ".bias")[i]);
            }
        }
        return y;
    }

    int[] norm(int[] x, int[] weight) {
        int squares = tape.linear(new int[] {tape.dot(x, x)}, 1.0 / x.length);
        int r = tape.power(
                tape.plus(squares, tape.leaf(Double.parseDouble(Float.toString(config.normEpsilon())))), -0.5);
        int[] y = new int[x.length];
        for (int i = 0; i < y.length; i++) {
            y[i] = tape.times(tape.times(x[i], r), weight[i]);
        }
        return y;
    }

    private int[] turned(int[] head, int position) {
        int half = head.length / 2;
        int[] y = new int[head.length];
        for (int i = 0; i < half; i++) {
            double angle = position
                    * Math.pow(((PositionPlan.Rotary) config.positions().getFirst()).theta(), -2.0 * i / head.length);
            y[i] = tape.linear(new int[] {head[i], head[i + half]}, Math.cos(angle), -Math.sin(angle));
            y[i + half] = tape.linear(new int[] {head[i + half], head[i]}, Math.cos(angle), Math.sin(angle));
        }
        return y;
    }

    private int[] sum(int[] a, int[] b) {
        int[] y = new int[a.length];
        for (int i = 0; i < y.length; i++) {
            y[i] = tape.plus(a[i], b[i]);
        }
        return y;
    }

    private static int[] part(int[] a, int from, int count) {
        return java.util.Arrays.copyOfRange(a, from, from + count);
    }
}

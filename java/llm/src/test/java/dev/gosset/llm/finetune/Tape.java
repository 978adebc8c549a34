package dev.gosset.llm.finetune;

import java.util.Arrays;

/** Automatic differentiation in float64: every number remembers what it was made of and its derivatives by that. */
final class Tape {
    private double[] values = new double[1 << 16];
    private double[] gradients = new double[1 << 16];
    private int[][] inputs = new int[1 << 16][];
    private double[][] partials = new double[1 << 16][];
    private int size;

    private static final int[] NONE = {};

    double value(int node) {
        return values[node];
    }

    double gradient(int node) {
        return gradients[node];
    }

    int leaf(double value) {
        return add(value, NONE, new double[0]);
    }

    int[] leaves(double[] values) {
        return Arrays.stream(values).mapToInt(this::leaf).toArray();
    }

    private int add(double value, int[] from, double... by) {
        if (size == values.length) {
            values = Arrays.copyOf(values, 2 * size);
            gradients = Arrays.copyOf(gradients, 2 * size);
            inputs = Arrays.copyOf(inputs, 2 * size);
            partials = Arrays.copyOf(partials, 2 * size);
        }
        values[size] = value;
        inputs[size] = from;
        partials[size] = by;
        return size++;
    }

    /** {@code sum_i factors[i] a[i]}. */
    int linear(int[] a, double... factors) {
        double sum = 0;
        for (int i = 0; i < a.length; i++) {
            sum += factors[i] * values[a[i]];
        }
        return add(sum, a, factors);
    }

    /** {@code sum_i a[i] b[i]}. */
    int dot(int[] a, int[] b) {
        int n = a.length;
        int[] from = Arrays.copyOf(a, 2 * n);
        double[] by = new double[2 * n];
        double sum = 0;
        for (int i = 0; i < n; i++) {
            from[n + i] = b[i];
            by[i] = values[b[i]];
            by[n + i] = values[a[i]];
            sum += by[i] * by[n + i];
        }
        return add(sum, from, by);
    }

    int plus(int a, int b) {
        return linear(new int[] {a, b}, 1, 1);
    }

    int times(int a, int b) {
        return add(values[a] * values[b], new int[] {a, b}, values[b], values[a]);
    }

    int exp(int a) {
        double e = Math.exp(values[a]);
        return add(e, new int[] {a}, e);
    }

    int log(int a) {
        return add(Math.log(values[a]), new int[] {a}, 1 / values[a]);
    }

    /** {@code a^power}. */
    int power(int a, double power) {
        double x = values[a];
        return add(Math.pow(x, power), new int[] {a}, power * Math.pow(x, power - 1));
    }

    int sum(int[] a) {
        double[] ones = new double[a.length];
        Arrays.fill(ones, 1);
        return linear(a, ones);
    }

    /** Derivatives of one number by all. */
    void back(int node) {
        Arrays.fill(gradients, 0, size, 0);
        gradients[node] = 1;
        for (int i = node; i >= 0; i--) {
            double g = gradients[i];
            if (g != 0) {
                for (int j = 0; j < inputs[i].length; j++) {
                    gradients[inputs[i][j]] += g * partials[i][j];
                }
            }
        }
    }
}

package dev.gosset.core.methods;

import dev.gosset.core.memory.DoubleMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What is done to weights and Hessian before rounding, and undone after it: the columns are rescaled against each other, both sides are
 * turned by random orthogonal matrices, and the Hessian is damped. Source: spec/quip-methods.md, section 3.
 *
 * @param rescale whether columns are rescaled
 * @param transform of both sides
 */
public record Processing(boolean rescale, OrthogonalTransform.Kind transform) {
    /** What is added to the diagonal of the Hessian, as a part of its mean. */
    public static final double DAMPING = 0.01;

    private static final double SMALLEST = 1e-8;

    /** Damping alone. */
    public static final Processing NONE = new Processing(false, OrthogonalTransform.Kind.NONE);

    /** Those that the command line knows, by name. */
    public static Map<String, Processing> all() {
        Map<String, Processing> all = new LinkedHashMap<>();
        all.put("none", NONE);
        all.put("rescale", new Processing(true, OrthogonalTransform.Kind.NONE));
        all.put("kron", new Processing(true, OrthogonalTransform.Kind.KRON));
        all.put("kron-blocked", new Processing(true, OrthogonalTransform.Kind.KRON_BLOCKED));
        all.put("kron-noperm", new Processing(true, OrthogonalTransform.Kind.KRON_NOPERM));
        all.put("kron-norescale", new Processing(false, OrthogonalTransform.Kind.KRON));
        all.put("hadamard", new Processing(true, OrthogonalTransform.Kind.HADAMARD));
        all.put("fourier", new Processing(true, OrthogonalTransform.Kind.FOURIER));
        return all;
    }

    /**
     * One by its name.
     *
     * @throws IllegalArgumentException with the names that there are
     */
    public static Processing named(String name) {
        Processing processing = all().get(name);
        if (processing == null) {
            throw new IllegalArgumentException(
                    "expected one of " + String.join(", ", all().keySet()) + ", found " + name);
        }
        return processing;
    }

    /** Whether weights are made incoherent. */
    public boolean isIncoherent() {
        return transform != OrthogonalTransform.Kind.NONE;
    }

    /** With transforms that are drawn. */
    Applied apply(long seed, String name, ThreadTeam team, DoubleMatrix w, DoubleMatrix h) {
        return apply(
                transform.draw(seed, name + "/SU", w.cols()), transform.draw(seed, name + "/SV", w.rows()), team, w, h);
    }

    /** The transforms alone: {@code W <- U W V^T}, and V for every row of q. */
    void turn(long seed, String name, ThreadTeam team, DoubleMatrix w, DoubleMatrix q) {
        if (isIncoherent()) {
            OrthogonalTransform inputs = transform.draw(seed, name + "/SU", w.cols());
            inputs.rows(team, w, true);
            inputs.rows(team, q, true);
            transform.draw(seed, name + "/SV", w.rows()).columns(team, w, true);
        }
    }

    /**
     * Processes in place.
     *
     * @param inputs V, null for none
     * @param outputs U, null for none
     * @param w m x n, becomes {@code U W D V^T}
     * @param h n x n, becomes {@code V D^-1 H D^-1 V^T}, damped
     */
    Applied apply(
            OrthogonalTransform inputs, OrthogonalTransform outputs, ThreadTeam team, DoubleMatrix w, DoubleMatrix h) {
        int n = w.cols();
        double[] scale = null;
        if (rescale) {
            scale = rescale(w, h);
        }
        if (rescale || inputs != null) {
            multiply(h, n / (trace(h) + SMALLEST));
            addToDiagonal(h, DAMPING);
        }
        if (inputs != null) {
            inputs.rows(team, w, true);
            inputs.rows(team, h, true);
            inputs.columns(team, h, true);
        }
        if (outputs != null) {
            outputs.columns(team, w, true);
        }
        for (int j = 0; j < n; j++) {
            // An input that never is anything but 0.
            if (h.get(j, j) == 0) {
                h.set(j, j, 1);
                for (int i = 0; i < w.rows(); i++) {
                    w.set(i, j, 0);
                }
            }
        }
        addToDiagonal(h, DAMPING * trace(h) / n);
        return new Applied(scale, inputs, outputs);
    }

    /** What was done. */
    record Applied(double[] scale, OrthogonalTransform inputs, OrthogonalTransform outputs) {
        /** Undoes it, in place. */
        void back(ThreadTeam team, DoubleMatrix w) {
            if (outputs != null) {
                outputs.columns(team, w, false);
            }
            if (inputs != null) {
                inputs.rows(team, w, false);
            }
            for (int i = 0; scale != null && i < w.rows(); i++) {
                for (int j = 0; j < w.cols(); j++) {
                    w.set(i, j, w.get(i, j) / scale[j]);
                }
            }
        }
    }

    private static double[] rescale(DoubleMatrix w, DoubleMatrix h) {
        int n = w.cols();
        double largest = 0;
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++) {
                largest = Math.max(largest, Math.abs(h.get(i, j)));
            }
        }
        if (largest > 0) {
            multiply(h, 1 / largest);
        }
        double[] squares = new double[n];
        for (int i = 0; i < w.rows(); i++) {
            for (int j = 0; j < n; j++) {
                squares[j] += w.get(i, j) * w.get(i, j);
            }
        }
        double[] scale = new double[n];
        for (int j = 0; j < n; j++) {
            double ratio = Math.max(h.get(j, j), SMALLEST) / Math.max(squares[j], SMALLEST);
            scale[j] = Math.max(Math.sqrt(Math.sqrt(ratio)), SMALLEST);
        }
        for (int i = 0; i < w.rows(); i++) {
            for (int j = 0; j < n; j++) {
                w.set(i, j, w.get(i, j) * scale[j]);
            }
        }
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++) {
                h.set(i, j, h.get(i, j) / scale[i] / scale[j]);
            }
        }
        return scale;
    }

    static double trace(DoubleMatrix h) {
        double trace = 0;
        for (int j = 0; j < h.rows(); j++) {
            trace += h.get(j, j);
        }
        return trace;
    }

    static void addToDiagonal(DoubleMatrix h, double value) {
        for (int j = 0; j < h.rows(); j++) {
            h.set(j, j, h.get(j, j) + value);
        }
    }

    private static void multiply(DoubleMatrix h, double factor) {
        for (int i = 0; i < h.rows(); i++) {
            for (int j = 0; j < h.cols(); j++) {
                h.set(i, j, h.get(i, j) * factor);
            }
        }
    }
}

package dev.gosset.core.rounding;

import dev.gosset.core.hadamard.FourierTransform;
import dev.gosset.core.hadamard.HadamardTransform;
import dev.gosset.core.kernel.contract.TransformKernel;
import dev.gosset.core.memory.DoubleMatrix;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.Matrix;
import dev.gosset.core.parallel.ThreadTeam;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;

/**
 * Incoherence processing of one linear: two random vectors and the orthogonal transforms of its two sides, by which
 * no weight and no direction of the Hessian stands out.
 *
 * <p>With {@code U = HadamardTransform}, SU of length n (inputs) and SV of length m (outputs), and D(SU), D(SV) the maps of {@link
 * HadamardTransform#multiply}, which for signs are diagonal:
 *
 * <pre>{@code
 * Hr = U_n^T D(SU) H D(SU)^T U_n
 * Wr = U_m^T D(SV) W D(SU)^T U_n
 * W  = D(SV)^T U_m Wr U_n^T D(SU)
 * }</pre>
 *
 * <p>Both maps are orthogonal, so {@code tr(E H E^T)} and {@code |E|_F} are the same on either side. The vectors hold signs, or for a
 * Fourier transform the unit numbers exp(i theta) as pairs. Immutable, thread-safe. Every result is the same whatever the number of
 * threads; the matrices must be accessible to the threads of the team. Source: spec/quip-sharp.md, section 1.4, and spec/quip-methods.md,
 * section 6.
 */
public final class Incoherence {
    /** Rows, or columns, that one task transforms; 16 floats are one cache line of a row. */
    private static final int TILE = 16;

    private static final long STEP = 0x9e3779b97f4a7c15L;

    private final Side inputs;
    private final Side outputs;

    /** One side: a transform and the factors before it. */
    private record Side(HadamardTransform transform, double[] factors) {
        private Side {
            if (factors.length != transform.n()) {
                throw new IllegalArgumentException(factors.length + " factors of the " + transform);
            }
        }

        static Side draw(TransformChoice choice, long seed, String name, int count) {
            HadamardTransform transform = choice.of(count);
            return new Side(
                    transform,
                    transform.kind() == HadamardTransform.Kind.FOURIER
                            ? FourierTransform.phases(angles(seed, name, count / 2))
                            : widened(signs(seed, name, count)));
        }

        /** Every vector in tile: forwards {@code x <- U^T D x}, back {@code x <- D^T U x}. */
        void apply(RowTransform rows, boolean forward, Matrix tile, MemorySegment scratch) {
            if (forward) {
                multiply(tile, false);
            }
            rows.apply(transform, forward, tile, scratch);
            if (!forward) {
                multiply(tile, true);
            }
        }

        private void multiply(Matrix tile, boolean transpose) {
            boolean pairs = transform.kind() == HadamardTransform.Kind.FOURIER;
            for (int i = 0; i < tile.rows(); i++) {
                for (int j = 0; j < factors.length; j += pairs ? 2 : 1) {
                    double x = tile.at(i, j);
                    if (pairs) {
                        double y = tile.at(i, j + 1);
                        double s = transpose ? -factors[j + 1] : factors[j + 1];
                        tile.put(i, j, x * factors[j] - y * s);
                        tile.put(i, j + 1, x * s + y * factors[j]);
                    } else {
                        tile.put(i, j, x * factors[j]);
                    }
                }
            }
        }
    }

    private Incoherence(Side inputs, Side outputs) {
        this.inputs = inputs;
        this.outputs = outputs;
    }

    /**
     * Given sign vectors, and the transforms that their lengths have.
     *
     * @param su n signs of the inputs, +1 or -1
     * @param sv m signs of the outputs, +1 or -1
     */
    public Incoherence(byte[] su, byte[] sv) {
        this(
                new Side(HadamardTransform.of(su.length), widened(checked("SU", su))),
                new Side(HadamardTransform.of(sv.length), widened(checked("SV", sv))));
    }

    /**
     * Given transforms and vectors.
     *
     * @param su n factors that make D(SU) orthogonal
     * @param sv m factors likewise
     */
    public Incoherence(HadamardTransform inputs, double[] su, HadamardTransform outputs, double[] sv) {
        this(new Side(inputs, su.clone()), new Side(outputs, sv.clone()));
    }

    /** Transforms alone: D(SU) and D(SV) are the identity. */
    public static Incoherence plain(HadamardTransform inputs, HadamardTransform outputs) {
        return new Incoherence(new Side(inputs, ones(inputs)), new Side(outputs, ones(outputs)));
    }

    private static double[] ones(HadamardTransform transform) {
        double[] ones = new double[transform.n()];
        for (int i = 0; i < ones.length; i++) {
            ones[i] = transform.kind() == HadamardTransform.Kind.FOURIER ? 1 - i % 2 : 1;
        }
        return ones;
    }

    /** Drawn for the transforms that every length has by default. */
    public static Incoherence draw(long seed, String name, int m, int n) {
        return draw(TransformChoice.AUTO, seed, name, m, n);
    }

    /**
     * Drawn. The stream for SU is named {@code name + "/SU"}, that for SV {@code name + "/SV"}; see {@link #signs} and {@link #angles}.
     *
     * @param name what the linear is called in its model: two linears with one seed and two names have unrelated vectors
     * @param m number of outputs
     * @param n number of inputs
     * @throws IllegalArgumentException where m or n has no such transform
     */
    public static Incoherence draw(TransformChoice choice, long seed, String name, int m, int n) {
        return new Incoherence(Side.draw(choice, seed, name + "/SU", n), Side.draw(choice, seed, name + "/SV", m));
    }

    /**
     * {@code count} signs, for ever the same for a seed and a name. The generator is SplitMix64 (Steele, Lea and Flood
     * 2014): {@code state += 0x9e3779b97f4a7c15; z = mix(state)} with {@code mix(z): z = (z ^ z >>> 30) *
     * 0xbf58476d1ce4e5b9; z = (z ^ z >>> 27) * 0x94d049bb133111eb; z ^ z >>> 31}. It starts at {@code mix(seed) ^ f}, f
     * the 64-bit FNV-1a hash of the name in UTF-8. Each word gives 64 signs, the lowest bit first; a set bit is -1.
     */
    public static byte[] signs(long seed, String name, int count) {
        long state = start(seed, name);
        byte[] signs = new byte[count];
        long word = 0;
        for (int i = 0; i < count; i++) {
            if (i % 64 == 0) {
                state += STEP;
                word = mix(state);
            }
            signs[i] = (byte) (1 - 2 * (word & 1));
            word >>>= 1;
        }
        return signs;
    }

    /** {@code count} angles in [0, 2 pi), of the same stream as {@link #signs}: the upper 53 bits of a word for each. */
    public static double[] angles(long seed, String name, int count) {
        long state = start(seed, name);
        double[] angles = new double[count];
        for (int i = 0; i < count; i++) {
            state += STEP;
            angles[i] = 2 * Math.PI * ((mix(state) >>> 11) * 0x1p-53);
        }
        return angles;
    }

    private static long start(long seed, String name) {
        long hash = 0xcbf29ce484222325L;
        for (byte b : name.getBytes(StandardCharsets.UTF_8)) {
            hash = (hash ^ (b & 0xff)) * 0x100000001b3L;
        }
        return mix(seed) ^ hash;
    }

    private static long mix(long z) {
        z = (z ^ (z >>> 30)) * 0xbf58476d1ce4e5b9L;
        z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
        return z ^ (z >>> 31);
    }

    private static byte[] checked(String name, byte[] signs) {
        for (int i = 0; i < signs.length; i++) {
            if (signs[i] != 1 && signs[i] != -1) {
                throw new IllegalArgumentException(name + "[" + i + "] is " + signs[i] + ", expected 1 or -1");
            }
        }
        return signs;
    }

    private static double[] widened(byte[] signs) {
        double[] wide = new double[signs.length];
        for (int i = 0; i < wide.length; i++) {
            wide[i] = signs[i];
        }
        return wide;
    }

    /** Number of outputs. */
    public int m() {
        return outputs.factors.length;
    }

    /** Number of inputs. */
    public int n() {
        return inputs.factors.length;
    }

    /** SU[j]. */
    public double su(int j) {
        return inputs.factors[j];
    }

    /** SV[i]. */
    public double sv(int i) {
        return outputs.factors[i];
    }

    /** The transform of the inputs. */
    public HadamardTransform inputTransform() {
        return inputs.transform;
    }

    /** The transform of the outputs. */
    public HadamardTransform outputTransform() {
        return outputs.transform;
    }

    /** {@code H <- Hr}, in place, float32; n x n. */
    public void hessian(TransformKernel kernel, ThreadTeam team, FloatMatrix h) {
        hessian(new FloatRows(kernel), team, h);
    }

    /** {@code H <- Hr}, in place, float64; n x n. */
    public void hessian(ThreadTeam team, DoubleMatrix h) {
        hessian(new DoubleRows(), team, h);
    }

    /** {@code W <- Wr}, in place, float32; m x n. */
    public void weights(TransformKernel kernel, ThreadTeam team, FloatMatrix w) {
        weights(new FloatRows(kernel), team, w);
    }

    /** {@code W <- Wr}, in place, float64; m x n. */
    public void weights(ThreadTeam team, DoubleMatrix w) {
        weights(new DoubleRows(), team, w);
    }

    /** {@code Wr <- W}, in place, float32; m x n: the inverse of {@link #weights}. */
    public void weightsBack(TransformKernel kernel, ThreadTeam team, FloatMatrix wr) {
        weightsBack(new FloatRows(kernel), team, wr);
    }

    /** {@code Wr <- W}, in place, float64; m x n. */
    public void weightsBack(ThreadTeam team, DoubleMatrix wr) {
        weightsBack(new DoubleRows(), team, wr);
    }

    /** The transform of dense rows in one of the precisions. */
    sealed interface RowTransform {
        long scratchBytes(HadamardTransform transform);

        void apply(HadamardTransform transform, boolean forward, Matrix rows, MemorySegment scratch);
    }

    /** By a float32 kernel. */
    record FloatRows(TransformKernel kernel) implements RowTransform {
        @Override
        public long scratchBytes(HadamardTransform transform) {
            return kernel.scratchBytes(transform);
        }

        @Override
        public void apply(HadamardTransform transform, boolean forward, Matrix rows, MemorySegment scratch) {
            kernel.apply(transform, forward, rows.data(), rows.rows(), scratch);
        }
    }

    /** By the float64 transform itself, which works in its scratch memory. */
    record DoubleRows() implements RowTransform {
        @Override
        public long scratchBytes(HadamardTransform transform) {
            return transform.workBytes();
        }

        @Override
        public void apply(HadamardTransform transform, boolean forward, Matrix rows, MemorySegment scratch) {
            for (int i = 0; i < rows.rows(); i++) {
                MemorySegment row = rows.row(i);
                scratch.asSlice(0, row.byteSize()).copyFrom(row);
                transform.apply(scratch, forward);
                row.copyFrom(scratch.asSlice(0, row.byteSize()));
            }
        }
    }

    void hessian(RowTransform transform, ThreadTeam team, Matrix h) {
        checkShape("H", h, n(), n());
        rows(transform, team, h, inputs, true);
        columns(transform, team, h, inputs, true);
    }

    /** The Hessian of the outputs: {@code H <- U_m^T diag(SV) H diag(SV) U_m}, in place; m x m. */
    void outputHessian(RowTransform transform, ThreadTeam team, Matrix h) {
        checkShape("H of the outputs", h, m(), m());
        rows(transform, team, h, outputs, true);
        columns(transform, team, h, outputs, true);
    }

    /** Inputs: every row {@code x <- U_n^T (SU x)}, in place; t x n. */
    void inputs(RowTransform transform, ThreadTeam team, Matrix x) {
        checkShape("X", x, x.rows(), n());
        rows(transform, team, x, inputs, true);
    }

    /** Outputs or their gradients: every row {@code g <- U_m^T (SV g)}, in place; t x m. */
    void outputs(RowTransform transform, ThreadTeam team, Matrix g) {
        checkShape("G", g, g.rows(), m());
        rows(transform, team, g, outputs, true);
    }

    void weights(RowTransform transform, ThreadTeam team, Matrix w) {
        checkShape("W", w, m(), n());
        rows(transform, team, w, inputs, true);
        columns(transform, team, w, outputs, true);
    }

    void weightsBack(RowTransform transform, ThreadTeam team, Matrix wr) {
        checkShape("Wr", wr, m(), n());
        columns(transform, team, wr, outputs, false);
        rows(transform, team, wr, inputs, false);
    }

    private static void checkShape(String name, Matrix a, int m, int n) {
        if (a.rows() != m || a.cols() != n) {
            throw new IllegalArgumentException(
                    name + " is " + a.rows() + " x " + a.cols() + ", the sign vectors are for " + m + " x " + n);
        }
    }

    /** Every row x: forwards {@code x <- U_n^T D x}, back {@code x <- D^T U_n x}. */
    private static void rows(RowTransform rows, ThreadTeam team, Matrix a, Side side, boolean forward) {
        team.run(Math.ceilDiv(a.rows(), TILE), t -> {
            Matrix tile = a.rows(t * TILE, Math.min(a.rows(), (t + 1) * TILE));
            try (Arena arena = Arena.ofConfined()) {
                side.apply(rows, forward, tile, arena.allocate(rows.scratchBytes(side.transform), 64));
            }
        });
    }

    /** Every column likewise; 16 columns at a time as rows. */
    private static void columns(RowTransform rows, ThreadTeam team, Matrix a, Side side, boolean forward) {
        int m = a.rows();
        int n = a.cols();
        team.run(Math.ceilDiv(n, TILE), t -> {
            int first = t * TILE;
            int width = Math.min(TILE, n - first);
            try (Arena arena = Arena.ofConfined()) {
                Matrix turned = a.precision().allocate(arena, width, m);
                for (int i = 0; i < m; i++) {
                    for (int j = 0; j < width; j++) {
                        turned.put(j, i, a.at(i, first + j));
                    }
                }
                side.apply(rows, forward, turned, arena.allocate(rows.scratchBytes(side.transform), 64));
                for (int i = 0; i < m; i++) {
                    for (int j = 0; j < width; j++) {
                        a.put(i, first + j, turned.at(j, i));
                    }
                }
            }
        });
    }
}

package dev.gosset.core.rounding;

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
 * Incoherence processing of one linear: two random sign vectors and the orthogonal transforms of its two sides, by which
 * no weight and no direction of the Hessian stands out.
 *
 * <p>With {@code U = HadamardTransform}, SU of length n (inputs) and SV of length m (outputs):
 *
 * <pre>{@code
 * Hr = U_n^T diag(SU) H diag(SU) U_n
 * Wr = U_m^T diag(SV) W diag(SU) U_n
 * W  = diag(SV) U_m Wr U_n^T diag(SU)
 * }</pre>
 *
 * <p>Both maps are orthogonal, so {@code tr(E H E^T)} and {@code |E|_F} are the same on either side. Immutable,
 * thread-safe. Every result is the same whatever the number of threads; the matrices must be accessible to the threads of
 * the team. Source: spec/quip-sharp.md, section 1.4.
 */
public final class Incoherence {
    /** Rows, or columns, that one task transforms; 16 floats are one cache line of a row. */
    private static final int TILE = 16;

    private final byte[] su;
    private final byte[] sv;

    /**
     * Given sign vectors.
     *
     * @param su n signs of the inputs, +1 or -1
     * @param sv m signs of the outputs, +1 or -1
     */
    public Incoherence(byte[] su, byte[] sv) {
        this.su = checked("SU", su);
        this.sv = checked("SV", sv);
    }

    /**
     * Drawn sign vectors. The stream for SU is named {@code name + "/SU"}, that for SV {@code name + "/SV"}; see {@link
     * #signs}.
     *
     * @param name what the linear is called in its model: two linears with one seed and two names have unrelated signs
     * @param m number of outputs
     * @param n number of inputs
     */
    public static Incoherence draw(long seed, String name, int m, int n) {
        return new Incoherence(signs(seed, name + "/SU", n), signs(seed, name + "/SV", m));
    }

    /**
     * {@code count} signs, for ever the same for a seed and a name. The generator is SplitMix64 (Steele, Lea and Flood
     * 2014): {@code state += 0x9e3779b97f4a7c15; z = mix(state)} with {@code mix(z): z = (z ^ z >>> 30) *
     * 0xbf58476d1ce4e5b9; z = (z ^ z >>> 27) * 0x94d049bb133111eb; z ^ z >>> 31}. It starts at {@code mix(seed) ^ f}, f
     * the 64-bit FNV-1a hash of the name in UTF-8. Each word gives 64 signs, the lowest bit first; a set bit is -1.
     */
    public static byte[] signs(long seed, String name, int count) {
        long hash = 0xcbf29ce484222325L;
        for (byte b : name.getBytes(StandardCharsets.UTF_8)) {
            hash = (hash ^ (b & 0xff)) * 0x100000001b3L;
        }
        long state = mix(seed) ^ hash;
        byte[] signs = new byte[count];
        long word = 0;
        for (int i = 0; i < count; i++) {
            if (i % 64 == 0) {
                state += 0x9e3779b97f4a7c15L;
                word = mix(state);
            }
            signs[i] = (byte) (1 - 2 * (word & 1));
            word >>>= 1;
        }
        return signs;
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
        return signs.clone();
    }

    /** Number of outputs. */
    public int m() {
        return sv.length;
    }

    /** Number of inputs. */
    public int n() {
        return su.length;
    }

    /** SU[j], +1 or -1. */
    public int su(int j) {
        return su[j];
    }

    /** SV[i], +1 or -1. */
    public int sv(int i) {
        return sv[i];
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
        rows(transform, team, h, su, true);
        columns(transform, team, h, su, true);
    }

    /** The Hessian of the outputs: {@code H <- U_m^T diag(SV) H diag(SV) U_m}, in place; m x m. */
    void outputHessian(RowTransform transform, ThreadTeam team, Matrix h) {
        checkShape("H of the outputs", h, m(), m());
        rows(transform, team, h, sv, true);
        columns(transform, team, h, sv, true);
    }

    /** Inputs: every row {@code x <- U_n^T (SU x)}, in place; t x n. */
    void inputs(RowTransform transform, ThreadTeam team, Matrix x) {
        checkShape("X", x, x.rows(), n());
        rows(transform, team, x, su, true);
    }

    /** Outputs or their gradients: every row {@code g <- U_m^T (SV g)}, in place; t x m. */
    void outputs(RowTransform transform, ThreadTeam team, Matrix g) {
        checkShape("G", g, g.rows(), m());
        rows(transform, team, g, sv, true);
    }

    void weights(RowTransform transform, ThreadTeam team, Matrix w) {
        checkShape("W", w, m(), n());
        rows(transform, team, w, su, true);
        columns(transform, team, w, sv, true);
    }

    void weightsBack(RowTransform transform, ThreadTeam team, Matrix wr) {
        checkShape("Wr", wr, m(), n());
        columns(transform, team, wr, sv, false);
        rows(transform, team, wr, su, false);
    }

    private static void checkShape(String name, Matrix a, int m, int n) {
        if (a.rows() != m || a.cols() != n) {
            throw new IllegalArgumentException(
                    name + " is " + a.rows() + " x " + a.cols() + ", the sign vectors are for " + m + " x " + n);
        }
    }

    /** Every row x: forwards {@code x <- U_n^T (s x)}, back {@code x <- s (U_n x)}. */
    private static void rows(RowTransform rows, ThreadTeam team, Matrix a, byte[] s, boolean forward) {
        HadamardTransform transform = HadamardTransform.of(a.cols());
        team.run(Math.ceilDiv(a.rows(), TILE), t -> {
            Matrix tile = a.rows(t * TILE, Math.min(a.rows(), (t + 1) * TILE));
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment scratch = arena.allocate(rows.scratchBytes(transform), 64);
                if (forward) {
                    flip(tile, s);
                }
                rows.apply(transform, forward, tile, scratch);
                if (!forward) {
                    flip(tile, s);
                }
            }
        });
    }

    private static void flip(Matrix tile, byte[] s) {
        for (int i = 0; i < tile.rows(); i++) {
            for (int j = 0; j < s.length; j++) {
                tile.put(i, j, tile.at(i, j) * s[j]);
            }
        }
    }

    /** Every column c: forwards {@code c <- U_m^T (s c)}, back {@code c <- s (U_m c)}; 16 columns at a time as rows. */
    private static void columns(RowTransform rows, ThreadTeam team, Matrix a, byte[] s, boolean forward) {
        HadamardTransform transform = HadamardTransform.of(a.rows());
        int m = a.rows();
        int n = a.cols();
        team.run(Math.ceilDiv(n, TILE), t -> {
            int first = t * TILE;
            int width = Math.min(TILE, n - first);
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment scratch = arena.allocate(rows.scratchBytes(transform), 64);
                Matrix turned = a.precision().allocate(arena, width, m);
                for (int i = 0; i < m; i++) {
                    int sign = forward ? s[i] : 1;
                    for (int j = 0; j < width; j++) {
                        turned.put(j, i, sign * a.at(i, first + j));
                    }
                }
                rows.apply(transform, forward, turned, scratch);
                for (int i = 0; i < m; i++) {
                    int sign = forward ? 1 : s[i];
                    for (int j = 0; j < width; j++) {
                        a.put(i, first + j, sign * turned.at(j, i));
                    }
                }
            }
        });
    }
}

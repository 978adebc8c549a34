package dev.gosset.core.rounding;

import dev.gosset.core.hadamard.HadamardTransform;
import dev.gosset.core.kernel.TransformKernel;
import dev.gosset.core.memory.DoubleMatrix;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
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
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final ValueLayout.OfDouble DOUBLE = ValueLayout.JAVA_DOUBLE_UNALIGNED;
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
        checkShape("H", h.rows(), h.cols(), n(), n());
        rows(kernel, team, h, true);
        columns(kernel, team, h, su, true);
    }

    /** {@code W <- Wr}, in place, float32; m x n. */
    public void weights(TransformKernel kernel, ThreadTeam team, FloatMatrix w) {
        checkShape("W", w.rows(), w.cols(), m(), n());
        rows(kernel, team, w, true);
        columns(kernel, team, w, sv, true);
    }

    /** {@code Wr <- W}, in place, float32; m x n: the inverse of {@link #weights}. */
    public void weightsBack(TransformKernel kernel, ThreadTeam team, FloatMatrix wr) {
        checkShape("Wr", wr.rows(), wr.cols(), m(), n());
        columns(kernel, team, wr, sv, false);
        rows(kernel, team, wr, false);
    }

    /** {@code H <- Hr}, in place, float64; n x n. */
    public void hessian(ThreadTeam team, DoubleMatrix h) {
        checkShape("H", h.rows(), h.cols(), n(), n());
        rows(team, h, true);
        columns(team, h, su, true);
    }

    /** {@code W <- Wr}, in place, float64; m x n. */
    public void weights(ThreadTeam team, DoubleMatrix w) {
        checkShape("W", w.rows(), w.cols(), m(), n());
        rows(team, w, true);
        columns(team, w, sv, true);
    }

    /** {@code Wr <- W}, in place, float64; m x n. */
    public void weightsBack(ThreadTeam team, DoubleMatrix wr) {
        checkShape("Wr", wr.rows(), wr.cols(), m(), n());
        columns(team, wr, sv, false);
        rows(team, wr, false);
    }

    private static void checkShape(String name, int rows, int cols, int m, int n) {
        if (rows != m || cols != n) {
            throw new IllegalArgumentException(
                    name + " is " + rows + " x " + cols + ", the sign vectors are for " + m + " x " + n);
        }
    }

    /** Every row x: forwards {@code x <- U_n^T (SU x)}, back {@code x <- SU (U_n x)}. */
    private void rows(TransformKernel kernel, ThreadTeam team, FloatMatrix a, boolean forward) {
        HadamardTransform transform = HadamardTransform.of(a.cols());
        team.run(Math.ceilDiv(a.rows(), TILE), t -> {
            FloatMatrix tile = a.rows(t * TILE, Math.min(a.rows(), (t + 1) * TILE));
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment scratch = arena.allocate(kernel.scratchBytes(transform), 64);
                if (forward) {
                    flip(tile);
                }
                kernel.apply(transform, forward, tile.data(), tile.rows(), scratch);
                if (!forward) {
                    flip(tile);
                }
            }
        });
    }

    private void flip(FloatMatrix tile) {
        for (int i = 0; i < tile.rows(); i++) {
            MemorySegment row = tile.row(i);
            for (int j = 0; j < su.length; j++) {
                row.setAtIndex(FLOAT, j, row.getAtIndex(FLOAT, j) * su[j]);
            }
        }
    }

    /** Every column c: forwards {@code c <- U_m^T (s c)}, back {@code c <- s (U_m c)}; 16 columns at a time as rows. */
    private static void columns(TransformKernel kernel, ThreadTeam team, FloatMatrix a, byte[] s, boolean forward) {
        HadamardTransform transform = HadamardTransform.of(a.rows());
        int m = a.rows();
        int n = a.cols();
        team.run(Math.ceilDiv(n, TILE), t -> {
            int first = t * TILE;
            int width = Math.min(TILE, n - first);
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment scratch = arena.allocate(kernel.scratchBytes(transform), 64);
                MemorySegment turned = arena.allocate(4L * m * width, 64);
                for (int i = 0; i < m; i++) {
                    long row = (long) i * n + first;
                    float sign = forward ? s[i] : 1;
                    for (int j = 0; j < width; j++) {
                        turned.setAtIndex(
                                FLOAT, (long) j * m + i, sign * a.data().getAtIndex(FLOAT, row + j));
                    }
                }
                kernel.apply(transform, forward, turned, width, scratch);
                for (int i = 0; i < m; i++) {
                    long row = (long) i * n + first;
                    float sign = forward ? 1 : s[i];
                    for (int j = 0; j < width; j++) {
                        a.data().setAtIndex(FLOAT, row + j, sign * turned.getAtIndex(FLOAT, (long) j * m + i));
                    }
                }
            }
        });
    }

    private void rows(ThreadTeam team, DoubleMatrix a, boolean forward) {
        HadamardTransform transform = HadamardTransform.of(a.cols());
        int n = a.cols();
        team.run(Math.ceilDiv(a.rows(), TILE), t -> {
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment work = arena.allocate(transform.workBytes(), 64);
                for (int i = t * TILE; i < Math.min(a.rows(), (t + 1) * TILE); i++) {
                    MemorySegment row = a.row(i);
                    for (int j = 0; j < n; j++) {
                        work.setAtIndex(DOUBLE, j, row.getAtIndex(DOUBLE, j) * (forward ? su[j] : 1));
                    }
                    transform.apply(work, forward);
                    for (int j = 0; j < n; j++) {
                        row.setAtIndex(DOUBLE, j, work.getAtIndex(DOUBLE, j) * (forward ? 1 : su[j]));
                    }
                }
            }
        });
    }

    private static void columns(ThreadTeam team, DoubleMatrix a, byte[] s, boolean forward) {
        HadamardTransform transform = HadamardTransform.of(a.rows());
        int m = a.rows();
        team.run(Math.ceilDiv(a.cols(), TILE), t -> {
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment work = arena.allocate(transform.workBytes(), 64);
                for (int j = t * TILE; j < Math.min(a.cols(), (t + 1) * TILE); j++) {
                    for (int i = 0; i < m; i++) {
                        work.setAtIndex(DOUBLE, i, a.get(i, j) * (forward ? s[i] : 1));
                    }
                    transform.apply(work, forward);
                    for (int i = 0; i < m; i++) {
                        a.set(i, j, work.getAtIndex(DOUBLE, i) * (forward ? 1 : s[i]));
                    }
                }
            }
        });
    }
}

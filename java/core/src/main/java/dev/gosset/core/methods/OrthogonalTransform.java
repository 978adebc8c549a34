package dev.gosset.core.methods;

import dev.gosset.core.hadamard.FourierTransform;
import dev.gosset.core.hadamard.HadamardTransform;
import dev.gosset.core.memory.DoubleMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.rounding.Incoherence;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;

/** A random orthogonal matrix V that can be applied quickly, in float64. Immutable, thread-safe. */
public sealed interface OrthogonalTransform
        permits KroneckerTransform, OrthogonalTransform.Hadamard, OrthogonalTransform.Fourier {
    /** Vectors of one task. */
    int TILE = 16;

    /** The length of the vectors. */
    int n();

    /** {@code x <- V x}, or {@code V^T x}, in place. */
    void apply(double[] x, boolean forward);

    /** The kinds, as the command line names them. */
    enum Kind {
        NONE,
        KRON,
        KRON_BLOCKED,
        KRON_NOPERM,
        HADAMARD,
        FOURIER;

        /**
         * Draws one.
         *
         * @param name what it is for: one seed and two names give unrelated transforms
         * @return null for NONE
         * @throws IllegalArgumentException where there is none of this length
         */
        OrthogonalTransform draw(long seed, String name, int n) {
            return switch (this) {
                case NONE -> null;
                case KRON, KRON_BLOCKED, KRON_NOPERM ->
                    KroneckerTransform.draw(random(seed, name), n, this == KRON_BLOCKED, this != KRON_NOPERM);
                case HADAMARD -> new Hadamard(Incoherence.signs(seed, name, n));
                case FOURIER -> {
                    SplittableRandom random = random(seed, name);
                    yield new Fourier(random.doubles(n / 2, 0, 2 * Math.PI).toArray(), new FourierTransform(n));
                }
            };
        }
    }

    private static SplittableRandom random(long seed, String name) {
        long mixed = 0;
        for (byte sign : Incoherence.signs(seed, name, 64)) {
            mixed = 2 * mixed + (sign > 0 ? 1 : 0);
        }
        return new SplittableRandom(mixed);
    }

    /** {@code U_n^T diag(signs)}, the transform of QuIP#. */
    record Hadamard(byte[] signs) implements OrthogonalTransform {
        @Override
        public int n() {
            return signs.length;
        }

        @Override
        public void apply(double[] x, boolean forward) {
            HadamardTransform transform = HadamardTransform.of(n());
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment work = arena.allocate(transform.workBytes(), 64);
                for (int j = 0; j < x.length; j++) {
                    work.setAtIndex(ValueLayout.JAVA_DOUBLE, j, forward ? signs[j] * x[j] : x[j]);
                }
                transform.apply(work, forward);
                for (int j = 0; j < x.length; j++) {
                    double y = work.getAtIndex(ValueLayout.JAVA_DOUBLE, j);
                    x[j] = forward ? y : signs[j] * y;
                }
            }
        }
    }

    /** The Fourier transform of pairs behind random phases. */
    record Fourier(double[] theta, FourierTransform transform) implements OrthogonalTransform {
        @Override
        public int n() {
            return transform.n();
        }

        @Override
        public void apply(double[] x, boolean forward) {
            double[] phases = FourierTransform.phases(theta);
            if (forward) {
                FourierTransform.turn(x, phases, false);
            }
            transform.apply(x, forward);
            if (!forward) {
                FourierTransform.turn(x, phases, true);
            }
        }
    }

    /** Every row x of A becomes {@code V x}: {@code A <- A V^T}, or back {@code A <- A V}. */
    default void rows(ThreadTeam team, DoubleMatrix a, boolean forward) {
        if (a.cols() != n()) {
            throw new IllegalArgumentException("rows of " + a.cols() + " numbers, the transform is of " + n());
        }
        team.run(Math.ceilDiv(a.rows(), TILE), t -> {
            double[] x = new double[n()];
            for (int i = t * TILE; i < Math.min(a.rows(), (t + 1) * TILE); i++) {
                MemorySegment row = a.row(i);
                MemorySegment.copy(row, ValueLayout.JAVA_DOUBLE_UNALIGNED, 0, x, 0, x.length);
                apply(x, forward);
                MemorySegment.copy(x, 0, row, ValueLayout.JAVA_DOUBLE_UNALIGNED, 0, x.length);
            }
        });
    }

    /** Every column x of A becomes {@code V x}: {@code A <- V A}, or back {@code A <- V^T A}. */
    default void columns(ThreadTeam team, DoubleMatrix a, boolean forward) {
        if (a.rows() != n()) {
            throw new IllegalArgumentException("columns of " + a.rows() + " numbers, the transform is of " + n());
        }
        team.run(Math.ceilDiv(a.cols(), TILE), t -> {
            int first = t * TILE;
            int count = Math.min(TILE, a.cols() - first);
            double[][] x = new double[count][n()];
            for (int i = 0; i < a.rows(); i++) {
                for (int j = 0; j < count; j++) {
                    x[j][i] = a.get(i, first + j);
                }
            }
            for (double[] column : x) {
                apply(column, forward);
            }
            for (int i = 0; i < a.rows(); i++) {
                for (int j = 0; j < count; j++) {
                    a.set(i, first + j, x[j][i]);
                }
            }
        });
    }
}

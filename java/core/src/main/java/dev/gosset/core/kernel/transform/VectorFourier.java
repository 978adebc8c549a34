package dev.gosset.core.kernel.transform;

import dev.gosset.core.hadamard.FourierPlan;
import dev.gosset.core.hadamard.HadamardTransform;
import java.lang.foreign.MemorySegment;

/**
 * The Fourier transform of pairs, by the passes of its {@link FourierPlan}: from place to place in scratch memory, the last one to where the
 * result belongs. At absolute addresses. Stateless, thread-safe, allocates nothing.
 */
final class VectorFourier {
    private VectorFourier() {}

    /** Two vectors of n floats, and what a pass needs. */
    static long scratchBytes(HadamardTransform transform) {
        return 8L * transform.n() + FourierPasses.scratchBytes(transform.fourierPlan());
    }

    /** A turn, which is three roundings of numbers up to sqrt 2, and the sums of each pass. */
    static double roundings(HadamardTransform transform) {
        FourierPlan plan = transform.fourierPlan();
        double sum = 8;
        for (int i = 0; i < plan.passes(); i++) {
            sum += 8 + (plan.pass(i).radix() > 4 ? plan.pass(i).radix() : 2);
        }
        return sum;
    }

    /**
     * {@code y <- D_after^T U D_before x} for one row, U^T where {@code transpose}.
     *
     * @param before n factors, or 0 for none
     * @param after likewise
     * @param y is x or apart from it
     */
    static void apply(
            HadamardTransform transform, boolean transpose, long x, long before, long y, long after, long scratch) {
        FourierPlan plan = transform.fourierPlan();
        MemorySegment table = plan.table();
        int n = transform.n();
        int direction = transpose ? 1 : -1;
        long from = x;
        long to = scratch;
        long free = scratch + 4L * n;
        if (before != 0) {
            FourierPasses.multiply(x, before, free, n, false);
            from = free;
        }
        float scale = (float) (1 / Math.sqrt(n / 2.0));
        int last = plan.passes() - 1;
        for (int i = 0; i <= last; i++) {
            long target = i == last ? y : to;
            FourierPasses.apply(
                    plan.pass(i), from, target, n, table.address(), i == 0 ? scale : 1, direction, scratch + 8L * n);
            from = target;
            to = free;
            free = from;
        }
        if (after != 0) {
            FourierPasses.multiply(y, after, y, n, true);
        }
        java.lang.ref.Reference.reachabilityFence(table);
    }
}

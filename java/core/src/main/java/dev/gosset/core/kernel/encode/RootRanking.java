package dev.gosset.core.kernel.encode;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * The four cheapest of many steps from each of many points, one point per lane: the inner loop of the search by the metric of blocks,
 * {@code BlockSearch} of the rounding, whose plain loop is its oracle and gives the same bits. Stateless, allocates nothing.
 */
public final class RootRanking {
    private static final VectorSpecies<Float> F = FloatVector.SPECIES_PREFERRED;
    private static final VectorSpecies<Integer> I = IntVector.SPECIES_PREFERRED;

    private RootRanking() {}

    /**
     * Puts steps and their opposites into the sorted lists. A step costs {@code base + cost -+ dot} in whole numbers, from 0 to {@code
     * most}, and is taken where {@code room -+ change} is not negative; dot and change are sums of two planes.
     *
     * @param chunk points, a multiple of 16, and the length of a plane
     * @param dots planes
     * @param norms planes of whole numbers
     * @param base of the points
     * @param room of the points
     * @param roomAt where those of this call begin
     * @param best four planes of costs with the steps' numbers in the lowest eight bits, ascending
     * @param left one plane of each step, by half its number
     * @param right the other one
     * @param costs of the steps, by their numbers
     * @param from first step, half its number
     * @param to beyond the last one
     */
    public static void insert(
            int chunk,
            float[] dots,
            float[] norms,
            float[] base,
            float[] room,
            int roomAt,
            int[] best,
            int[] left,
            int[] right,
            float[] costs,
            int from,
            int to,
            int most) {
        for (int i = 0; i < chunk; i += I.length()) {
            FloatVector own = FloatVector.fromArray(F, base, i);
            FloatVector free = FloatVector.fromArray(F, room, roomAt + i);
            IntVector b0 = IntVector.fromArray(I, best, i);
            IntVector b1 = IntVector.fromArray(I, best, chunk + i);
            IntVector b2 = IntVector.fromArray(I, best, 2 * chunk + i);
            IntVector b3 = IntVector.fromArray(I, best, 3 * chunk + i);
            for (int p = from; p < to; p++) {
                int l = left[p] * chunk + i;
                int r = right[p] * chunk + i;
                FloatVector dot = FloatVector.fromArray(F, dots, l).add(FloatVector.fromArray(F, dots, r));
                FloatVector change = FloatVector.fromArray(F, norms, l).add(FloatVector.fromArray(F, norms, r));
                FloatVector both = own.add(costs[2 * p]);
                // All ones, so that it comes last, where the point is too long: VPSRAD, VPSRLD.
                IntVector out = whole(free.sub(change))
                        .lanewise(VectorOperators.ASHR, 31)
                        .lanewise(VectorOperators.LSHR, 1);
                IntVector outOpposite = whole(free.add(change))
                        .lanewise(VectorOperators.ASHR, 31)
                        .lanewise(VectorOperators.LSHR, 1);
                IntVector candidate = whole(both.sub(dot))
                        .max(0)
                        .min(most)
                        .lanewise(VectorOperators.LSHL, 8)
                        .or(2 * p)
                        .or(out);
                IntVector opposite = whole(both.add(dot))
                        .max(0)
                        .min(most)
                        .lanewise(VectorOperators.LSHL, 8)
                        .or(2 * p + 1)
                        .or(outOpposite);
                // Of two opposite roots at most one is among the nearest: the other would be dearer than the point
                // itself.
                IntVector k = candidate.min(opposite);
                IntVector m0 = b0.max(k);
                IntVector m1 = b1.max(m0);
                b0 = b0.min(k);
                b1 = b1.min(m0);
                IntVector m2 = b2.max(m1);
                b2 = b2.min(m1);
                b3 = b3.min(m2);
            }
            b0.intoArray(best, i);
            b1.intoArray(best, chunk + i);
            b2.intoArray(best, 2 * chunk + i);
            b3.intoArray(best, 3 * chunk + i);
        }
    }

    /** CVTTPS2DQ, and what Java asks for beyond. */
    private static IntVector whole(FloatVector x) {
        return (IntVector) x.convert(VectorOperators.F2I, 0);
    }
}

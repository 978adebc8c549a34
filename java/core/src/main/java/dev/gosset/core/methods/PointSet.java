package dev.gosset.core.methods;

import dev.gosset.core.codebook.Codebook;
import java.util.ArrayList;
import java.util.List;

/**
 * A finite set of points of d numbers that groups of d weights are rounded to: codebooks to compare E8P with. Immutable, thread-safe.
 * Source: spec/quip-methods.md, section 7.2.
 */
public sealed interface PointSet {
    /** Numbers that {@link #nearest} may scratch in. */
    int SCRATCH = 1024;

    /** What tables call it. */
    String name();

    /** d. */
    int dimension();

    /** Bits of each weight: the logarithm of the number of points over d. */
    double bits();

    /**
     * The nearest point.
     *
     * @param x d numbers from {@code at} on
     * @param point receives d numbers from 0 on
     * @param scratch {@link #SCRATCH} numbers of the caller's
     */
    void nearest(double[] x, int at, double[] point, float[] scratch);

    /** Each weight by itself to one of 2^bits half-integers around 0. */
    record HalfIntegers(int rate) implements PointSet {
        public HalfIntegers {
            if (rate < 1 || rate > 8) {
                throw new IllegalArgumentException("half-integers of 1 to 8 bits, found " + rate);
            }
        }

        @Override
        public String name() {
            return "half-integer-" + rate;
        }

        @Override
        public int dimension() {
            return 1;
        }

        @Override
        public double bits() {
            return rate;
        }

        @Override
        public void nearest(double[] x, int at, double[] point, float[] scratch) {
            double end = (1 << rate - 1) - 0.5;
            point[0] = Math.clamp(Math.floor(x[at]) + 0.5, -end, end);
        }
    }

    /** A codebook of models, searched by its own oracle. */
    record Stored(Codebook codebook) implements PointSet {
        @Override
        public String name() {
            return codebook.name().toLowerCase(java.util.Locale.ROOT);
        }

        @Override
        public int dimension() {
            return Codebook.DIMENSION;
        }

        @Override
        public double bits() {
            return codebook.bits();
        }

        @Override
        public void nearest(double[] x, int at, double[] point, float[] scratch) {
            codebook.decode(codebook.nearest(x, at), point, 0);
        }
    }

    /** Points of a list, all of which are looked at, in float32. */
    final class Listed implements PointSet {
        private final String name;
        private final int dimension;
        private final int count;

        /** Coordinate by coordinate. */
        private final float[] columns;

        private final float[] halfNorms;

        /**
         * @param points at least one, d numbers each
         */
        public Listed(String name, int dimension, double[] points) {
            this.name = name;
            this.dimension = dimension;
            count = points.length / dimension;
            columns = new float[points.length];
            halfNorms = new float[count];
            for (int j = 0; j < count; j++) {
                double squares = 0;
                for (int k = 0; k < dimension; k++) {
                    double v = points[j * dimension + k];
                    columns[k * count + j] = (float) v;
                    squares += v * v;
                }
                halfNorms[j] = (float) (squares / 2);
            }
        }

        @Override
        public String name() {
            return name;
        }

        @Override
        public int dimension() {
            return dimension;
        }

        @Override
        public double bits() {
            return Math.log(count) / Math.log(2) / dimension;
        }

        int count() {
            return count;
        }

        @Override
        public void nearest(double[] x, int at, double[] point, float[] scratch) {
            point(nearest(x, at, scratch), point);
        }

        void point(int j, double[] point) {
            for (int k = 0; k < dimension; k++) {
                point[k] = columns[k * count + j];
            }
        }

        /** The number of the nearest point, the first of several: where {@code |c|^2 / 2 - c x} is least. */
        int nearest(double[] x, int at, float[] scratch) {
            float least = Float.POSITIVE_INFINITY;
            int found = 0;
            for (int from = 0; from < count; from += SCRATCH) {
                int n = Math.min(SCRATCH, count - from);
                System.arraycopy(halfNorms, from, scratch, 0, n);
                int k = 0;
                for (; k + 4 <= dimension; k += 4) {
                    subtract4(x, at + k, columns, k * count + from, count, scratch, n);
                }
                for (; k < dimension; k++) {
                    subtract(x[at + k], columns, k * count + from, scratch, n);
                }
                float here = least(scratch, n);
                if (here < least) {
                    least = here;
                    int j = 0;
                    while (scratch[j] != here) {
                        j++;
                    }
                    found = from + j;
                }
            }
            return found;
        }

        private static void subtract(double factor, float[] column, int from, float[] to, int n) {
            float f = (float) factor;
            for (int j = 0; j < n; j++) {
                to[j] -= f * column[from + j];
            }
        }

        private static void subtract4(double[] x, int at, float[] columns, int from, int count, float[] to, int n) {
            float x0 = (float) x[at];
            float x1 = (float) x[at + 1];
            float x2 = (float) x[at + 2];
            float x3 = (float) x[at + 3];
            for (int j = 0; j < n; j++) {
                to[j] -= x0 * columns[from + j]
                        + x1 * columns[from + count + j]
                        + x2 * columns[from + 2 * count + j]
                        + x3 * columns[from + 3 * count + j];
            }
        }

        private static float least(float[] values, int n) {
            float least = Float.POSITIVE_INFINITY;
            for (int j = 0; j < n; j++) {
                least = Math.min(least, values[j]);
            }
            return least;
        }
    }

    /** The points of the lattice E8 within a ball around 0. */
    final class E8Ball implements PointSet {
        private static final int N = 8;

        private final int squaredRadius;
        private final Listed all;

        /**
         * @param squaredRadius even, 2 to 20
         */
        public E8Ball(int squaredRadius) {
            if (squaredRadius < 2 || squaredRadius > 20 || squaredRadius % 2 != 0) {
                throw new IllegalArgumentException(
                        "the squared norms of E8 are even, and balls of 2 to 20 are known, found " + squaredRadius);
            }
            this.squaredRadius = squaredRadius;
            List<int[]> doubled = new ArrayList<>();
            enumerate(new int[N], 0, 0, 0, 4 * squaredRadius, doubled);
            enumerate(new int[N], 0, 0, 1, 4 * squaredRadius, doubled);
            all = new Listed(
                    "e8-ball-" + squaredRadius,
                    N,
                    doubled.stream()
                            .flatMapToDouble(p -> java.util.Arrays.stream(p).mapToDouble(v -> v / 2.0))
                            .toArray());
        }

        /** Vectors of numbers all even or all odd, whose sum is a multiple of 4: twice those of E8. */
        private static void enumerate(int[] v, int at, int sum, int odd, int left, List<int[]> found) {
            if (at == N) {
                if (Math.floorMod(sum, 4) == 0) {
                    found.add(v.clone());
                }
                return;
            }
            for (int magnitude = odd; magnitude * magnitude <= left; magnitude += 2) {
                for (int sign = magnitude == 0 ? 1 : -1; sign <= 1; sign += 2) {
                    v[at] = sign * magnitude;
                    enumerate(v, at + 1, sum + v[at], odd, left - magnitude * magnitude, found);
                }
            }
        }

        @Override
        public String name() {
            return all.name();
        }

        @Override
        public int dimension() {
            return N;
        }

        @Override
        public double bits() {
            return all.bits();
        }

        /** How many points. */
        public int count() {
            return all.count();
        }

        @Override
        public void nearest(double[] x, int at, double[] point, float[] scratch) {
            double[] other = new double[N];
            double whole = nearestOfD8(x, at, 0, point);
            double half = nearestOfD8(x, at, 0.5, other);
            if (half < whole) {
                System.arraycopy(other, 0, point, 0, N);
            }
            double squares = 0;
            for (double v : point) {
                squares += v * v;
            }
            if (squares > squaredRadius + 0.5) {
                all.nearest(x, at, point, scratch);
            }
        }

        /** The nearest point of D8 + shift, whose whole numbers have an even sum; its squared distance. */
        private static double nearestOfD8(double[] x, int at, double shift, double[] point) {
            int sum = 0;
            int worst = 0;
            double worstError = -1;
            double distance = 0;
            for (int k = 0; k < N; k++) {
                double v = x[at + k] - shift;
                double rounded = Math.rint(v);
                sum += (int) rounded;
                double error = Math.abs(v - rounded);
                distance += error * error;
                if (error > worstError) {
                    worstError = error;
                    worst = k;
                }
                point[k] = rounded + shift;
            }
            if ((sum & 1) == 0) {
                return distance;
            }
            double v = x[at + worst];
            point[worst] += v >= point[worst] ? 1 : -1;
            return distance - worstError * worstError + (1 - worstError) * (1 - worstError);
        }
    }
}

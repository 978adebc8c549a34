package dev.gosset.core.methods;

import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.parallel.ThreadTeam;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/**
 * Codebooks by name, each with the scale at which it errs least on standard normal numbers; what had to be searched for is kept. One
 * call at a time. The same on any number of threads.
 */
public final class PointSets {
    /** Those that are compared on normal numbers: families at several rates. */
    public static final List<String> NORMAL = List.of(
            "half-integer-1",
            "half-integer-2",
            "half-integer-3",
            "half-integer-4",
            "kmeans1-1",
            "kmeans1-2",
            "kmeans1-3",
            "kmeans1-4",
            "kmeans8-1",
            "kmeans8-1.5",
            "kmeans8-2",
            "e8-ball-2",
            "e8-ball-4",
            "e8-ball-6",
            "e8-ball-8",
            "e8-ball-10",
            "e8-ball-12",
            "e8-ball-18",
            "d4",
            "e8p12",
            "e8p12rvq3b",
            "e8p12rvq4b");

    /** Those of about 2 bits that models are rounded to. */
    public static final List<String> TWO_BITS =
            List.of("half-integer-2", "kmeans1-2", "d4", "kmeans8-2", "e8-ball-10", "e8-ball-18", "e8p12");

    private static final int FEWEST_ROUNDS = 10;

    /** Few centres come to rest slowly, and cheaply. */
    private static final int MOST_ROUNDS = 200;

    /** Products that Lloyd's iteration may take where it has had its fewest rounds. */
    private static final long PRODUCTS = 1L << 33;

    /** Points of normal numbers for each centre and round. */
    private static final int SAMPLES = 16;

    private static final int FEWEST_SAMPLES = 1 << 16;

    /** Points that are scaled in the search for the best scale. */
    private static final int SCALED = 1 << 12;

    private static final int TILE = 256;

    private final ThreadTeam team;
    private final Map<String, PointSet> sets = new HashMap<>();
    private final Map<String, Double> scales = new HashMap<>();

    public PointSets(ThreadTeam team) {
        this.team = team;
    }

    /**
     * A set by its name: {@code half-integer-BITS}, {@code e8-ball-SQUAREDRADIUS}, {@code kmeansD-BITS}, or a codebook's own.
     *
     * @throws IllegalArgumentException where there is none
     */
    public PointSet named(String name) {
        PointSet known = sets.get(name);
        if (known != null) {
            return known;
        }
        String value = name.substring(name.lastIndexOf('-') + 1);
        PointSet set;
        if (name.startsWith("half-integer-")) {
            set = new PointSet.HalfIntegers(Integer.parseInt(value));
        } else if (name.startsWith("e8-ball-")) {
            set = new PointSet.E8Ball(Integer.parseInt(value));
        } else if (name.matches("kmeans[148]-[0-9.]+")) {
            set = kmeans(name, name.charAt(6) - '0', Double.parseDouble(value));
        } else {
            set = new PointSet.Stored(Codebook.named(name.toUpperCase(Locale.ROOT)));
        }
        sets.put(name, set);
        return set;
    }

    /** Standard normal points, the same whenever they are asked for. */
    private static double[] normal(long seed, int tile, int numbers) {
        SplittableRandom random = new SplittableRandom(seed * 0x9e3779b97f4a7c15L + tile);
        double[] x = new double[numbers];
        Arrays.setAll(x, i -> random.nextGaussian());
        return x;
    }

    /** Centres by Lloyd's iteration: fresh normal points in every round, those of earlier rounds counting half as much each time. */
    private PointSet.Listed kmeans(String name, int d, double bits) {
        int centres = (int) Math.round(Math.pow(2, bits * d));
        if (centres < 2 || centres > 1 << 16) {
            throw new IllegalArgumentException(name + ": k-means has 2 to 65536 centres, found " + centres);
        }
        double[] points = normal(-1, 0, centres * d);
        double[] sums = new double[centres * d];
        double[] weights = new double[centres];
        int tiles = Math.ceilDiv(Math.max(FEWEST_SAMPLES, SAMPLES * centres), TILE);
        int[][] found = new int[tiles][TILE];
        int rounds = (int) Math.clamp(PRODUCTS / ((long) tiles * TILE * points.length), FEWEST_ROUNDS, MOST_ROUNDS);
        for (int round = 0; round < rounds; round++) {
            PointSet.Listed set = new PointSet.Listed(name, d, points);
            int first = round * tiles;
            team.run(tiles, t -> {
                double[] x = normal(-2, first + t, TILE * d);
                float[] scratch = new float[PointSet.SCRATCH];
                for (int i = 0; i < TILE; i++) {
                    found[t][i] = set.nearest(x, i * d, scratch);
                }
            });
            for (int i = 0; i < sums.length; i++) {
                sums[i] /= 2;
                weights[i / d] /= i % d == 0 ? 2 : 1;
            }
            for (int t = 0; t < tiles; t++) {
                double[] x = normal(-2, first + t, TILE * d);
                for (int i = 0; i < TILE; i++) {
                    weights[found[t][i]]++;
                    for (int k = 0; k < d; k++) {
                        sums[found[t][i] * d + k] += x[i * d + k];
                    }
                }
            }
            for (int i = 0; i < sums.length; i++) {
                points[i] = weights[i / d] > 0 ? sums[i] / weights[i / d] : points[i];
            }
        }
        return new PointSet.Listed(name, d, points);
    }

    /**
     * The squared error of each of standard normal numbers x as {@code c / scale}, c the point nearest to {@code scale x}.
     *
     * @param points how many points of d numbers are rounded
     */
    public double error(PointSet set, double scale, int points, long seed) {
        int d = set.dimension();
        int tiles = Math.ceilDiv(points, TILE);
        double[] sums = new double[tiles];
        team.run(tiles, t -> {
            int count = Math.min(TILE, points - t * TILE);
            double[] x = normal(seed, t, count * d);
            double[] scaled = Arrays.stream(x).map(v -> scale * v).toArray();
            double[] point = new double[d];
            float[] scratch = new float[PointSet.SCRATCH];
            for (int i = 0; i < count; i++) {
                set.nearest(scaled, i * d, point, scratch);
                for (int k = 0; k < d; k++) {
                    double e = point[k] / scale - x[i * d + k];
                    sums[t] += e * e;
                }
            }
        });
        return Arrays.stream(sums).sum() / ((double) points * d);
    }

    /** The scale of least {@link #error}, to about a hundredth: the best of steps of a quarter, then thirds of what is beside it. */
    public double scale(PointSet set) {
        return scales.computeIfAbsent(set.name(), unused -> {
            double[] coarse = IntStream.range(-8, 11)
                    .mapToDouble(k -> Math.pow(1.25, k))
                    .map(s -> error(set, s, SCALED, -3))
                    .toArray();
            int best = 0;
            for (int k = 1; k < coarse.length; k++) {
                best = coarse[k] < coarse[best] ? k : best;
            }
            double low = Math.pow(1.25, best - 9);
            double high = Math.pow(1.25, best - 7);
            while (high / low > 1.01) {
                double left = Math.cbrt(low * low * high);
                double right = Math.cbrt(low * high * high);
                if (error(set, left, SCALED, -3) < error(set, right, SCALED, -3)) {
                    high = right;
                } else {
                    low = left;
                }
            }
            return Math.sqrt(low * high);
        });
    }
}

package dev.gosset.core.rounding;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.codebook.D4;
import dev.gosset.core.codebook.E8p;
import dev.gosset.core.codebook.E8pResidual;
import dev.gosset.core.memory.DoubleMatrix;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The search around a point against all points of the codebook. */
class BlockSearchTest {
    private final long seed = System.nanoTime();
    private final SplittableRandom random = new SplittableRandom(seed);

    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4})
    void keepsTheCheapestPointsAround(int bits) {
        Codebook codebook = Codebook.ofBits(bits);
        int others = 0;
        for (int metric = 0; metric < 3; metric++) {
            double[][] d = metric();
            BlockSearch search = new BlockSearch(codebook);
            search.metric(matrix(d), 0, 0);
            double trace = 0;
            for (int i = 0; i < 8; i++) {
                trace += d[i][i];
            }
            double[][] targets = new double[20][8];
            int[] codes = new int[targets.length];
            for (int t = 0; t < targets.length; t++) {
                double size = t % 4 == 0 ? 2 : 0.9;
                for (int c = 0; c < 8; c++) {
                    targets[t][c] = size * random.nextGaussian();
                }
                codes[t] = codebook.nearest(targets[t], 0);
                search.put(t, targets[t], codes[t]);
            }
            search.rank();
            for (int t = 0; t < targets.length; t++) {
                String what = bits + " bits, target " + t + ", seed " + seed;
                List<Double> expected = around(codebook, d, targets[t], codes[t]);
                int kept = search.kept(t);
                assertThat(kept).as(what).isEqualTo(Math.min(BlockSearch.KEPT, expected.size()));
                List<Double> found = new ArrayList<>();
                for (int rank = 0; rank < kept; rank++) {
                    double cost = cost(codebook, d, targets[t], search.code(t, rank));
                    assertThat(search.cost(t, rank)).as(what).isCloseTo(cost, within(1e-9 * (1 + cost)));
                    found.add(cost);
                    others += search.code(t, rank) == codes[t] ? 0 : 1;
                }
                Collections.sort(found);
                for (int rank = 0; rank < kept; rank++) {
                    // Costs are ranked in whole numbers of the mean diagonal / 2^14.
                    assertThat(found.get(rank))
                            .as(what)
                            .isCloseTo(expected.get(rank), within(2 * trace / 8 / (1 << 14) + 1e-5 * found.get(rank)));
                }
            }
        }
        assertThat(others).as("seed " + seed).isPositive();
    }

    /** Far targets, a metric of zeros and chunks that are not full among them. */
    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4})
    void vectorsFindWhatPlainLoopsFind(int bits) {
        Codebook codebook = Codebook.ofBits(bits);
        BlockSearch plain = new BlockSearch(codebook, false);
        BlockSearch vectors = new BlockSearch(codebook, true);
        for (int round = 0; round < 40; round++) {
            DoubleMatrix d = matrix(round == 7 ? new double[8][8] : metric());
            plain.metric(d, 0, 0);
            vectors.metric(d, 0, 0);
            int items = round % 3 == 0 ? BlockSearch.CHUNK : 1 + random.nextInt(BlockSearch.CHUNK);
            double size = Math.exp(random.nextDouble(-3, round % 5 == 0 ? 12 : 2));
            for (int t = 0; t < items; t++) {
                double[] target = random.doubles(8, -size, size).toArray();
                int code = codebook.nearest(target, 0);
                plain.put(t, target, code);
                vectors.put(t, target, code);
            }
            plain.rank();
            vectors.rank();
            for (int t = 0; t < items; t++) {
                String what = bits + " bits, round " + round + ", target " + t + ", seed " + seed;
                assertThat(vectors.kept(t)).as(what).isEqualTo(plain.kept(t));
                for (int rank = 0; rank < plain.kept(t); rank++) {
                    assertThat(vectors.code(t, rank)).as(what).isEqualTo(plain.code(t, rank));
                    assertThat(vectors.cost(t, rank)).as(what).isEqualTo(plain.cost(t, rank));
                }
            }
        }
    }

    @Test
    void refusesOtherCodebooks() {
        assertThatThrownBy(() -> new BlockSearch(D4.INSTANCE))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("D4");
    }

    /** The costs of a point and of all that are one root away, ascending. */
    private static List<Double> around(Codebook codebook, double[][] d, double[] target, int code) {
        double[] point = new double[8];
        double[] other = new double[8];
        moving(codebook, code, point);
        List<Double> costs = new ArrayList<>(List.of(cost(codebook, d, target, code)));
        int points = codebook.bits() == 3 ? 256 : 65536;
        for (int c = 0; c < points; c++) {
            int candidate = codebook.bits() == 2 ? c : code & 0xffff0000 | c;
            moving(codebook, candidate, other);
            double distance = 0;
            for (int i = 0; i < 8; i++) {
                distance += (other[i] - point[i]) * (other[i] - point[i]);
            }
            boolean isLong = codebook.bits() == 3 ? c > 240 : c >>> 8 > 226;
            if (distance == 2 && !isLong) {
                costs.add(cost(codebook, d, target, candidate));
            }
        }
        // Of two opposite roots only the cheaper one counts: the other is dearer than the point itself.
        Collections.sort(costs);
        return costs;
    }

    private static void moving(Codebook codebook, int code, double[] out) {
        if (codebook instanceof E8pResidual residual) {
            residual.decodeResidual(code, out, 0);
        } else {
            E8p.INSTANCE.decode(code, out, 0);
        }
    }

    private static double cost(Codebook codebook, double[][] d, double[] target, int code) {
        double[] q = new double[8];
        codebook.decode(code, q, 0);
        double sum = 0;
        for (int i = 0; i < 8; i++) {
            for (int j = 0; j < 8; j++) {
                sum += (target[i] - q[i]) * d[i][j] * (target[j] - q[j]);
            }
        }
        return sum;
    }

    /** {@code A A^T / 8 + 0.2 I}: far from the Euclidean norm. */
    private double[][] metric() {
        double[][] a = new double[8][8];
        for (double[] row : a) {
            for (int j = 0; j < 8; j++) {
                row[j] = random.nextGaussian();
            }
        }
        double[][] d = new double[8][8];
        for (int i = 0; i < 8; i++) {
            for (int j = 0; j < 8; j++) {
                d[i][j] = i == j ? 0.2 : 0;
                for (int l = 0; l < 8; l++) {
                    d[i][j] += a[i][l] * a[j][l] / 8;
                }
            }
        }
        return d;
    }

    private static DoubleMatrix matrix(double[][] d) {
        DoubleMatrix m = DoubleMatrix.allocate(Arena.ofAuto(), 8, 8);
        for (int i = 0; i < 8; i++) {
            for (int j = 0; j < 8; j++) {
                m.set(i, j, d[i][j]);
            }
        }
        return m;
    }
}

package dev.gosset.core.methods;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/**
 * QuIP's transform: {@code V = P_out (B0 (x) B1) P_in} with random orthogonal factors of sizes a and b, {@code n = a b}, and
 * permutations. A vector is permuted, seen as a x b, multiplied by B0 from the left and by B1^T from the right, and permuted again.
 * Blocked, B0 is another matrix for each of the b columns and B1 for each of the a rows. Source: spec/quip-methods.md, section 3.3.
 *
 * @param a rows of the view
 * @param b columns of the view
 * @param first B0, row by row: one a x a matrix or b of them
 * @param second B1: one b x b matrix or a of them
 * @param in {@code v_i = x[in[i]]}
 * @param out {@code y_i = v[out[i]]}
 */
public record KroneckerTransform(int a, int b, double[][] first, double[][] second, int[] in, int[] out)
        implements OrthogonalTransform {
    public KroneckerTransform {
        int n = Math.multiplyExact(a, b);
        if (in.length != n
                || out.length != n
                || first.length != 1 && first.length != b
                || second.length != 1 && second.length != a
                || Arrays.stream(first).anyMatch(f -> f.length != a * a)
                || Arrays.stream(second).anyMatch(f -> f.length != b * b)) {
            throw new IllegalArgumentException("factors and permutations do not fit " + a + " x " + b);
        }
    }

    /** The factors of n: the primes in ascending order, those at even places to a and the others to b. */
    static int[] factor(int n) {
        List<Integer> primes = new ArrayList<>();
        int rest = n;
        for (int p = 2; rest > 1; p++) {
            if ((long) p * p > rest) {
                p = rest;
            }
            for (; rest % p == 0; rest /= p) {
                primes.add(p);
            }
        }
        int a = 1;
        int b = 1;
        for (int i = 0; i < primes.size(); i++) {
            if (i % 2 == 0) {
                a *= primes.get(i);
            } else {
                b *= primes.get(i);
            }
        }
        return new int[] {a, b};
    }

    static KroneckerTransform draw(SplittableRandom random, int n, boolean blocked, boolean permuted) {
        int[] sizes = factor(n);
        int a = sizes[0];
        int b = sizes[1];
        double[][] first = new double[blocked ? b : 1][];
        double[][] second = new double[blocked ? a : 1][];
        Arrays.setAll(first, i -> rotation(random, a));
        Arrays.setAll(second, i -> rotation(random, b));
        return new KroneckerTransform(
                a, b, first, second, permutation(random, n, permuted), permutation(random, n, permuted));
    }

    private static int[] permutation(SplittableRandom random, int n, boolean permuted) {
        int[] p = new int[n];
        Arrays.setAll(p, i -> i);
        for (int i = n - 1; permuted && i > 0; i--) {
            int j = random.nextInt(i + 1);
            int t = p[i];
            p[i] = p[j];
            p[j] = t;
        }
        return p;
    }

    /** A rotation of p dimensions, uniform: columns of normal numbers made orthonormal one after the other, twice for accuracy. */
    static double[] rotation(SplittableRandom random, int p) {
        double[][] columns = new double[p][p];
        for (double[] column : columns) {
            for (int i = 0; i < p; i++) {
                column[i] =
                        Math.sqrt(-2 * Math.log(1 - random.nextDouble())) * Math.cos(2 * Math.PI * random.nextDouble());
            }
        }
        for (int k = 0; k < p; k++) {
            for (int twice = 0; twice < 2; twice++) {
                for (int l = 0; l < k; l++) {
                    double dot = 0;
                    for (int i = 0; i < p; i++) {
                        dot += columns[k][i] * columns[l][i];
                    }
                    for (int i = 0; i < p; i++) {
                        columns[k][i] -= dot * columns[l][i];
                    }
                }
            }
            double squares = 0;
            for (double v : columns[k]) {
                squares += v * v;
            }
            for (int i = 0; i < p; i++) {
                columns[k][i] /= Math.sqrt(squares);
            }
        }
        if (isReflection(columns)) {
            for (int i = 0; i < p; i++) {
                columns[0][i] = -columns[0][i];
            }
        }
        double[] matrix = new double[p * p];
        for (int i = 0; i < p; i++) {
            for (int j = 0; j < p; j++) {
                matrix[i * p + j] = columns[j][i];
            }
        }
        return matrix;
    }

    /** The sign of the determinant, by elimination. */
    private static boolean isReflection(double[][] matrix) {
        int p = matrix.length;
        double[][] m = new double[p][];
        Arrays.setAll(m, i -> matrix[i].clone());
        boolean negative = false;
        for (int k = 0; k < p; k++) {
            int pivot = k;
            for (int i = k + 1; i < p; i++) {
                pivot = Math.abs(m[i][k]) > Math.abs(m[pivot][k]) ? i : pivot;
            }
            double[] row = m[pivot];
            m[pivot] = m[k];
            m[k] = row;
            negative ^= pivot != k ^ row[k] < 0;
            for (int i = k + 1; i < p; i++) {
                double f = m[i][k] / row[k];
                for (int j = k; j < p; j++) {
                    m[i][j] -= f * row[j];
                }
            }
        }
        return negative;
    }

    @Override
    public int n() {
        return in.length;
    }

    @Override
    public void apply(double[] x, boolean forward) {
        double[] v = new double[n()];
        int[] gather = forward ? in : out;
        int[] scatter = forward ? out : in;
        for (int i = 0; i < v.length; i++) {
            if (forward) {
                v[i] = x[gather[i]];
            } else {
                v[gather[i]] = x[i];
            }
        }
        double[] y = new double[n()];
        if (forward) {
            left(v, y, true);
            right(y, v, true);
        } else {
            right(v, y, false);
            left(y, v, false);
        }
        for (int i = 0; i < v.length; i++) {
            if (forward) {
                x[i] = v[scatter[i]];
            } else {
                x[scatter[i]] = v[i];
            }
        }
    }

    /** {@code y = B0 v}, or {@code B0^T v}, column by column. */
    private void left(double[] v, double[] y, boolean forward) {
        Arrays.fill(y, 0);
        for (int i = 0; i < a; i++) {
            for (int k = 0; k < a; k++) {
                int entry = forward ? i * a + k : k * a + i;
                if (first.length == 1) {
                    double f = first[0][entry];
                    for (int j = 0; j < b; j++) {
                        y[i * b + j] += f * v[k * b + j];
                    }
                } else {
                    for (int j = 0; j < b; j++) {
                        y[i * b + j] += first[j][entry] * v[k * b + j];
                    }
                }
            }
        }
    }

    /** {@code y = v B1^T}, or {@code v B1}, row by row. */
    private void right(double[] v, double[] y, boolean forward) {
        for (int i = 0; i < a; i++) {
            double[] f = second[second.length == 1 ? 0 : i];
            for (int j = 0; j < b; j++) {
                double sum = 0;
                for (int k = 0; k < b; k++) {
                    sum += v[i * b + k] * f[forward ? j * b + k : k * b + j];
                }
                y[i * b + j] = sum;
            }
        }
    }
}

package dev.gosset.core.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.FormatException;
import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.hadamard.HadamardTransform;
import dev.gosset.core.kernel.dense.DenseProduct;
import dev.gosset.core.kernel.encode.VectorEncode;
import dev.gosset.core.kernel.oracle.LinearOracle;
import dev.gosset.core.kernel.points.VectorMatvec;
import dev.gosset.core.kernel.transform.VectorTransform;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.core.rounding.TransformChoice;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Products of a batch of rows with stored and with coded matrices, against float64. */
class ProductTest {
    private final Arena arena = Arena.ofShared();
    private final ThreadTeam team = new ThreadTeam(3);
    private final Workspace workspace = new Workspace(team);
    private final Random random = new Random(5);

    @AfterEach
    void close() {
        workspace.close();
        team.close();
        arena.close();
    }

    private FloatMatrix gaussian(int rows, int cols) {
        FloatMatrix m = FloatMatrix.allocate(arena, rows, cols);
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < cols; j++) {
                m.set(i, j, (float) random.nextGaussian());
            }
        }
        return m;
    }

    /** A matrix stored at an odd address; every eighth element is tiny, a subnormal half. */
    private Tensor stored(Dtype dtype, int rows, int cols) {
        int size = dtype.bytes();
        MemorySegment data = arena.allocate((long) size * rows * cols + 2).asSlice(2, (long) size * rows * cols);
        for (int i = 0; i < rows * cols; i++) {
            float v = (float) (random.nextGaussian() * (i % 8 == 3 ? 1e-6 : 1));
            switch (dtype) {
                case F16 -> data.setAtIndex(ValueLayout.JAVA_SHORT_UNALIGNED, i, Float.floatToFloat16(v));
                case BF16 ->
                    data.setAtIndex(ValueLayout.JAVA_SHORT_UNALIGNED, i, (short) (Float.floatToIntBits(v) >>> 16));
                default -> data.setAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, i, v);
            }
        }
        return new Tensor("w", dtype, List.of((long) rows, (long) cols), data, Path.of("test"));
    }

    @ParameterizedTest
    @CsvSource({
        "F32, 1, 1, 1",
        "F16, 1, 1, 1",
        "BF16, 1, 1, 1",
        "F32, 1, 300, 129",
        "F16, 1, 300, 129",
        "BF16, 1, 300, 129",
        "F32, 2, 130, 64",
        "F16, 5, 130, 64",
        "BF16, 5, 130, 65",
        "F16, 3, 2050, 40",
        "F16, 1, 9000, 33",
        "F32, 7, 1, 17"
    })
    void storedMatrix(Dtype dtype, int tokens, int rows, int cols) {
        Tensor weight = stored(dtype, rows, cols);
        float[] w = weight.toFloatArray();
        FloatMatrix x = gaussian(tokens, cols);
        FloatMatrix y = FloatMatrix.allocate(arena, tokens, rows + 3);
        y.data().fill((byte) 0x7f);
        new DenseProduct(weight).apply(x, y, 2, workspace);
        float untouched = Float.intBitsToFloat(0x7f7f7f7f);
        for (int t = 0; t < tokens; t++) {
            for (int i = 0; i < rows; i++) {
                double sum = 0;
                double size = 0;
                for (int j = 0; j < cols; j++) {
                    sum += (double) w[i * cols + j] * x.get(t, j);
                    size += Math.abs((double) w[i * cols + j] * x.get(t, j));
                }
                assertThat((double) y.get(t, i + 2)).isCloseTo(sum, within(1e-6 * size));
            }
            assertThat(y.get(t, 1)).isEqualTo(untouched);
            assertThat(y.get(t, rows + 2)).isEqualTo(untouched);
        }
    }

    @Test
    void everyHalfIsWidenedExactly() {
        int all = 1 << 16;
        MemorySegment data = arena.allocate(2L * all);
        for (int i = 0; i < all; i++) {
            data.setAtIndex(ValueLayout.JAVA_SHORT, i, (short) i);
        }
        // One row of 64 per product with a unit vector: 0 * infinity would be NaN, so infinities have rows of one
        // column.
        DenseProduct product =
                new DenseProduct(new Tensor("w", Dtype.F16, List.of((long) all / 32, 32L), data, Path.of("test")));
        FloatMatrix y = FloatMatrix.allocate(arena, 1, all / 32);
        for (int j = 0; j < 32; j++) {
            FloatMatrix x = FloatMatrix.allocate(arena, 1, 32);
            x.set(0, j, 1);
            product.apply(x, y, 0, workspace);
            for (int i = 0; i < all / 32; i++) {
                int bits = i * 32 + j;
                float expected = Float.float16ToFloat((short) bits);
                boolean finiteRow = ((i * 32) & 0x7c00) != 0x7c00;
                if (finiteRow) {
                    assertThat(y.get(0, i)).isEqualTo(expected == 0 ? 0f : expected);
                } else {
                    assertThat(Float.isFinite(y.get(0, i))).isFalse();
                }
            }
        }
    }

    @Test
    void refusesWhatIsNoMatrixOfFloats() {
        MemorySegment data = arena.allocate(64);
        assertThatExceptionOfType(FormatException.class)
                .isThrownBy(() -> new DenseProduct(new Tensor("w", Dtype.I64, List.of(2L, 4L), data, Path.of("f"))))
                .withMessageContaining("is I64, expected F32, F16 or BF16");
        assertThatExceptionOfType(FormatException.class)
                .isThrownBy(() -> new DenseProduct(new Tensor("w", Dtype.F32, List.of(16L), data, Path.of("f"))))
                .withMessageContaining("expected a matrix");
    }

    /**
     * Linears with other transforms than their lengths have by default: against the matrix that they stand for, put together entry by
     * entry.
     */
    @ParameterizedTest
    @CsvSource({
        "FOURIER, FOURIER, 1, 64, 128",
        "FOURIER, FOURIER, 40, 96, 704",
        "FOURIER, HARTLEY, 3, 344, 56",
        "HARTLEY, FOURIER, 5, 56, 344",
        "HADAMARD, FOURIER, 17, 192, 64"
    })
    void otherTransforms(TransformChoice inputs, TransformChoice outputs, int tokens, int rows, int cols) {
        QuantizedLinear drawn = quantized(4, rows, cols);
        List<QuantizedLinear.Part> parts = List.of(
                new QuantizedLinear.Part("a", rows / 4 * 2, 1.5f),
                new QuantizedLinear.Part("b", rows - rows / 4 * 2, 0.75f));
        QuantizedLinear linear =
                new QuantizedLinear(drawn.codes(), drawn.su(), drawn.sv(), parts, inputs.of(cols), outputs.of(rows));
        double[][] matrix = new double[rows][cols];
        for (int i = 0; i < rows; i++) {
            double[] point = new double[Codebook.DIMENSION];
            for (int j = 0; j < cols; j++) {
                linear.codes().codebook().decode(linear.codes().code(i, j / Codebook.DIMENSION), point, 0);
                matrix[i][j] = point[j % Codebook.DIMENSION];
            }
        }
        matrix = product(
                product(transposed(forward(linear.outputs(), linear.sv())), matrix),
                forward(linear.inputs(), linear.su()));
        FloatMatrix x = gaussian(tokens, cols);
        for (Kernels kernels : List.of(Kernels.scalar(), Kernels.selected())) {
            QuantizedProduct product = new QuantizedProduct(linear, kernels.transform(), kernels.matvec(), arena);
            FloatMatrix y = FloatMatrix.allocate(arena, tokens, rows);
            FloatMatrix many = FloatMatrix.allocate(arena, tokens, rows);
            product.apply(x, y, workspace);
            product.applyMany(x, many, workspace);
            double error = 0;
            double norm = 0;
            for (int t = 0; t < tokens; t++) {
                double[] in = new double[cols];
                for (int j = 0; j < cols; j++) {
                    in[j] = x.get(t, j);
                }
                double[] oracle = LinearOracle.apply(linear, in);
                for (int i = 0; i < rows; i++) {
                    double sum = 0;
                    for (int j = 0; j < cols; j++) {
                        sum += matrix[i][j] * in[j];
                    }
                    sum *= i < parts.getFirst().rows() ? 1.5 : 0.75;
                    assertThat(oracle[i]).isCloseTo(sum, within(1e-9 * cols));
                    error += Math.pow(y.get(t, i) - sum, 2) + Math.pow(many.get(t, i) - sum, 2);
                    norm += 2 * sum * sum;
                }
            }
            assertThat(Math.sqrt(error / norm)).isLessThan(2 * product.relativeError() + 1e-6);
        }
    }

    /** U^T D(f) as a matrix. */
    private static double[][] forward(HadamardTransform transform, MemorySegment f) {
        int n = transform.n();
        boolean pairs = transform.kind() == HadamardTransform.Kind.FOURIER;
        double[][] d = new double[n][n];
        for (int j = 0; j < n; j++) {
            float v = Float.float16ToFloat(f.getAtIndex(ValueLayout.JAVA_SHORT, j));
            float other = Float.float16ToFloat(f.getAtIndex(ValueLayout.JAVA_SHORT, pairs ? j ^ 1 : j));
            d[j][j] = pairs && j % 2 == 1 ? other : v;
            if (pairs) {
                d[j][j ^ 1] = j % 2 == 0 ? -other : v;
            }
        }
        double[][] u = new double[n][n];
        for (int j = 0; j < n; j++) {
            u[j][j] = 1;
            transform.apply(u[j], 0, false);
        }
        // Row j is U e_j, so u is U^T.
        return product(u, d);
    }

    private static double[][] transposed(double[][] a) {
        double[][] t = new double[a[0].length][a.length];
        for (int i = 0; i < a.length; i++) {
            for (int j = 0; j < a[0].length; j++) {
                t[j][i] = a[i][j];
            }
        }
        return t;
    }

    private static double[][] product(double[][] a, double[][] b) {
        double[][] c = new double[a.length][b[0].length];
        for (int i = 0; i < a.length; i++) {
            for (int k = 0; k < b.length; k++) {
                for (int j = 0; j < b[0].length; j++) {
                    c[i][j] += a[i][k] * b[k][j];
                }
            }
        }
        return c;
    }

    private QuantizedLinear quantized(int bits, int rows, int cols) {
        CodeMatrix codes = CodeMatrix.allocate(arena, Codebook.ofBits(bits), rows, cols);
        for (int i = 0; i < rows; i++) {
            for (int g = 0; g < codes.groups(); g++) {
                codes.setCode(i, g, random.nextInt() & (bits == 2 ? 0xffff : bits == 3 ? 0xffffff : -1));
            }
        }
        MemorySegment su = arena.allocate(2L * cols);
        MemorySegment sv = arena.allocate(2L * rows);
        for (int j = 0; j < cols; j++) {
            su.setAtIndex(ValueLayout.JAVA_SHORT, j, Float.floatToFloat16(random.nextBoolean() ? 1 : -1.125f));
        }
        for (int i = 0; i < rows; i++) {
            sv.setAtIndex(ValueLayout.JAVA_SHORT, i, Float.floatToFloat16(random.nextBoolean() ? 0.25f : -0.5f));
        }
        int first = rows / 3 + 1;
        return new QuantizedLinear(
                codes,
                su,
                sv,
                rows < 3
                        ? List.of(new QuantizedLinear.Part("a", rows, 1.5f))
                        : List.of(
                                new QuantizedLinear.Part("a", first, 1.5f),
                                new QuantizedLinear.Part("b", rows - first, 0.75f)));
    }

    @ParameterizedTest
    @CsvSource({
        "2, 1, 64, 128", "3, 1, 64, 128", "4, 1, 64, 128", "2, 4, 96, 56", "2, 5, 96, 56", "3, 9, 300, 112",
        "4, 33, 130, 64", "2, 1, 40, 50", "3, 3, 40, 50", "4, 70, 40, 50", "2, 6, 1, 8", "2, 2, 2100, 24",
        "2, 7, 2100, 24", "4, 5, 8, 3"
    })
    void codedMatrix(int bits, int tokens, int rows, int cols) {
        QuantizedLinear linear = quantized(bits, rows, cols);
        FloatMatrix x = gaussian(tokens, cols);
        for (Kernels kernels : List.of(
                Kernels.scalar(),
                new Kernels("float32", new VectorTransform(), new VectorEncode(), new VectorMatvec()),
                Kernels.selected())) {
            QuantizedProduct product = new QuantizedProduct(linear, kernels.transform(), kernels.matvec(), arena);
            FloatMatrix y = FloatMatrix.allocate(arena, tokens, rows);
            product.apply(x, y, workspace);
            for (int t = 0; t < tokens; t++) {
                double[] in = new double[cols];
                for (int j = 0; j < cols; j++) {
                    in[j] = x.get(t, j);
                }
                float[] found = new float[rows];
                for (int i = 0; i < rows; i++) {
                    found[i] = y.get(t, i);
                }
                double error = Products.relativeError(linear, in, found);
                assertThat(error).as(kernels.name()).isLessThan(3 * product.relativeError());
                // The measure is no blind one: a single wrong element is seen.
                int largest =
                        IntStream.range(0, rows).reduce(0, (a, b) -> Math.abs(found[a]) > Math.abs(found[b]) ? a : b);
                found[largest] = -found[largest];
                assertThat(Products.relativeError(linear, in, found)).isGreaterThan(3 * product.relativeError());
            }
        }
    }

    @Test
    void threadsChangeNothing() {
        QuantizedLinear linear = quantized(2, 600, 256);
        Tensor weight = stored(Dtype.F16, 600, 256);
        Kernels kernels = Kernels.selected();
        QuantizedProduct coded = new QuantizedProduct(linear, kernels.transform(), kernels.matvec(), arena);
        DenseProduct dense = new DenseProduct(weight);
        for (int tokens : new int[] {1, 3, 40}) {
            FloatMatrix x = gaussian(tokens, 256);
            FloatMatrix[] y = new FloatMatrix[4];
            for (int i = 0; i < 4; i++) {
                y[i] = FloatMatrix.allocate(arena, tokens, 600);
            }
            coded.apply(x, y[0], workspace);
            dense.apply(x, y[1], 0, workspace);
            try (ThreadTeam one = new ThreadTeam(1);
                    Workspace alone = new Workspace(one)) {
                coded.apply(x, y[2], alone);
                dense.apply(x, y[3], 0, alone);
            }
            assertThat(y[0].data().mismatch(y[2].data())).isEqualTo(-1);
            assertThat(y[1].data().mismatch(y[3].data())).isEqualTo(-1);
        }
    }
}

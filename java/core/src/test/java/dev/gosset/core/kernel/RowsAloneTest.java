package dev.gosset.core.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.kernel.dense.ByteProduct;
import dev.gosset.core.kernel.dense.DenseProduct;
import dev.gosset.core.kernel.dense.VectorAttention;
import dev.gosset.core.kernel.encode.VectorEncode;
import dev.gosset.core.kernel.points.VectorMatvec;
import dev.gosset.core.kernel.transform.VectorTransform;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** A row of a product has the same bits alone and among others; and attention in parts those of the whole. */
@Tag("kernel")
class RowsAloneTest {
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final int[] ROWS = {2, 3, 4, 5, 7, 16, 17, 33};

    private final Arena arena = Arena.ofShared();
    private final ThreadTeam team = new ThreadTeam(2);
    private final Workspace workspace = new Workspace(team);
    private final SplittableRandom random = new SplittableRandom(System.nanoTime());

    @AfterEach
    void close() {
        workspace.close();
        team.close();
        arena.close();
    }

    @FunctionalInterface
    private interface Product {
        void apply(FloatMatrix x, FloatMatrix y);
    }

    private FloatMatrix gaussian(int rows, int cols) {
        FloatMatrix m = FloatMatrix.allocate(arena, rows, cols);
        for (int i = 0; i < rows * cols; i++) {
            m.data().setAtIndex(FLOAT, i, (float) random.nextGaussian());
        }
        return m;
    }

    private void assertRowsAlone(String name, int rows, int cols, Product product) {
        for (int count : ROWS) {
            FloatMatrix x = gaussian(count, cols);
            FloatMatrix together = FloatMatrix.allocate(arena, count, rows);
            FloatMatrix alone = FloatMatrix.allocate(arena, 1, rows);
            product.apply(x, together);
            for (int t = 0; t < count; t++) {
                product.apply(x.rows(t, t + 1), alone);
                assertThat(together.row(t).mismatch(alone.data()))
                        .as("%s, %d x %d, row %d of %d", name, rows, cols, t, count)
                        .isEqualTo(-1);
            }
        }
    }

    @Test
    void storedMatrices() {
        for (int[] shape : new int[][] {{1, 1}, {5, 3}, {67, 40}, {130, 257}, {300, 1000}, {70, 4096}}) {
            int rows = shape[0];
            int cols = shape[1];
            FloatMatrix floats = gaussian(rows, cols);
            for (Dtype dtype : List.of(Dtype.F32, Dtype.F16, Dtype.BF16)) {
                for (boolean finite : new boolean[] {true, false}) {
                    MemorySegment data = arena.allocate((long) dtype.bytes() * rows * cols);
                    for (int i = 0; i < rows * cols; i++) {
                        float v = floats.data().getAtIndex(FLOAT, i);
                        v = !finite && i == 1 ? Float.POSITIVE_INFINITY : v;
                        switch (dtype) {
                            case F16 -> data.setAtIndex(ValueLayout.JAVA_SHORT, i, Float.floatToFloat16(v));
                            case BF16 ->
                                data.setAtIndex(ValueLayout.JAVA_SHORT, i, (short) (Float.floatToIntBits(v) >>> 16));
                            default -> data.setAtIndex(FLOAT, i, v);
                        }
                    }
                    DenseProduct product = new DenseProduct(
                            new Tensor("w", dtype, List.of((long) rows, (long) cols), data, Path.of("random")));
                    assertRowsAlone(dtype.name(), rows, cols, (x, y) -> product.apply(x, y, 0, workspace));
                }
            }
            ByteProduct product = new ByteProduct(
                    new Tensor("w", Dtype.F32, List.of((long) rows, (long) cols), floats.data(), Path.of("random")),
                    arena,
                    workspace.team());
            assertRowsAlone("I8", rows, cols, (x, y) -> product.apply(x, y, workspace));
        }
    }

    @Test
    void codedMatrices() {
        for (int[] shape : new int[][] {{1, 8}, {40, 50}, {130, 256}, {300, 112}, {200, 1024}}) {
            for (int bits = 2; bits <= 4; bits++) {
                QuantizedLinear linear = quantized(bits, shape[0], shape[1]);
                for (Kernels kernels : List.of(
                        Kernels.scalar(),
                        new Kernels("points", new VectorTransform(), new VectorEncode(), new VectorMatvec()),
                        Kernels.selected())) {
                    QuantizedProduct product =
                            new QuantizedProduct(linear, kernels.transform(), kernels.matvec(), arena);
                    assertRowsAlone(
                            kernels.name() + ", " + bits + " bits",
                            shape[0],
                            shape[1],
                            (x, y) -> product.apply(x, y, workspace));
                }
            }
        }
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
            su.setAtIndex(ValueLayout.JAVA_SHORT, j, Float.floatToFloat16(random.nextBoolean() ? 1 : -1));
        }
        for (int i = 0; i < rows; i++) {
            sv.setAtIndex(ValueLayout.JAVA_SHORT, i, Float.floatToFloat16(random.nextBoolean() ? 1 : -1));
        }
        return new QuantizedLinear(codes, su, sv, List.of(new QuantizedLinear.Part("a", rows, 0.5f)));
    }

    @Test
    void attentionInParts() {
        for (int dim : new int[] {1, 8, 20, 64, 80, 128}) {
            for (int queries : new int[] {1, 2, 3, 4, 5}) {
                int count = 1 + random.nextInt(150);
                int n = dim * count;
                FloatMatrix x = gaussian(count, dim);
                MemorySegment halves = arena.allocate(2L * n);
                MemorySegment bytes = arena.allocate((long) n + VectorAttention.BEHIND);
                MemorySegment scales = arena.allocate(4L * count);
                VectorAttention.narrow(x.data(), 0, halves, 0, n);
                for (int j = 0; j < count; j++) {
                    VectorAttention.narrowToBytes(x.data(), 4L * dim * j, bytes, (long) dim * j, scales, 4L * j, dim);
                }
                MemorySegment q = gaussian(queries, dim).data();
                long stride = 4L * count;
                MemorySegment[] scores = new MemorySegment[4];
                MemorySegment[] mixed = new MemorySegment[4];
                for (int way = 0; way < 4; way++) {
                    scores[way] = arena.allocate(stride * queries);
                    mixed[way] = arena.allocate(4L * queries * dim);
                    boolean whole = way < 2;
                    for (int from = 0, to; from < count; from = to) {
                        to = whole ? count : Math.min(count, from + 1 + random.nextInt(70));
                        int part = to - from;
                        long row = (long) from * dim;
                        long at = 4L * from;
                        if (way % 2 == 0) {
                            VectorAttention.scores(q, 0, queries, halves, 2 * row, part, dim, scores[way], at, stride);
                            VectorAttention.mix(
                                    scores[way],
                                    at,
                                    stride,
                                    queries,
                                    halves,
                                    2 * row,
                                    part,
                                    dim,
                                    mixed[way],
                                    0,
                                    from > 0);
                        } else {
                            VectorAttention.scoresOfBytes(
                                    q, 0, queries, bytes, row, scales, at, part, dim, scores[way], at, stride);
                            VectorAttention.mixBytes(
                                    scores[way],
                                    at,
                                    stride,
                                    queries,
                                    bytes,
                                    row,
                                    scales,
                                    at,
                                    part,
                                    dim,
                                    mixed[way],
                                    0,
                                    from > 0);
                        }
                    }
                }
                for (int way = 0; way < 2; way++) {
                    assertThat(scores[way].mismatch(scores[way + 2])).isEqualTo(-1);
                    assertThat(mixed[way].mismatch(mixed[way + 2])).isEqualTo(-1);
                }
            }
        }
    }
}

package dev.gosset.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gosset.cuda.CudaKernels.Type;
import dev.gosset.cuda.DecoderKernels.CacheShape;
import dev.gosset.cuda.DecoderKernels.Sampling;
import dev.gosset.cuda.DecoderKernels.Stored;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The decoder's kernels from Java, on the emulation: not yet run on a device. */
class DecoderKernelsTest {
    private CudaContext context;
    private CudaStream stream;
    private Arena arena;
    private final List<DeviceBuffer> buffers = new ArrayList<>();
    private final Random random = new Random(11);

    @BeforeEach
    void open() {
        Emulation.require();
        context = CudaContext.open(0);
        stream = context.stream();
        arena = Arena.ofAuto();
    }

    @AfterEach
    void nothingIsLeft() {
        if (context != null) {
            buffers.forEach(DeviceBuffer::close);
            stream.close();
            context.close();
            assertThat(Emulation.live())
                    .as("objects of the runtime that are alive")
                    .isZero();
        }
    }

    private DeviceBuffer room(long bytes) {
        DeviceBuffer buffer = context.allocate(bytes, "a test");
        buffers.add(buffer);
        return buffer;
    }

    private DeviceBuffer upload(float... values) {
        DeviceBuffer buffer = room(4L * values.length);
        buffer.copyFrom(arena.allocateFrom(ValueLayout.JAVA_FLOAT, values), 0, stream);
        return buffer;
    }

    private DeviceBuffer ints(int... values) {
        DeviceBuffer buffer = room(4L * values.length);
        buffer.copyFrom(arena.allocateFrom(ValueLayout.JAVA_INT, values), 0, stream);
        return buffer;
    }

    private DeviceBuffer halves(float... values) {
        short[] h = new short[values.length];
        for (int i = 0; i < h.length; i++) {
            h[i] = Float.floatToFloat16(values[i]);
            values[i] = Float.float16ToFloat(h[i]);
        }
        DeviceBuffer buffer = room(2L * h.length);
        buffer.copyFrom(arena.allocateFrom(ValueLayout.JAVA_SHORT, h), 0, stream);
        return buffer;
    }

    private float[] floats(DeviceMemory memory, int count) {
        DeviceBuffer copy = room(4L * count);
        copy.copyFrom(memory, 0, 0, 4L * count, stream);
        MemorySegment host = arena.allocate(4L * count, 16);
        copy.copyTo(host, 0, stream);
        stream.synchronize();
        return host.toArray(ValueLayout.JAVA_FLOAT);
    }

    private int[] integers(DeviceBuffer memory) {
        MemorySegment host = arena.allocate(memory.bytes(), 16);
        memory.copyTo(host, 0, stream);
        stream.synchronize();
        return host.toArray(ValueLayout.JAVA_INT);
    }

    private float[] normal(int count) {
        float[] v = new float[count];
        for (int i = 0; i < count; i++) {
            v[i] = (float) random.nextGaussian();
        }
        return v;
    }

    private DeviceBuffer settings(Sampling... rows) {
        MemorySegment host = arena.allocate((long) Sampling.BYTES * rows.length, 8);
        for (int i = 0; i < rows.length; i++) {
            rows[i].write(host, i);
        }
        DeviceBuffer buffer = room(host.byteSize());
        buffer.copyFrom(host, 0, stream);
        return buffer;
    }

    /** Equal logits make a token of every number u: floor(u n). */
    @Test
    void theDeviceDrawsTheNumbersOfSplittableRandom() {
        int vocabulary = 1000;
        int steps = 20;
        long[] seeds = {0, 1, -5, 0x123456789abcdefL, Long.MIN_VALUE};
        int rows = seeds.length;
        DeviceBuffer logits = upload(new float[vocabulary * rows]);
        Sampling[] sampling = new Sampling[rows];
        for (int r = 0; r < rows; r++) {
            sampling[r] = new Sampling(0.7, 0, 1, seeds[r], r, 100);
        }
        DeviceBuffer settings = settings(sampling);
        DeviceBuffer positions = ints(0, 1, 2, 3, 4);
        DeviceBuffer tokens = room(4L * rows);
        DeviceBuffer history = room(4L * rows * 64);
        DeviceBuffer work = room(DecoderKernels.sampleWorkBytes(vocabulary, rows));
        SplittableRandom[] expected = new SplittableRandom[rows];
        for (int r = 0; r < rows; r++) {
            expected[r] = new SplittableRandom(seeds[r]);
        }
        stream.synchronize();
        try (CudaGraph step = stream.record(() -> DecoderKernels.sample(
                stream, logits, vocabulary, rows, settings, null, 0, 64, tokens, positions, history, work))) {
            for (int i = 0; i < steps; i++) {
                step.launch(stream);
                int[] drawn = integers(tokens);
                for (int r = 0; r < rows; r++) {
                    assertThat(drawn[r]).isEqualTo((int) (expected[r].nextDouble() * vocabulary));
                }
            }
        }
        assertThat(integers(positions)).containsExactly(20, 21, 22, 23, 24);
    }

    @Test
    void oneRowOfManyCanBeSampledAlone() {
        DeviceBuffer logits = upload(0, 3, 1);
        DeviceBuffer settings = settings(
                new Sampling(0, 0, 1, 0, 0, 9), new Sampling(0, 0, 1, 0, 0, 9), new Sampling(0, 0, 1, 0, 0, 9));
        DeviceBuffer positions = ints(4, 5, -1);
        DeviceBuffer tokens = ints(7, 7, 7);
        DeviceBuffer history = room(4L * 3 * 8);
        DeviceBuffer work = room(DecoderKernels.sampleWorkBytes(3, 1));
        DecoderKernels.sample(
                stream,
                logits,
                3,
                1,
                settings.slice(Sampling.BYTES, Sampling.BYTES),
                ints(2, 1),
                2,
                8,
                tokens.slice(4, 4),
                positions.slice(4, 4),
                history.slice(32, 32),
                work);
        assertThat(integers(tokens)).containsExactly(7, 1, 7);
        assertThat(integers(positions)).as("token 1 ends the sequence").containsExactly(4, -7, -1);
        assertThat(integers(history)[8 + 6]).isEqualTo(1);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void manyProductsOfHalvesAreOneCall(boolean transposeB) {
        int rows = 3;
        int cols = 5;
        int depth = 7;
        int batches = 4;
        // A interleaved as queries are, row by row; B one matrix after the other.
        float[] a = normal(rows * batches * depth);
        float[] b = normal(batches * cols * depth);
        DeviceBuffer da = halves(a);
        DeviceBuffer db = halves(b);
        DeviceBuffer dc = room(4L * batches * rows * cols);
        try (CublasHandle cublas = context.cublas(stream)) {
            CublasHandle.Batch left = new CublasHandle.Batch(da, batches * depth, depth);
            CublasHandle.Batch right = new CublasHandle.Batch(db, transposeB ? depth : cols, (long) cols * depth);
            CublasHandle.Batch out = new CublasHandle.Batch(dc, cols, (long) rows * cols);
            cublas.gemmHalf(transposeB, rows, cols, depth, left, right, out, batches);
            float[] c = floats(dc, batches * rows * cols);
            for (int at = 0; at < c.length; at++) {
                int g = at / (rows * cols);
                int i = at / cols % rows;
                int j = at % cols;
                double sum = 0;
                for (int l = 0; l < depth; l++) {
                    sum += (double) a[(i * batches + g) * depth + l]
                            * b[g * cols * depth + (transposeB ? j * depth + l : l * cols + j)];
                }
                assertThat((double) c[at]).isCloseTo(sum, org.assertj.core.data.Offset.offset(1e-5));
            }
            CublasHandle.Batch tooFar = new CublasHandle.Batch(dc, cols, (long) rows * cols + 1);
            assertThatThrownBy(() -> cublas.gemmHalf(transposeB, rows, cols, depth, left, right, tooFar, batches))
                    .isInstanceOf(IndexOutOfBoundsException.class);
        }
    }

    /** A step of two rows: rotation by nothing, then attention over what lies in the cache. */
    @Test
    void attentionSeesWhatRotationStored() {
        CacheShape shape = new CacheShape(4, 2, 16, 5, 3, 128);
        int rows = 2;
        int width = (4 + 2 * 2) * 16;
        float[] angles = new float[128 * 16];
        for (int i = 0; i < angles.length; i += 2) {
            angles[i] = 1;
        }
        DeviceBuffer table = upload(angles);
        DeviceBuffer keys = room(shape.cacheBytes());
        DeviceBuffer values = room(shape.cacheBytes());
        DeviceBuffer queries = room(4L * rows * 4 * 16);
        DeviceBuffer out = room(4L * rows * 4 * 16);
        DeviceBuffer sequences = ints(2, 0);
        DeviceBuffer tables = ints(3, 0, -1, -1, 4, 1);
        int splits = 2;
        DeviceBuffer work = room(DecoderKernels.attentionWorkBytes(shape, rows, splits));
        work.fill(0, stream);
        List<float[]> steps = new ArrayList<>();
        float scale = 0.25f;
        for (int p = 0; p < 70; p++) {
            float[] qkv = normal(rows * width);
            steps.add(qkv);
            DeviceBuffer positions = ints(p, p);
            DecoderKernels.rotateStore(
                    stream,
                    shape,
                    upload(qkv),
                    null,
                    null,
                    null,
                    0,
                    table,
                    sequences,
                    positions,
                    tables,
                    rows,
                    queries,
                    Type.F32,
                    keys,
                    values);
            DecoderKernels.attention(
                    stream, shape, queries, keys, values, sequences, positions, tables, rows, 0, scale, splits, work,
                    out);
        }
        float[] found = floats(out, rows * 64);
        float[] last = steps.getLast();
        for (int r = 0; r < rows; r++) {
            for (int h = 0; h < 4; h++) {
                double sum = 0;
                double[] mixed = new double[16];
                for (float[] qkv : steps) {
                    double dot = 0;
                    for (int i = 0; i < 16; i++) {
                        dot += (double) last[r * width + h * 16 + i] * half(qkv[r * width + 64 + h / 2 * 16 + i]);
                    }
                    double weight = Math.exp(scale * dot);
                    sum += weight;
                    for (int i = 0; i < 16; i++) {
                        mixed[i] += weight * half(qkv[r * width + 96 + h / 2 * 16 + i]);
                    }
                }
                for (int i = 0; i < 16; i++) {
                    assertThat((double) found[r * 64 + h * 16 + i])
                            .isCloseTo(mixed[i] / sum, org.assertj.core.data.Offset.offset(1e-5));
                }
            }
        }
    }

    private static double half(float f) {
        return Float.float16ToFloat(Float.floatToFloat16(f));
    }

    @Test
    void sizesAreChecked() {
        DeviceBuffer small = room(256);
        DeviceBuffer other = room(256);
        CacheShape shape = new CacheShape(2, 1, 8, 0, 1, 4);
        assertThat(shape.cacheBytes()).isEqualTo(64);
        assertThat(new CacheShape(2, 1, 8, 3, 5, 128).cacheBytes()).isEqualTo(3 * 64 * 8 * 2);
        assertThat(new CacheShape(2, 1, 8, 3, 5, 128).tableBytes()).isEqualTo(5 * 2 * 4);
        assertThatThrownBy(() -> new CacheShape(2, 1, 8, 3, 5, 100)).hasMessageContaining("of 100 positions");
        assertThatThrownBy(() -> new CacheShape(3, 2, 8, 0, 1, 4)).hasMessage("3 query heads cannot share 2 key heads");
        assertThatThrownBy(() -> new CacheShape(2, 1, 260, 0, 1, 4)).hasMessageContaining("found 260");
        assertThatThrownBy(() -> new Sampling(Double.NaN, 0, 1, 0, 0, 1)).hasMessageContaining("temperature NaN");
        assertThatThrownBy(() -> DecoderKernels.attention(
                        stream, shape, small, small, small, null, small, small, 2, 0, 1, 1, null, small))
                .hasMessage("2 rows, each its own sequence, in a cache of 1");
        assertThatThrownBy(() -> DecoderKernels.attentionWorkBytes(shape, 1, 300))
                .hasMessageContaining("300 splits");
        assertThatThrownBy(() -> DecoderKernels.dense(stream, Stored.F16, 16, 16, 1, small, null, null, small, other))
                .isInstanceOf(IndexOutOfBoundsException.class);
        assertThatThrownBy(() -> DecoderKernels.dense(stream, Stored.I8, 8, 8, 1, small, null, null, small, other))
                .isInstanceOf(CudaException.class)
                .hasMessageContaining("scales");
        assertThatThrownBy(() -> DecoderKernels.sampleWorkBytes(DecoderKernels.MAX_VOCABULARY + 1, 1))
                .hasMessageContaining("524289 logits");
        assertThatThrownBy(() -> small.slice(250, 10)).isInstanceOf(IndexOutOfBoundsException.class);
        assertThatThrownBy(() -> small.slice(16, 16).address(8, 16)).isInstanceOf(IndexOutOfBoundsException.class);
        assertThat(DecoderKernels.attentionSplits(context, shape, 0)).isEqualTo(1);
    }

    @Test
    void smallStepsComeOutAsDefined() {
        DeviceBuffer table = halves(1, 2, 3, 4, 5, 6);
        DeviceBuffer out = room(4 * 4);
        DecoderKernels.embed(stream, table, Stored.F16, 3, 2, ints(2, 0), null, 2, out);
        assertThat(floats(out, 4)).containsExactly(5, 6, 1, 2);
        DeviceBuffer h = upload(3, 2, 0, 0, 1, 1, 100, -100);
        DecoderKernels.gate(stream, h, 2, 2, out, Type.F32);
        assertThat(floats(out, 4)).containsExactly(0, 0, 100, -0f);
        DecoderKernels.addBias(stream, out, upload(1, 2), 2, 2);
        assertThat(floats(out, 4)).containsExactly(1, 2, 101, 2);
        DeviceBuffer normed = room(4 * 4);
        DecoderKernels.residualNorm(stream, out, upload(2, 2, -97, 2), upload(1, 2), 0, 2, 2, normed, Type.F32);
        assertThat(floats(out, 4)).containsExactly(3, 4, 4, 4);
        assertThat(floats(normed, 4)[3]).isEqualTo(2);
        DeviceBuffer bytes = room(4);
        DeviceBuffer scales = room(8);
        DecoderKernels.quantizeRows(stream, Stored.F32, 2, 2, out, bytes, scales);
        DecoderKernels.dense(stream, Stored.I8, 2, 2, 1, bytes, scales, null, upload(1, 10), normed);
        float[] y = floats(normed, 2);
        assertThat(y[0]).isCloseTo(43, org.assertj.core.data.Offset.offset(0.2f));
        assertThat(y[1]).isCloseTo(44, org.assertj.core.data.Offset.offset(1e-4f));
    }
}

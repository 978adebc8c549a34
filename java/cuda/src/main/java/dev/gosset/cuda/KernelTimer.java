package dev.gosset.cuda;

import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.hadamard.HadamardTransform;
import dev.gosset.core.memory.Construction;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.function.Function;
import java.util.function.IntConsumer;

/**
 * Times single kernels on random data beside the copy bandwidth of the same device in the same run. A figure is the median
 * time of a call among many in a graph, between events, after warming up; the host's launches are not in it. Codes rotate
 * through more memory than the second-level cache holds, as they do in a model. One thread at a time.
 */
public final class KernelTimer implements AutoCloseable {
    private static final long COPY_BYTES = 512L << 20;
    private static final int LEAST_ROUNDS = 3;
    private static final int MOST_ROUNDS = 200;
    private static final int MOST_REPEATS = 32;
    /** Calls that one {@link Work#run} makes. */
    public static final int CALLS = 32;

    private static final int MOST_MATRICES = 32;
    /** What the calls of a graph take together, about: far more than what an event costs. */
    private static final double GRAPH_SECONDS = 1e-3;

    private static final int RANDOM_BYTES = 1 << 20;

    private final CudaContext context;
    private final int milliseconds;
    private final Resources owned = new Resources();
    private final CudaStream stream;
    private final CudaEvent from;
    private final CudaEvent to;
    private final double copyBandwidth;

    /**
     * What a call takes.
     *
     * @param seconds the median
     * @param limitSeconds what the device's memory needs for the bytes that have to move
     */
    public record Timing(double seconds, double limitSeconds) {}

    /**
     * Measures the copy bandwidth.
     *
     * @param milliseconds how long to measure each figure, if one call is not longer
     */
    public KernelTimer(CudaContext context, int milliseconds) {
        this.context = context;
        this.milliseconds = milliseconds;
        try (Construction construction = new Construction(owned::close)) {
            stream = owned.own(context.stream());
            from = owned.own(context.event());
            to = owned.own(context.event());
            long bytes = Math.min(COPY_BYTES, 16 * context.device().l2Bytes());
            copyBandwidth = 2.0 * bytes / copySeconds(Math.min(bytes, context.freeBytes() / 4 & -256L));
            construction.done();
        }
    }

    /** Bytes a second that a copy within the device reads and writes. */
    public double copyBandwidth() {
        return copyBandwidth;
    }

    private double copySeconds(long bytes) {
        try (DeviceBuffer a = random(bytes);
                DeviceBuffer b = context.allocate(bytes, "the target of a copy")) {
            return seconds(i -> b.copyFrom(a, 0, 0, bytes, stream));
        }
    }

    /** A kernel with its data, to be called often. Frees the data when closed, before the timer. */
    public final class Work implements AutoCloseable {
        private final Resources data;
        private final IntConsumer call;
        private final double limitSeconds;
        private CudaGraph graph;

        private Work(Resources data, double limitSeconds, IntConsumer call) {
            this.data = data;
            this.limitSeconds = limitSeconds;
            this.call = call;
        }

        /** Times it on the device. */
        public Timing time() {
            return new Timing(seconds(call), limitSeconds);
        }

        /** Makes {@link #CALLS} calls in one graph and waits for them: for whoever takes the time outside. */
        public void run() {
            if (graph == null) {
                call.accept(0);
                stream.synchronize();
                graph = data.own(stream.record(() -> {
                    for (int i = 0; i < CALLS; i++) {
                        call.accept(i);
                    }
                }));
            }
            graph.launch(stream);
            stream.synchronize();
        }

        @Override
        public void close() {
            data.close();
        }
    }

    /** Makes the data of some work, and frees what there is where that fails. */
    private Work work(Function<Resources, Work> maker) {
        Resources data = new Resources();
        try (Construction construction = new Construction(data::close)) {
            Work work = maker.apply(data);
            construction.done();
            return work;
        }
    }

    /** The transform of {@code rows} float32 vectors of n, in place; the limit is a copy of the same bytes. */
    public Work transform(int n, int rows) {
        double limit = copySeconds(4L * n * rows);
        return work(data -> {
            DeviceTransform t = data.own(new DeviceTransform(HadamardTransform.of(n), stream));
            DeviceBuffer x = data.own(normal((long) n * rows));
            DeviceBuffer buffer = data.own(context.allocate(Math.max(16, t.workBytes(rows)), "work of a transform"));
            CudaKernels.Type type = CudaKernels.Type.F32;
            return new Work(
                    data,
                    limit,
                    i -> CudaKernels.transform(stream, t, false, rows, x, type, x, type, null, null, 1, buffer));
        });
    }

    /** The product of an m x n code matrix with rounded activations; the limit is reading the packed codes. */
    public Work product(Codebook codebook, int m, int n, int batch) {
        long bytes = CudaKernels.packedBytes(codebook, m, n);
        long step = Math.ceilDiv(bytes, 256) * 256;
        long wanted = Math.ceilDiv(4 * context.device().l2Bytes(), step) + 1;
        int matrices = (int) Math.clamp(Math.min(wanted, context.freeBytes() / 2 / step), 1, MOST_MATRICES);
        return work(data -> {
            DeviceBuffer packed = data.own(random(step * matrices));
            DeviceBuffer x = data.own(normal((long) n * batch));
            DeviceBuffer activations = data.own(context.allocate(CudaKernels.activationBytes(n, batch), "activations"));
            DeviceBuffer scale = data.own(context.allocate(4L * batch, "scales of activations"));
            DeviceBuffer y = data.own(context.allocate(4L * m * batch, "products"));
            CudaKernels.quantizeActivations(stream, n, batch, x, activations, scale);
            return new Work(
                    data,
                    bytes / copyBandwidth,
                    i -> CudaKernels.matvec(
                            stream,
                            codebook,
                            m,
                            n,
                            batch,
                            packed.slice(step * (i % matrices), bytes),
                            activations,
                            scale,
                            y));
        });
    }

    /** Nearest points of {@code count} normal vectors; the limit is reading the vectors and writing points and codes. */
    public Work encode(Codebook codebook, int count) {
        return work(data -> {
            DeviceBuffer x = data.own(normal(8L * count));
            DeviceBuffer values = data.own(context.allocate(32L * count, "points"));
            DeviceBuffer codes = data.own(context.allocate(4L * count, "codes"));
            return new Work(
                    data,
                    68.0 * count / copyBandwidth,
                    i -> CudaKernels.nearest(stream, codebook, count, x, values, codes));
        });
    }

    /** The median of one call; {@code call} queues call number i. */
    private double seconds(IntConsumer call) {
        // The first call loads the code, which must not happen inside a recording.
        call.accept(0);
        stream.synchronize();
        from.record(stream);
        call.accept(1);
        to.record(stream);
        to.synchronize();
        double once = Math.max(1e-7, to.millisecondsSince(from) / 1e3);
        int repeats = (int) Math.clamp(Math.round(GRAPH_SECONDS / once), 1, MOST_REPEATS);
        int rounds = (int) Math.clamp(Math.round(milliseconds / 1e3 / (repeats * once)), LEAST_ROUNDS, MOST_ROUNDS);
        double[] times = new double[rounds];
        try (CudaGraph graph = stream.record(() -> {
            for (int i = 0; i < repeats; i++) {
                call.accept(i);
            }
        })) {
            graph.launch(stream);
            for (int round = 0; round < rounds; round++) {
                from.record(stream);
                graph.launch(stream);
                to.record(stream);
                to.synchronize();
                times[round] = to.millisecondsSince(from) / 1e3 / repeats;
            }
        }
        Arrays.sort(times);
        return times[rounds / 2];
    }

    /** Random bits, repeated from the first mebibyte on; any bits are codes. */
    private DeviceBuffer random(long bytes) {
        DeviceBuffer buffer = context.allocate(bytes, "random bytes");
        long have = Math.min(bytes, RANDOM_BYTES);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment host = arena.allocate(have, 16);
            SplittableRandom random = new SplittableRandom(bytes);
            for (long i = 0; i + 8 <= have; i += 8) {
                host.set(ValueLayout.JAVA_LONG, i, random.nextLong());
            }
            buffer.copyFrom(host, 0, stream);
            stream.synchronize();
        }
        for (; have < bytes; have *= 2) {
            buffer.copyFrom(buffer, 0, have, Math.min(have, bytes - have), stream);
        }
        stream.synchronize();
        return buffer;
    }

    /** Normal floats, repeated where there are many. */
    private DeviceBuffer normal(long count) {
        DeviceBuffer buffer = context.allocate(4 * count, "random floats");
        long have = Math.min(count, RANDOM_BYTES / 4);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment host = arena.allocate(4 * have, 16);
            SplittableRandom random = new SplittableRandom(count);
            for (long i = 0; i < have; i++) {
                host.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
            }
            buffer.copyFrom(host, 0, stream);
            stream.synchronize();
        }
        for (; have < count; have *= 2) {
            buffer.copyFrom(buffer, 0, 4 * have, 4 * Math.min(have, count - have), stream);
        }
        stream.synchronize();
        return buffer;
    }

    @Override
    public void close() {
        owned.close();
    }
}

package dev.gosset.cli;

import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.hadamard.HadamardTransform;
import dev.gosset.core.kernel.Kernels;
import dev.gosset.core.kernel.contract.PreparedMatrix;
import dev.gosset.core.kernel.contract.TransformKernel;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.device.Device;
import dev.gosset.llm.device.DeviceBackend;
import dev.gosset.llm.device.DeviceKernels;
import dev.gosset.llm.model.Model;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code gosset bench}: how fast the kernels are here, beside the scalar oracle and what the machine can do at best. */
@Command(
        name = "bench",
        description = {
            "Measures the kernels on random data, on the processor and on a GPU side by side, and a model with --model, in"
                    + " about a minute.",
            "Each rate stands beside its physical limit, measured in the same run: copying as many bytes for the transform"
                    + " and for the search (on the GPU), reading as many for the product; the processor's beside the scalar"
                    + " kernels' too. The GPU transforms many vectors at a time and its launches are not counted."
        })
final class BenchCommand implements Runnable {
    private static final int[] BATCHES = {1, 8};
    /** Vectors of one search on the processor. */
    private static final int ENCODED = 1024;
    /** Below this many milliseconds figures are only a sign of life. */
    private static final int QUICK = 50;

    private static final int ORACLE_ROWS = 8;
    private static final long READ_BYTES = 256L << 20;
    private static final long POLL_NANOS = 20_000_000;

    /** What was read: without it the compiler would leave the reading out. */
    @SuppressWarnings("UnusedVariable")
    private static volatile long read;

    @Spec
    private CommandSpec spec;

    @Mixin
    private CommonOptions common;

    @Mixin
    private CommonOptions.Run run;

    @Mixin
    private StorageFlags storage;

    @Option(
            names = "--model",
            paramLabel = "DIR",
            converter = Arguments.Model.class,
            description = "Also measure prefill and decoding with this model, on the processor and on every GPU.")
    private Path model;

    @Option(
            names = "--chart",
            paramLabel = "FILE.svg",
            description = "With --model: draw the model's figures, processor beside GPU.")
    private Path chart;

    @Option(
            names = "--milliseconds",
            paramLabel = "N",
            defaultValue = "250",
            description = "How long to measure each figure; default: ${DEFAULT-VALUE}.")
    private int milliseconds;

    @Option(
            names = "--sizes",
            split = ",",
            paramLabel = "N",
            defaultValue = "1024,4096,11008,14336,16384",
            description = "Lengths of transforms; default: ${DEFAULT-VALUE}.")
    private List<Integer> sizes;

    @Option(
            names = "--shapes",
            split = ",",
            paramLabel = "ROWSxCOLUMNS",
            defaultValue = "4096x4096,11008x4096",
            description = "Shapes of products; default: ${DEFAULT-VALUE}.")
    private List<String> shapes;

    /**
     * One figure.
     *
     * @param rate units a second
     * @param scalar how many times as fast as the scalar kernels, or NaN
     * @param ofLimit the rate as a part of what the limit would allow, or NaN
     * @param onGpu units a second on the GPU, or NaN
     * @param ofGpuLimit as a part of what its memory would allow, or NaN
     */
    private record Figure(
            String what,
            String size,
            int threads,
            double rate,
            String unit,
            double scalar,
            double ofLimit,
            String limit,
            double onGpu,
            double ofGpuLimit) {
        /** With what the GPU makes of so many units. */
        Figure with(double units, DeviceKernels.Work onDevice) {
            DeviceKernels.Timing timing;
            try (onDevice) {
                timing = onDevice.time();
            }
            return new Figure(
                    what,
                    size,
                    threads,
                    rate,
                    unit,
                    scalar,
                    ofLimit,
                    limit,
                    units / timing.seconds(),
                    timing.ofLimit());
        }
    }

    /** A GPU to measure, or the sentence that says why there is none. */
    private record Gpu(DeviceKernels kernels, String sentence) implements AutoCloseable {
        @Override
        public void close() {
            if (kernels != null) {
                kernels.close();
            }
        }
    }

    /** The GPU of --device, or the first there is. */
    private Gpu gpu() {
        Device device = run.device.isCpu() ? new Device("cuda", 0) : run.device;
        DeviceBackend backend =
                run.device.isCpu() ? DeviceBackend.find(device.kind()).orElse(null) : DeviceBackend.require(device);
        if (backend == null || !backend.isUsable()) {
            return new Gpu(null, backend == null ? "this program has no GPU backend" : backend.description());
        }
        DeviceKernels kernels = backend.kernels(device.index(), milliseconds);
        return new Gpu(kernels, kernels.device());
    }

    @Override
    public void run() {
        if (milliseconds < 1 || milliseconds > 10_000) {
            throw new picocli.CommandLine.ParameterException(
                    spec.commandLine(), "--milliseconds must be from 1 to 10000, found " + milliseconds);
        }
        List<int[]> products = shapes.stream().map(this::shape).toList();
        if (sizes.stream().anyMatch(n -> n < 1 || n > 1 << 20)) {
            throw new picocli.CommandLine.ParameterException(
                    spec.commandLine(), "--sizes must be from 1 to 1048576, found " + sizes);
        }
        if (chart != null && model == null) {
            throw new picocli.CommandLine.ParameterException(
                    spec.commandLine(), "--chart draws the figures of a model: name one with --model");
        }
        OutputFile.requireWritable(chart);
        List<Figure> figures = new ArrayList<>();
        List<ModelBenchmark.Figure> models = List.of();
        String gpuSentence;
        try (ThreadTeam team = run.team(spec);
                Model opened = model == null ? null : Model.open(model, storage.options(spec), team)) {
            try (Gpu gpu = gpu()) {
                gpuSentence = gpu.sentence();
                for (int n : sizes) {
                    figures.add(transform(n, gpu.kernels()));
                }
                for (int[] shape : products) {
                    for (int bits = 2; bits <= 4; bits++) {
                        for (int batch : BATCHES) {
                            figures.add(product(bits, shape[0], shape[1], batch, team, gpu.kernels()));
                        }
                    }
                }
                for (int bits = 2; bits <= 4; bits++) {
                    figures.add(encode(bits, gpu.kernels()));
                }
            }
            if (opened != null) {
                models = new ModelBenchmark(opened, team, run.device, storage.options(spec))
                        .measure(readBandwidth(team));
            }
        }
        try {
            if (chart != null) {
                OutputFile.write(chart, ModelChart.svg(model.toString(), models).getBytes(StandardCharsets.UTF_8));
            }
        } finally {
            report(figures, gpuSentence, models);
        }
    }

    private int[] shape(String text) {
        if (!text.matches("[1-9]\\d{0,5}x[1-9]\\d{0,5}")) {
            throw new picocli.CommandLine.ParameterException(
                    spec.commandLine(), "--shapes are ROWSxCOLUMNS such as 4096x4096, found '" + text + "'");
        }
        int by = text.indexOf('x');
        return new int[] {Integer.parseInt(text.substring(0, by)), Integer.parseInt(text.substring(by + 1))};
    }

    private void report(List<Figure> figures, String gpu, List<ModelBenchmark.Figure> models) {
        if (common.json) {
            List<Map<String, Object>> rows = new ArrayList<>();
            for (Figure f : figures) {
                Map<String, Object> row = new LinkedHashMap<>();
                row.put("what", f.what());
                row.put("size", f.size());
                row.put("threads", f.threads());
                row.put("per_second", f.rate());
                row.put("unit", f.unit());
                if (!Double.isNaN(f.scalar())) {
                    row.put("times_scalar", f.scalar());
                }
                if (!Double.isNaN(f.ofLimit())) {
                    row.put("of_limit", f.ofLimit());
                    row.put("limit", f.limit());
                }
                if (!Double.isNaN(f.onGpu())) {
                    row.put("gpu_per_second", f.onGpu());
                    row.put("gpu_of_limit", f.ofGpuLimit());
                }
                rows.add(row);
            }
            Map<String, Object> fields = new LinkedHashMap<>();
            fields.put("kernels", Kernels.selection());
            fields.put("gpu", gpu);
            fields.put("figures", rows);
            if (!models.isEmpty()) {
                fields.put("model", model.toString());
                fields.put(
                        "model_figures",
                        models.stream().map(ModelBenchmark.Figure::fields).toList());
            }
            common.printJson(fields);
            return;
        }
        System.out.println("kernels: " + String.join("; ", Kernels.selection()));
        System.out.println("gpu: " + gpu);
        String row = "%-9s  %-22s  %7s  %18s  %8s  %-16s  %18s  %s%n";
        System.out.printf(
                Locale.ROOT, row, "what", "size", "threads", "cpu", "x scalar", "of limit", "gpu", "of limit");
        for (Figure f : figures) {
            System.out.printf(
                    Locale.ROOT,
                    row,
                    f.what(),
                    f.size(),
                    f.threads(),
                    rate(f.rate(), f.unit()),
                    Double.isNaN(f.scalar()) ? "" : String.format(Locale.ROOT, "%.1f", f.scalar()),
                    Double.isNaN(f.ofLimit()) ? "" : percent(f.ofLimit()) + " of " + f.limit(),
                    Double.isNaN(f.onGpu()) ? "none" : rate(f.onGpu(), f.unit()),
                    Double.isNaN(f.onGpu()) ? "" : percent(f.ofGpuLimit()) + " of copying");
        }
        models.forEach(f -> System.out.println(f.line()));
        System.out.println(
                "Other programs on this machine make every figure smaller; `make bench` in a checkout measures"
                        + " against C, llama.cpp, Jlama and OpenBLAS.");
    }

    /** A GPU needs many vectors to be busy. */
    private int transformedOnGpu() {
        return milliseconds < QUICK ? 16 : 4096;
    }

    private int encodedOnGpu() {
        return milliseconds < QUICK ? ENCODED : 64 * ENCODED;
    }

    private static String rate(double perSecond, String unit) {
        return String.format(Locale.ROOT, "%.2f G%s/s", perSecond / 1e9, unit);
    }

    private static String percent(double part) {
        return String.format(Locale.ROOT, "%.0f%%", 100 * part);
    }

    // ------------------------------------------------------------------------------------------------ the work

    private Figure transform(int n, DeviceKernels gpu) {
        try (Arena arena = Arena.ofConfined()) {
            HadamardTransform transform = HadamardTransform.of(n);
            MemorySegment x = normal(arena, n);
            MemorySegment to = arena.allocate(4L * n, 64);
            double ours = rate(n, transforming(Kernels.selected().transform(), transform, x, arena));
            double scalar = rate(n, transforming(Kernels.scalar().transform(), transform, x, arena));
            double limit = rate(n, () -> to.copyFrom(x));
            Figure figure =
                    figure("transform", Integer.toString(n), 1, ours, "floats", scalar, ours / limit, "copying");
            return gpu == null
                    ? figure
                    : figure.with((double) n * transformedOnGpu(), gpu.transform(n, transformedOnGpu()));
        }
    }

    private static Runnable transforming(
            TransformKernel kernel, HadamardTransform transform, MemorySegment x, Arena arena) {
        MemorySegment scratch = arena.allocate(Math.max(64, kernel.scratchBytes(transform)), 64);
        return () -> kernel.apply(transform, false, x, 1, scratch);
    }

    private static Figure figure(
            String what,
            String size,
            int threads,
            double rate,
            String unit,
            double scalar,
            double ofLimit,
            String limit) {
        return new Figure(what, size, threads, rate, unit, rate / scalar, ofLimit, limit, Double.NaN, Double.NaN);
    }

    private Figure product(int bits, int rows, int cols, int batch, ThreadTeam team, DeviceKernels gpu) {
        try (Arena arena = Arena.ofShared();
                Workspace workspace = new Workspace(team)) {
            CodeMatrix codes = CodeMatrix.allocate(arena, Codebook.ofBits(bits), rows, cols);
            SplittableRandom random = new SplittableRandom(bits);
            for (long i = 0; i + 8 <= codes.data().byteSize(); i += 8) {
                codes.data().set(ValueLayout.JAVA_LONG_UNALIGNED, i, random.nextLong());
            }
            MemorySegment x = normal(arena, cols);
            FloatMatrix y = FloatMatrix.allocate(arena, batch, rows);
            PreparedMatrix prepared = Kernels.selected().matvec().prepare(codes, arena);
            MemorySegment input = arena.allocate(batch * prepared.inputBytes(), 64);
            int tile = Math.ceilDiv(Math.max(16, (1 << 19) / cols), prepared.rowStep()) * prepared.rowStep();
            boolean fromMemory = prepared.bytes() > PreparedMatrix.BEYOND_CACHES;
            double weights = (double) rows * cols;
            double ours = rate(weights, () -> {
                if (batch == 1) {
                    prepared.multiplyOne(x, y.data(), tile, fromMemory, workspace);
                    return;
                }
                for (int i = 0; i < batch; i++) {
                    prepared.prepareInput(x, input, i * prepared.inputBytes());
                }
                workspace.run(
                        Math.ceilDiv(rows, tile),
                        prepared.scratchBytes(batch, tile),
                        (i, scratch) -> prepared.multiply(
                                input, batch, y.data(), 4L * rows, i * tile, Math.min(rows, (i + 1) * tile), scratch));
            });
            int few = Math.min(rows, ORACLE_ROWS);
            // The oracle takes one vector at a time.
            double scalar = batch > 1
                    ? Double.NaN
                    : rate((double) few * cols, () -> Kernels.scalar().matvec().matvec(codes, x, y.data(), 0, few));
            MemorySegment data = codes.data();
            int shares = team.threads();
            long share = data.byteSize() / shares & -8L;
            double limit = rate(weights, () -> team.run(shares, i -> read(data.asSlice(i * share, share))));
            Figure figure = figure(
                    bits + " bits",
                    rows + " x " + cols + " batch " + batch,
                    team.threads(),
                    batch * ours,
                    "weights",
                    scalar,
                    ours / limit,
                    "reading");
            return gpu == null
                    ? figure
                    : figure.with(batch * weights, gpu.product(Codebook.ofBits(bits), rows, cols, batch));
        }
    }

    private Figure encode(int bits, DeviceKernels gpu) {
        try (Arena arena = Arena.ofConfined()) {
            Codebook codebook = Codebook.ofBits(bits);
            MemorySegment x = normal(arena, 8 * ENCODED);
            MemorySegment values = arena.allocate(32L * ENCODED, 64);
            MemorySegment codes = arena.allocate(4L * ENCODED, 64);
            int few = ENCODED / 64;
            double ours =
                    rate(8.0 * ENCODED, () -> Kernels.selected().encode().nearest(codebook, x, ENCODED, values, codes));
            double scalar = rate(8.0 * few, () -> Kernels.scalar().encode().nearest(codebook, x, few, values, codes));
            Figure figure = figure("encode", bits + " bits", 1, ours, "weights", scalar, Double.NaN, "");
            return gpu == null ? figure : figure.with(8.0 * encodedOnGpu(), gpu.encode(codebook, encodedOnGpu()));
        }
    }

    /** Bytes a second that all threads together read from memory, far more than the caches hold. */
    private double readBandwidth(ThreadTeam team) {
        try (Arena arena = Arena.ofShared()) {
            MemorySegment data = arena.allocate(READ_BYTES, 64);
            data.fill((byte) 1);
            long share = READ_BYTES / team.threads() & -64L;
            return rate(
                    (double) share * team.threads(),
                    () -> team.run(team.threads(), i -> read(data.asSlice(i * share, share))));
        }
    }

    /** A loop that C2 makes vectors of. */
    private static void read(MemorySegment data) {
        long sum = 0;
        for (long i = 0; i < data.byteSize() / 8; i++) {
            sum += data.getAtIndex(ValueLayout.JAVA_LONG_UNALIGNED, i);
        }
        read = sum;
    }

    // --------------------------------------------------------------------------------------------- measuring it

    /**
     * Runs until the JIT compiler rests and no run has been clearly faster than all before for a while.
     *
     * @return nanoseconds of the fastest run
     */
    private long warm(Runnable body) {
        long start = System.nanoTime();
        long improved = start;
        long polled = start;
        long compiled = compilerNanos();
        long fastest = Long.MAX_VALUE;
        while (true) {
            long t = System.nanoTime();
            body.run();
            long now = System.nanoTime();
            if (now - t < 0.9 * fastest) {
                improved = now;
            }
            if (now - polled > POLL_NANOS) {
                polled = now;
                long compiling = compilerNanos();
                if (compiling - compiled > POLL_NANOS) {
                    compiled = compiling;
                    improved = now;
                }
            }
            fastest = Math.min(fastest, now - t);
            long quiet = Math.max(milliseconds * 500_000L, (now - start) / 4);
            if (now - start >= milliseconds * 1_000_000L && (milliseconds < QUICK || now - improved >= quiet)) {
                return fastest;
            }
        }
    }

    /** CPU time of everything in this JVM that is not a Java thread: compilers and collectors. */
    private static long compilerNanos() {
        if (!(ManagementFactory.getOperatingSystemMXBean() instanceof com.sun.management.OperatingSystemMXBean os)) {
            return 0;
        }
        long others = os.getProcessCpuTime();
        for (long id : ManagementFactory.getThreadMXBean().getAllThreadIds()) {
            others -= Math.max(0, ManagementFactory.getThreadMXBean().getThreadCpuTime(id));
        }
        return others;
    }

    /** Units a second in the best of the slices that fit into the time, once warm. */
    private double rate(double units, Runnable body) {
        long fastest = warm(body);
        int repeats = (int) Math.max(1, milliseconds * 50_000L / Math.max(1, fastest));
        double best = Double.POSITIVE_INFINITY;
        long measured = System.nanoTime();
        do {
            long t = System.nanoTime();
            for (int i = 0; i < repeats; i++) {
                body.run();
            }
            best = Math.min(best, (System.nanoTime() - t) / (double) repeats);
        } while (System.nanoTime() - measured < milliseconds * 1_000_000L);
        return units / best * 1e9;
    }

    private static MemorySegment normal(Arena arena, int count) {
        MemorySegment x = arena.allocate(4L * (count + 7 & -8), 64);
        SplittableRandom random = new SplittableRandom(count);
        for (int i = 0; i < count; i++) {
            x.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
        }
        return x;
    }
}

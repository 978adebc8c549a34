package dev.gosset.cli;

import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.hadamard.HadamardTransform;
import dev.gosset.core.kernel.Kernels;
import dev.gosset.core.kernel.PreparedMatrix;
import dev.gosset.core.kernel.TransformKernel;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.model.Model;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
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
            "Measures the kernels on random data, and a model with --model, in less than a minute.",
            "Each rate stands beside the scalar kernels' and, where it has one, its physical limit: copying as many bytes"
                    + " for the transform, reading as many for the product."
        })
final class BenchCommand implements Runnable {
    private static final int[] SIZES = {1024, 4096, 11008, 14336, 16384};
    private static final String[] SHAPES = {"4096x4096", "11008x4096"};
    private static final int ORACLE_ROWS = 8;
    private static final long READ_BYTES = 256L << 20;
    private static final long POLL_NANOS = 20_000_000;

    @Spec
    private CommandSpec spec;

    @Mixin
    private CommonOptions common;

    @Mixin
    private CommonOptions.Run run;

    @Option(
            names = "--model",
            paramLabel = "DIR",
            description = "Also measure prefill and decoding with this model, on the processor and on every GPU.")
    private Path model;

    @Option(
            names = "--milliseconds",
            paramLabel = "N",
            defaultValue = "250",
            description = "How long to measure each figure; default: ${DEFAULT-VALUE}.")
    private int milliseconds;

    /**
     * One figure.
     *
     * @param rate units a second
     * @param scalar how many times as fast as the scalar kernels, or NaN
     * @param ofLimit the rate as a part of what the limit would allow, or NaN
     */
    private record Figure(
            String what,
            String size,
            int threads,
            double rate,
            String unit,
            double scalar,
            double ofLimit,
            String limit) {}

    @Override
    public void run() {
        if (milliseconds < 1 || milliseconds > 10_000) {
            throw new picocli.CommandLine.ParameterException(
                    spec.commandLine(), "--milliseconds must be from 1 to 10000, found " + milliseconds);
        }
        List<Figure> figures = new ArrayList<>();
        List<ModelBenchmark.Figure> models = List.of();
        try (ThreadTeam team = run.team(spec);
                Model opened = model == null ? null : Model.open(model)) {
            for (int n : SIZES) {
                figures.add(transform(n));
            }
            for (String shape : SHAPES) {
                for (int bits = 2; bits <= 4; bits++) {
                    int by = shape.indexOf('x');
                    figures.add(product(
                            bits,
                            Integer.parseInt(shape.substring(0, by)),
                            Integer.parseInt(shape.substring(by + 1)),
                            team));
                }
            }
            if (opened != null) {
                models = new ModelBenchmark(opened, team, run.device, run.options(spec)).measure(readBandwidth(team));
            }
        }
        report(figures, models);
    }

    private void report(List<Figure> figures, List<ModelBenchmark.Figure> models) {
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
                rows.add(row);
            }
            Map<String, Object> fields = new LinkedHashMap<>();
            fields.put("kernels", Kernels.selection());
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
        String row = "%-9s  %-18s  %7s  %18s  %8s  %s%n";
        System.out.printf(row, "what", "size", "threads", "rate", "x scalar", "of limit");
        for (Figure f : figures) {
            boolean small = f.unit().equals("tokens");
            System.out.printf(
                    row,
                    f.what(),
                    f.size(),
                    f.threads(),
                    String.format(
                            Locale.ROOT,
                            small ? "%.1f %s/s" : "%.2f G%s/s",
                            small ? f.rate() : f.rate() / 1e9,
                            f.unit()),
                    Double.isNaN(f.scalar()) ? "" : String.format(Locale.ROOT, "%.1f", f.scalar()),
                    Double.isNaN(f.ofLimit())
                            ? ""
                            : String.format(Locale.ROOT, "%.0f%% of %s", 100 * f.ofLimit(), f.limit()));
        }
        models.forEach(f -> System.out.println(f.line()));
        System.out.println(
                "Other programs on this machine make every figure smaller; `make bench` in a checkout measures"
                        + " against C, llama.cpp, Jlama and OpenBLAS.");
    }

    // ------------------------------------------------------------------------------------------------ the work

    private Figure transform(int n) {
        try (Arena arena = Arena.ofConfined()) {
            HadamardTransform transform = HadamardTransform.of(n);
            MemorySegment x = normal(arena, n);
            MemorySegment to = arena.allocate(4L * n, 64);
            double ours = rate(n, transforming(Kernels.selected().transform(), transform, x, arena));
            double scalar = rate(n, transforming(Kernels.scalar().transform(), transform, x, arena));
            double limit = rate(n, () -> to.copyFrom(x));
            return new Figure(
                    "transform", Integer.toString(n), 1, ours, "floats", ours / scalar, ours / limit, "copying");
        }
    }

    private static Runnable transforming(
            TransformKernel kernel, HadamardTransform transform, MemorySegment x, Arena arena) {
        MemorySegment scratch = arena.allocate(Math.max(64, kernel.scratchBytes(transform)), 64);
        return () -> kernel.apply(transform, false, x, 1, scratch);
    }

    private Figure product(int bits, int rows, int cols, ThreadTeam team) {
        try (Arena arena = Arena.ofShared();
                Workspace workspace = new Workspace(team)) {
            CodeMatrix codes = CodeMatrix.allocate(arena, Codebook.ofBits(bits), rows, cols);
            SplittableRandom random = new SplittableRandom(bits);
            for (long i = 0; i + 8 <= codes.data().byteSize(); i += 8) {
                codes.data().set(ValueLayout.JAVA_LONG_UNALIGNED, i, random.nextLong());
            }
            MemorySegment x = normal(arena, cols);
            FloatMatrix y = FloatMatrix.allocate(arena, 1, rows);
            PreparedMatrix prepared = Kernels.selected().matvec().prepare(codes, arena);
            MemorySegment input = arena.allocate(prepared.inputBytes(), 64);
            int tile = Math.ceilDiv(Math.max(16, (1 << 19) / cols), prepared.rowStep()) * prepared.rowStep();
            double weights = (double) rows * cols;
            double ours = rate(weights, () -> {
                prepared.prepareInput(x, input, 0);
                workspace.run(
                        Math.ceilDiv(rows, tile),
                        prepared.scratchBytes(1, tile),
                        (i, scratch) -> prepared.multiply(
                                input, 1, y.data(), 4L * rows, i * tile, Math.min(rows, (i + 1) * tile), scratch));
            });
            double scalar = rate(
                    (double) ORACLE_ROWS * cols,
                    () -> Kernels.scalar().matvec().matvec(codes, x, y.data(), 0, ORACLE_ROWS));
            MemorySegment data = codes.data();
            int shares = team.threads();
            long share = data.byteSize() / shares & -64L;
            double limit = rate(weights, () -> team.run(shares, i -> read(data.asSlice(i * share, share))));
            return new Figure(
                    bits + " bits",
                    rows + " x " + cols,
                    team.threads(),
                    ours,
                    "weights",
                    ours / scalar,
                    ours / limit,
                    "reading");
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
        if (sum == 42) {
            throw new IllegalStateException("random codes do not add up so");
        }
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
            if (now - start >= milliseconds * 1_000_000L && (milliseconds < 50 || now - improved >= quiet)) {
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

package dev.gosset.bench;

import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.blas.Blas;
import dev.gosset.core.blas.Operand;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.hadamard.HadamardTransform;
import dev.gosset.core.kernel.Kernels;
import dev.gosset.core.kernel.QuantizedProduct;
import dev.gosset.core.kernel.contract.EncodeKernel;
import dev.gosset.core.kernel.contract.MatvecKernel;
import dev.gosset.core.kernel.contract.PreparedMatrix;
import dev.gosset.core.kernel.contract.TransformKernel;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.core.rounding.Hessian;
import dev.gosset.core.rounding.LinearQuantizer;
import dev.gosset.core.rounding.RoundingSettings;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/** The work that is measured, each at any size. */
final class Cases {
    static final String TRANSFORM = "transform";
    static final String MATVEC = "matvec";
    static final String LINEAR = "linear";
    static final String PREFILL = "prefill";
    static final String ENCODE = "encode";
    static final String QUANTIZE = "quantize layer";
    static final String MEMORY = "memory";
    static final String CLOCK = "clock";

    /** Names of contenders. */
    static final String C = "C";

    static final String C_VNNI = "C VNNI";
    static final String IQ2_XXS = "IQ2_XXS";
    static final String IQ2_XS = "IQ2_XS";
    static final String SGEMV = "SGEMV";
    static final String SGEMM = "SGEMM";

    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

    /** Rows that the scalar oracle multiplies where the whole matrix would take a second. */
    private static final int ORACLE_ROWS = 8;

    /** Weights of the largest matrix that is also multiplied dense, in 4 bytes each. */
    private static final double LARGEST_DENSE = 6e7;

    private Cases() {}

    /** The first number of a shape such as 4096x11008. */
    static int rows(String shape) {
        return Integer.parseInt(shape.substring(0, shape.indexOf('x')));
    }

    /** The second. */
    static int cols(String shape) {
        return Integer.parseInt(shape.substring(shape.indexOf('x') + 1));
    }

    // ------------------------------------------------------------------------------------------------- transform

    /** One vector of n floats in place, over and over: it stays in the cache where it fits. Work: floats. */
    static Case transform(int n) {
        Resources resources = new Resources();
        Arena arena = resources.arena();
        HadamardTransform transform = HadamardTransform.of(n);
        List<Case.Contender> contenders = new ArrayList<>();
        for (Kernels kernels : List.of(Kernels.selected(), Kernels.scalar())) {
            TransformKernel kernel = kernels.transform();
            MemorySegment x = Fixtures.normal(arena, n, 1, n);
            MemorySegment scratch = arena.allocate(Math.max(64, kernel.scratchBytes(transform)), 64);
            contenders.add(new Case.Contender(
                    contenders.isEmpty() ? Case.OURS : Case.ORACLE,
                    n,
                    () -> kernel.apply(transform, false, x, 1, scratch)));
        }
        MemorySegment from = Fixtures.normal(arena, n, 1, n + 1);
        MemorySegment to = arena.allocate(4L * n, 64);
        if (CPeer.isPresent()) {
            MemorySegment x = Fixtures.normal(arena, n, 1, n);
            MemorySegment scratch = arena.allocate(256L * transform.k(), 64);
            MemorySegment matrix = transform.smallMatrix();
            contenders.add(new Case.Contender(C, n, () -> CPeer.transform(transform, matrix, false, x, scratch)));
            contenders.add(new Case.Contender(Case.LIMIT + "memcpy", n, () -> CPeer.copy(to, from)));
        } else {
            contenders.add(new Case.Contender(Case.LIMIT + "memcpy", n, () -> to.copyFrom(from)));
        }
        return new Case(TRANSFORM, Integer.toString(n), 1, "floats", contenders, resources);
    }

    // ---------------------------------------------------------------------------------------------------- matvec

    /** Rows of a task, for all contenders: as many as {@link QuantizedProduct} gives to one. */
    private static int tileRows(int cols) {
        return Math.max(16, (1 << 19) / cols & -16);
    }

    /**
     * {@code y = Q x} at unit scale, codes to sums, without the transforms. Ours multiplies the prepared matrix, as {@link
     * QuantizedProduct} does, and prepares x in every run. Work: weights.
     */
    static Case matvec(int bits, int rows, int cols, int threads) {
        Resources resources = new Resources();
        Arena arena = resources.arena();
        ThreadTeam team = resources.keep(new ThreadTeam(threads));
        CodeMatrix codes = Fixtures.codes(arena, bits, rows, cols, 1);
        double weights = (double) rows * cols;
        int padded = 8 * codes.groups();
        MemorySegment x = arena.allocate(4L * padded, 64);
        x.copyFrom(Fixtures.normal(arena, cols, 1, 2));
        MemorySegment y = arena.allocate(4L * rows, 64);
        PreparedMatrix ours = Kernels.selected().matvec().prepare(codes, arena);
        int tile = Math.ceilDiv(tileRows(padded), ours.rowStep()) * ours.rowStep();
        int tiles = Math.ceilDiv(rows, tile);
        Workspace workspace = resources.keep(new Workspace(team));
        List<Case.Contender> contenders = new ArrayList<>();
        boolean fromMemory = ours.bytes() > PreparedMatrix.BEYOND_CACHES;
        contenders.add(
                new Case.Contender(Case.OURS, weights, () -> ours.multiplyOne(x, y, tile, fromMemory, workspace)));
        MatvecKernel oracle = Kernels.scalar().matvec();
        int few = Math.min(rows, ORACLE_ROWS);
        if (threads == 1) {
            contenders.add(
                    new Case.Contender(Case.ORACLE, (double) few * cols, () -> oracle.matvec(codes, x, y, 0, few)));
        }
        if (CPeer.isPresent()) {
            contenders.add(new Case.Contender(
                    C,
                    weights,
                    () -> team.run(tiles, i -> CPeer.matvec(codes, x, y, i * tile, Math.min(rows, (i + 1) * tile)))));
        }
        if (CPeer.packs(codes)) {
            MemorySegment packed = arena.allocate(codes.data().byteSize(), 64);
            CPeer.pack(codes, packed);
            // One share per thread: each call quantizes x anew.
            int share = Math.ceilDiv(rows / 16, threads) * 16;
            List<MemorySegment> scratch = new ArrayList<>();
            for (int i = 0; i < threads; i++) {
                scratch.add(arena.allocate(10L * codes.groups() + 64, 64));
            }
            contenders.add(new Case.Contender(
                    C_VNNI,
                    weights,
                    () -> team.run(
                            threads,
                            i -> CPeer.matvecVnni(
                                    packed,
                                    codes.groups(),
                                    x,
                                    y,
                                    i * share,
                                    Math.min(rows, (i + 1) * share),
                                    scratch.get(i)))));
        }
        if (bits == 2 && Ggml.isPresent() && cols % 256 == 0) {
            Ggml xxs = resources.keep(new Ggml(Ggml.IQ2_XXS, rows, cols, threads, 3));
            Ggml xs = resources.keep(new Ggml(Ggml.IQ2_XS, rows, cols, threads, 4));
            contenders.add(new Case.Contender(IQ2_XXS, weights * xxs.products(), xxs::run));
            contenders.add(new Case.Contender(IQ2_XS, weights * xs.products(), xs::run));
        }
        if (threads == 1 && weights <= LARGEST_DENSE) {
            MemorySegment dense = Fixtures.normal(arena, (long) rows * cols, 1, 5);
            contenders.add(
                    new Case.Contender(SGEMV, weights, () -> Blas.gemv(Operand.floats(dense, rows, cols), x, y)));
        }
        // The codes' bytes, read again and again: from whichever cache they fit in, like the codes themselves.
        MemorySegment bytes = arena.allocate(codes.data().byteSize() + 511 & -512L, 64);
        Fixtures.randomBytes(bytes, 6);
        contenders.add(new Case.Contender(Case.LIMIT + "read", weights, read(team, bytes)));
        return new Case(MATVEC, bits + " bit " + rows + "x" + cols, threads, "weights", contenders, resources);
    }

    /** Our product alone, with a batch of vectors that share the decoding of each code. Work: weights times vectors. */
    static Case product(int bits, int rows, int cols, int batch, int threads) {
        Resources resources = new Resources();
        Arena arena = resources.arena();
        Workspace workspace = resources.keep(new Workspace(resources.keep(new ThreadTeam(threads))));
        CodeMatrix codes = Fixtures.codes(arena, bits, rows, cols, 1);
        int padded = 8 * codes.groups();
        MemorySegment x = arena.allocate(4L * padded, 64);
        x.copyFrom(Fixtures.normal(arena, cols, 1, 2));
        MemorySegment y = arena.allocate(4L * rows * batch, 64);
        PreparedMatrix ours = Kernels.selected().matvec().prepare(codes, arena);
        int tile = Math.ceilDiv(tileRows(padded), ours.rowStep()) * ours.rowStep();
        MemorySegment inputs = arena.allocate(batch * ours.inputBytes(), 64);
        Case.Contender contender = new Case.Contender(Case.OURS, (double) rows * cols * batch, () -> {
            for (int i = 0; i < batch; i++) {
                ours.prepareInput(x, inputs, i * ours.inputBytes());
            }
            workspace.run(
                    Math.ceilDiv(rows, tile),
                    ours.scratchBytes(batch, tile),
                    (i, scratch) -> ours.multiply(
                            inputs, batch, y, 4L * rows, i * tile, Math.min(rows, (i + 1) * tile), scratch));
        });
        String size = bits + " bit " + rows + "x" + cols + " batch " + batch;
        return new Case(MATVEC, size, threads, "weights", List.of(contender), resources);
    }

    /** Reads a segment with all threads of a team, in equal shares. */
    static Runnable read(ThreadTeam team, MemorySegment bytes) {
        long share = bytes.byteSize() / team.threads() & -512L;
        return () -> team.run(team.threads(), i -> {
            MemorySegment part = bytes.asSlice(i * share, share);
            if (CPeer.isPresent()) {
                CPeer.read(part);
            } else {
                readInJava(part);
            }
        });
    }

    /** A plain loop, which C2 vectorizes. */
    private static void readInJava(MemorySegment data) {
        long sum = 0;
        for (long i = 0; i < data.byteSize() / 8; i++) {
            sum ^= data.getAtIndex(ValueLayout.JAVA_LONG, i);
        }
        if (sum == 42) {
            throw new IllegalStateException("random bytes do not add up so");
        }
    }

    // ---------------------------------------------------------------------------------------------------- linear

    /** The whole quantized linear, signs and transforms included, for a batch of rows. Work: weights times rows. */
    static Case linear(int bits, int rows, int cols, int batch, int threads) {
        Resources resources = new Resources();
        Arena arena = resources.arena();
        ThreadTeam team = resources.keep(new ThreadTeam(threads));
        Workspace workspace = resources.keep(new Workspace(team));
        QuantizedLinear linear = Fixtures.linear(arena, bits, rows, cols, 1);
        FloatMatrix x = Fixtures.matrix(arena, batch, cols, 1, 2);
        FloatMatrix y = FloatMatrix.allocate(arena, batch, rows);
        double work = (double) rows * cols * batch;
        List<Case.Contender> contenders = new ArrayList<>();
        Kernels kernels = Kernels.selected();
        QuantizedProduct ours = new QuantizedProduct(linear, kernels.transform(), kernels.matvec(), arena);
        contenders.add(new Case.Contender(Case.OURS, work, () -> ours.apply(x, y, workspace)));
        String what = batch >= 64 ? PREFILL : LINEAR;
        if (batch < 64 && threads == 1) {
            int few = Math.min(rows, 64);
            QuantizedLinear part = Fixtures.linear(arena, bits, few, cols, 1);
            FloatMatrix z = FloatMatrix.allocate(arena, batch, few);
            QuantizedProduct oracle = new QuantizedProduct(
                    part, Kernels.scalar().transform(), Kernels.scalar().matvec(), arena);
            contenders.add(
                    new Case.Contender(Case.ORACLE, (double) few * cols * batch, () -> oracle.apply(x, z, workspace)));
        }
        if (batch > 1) {
            FloatMatrix dense = Fixtures.matrix(arena, rows, cols, 1, 3);
            contenders.add(new Case.Contender(
                    SGEMM,
                    work,
                    () -> Blas.gemm(team, 1, Operand.of(x), Operand.of(dense).transpose(), 0, Operand.of(y))));
        }
        return new Case(
                what,
                bits + " bit " + rows + "x" + cols + " batch " + batch,
                threads,
                "weights",
                contenders,
                resources);
    }

    // ---------------------------------------------------------------------------------------------------- encode

    /** Nearest points of {@code count} normal vectors. Work: weights. */
    static Case encode(int bits, int count) {
        Resources resources = new Resources();
        Arena arena = resources.arena();
        Codebook codebook = Codebook.ofBits(bits);
        double scale = codebook.optimalScale();
        MemorySegment x = Fixtures.normal(arena, 8L * count, scale, 1);
        MemorySegment values = arena.allocate(32L * count, 64);
        MemorySegment codes = arena.allocate(4L * count, 64);
        List<Case.Contender> contenders = new ArrayList<>();
        EncodeKernel ours = Kernels.selected().encode();
        contenders.add(
                new Case.Contender(Case.OURS, 8.0 * count, () -> ours.nearest(codebook, x, count, values, codes)));
        EncodeKernel oracle = Kernels.scalar().encode();
        int few = Math.min(count, 64);
        contenders.add(
                new Case.Contender(Case.ORACLE, 8.0 * few, () -> oracle.nearest(codebook, x, few, values, codes)));
        if (bits == 2 && CPeer.isPresent()) {
            contenders.add(new Case.Contender(C, 8.0 * count, () -> CPeer.nearest(x, count, values, codes)));
        }
        return new Case(ENCODE, bits + " bit", 1, "weights", contenders, resources);
    }

    /** A whole layer: incoherence, block LDL, LDLQ with its greedy passes. Work: weights. */
    static Case quantize(int bits, int rows, int cols, int greedyPasses, int threads) {
        Resources resources = new Resources();
        Arena arena = resources.arena();
        ThreadTeam team = resources.keep(new ThreadTeam(threads));
        FloatMatrix w = Fixtures.matrix(arena, rows, cols, 0.02, 1);
        Hessian hessian = hessian(arena, cols);
        RoundingSettings defaults = RoundingSettings.reference(Codebook.ofBits(bits));
        RoundingSettings settings = new RoundingSettings(
                defaults.codebook(),
                defaults.scale(),
                defaults.beam(),
                greedyPasses,
                defaults.sigma(),
                defaults.rescale(),
                defaults.precision());
        Kernels kernels = Kernels.selected();
        LinearQuantizer quantizer = new LinearQuantizer(settings, kernels.encode(), kernels.transform(), team);
        List<LinearQuantizer.Part> parts = List.of(new LinearQuantizer.Part("linear", w));
        Case.Contender ours = new Case.Contender(Case.OURS, (double) rows * cols, () -> {
            try (Arena result = Arena.ofShared()) {
                quantizer.quantize("bench", parts, hessian, 1, result);
            }
        });
        return new Case(
                QUANTIZE,
                bits + " bit " + rows + "x" + cols + ", " + greedyPasses + " passes",
                threads,
                "weights",
                List.of(ours),
                resources);
    }

    /** Second moments of correlated inputs: neighbours share part of their value. */
    private static Hessian hessian(Arena arena, int n) {
        MemorySegment triangle = arena.allocate(4 * Hessian.triangle(n), 64);
        MemorySegment mu = arena.allocate(4L * n, 64);
        for (int i = 0; i < n; i++) {
            for (int j = 0; j <= i; j++) {
                double value = Math.pow(0.9, i - j) * (1 + 0.5 * Math.sin(i)) * (1 + 0.5 * Math.sin(j));
                triangle.setAtIndex(FLOAT, Hessian.triangle(i) + j, (float) value);
            }
        }
        return new Hessian(n, triangle, mu, 1 << 20);
    }

    // --------------------------------------------------------------------------------------------- the machine itself

    /** Reading a buffer that no cache holds. Work: bytes. */
    static Case memory(int threads, long bytes) {
        Resources resources = new Resources();
        Arena arena = resources.arena();
        ThreadTeam team = resources.keep(new ThreadTeam(threads));
        MemorySegment data = arena.allocate(bytes, 64);
        Fixtures.randomBytes(data, 1);
        return new Case(
                MEMORY,
                "read " + (bytes >> 20) + " MiB",
                threads,
                "bytes",
                List.of(new Case.Contender(Case.OURS, bytes, read(team, data))),
                resources);
    }

    /** Dependent multiplications of three cycles each, as many on each thread. Work: cycles, of all threads together. */
    static Case clock(int threads) {
        int count = 1 << 20;
        Resources resources = new Resources();
        ThreadTeam team = resources.keep(new ThreadTeam(threads));
        return new Case(
                CLOCK,
                "core",
                threads,
                "cycles",
                List.of(new Case.Contender(
                        Case.OURS, 3.0 * count * threads, () -> team.run(threads, i -> CPeer.chain(count)))),
                resources);
    }
}

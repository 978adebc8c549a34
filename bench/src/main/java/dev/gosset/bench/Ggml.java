package dev.gosset.bench;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BOOLEAN;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;

/**
 * llama.cpp's own matrix-vector kernels, called in this process: the prebuilt libraries of the npm package
 * node-llama-cpp, of which the CPU variant that scores best on this machine is taken, as llama.cpp does it.
 *
 * <p>A product is a graph of several {@code ggml_mul_mat} with the same matrix, so that what ggml does once per graph
 * (starting threads, planning) weighs little.
 */
final class Ggml implements AutoCloseable {
    /** Why there is no ggml, or null where there is one. */
    static final String ABSENT = obstacle();

    /** ggml_type of the two formats: 256 weights in 66 and in 74 bytes. */
    static final int IQ2_XXS = 16;

    static final int IQ2_XS = 17;

    /** Products in one graph, of a small matrix and of a large one. */
    private static final int MOST_PRODUCTS = 16;

    private static final double WEIGHTS_PER_GRAPH = 3e8;

    private static final StructLayout INIT = MemoryLayout.structLayout(
            JAVA_LONG.withName("mem_size"),
            ADDRESS.withName("mem_buffer"),
            JAVA_BOOLEAN.withName("no_alloc"),
            MemoryLayout.paddingLayout(7));

    private final MemorySegment context;
    private final MemorySegment graph;
    private final int threads;
    private final int products;

    private static Path directory() {
        return Workplace.peers().resolve("llama/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64");
    }

    private static String obstacle() {
        return Files.isRegularFile(directory().resolve("libggml-base.so"))
                ? null
                : "not fetched: run `make bench-peers`, which needs npm (Linux x86-64 only)";
    }

    static boolean isPresent() {
        return ABSENT == null;
    }

    private static final class Native {
        static final SymbolLookup BASE = NativeCall.library(directory().resolve("libggml-base.so"));
        static final Path CPU_FILE = best();
        static final SymbolLookup CPU = NativeCall.library(CPU_FILE);
        static final MethodHandle INITIALIZE = NativeCall.bind(BASE, "ggml_init", FunctionDescriptor.of(ADDRESS, INIT));
        static final MethodHandle FREE = NativeCall.bind(BASE, "ggml_free", FunctionDescriptor.ofVoid(ADDRESS));
        static final MethodHandle TENSOR_2D = NativeCall.bind(
                BASE, "ggml_new_tensor_2d", FunctionDescriptor.of(ADDRESS, ADDRESS, JAVA_INT, JAVA_LONG, JAVA_LONG));
        static final MethodHandle DATA =
                NativeCall.bind(BASE, "ggml_get_data", FunctionDescriptor.of(ADDRESS, ADDRESS));
        static final MethodHandle BYTES =
                NativeCall.bind(BASE, "ggml_nbytes", FunctionDescriptor.of(JAVA_LONG, ADDRESS));
        static final MethodHandle MUL_MAT =
                NativeCall.bind(BASE, "ggml_mul_mat", FunctionDescriptor.of(ADDRESS, ADDRESS, ADDRESS, ADDRESS));
        static final MethodHandle GRAPH =
                NativeCall.bind(BASE, "ggml_new_graph", FunctionDescriptor.of(ADDRESS, ADDRESS));
        static final MethodHandle EXPAND =
                NativeCall.bind(BASE, "ggml_build_forward_expand", FunctionDescriptor.ofVoid(ADDRESS, ADDRESS));
        static final MethodHandle COMPUTE = NativeCall.bind(
                CPU, "ggml_graph_compute_with_ctx", FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS, JAVA_INT));

        static {
            try {
                NativeCall.bind(CPU, "ggml_cpu_init", FunctionDescriptor.ofVoid())
                        .invokeExact();
            } catch (Throwable t) {
                throw NativeCall.unexpected(t);
            }
        }

        private static Path best() {
            try (Stream<Path> files = Files.list(directory())) {
                Path best = null;
                int highest = 0;
                List<Path> variants = files.filter(
                                f -> f.getFileName().toString().startsWith("libggml-cpu-"))
                        .sorted()
                        .toList();
                for (Path file : variants) {
                    int score = (int) NativeCall.bind(
                                    NativeCall.library(file), "ggml_backend_score", FunctionDescriptor.of(JAVA_INT))
                            .invokeExact();
                    if (score > highest) {
                        highest = score;
                        best = file;
                    }
                }
                if (best == null) {
                    throw new IllegalStateException("no CPU variant of ggml runs here: " + variants);
                }
                return best;
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            } catch (Throwable t) {
                throw NativeCall.unexpected(t);
            }
        }
    }

    /** The CPU variant in use, such as {@code libggml-cpu-zen4.so}. */
    static String variant() {
        return Native.CPU_FILE.getFileName().toString();
    }

    /**
     * A matrix of random blocks and a vector.
     *
     * @param type {@link #IQ2_XXS} or {@link #IQ2_XS}
     * @param cols a multiple of 256
     */
    Ggml(int type, int rows, int cols, int threads, long seed) {
        this.threads = threads;
        this.products = (int) Math.clamp(WEIGHTS_PER_GRAPH / rows / cols, 1, MOST_PRODUCTS);
        try {
            MemorySegment parameters = java.lang.foreign.Arena.ofAuto().allocate(INIT);
            parameters.set(JAVA_LONG, 0, 80L * rows * cols / 256 + (64L << 20));
            context = (MemorySegment) Native.INITIALIZE.invokeExact(parameters);
            MemorySegment w = (MemorySegment) Native.TENSOR_2D.invokeExact(context, type, (long) cols, (long) rows);
            MemorySegment x = (MemorySegment) Native.TENSOR_2D.invokeExact(context, 0, (long) cols, 1L);
            long bytes = (long) Native.BYTES.invokeExact(w);
            MemorySegment data = ((MemorySegment) Native.DATA.invokeExact(w)).reinterpret(bytes);
            randomBlocks(data, type == IQ2_XXS ? 66 : 74, seed);
            MemorySegment vector = ((MemorySegment) Native.DATA.invokeExact(x)).reinterpret(4L * cols);
            Random random = new Random(seed);
            for (int j = 0; j < cols; j++) {
                vector.setAtIndex(ValueLayout.JAVA_FLOAT, j, (float) random.nextGaussian());
            }
            graph = (MemorySegment) Native.GRAPH.invokeExact(context);
            for (int i = 0; i < products; i++) {
                MemorySegment y = (MemorySegment) Native.MUL_MAT.invokeExact(context, w, x);
                Native.EXPAND.invokeExact(graph, y);
            }
        } catch (Throwable t) {
            throw NativeCall.unexpected(t);
        }
    }

    /** Fills blocks of 256 weights that begin with a float16 scale: any bits are valid in the rest. */
    static void randomBlocks(MemorySegment data, int blockBytes, long seed) {
        Fixtures.randomBytes(data, seed);
        short scale = Float.floatToFloat16(0.004f);
        for (long at = 0; at < data.byteSize(); at += blockBytes) {
            data.set(ValueLayout.JAVA_SHORT_UNALIGNED, at, scale);
        }
    }

    /** How many products a {@link #run} computes. */
    int products() {
        return products;
    }

    /** Multiplies {@link #products} times. */
    void run() {
        int status;
        try {
            status = (int) Native.COMPUTE.invokeExact(context, graph, threads);
        } catch (Throwable t) {
            throw NativeCall.unexpected(t);
        }
        if (status != 0) {
            throw new IllegalStateException("ggml_graph_compute_with_ctx returned " + status);
        }
    }

    @Override
    public void close() {
        try {
            Native.FREE.invokeExact(context);
        } catch (Throwable t) {
            throw NativeCall.unexpected(t);
        }
    }
}

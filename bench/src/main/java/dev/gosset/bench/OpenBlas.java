package dev.gosset.bench;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.gosset.core.blas.Blas;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;

/**
 * SGEMV of the OpenBLAS that {@link Blas} has loaded, one thread. OpenBLAS has no HGEMV for x86-64: float16 weights are
 * not something it multiplies.
 */
final class OpenBlas {
    private static final int ROW_MAJOR = 101;
    private static final int NO_TRANSPOSE = 111;
    private static final int TRANSPOSE = 112;

    private OpenBlas() {}

    private static final class Native {
        static final MethodHandle SGEMV = NativeCall.bind(
                NativeCall.library(file()),
                "cblas_sgemv",
                FunctionDescriptor.ofVoid(
                        JAVA_INT,
                        JAVA_INT,
                        JAVA_INT,
                        JAVA_INT,
                        JAVA_FLOAT,
                        ADDRESS,
                        JAVA_INT,
                        ADDRESS,
                        JAVA_INT,
                        JAVA_FLOAT,
                        ADDRESS,
                        JAVA_INT));

        /** {@link Blas#description} ends with the file. */
        private static Path file() {
            String description = Blas.description();
            return Path.of(description.substring(description.lastIndexOf("; from ") + 7));
        }
    }

    /** {@code y <- A x}, A rows x cols. */
    static void sgemv(int rows, int cols, MemorySegment a, MemorySegment x, MemorySegment y) {
        sgemv(NO_TRANSPOSE, rows, cols, a, x, y);
    }

    /** {@code y <- A^T x}, A rows x cols. */
    static void sgemvTransposed(int rows, int cols, MemorySegment a, MemorySegment x, MemorySegment y) {
        sgemv(TRANSPOSE, rows, cols, a, x, y);
    }

    private static void sgemv(int transpose, int rows, int cols, MemorySegment a, MemorySegment x, MemorySegment y) {
        try {
            Native.SGEMV.invokeExact(ROW_MAJOR, transpose, rows, cols, 1f, a, cols, x, 1, 0f, y, 1);
        } catch (Throwable t) {
            throw NativeCall.unexpected(t);
        }
    }
}

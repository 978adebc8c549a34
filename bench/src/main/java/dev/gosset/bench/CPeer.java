package dev.gosset.bench;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.hadamard.HadamardTransform;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;

/**
 * The same algorithms in C, see src/main/c/peer.c: what a C program would reach on this machine. Built by {@code make
 * bench-native} where there is a C compiler. Stateless; the caller's segments must be native.
 */
final class CPeer {
    /** Why there is no peer, or null where there is one. */
    static final String ABSENT = obstacle();

    private static String obstacle() {
        return Files.isRegularFile(Workplace.peerLibrary())
                ? null
                : "not built: run `make bench-native`, which needs gcc or cc";
    }

    private CPeer() {}

    static boolean isPresent() {
        return ABSENT == null;
    }

    /** Whether its AVX-512 VNNI code was compiled in. */
    static boolean hasVnni() {
        return isPresent() && Native.WIDE;
    }

    /** Touched only where the library is there. */
    private static final class Native {
        static final SymbolLookup LIBRARY = NativeCall.library(Workplace.peerLibrary());
        private static final Linker.Option LEAF = Linker.Option.critical(false);
        static final MethodHandle READ =
                NativeCall.bind(LIBRARY, "gp_read", FunctionDescriptor.of(JAVA_LONG, ADDRESS, JAVA_LONG));
        static final MethodHandle COPY =
                NativeCall.bind(LIBRARY, "gp_copy", FunctionDescriptor.ofVoid(ADDRESS, ADDRESS, JAVA_LONG), LEAF);
        static final MethodHandle CHAIN =
                NativeCall.bind(LIBRARY, "gp_chain", FunctionDescriptor.of(JAVA_LONG, JAVA_LONG));
        static final MethodHandle TRANSFORM = NativeCall.bind(
                LIBRARY,
                "gp_transform",
                FunctionDescriptor.ofVoid(ADDRESS, JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT, ADDRESS),
                LEAF);
        static final MethodHandle TABLE = NativeCall.bind(
                LIBRARY,
                "gp_matvec_table",
                FunctionDescriptor.ofVoid(
                        ADDRESS, ADDRESS, JAVA_INT, JAVA_FLOAT, JAVA_INT, ADDRESS, ADDRESS, JAVA_INT, JAVA_INT));
        static final MethodHandle PACK =
                NativeCall.bind(LIBRARY, "gp_pack", FunctionDescriptor.ofVoid(ADDRESS, JAVA_INT, JAVA_INT, ADDRESS));
        static final MethodHandle VNNI = NativeCall.bind(
                LIBRARY,
                "gp_matvec_vnni",
                FunctionDescriptor.ofVoid(ADDRESS, JAVA_INT, ADDRESS, ADDRESS, JAVA_INT, JAVA_INT, ADDRESS));
        static final MethodHandle NEAREST =
                NativeCall.bind(LIBRARY, "gp_nearest", FunctionDescriptor.ofVoid(ADDRESS, JAVA_INT, ADDRESS, ADDRESS));
        static final boolean WIDE;

        static {
            try {
                NativeCall.bind(LIBRARY, "gp_init", FunctionDescriptor.ofVoid()).invokeExact();
                WIDE = (int) NativeCall.bind(LIBRARY, "gp_features", FunctionDescriptor.of(JAVA_INT))
                                .invokeExact()
                        != 0;
            } catch (Throwable t) {
                throw NativeCall.unexpected(t);
            }
        }
    }

    /** Reads a segment of a multiple of 512 bytes, 64-byte aligned, once. */
    static long read(MemorySegment data) {
        try {
            return (long) Native.READ.invokeExact(data, data.byteSize());
        } catch (Throwable t) {
            throw NativeCall.unexpected(t);
        }
    }

    /** memcpy. */
    static void copy(MemorySegment to, MemorySegment from) {
        try {
            Native.COPY.invokeExact(to, from, from.byteSize());
        } catch (Throwable t) {
            throw NativeCall.unexpected(t);
        }
    }

    /** {@code count} multiplications that wait for each other, 3 cycles each on every recent x86-64. */
    static long chain(long count) {
        try {
            return (long) Native.CHAIN.invokeExact(count);
        } catch (Throwable t) {
            throw NativeCall.unexpected(t);
        }
    }

    /**
     * {@code x <- U x} or {@code U^T x}.
     *
     * @param scratch at least {@code 256 K} bytes
     */
    static void transform(
            HadamardTransform transform,
            MemorySegment matrix,
            boolean transpose,
            MemorySegment x,
            MemorySegment scratch) {
        try {
            Native.TRANSFORM.invokeExact(x, transform.n(), transform.k(), matrix, transpose ? 1 : 0, scratch);
        } catch (Throwable t) {
            throw NativeCall.unexpected(t);
        }
    }

    /** The product by table rows in float32; 2, 3 and 4 bits. */
    static void matvec(CodeMatrix codes, MemorySegment x, MemorySegment y, int firstRow, int lastRow) {
        MemorySegment data = codes.data();
        MemorySegment residual = data.asSlice(codes.residualOffset());
        int bits = codes.codebook().bits();
        float scale = (float) codes.codebook().residualScale();
        try {
            Native.TABLE.invokeExact(data, residual, bits, scale, codes.groups(), x, y, firstRow, lastRow);
        } catch (Throwable t) {
            throw NativeCall.unexpected(t);
        }
    }

    /** Whether {@link #pack} takes a matrix of this shape. */
    static boolean packs(CodeMatrix codes) {
        return hasVnni() && codes.codebook().bits() == 2 && codes.rows() % 16 == 0 && codes.groups() % 4 == 0;
    }

    /** 2-bit codes in the layout of {@link #matvecVnni}, {@code out} as large as {@code codes}. */
    static void pack(CodeMatrix codes, MemorySegment out) {
        try {
            Native.PACK.invokeExact(codes.data(), codes.rows(), codes.groups(), out);
        } catch (Throwable t) {
            throw NativeCall.unexpected(t);
        }
    }

    /** The product by VPDPBUSD on int8 activations; rows in multiples of 16. */
    static void matvecVnni(
            MemorySegment packed,
            int groups,
            MemorySegment x,
            MemorySegment y,
            int firstRow,
            int lastRow,
            MemorySegment scratch) {
        try {
            Native.VNNI.invokeExact(packed, groups, x, y, firstRow, lastRow, scratch);
        } catch (Throwable t) {
            throw NativeCall.unexpected(t);
        }
    }

    /** Nearest E8P points, as {@code EncodeKernel.nearest}. */
    static void nearest(MemorySegment x, int count, MemorySegment values, MemorySegment codes) {
        try {
            Native.NEAREST.invokeExact(x, count, values, codes);
        } catch (Throwable t) {
            throw NativeCall.unexpected(t);
        }
    }
}

package dev.gosset.core.memory;

import dev.gosset.core.GossetException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/**
 * Zeroed native memory whose pages take room only when they are first written, for what may never be filled, such as a cache
 * for the longest possible text, and for what is written once from end to end: {@link Arena#allocate} would write it all
 * first. It is the C library's {@code calloc}.
 */
public final class LazyMemory {
    private static final long ALIGNMENT = 64;
    private static final MethodHandle CALLOC;
    private static final MethodHandle FREE;

    static {
        Linker linker = Linker.nativeLinker();
        CALLOC = linker.downcallHandle(
                linker.defaultLookup().findOrThrow("calloc"),
                FunctionDescriptor.of(ValueLayout.ADDRESS, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG));
        FREE = linker.downcallHandle(
                linker.defaultLookup().findOrThrow("free"), FunctionDescriptor.ofVoid(ValueLayout.ADDRESS));
    }

    private LazyMemory() {}

    /**
     * Allocates.
     *
     * @param arena frees the memory when it is closed
     * @return {@code bytes} zeros, 64-byte aligned
     * @throws GossetException if the system has no more memory
     */
    public static MemorySegment allocate(Arena arena, long bytes) {
        if (bytes < 0) {
            throw new IllegalArgumentException("cannot allocate " + bytes + " bytes");
        }
        long size = Math.addExact(bytes, ALIGNMENT);
        MemorySegment block = calloc(size);
        if (block.address() == 0) {
            throw new GossetException("out of memory: the system has no " + bytes + " bytes more");
        }
        MemorySegment memory = block.reinterpret(size, arena, LazyMemory::free);
        return memory.asSlice(-memory.address() & (ALIGNMENT - 1), bytes);
    }

    private static MemorySegment calloc(long bytes) {
        try {
            return (MemorySegment) CALLOC.invokeExact(1L, bytes);
        } catch (Throwable e) {
            throw new IllegalStateException("calloc cannot be called", e);
        }
    }

    private static void free(MemorySegment block) {
        try {
            FREE.invokeExact(block);
        } catch (Throwable e) {
            throw new IllegalStateException("free cannot be called", e);
        }
    }
}

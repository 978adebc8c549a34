package dev.gosset.core.kernel.memory;

import dev.gosset.core.parallel.ThreadTeam;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.ref.Reference;
import java.util.function.IntConsumer;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * All native memory as one segment, for the loops of kernels: they read and write through {@link #ALL} at absolute
 * addresses. That segment is a constant, so compiled loops hold no checks of its type, bounds or arena, whatever kinds of
 * segments the JVM has seen elsewhere; loops over segments that are arguments ran at half the speed, or boxed their
 * vectors, once mapped and heap segments had passed through the same code of the Vector API.
 *
 * <p>What the loops no longer check is checked once at a kernel's door, by {@link #readable} and {@link #writable}. Nobody
 * may close an arena while a kernel runs on its memory; products see to that by {@link OpenMemory}. Thread-safe.
 */
public final class NativeMemory {
    /** Every address of the process. */
    public static final MemorySegment ALL = MemorySegment.NULL.reinterpret(Long.MAX_VALUE);

    /**
     * Addresses in a loop are masked with this: so C2 sees that they lie in {@link #ALL} and checks no bounds there. No address
     * of a process has a higher bit.
     */
    public static final long ADDRESS = (1L << 62) - 1;

    // Before any vector loop, as they all go through this class; but for those of VectorMatvec, which are small.
    static {
        if (VectorApi.isPresent()) {
            VectorOperations.useAll();
        }
    }

    private NativeMemory() {}

    /**
     * The address of a range that a kernel reads.
     *
     * @throws IndexOutOfBoundsException where the range leaves the segment
     * @throws IllegalArgumentException where the segment lies on the heap
     * @throws IllegalStateException where its arena is closed
     * @throws WrongThreadException where it belongs to another thread
     */
    public static long readable(MemorySegment segment, long offset, long bytes) {
        if (offset < 0 || bytes < 0 || offset > segment.byteSize() - bytes) {
            throw new IndexOutOfBoundsException(
                    bytes + " bytes from byte " + offset + " of a segment of " + segment.byteSize() + " bytes");
        }
        if (!segment.isNative() || !segment.scope().isAlive() || !segment.isAccessibleBy(Thread.currentThread())) {
            throw refusal(segment);
        }
        return segment.address() + offset;
    }

    /** As {@link #readable}, for a range that a kernel writes; an {@link IllegalArgumentException} too where it is read-only. */
    public static long writable(MemorySegment segment, long offset, long bytes) {
        if (segment.isReadOnly()) {
            throw new IllegalArgumentException("a kernel cannot write to a read-only segment");
        }
        return readable(segment, offset, bytes);
    }

    private static RuntimeException refusal(MemorySegment segment) {
        if (!segment.isNative()) {
            return new IllegalArgumentException("kernels work on native memory, found a segment on the heap");
        }
        return segment.scope().isAlive()
                ? new WrongThreadException("a segment of another thread's arena")
                : new IllegalStateException("a segment whose arena is closed");
    }

    /**
     * Reads one byte of each cache line of a range and returns something of them. A loop that multiplies spends so many
     * instructions a line that the processor does not look far ahead; this one, which does nothing else, brings the range
     * from memory at full speed.
     */
    public static long touch(long address, long bytes) {
        long sum = 0;
        for (long p = address, end = address + bytes; p < end; p += 64) {
            sum += ALL.get(ValueLayout.JAVA_BYTE, p);
        }
        return sum;
    }

    /**
     * Runs work on these segments that may be done in any order, for the numbers from 0 to {@code count - 1}: by all threads of the team,
     * unless a segment is open to this thread alone, as memory of a confined arena is.
     */
    public static void run(ThreadTeam team, int count, IntConsumer work, MemorySegment... segments) {
        Thread other = Thread.ofPlatform().unstarted(() -> {});
        if (Stream.of(segments).allMatch(s -> s.isAccessibleBy(other))) {
            team.run(count, work);
        } else {
            IntStream.range(0, count).forEach(work);
        }
    }

    /** Keeps two segments of an automatic arena from being freed before here: stands behind the loops that use addresses. */
    public static void keep(MemorySegment a, MemorySegment b) {
        Reference.reachabilityFence(a);
        Reference.reachabilityFence(b);
    }
}

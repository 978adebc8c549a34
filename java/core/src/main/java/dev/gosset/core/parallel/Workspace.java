package dev.gosset.core.parallel;

import dev.gosset.core.memory.FloatMatrix;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.function.Consumer;

/**
 * What one running computation needs besides its data: a thread team, and native scratch memory handed out like a stack.
 *
 * <p>A {@link Frame} takes memory until it is closed; frames close in the reverse order of their opening. The memory stays
 * with the workspace: once a computation has run, its repetition takes nothing from the system. Scratch is not zeroed.
 *
 * <p>One caller at a time; worker threads may use the memory they are given. Closing frees all of it; the team is the
 * caller's.
 */
public final class Workspace implements AutoCloseable {
    private static final long ALIGNMENT = 64;
    private static final long SMALLEST = 1 << 20;

    /** One block of scratch with an arena of its own. */
    private static final class Chunk {
        final Arena arena = Arena.ofShared();
        final MemorySegment memory;

        Chunk(long bytes) {
            memory = arena.allocate(bytes, ALIGNMENT);
        }
    }

    /** Scratch of the tasks of one job that run one after the other; passed on through a queue, which orders their accesses. */
    private static final class Slot {
        final MemorySegment scratch;
        boolean ready;

        Slot(MemorySegment scratch) {
            this.scratch = scratch;
        }
    }

    /** One of the tasks of {@link #run}. */
    @FunctionalInterface
    public interface Task {
        /**
         * @param task 0 .. tasks-1
         * @param scratch as many bytes as were asked for, this task's own while it runs, not zeroed
         */
        void accept(int task, MemorySegment scratch);
    }

    /** Scratch memory that lives until the frame is closed. */
    public final class Frame implements AutoCloseable {
        private final int chunk = current;
        private final long offset = used;
        private final int depth = ++open;

        private Frame() {}

        /** At least zero bytes, 64-byte aligned, not zeroed. */
        public MemorySegment bytes(long bytes) {
            checkInnermost();
            return take(bytes);
        }

        /** A matrix, 64-byte aligned, not zeroed. */
        public FloatMatrix matrix(int rows, int cols) {
            return new FloatMatrix(bytes(4L * rows * cols), rows, cols);
        }

        @Override
        public void close() {
            checkInnermost();
            open--;
            current = chunk;
            used = offset;
            if (open == 0 && chunks.size() > 1) {
                merge();
            }
        }

        private void checkInnermost() {
            if (depth != open) {
                throw new IllegalStateException("frame " + depth + " used while frame " + open + " is the innermost");
            }
        }
    }

    private final ThreadTeam team;
    private final List<Chunk> chunks = new ArrayList<>();
    private int current;
    private long used;
    private int open;

    public Workspace(ThreadTeam team) {
        this.team = team;
    }

    public ThreadTeam team() {
        return team;
    }

    /** Opens a frame; close it with try-with-resources. */
    public Frame frame() {
        return new Frame();
    }

    /** Bytes of native memory this workspace holds. */
    public long reservedBytes() {
        return chunks.stream().mapToLong(c -> c.memory.byteSize()).sum();
    }

    /**
     * {@link ThreadTeam#run} with {@code scratchBytes} of scratch for every task that runs at the same time. What a task
     * finds in its scratch depends on the others: it must write before it reads.
     */
    public void run(int tasks, long scratchBytes, Task task) {
        run(tasks, scratchBytes, scratch -> {}, task);
    }

    /**
     * {@link #run(int, long, Task)} where each scratch is made ready before its first task: with what every thread needs and makes
     * faster for itself than it fetches it from another processor's cache. Threads keep their scratch from task to task.
     *
     * @param ready called at most once for each scratch, by the thread of its first task
     */
    public void run(int tasks, long scratchBytes, Consumer<MemorySegment> ready, Task task) {
        if (tasks < 1) {
            return;
        }
        try (Frame frame = frame()) {
            if (tasks == 1 || team.threads() == 1) {
                MemorySegment scratch = frame.bytes(scratchBytes);
                ready.accept(scratch);
                for (int i = 0; i < tasks; i++) {
                    task.accept(i, scratch);
                }
                return;
            }
            Queue<Slot> free = new ConcurrentLinkedQueue<>();
            for (int i = Math.min(tasks, team.threads()); i > 0; i--) {
                free.add(new Slot(frame.bytes(scratchBytes)));
            }
            team.run(tasks, i -> {
                Slot slot = free.remove();
                try {
                    if (!slot.ready) {
                        ready.accept(slot.scratch);
                        slot.ready = true;
                    }
                    task.accept(i, slot.scratch);
                } finally {
                    free.add(slot);
                }
            });
        }
    }

    private MemorySegment take(long bytes) {
        long size = (bytes + ALIGNMENT - 1) & -ALIGNMENT;
        while (current < chunks.size()) {
            MemorySegment memory = chunks.get(current).memory;
            if (size <= memory.byteSize() - used) {
                MemorySegment slice = memory.asSlice(used, bytes);
                used += size;
                return slice;
            }
            current++;
            used = 0;
        }
        chunks.add(new Chunk(Math.max(SMALLEST, size)));
        used = size;
        return chunks.get(current).memory.asSlice(0, bytes);
    }

    /** One chunk in the place of several: the next computation of this size needs no other. */
    private void merge() {
        long total = reservedBytes();
        close();
        chunks.add(new Chunk(total));
    }

    @Override
    public void close() {
        if (open != 0) {
            throw new IllegalStateException(open + " frames are open");
        }
        chunks.forEach(c -> c.arena.close());
        chunks.clear();
        current = 0;
        used = 0;
    }
}

package dev.gosset.bench;

import java.lang.foreign.Arena;
import java.util.ArrayDeque;
import java.util.Deque;

/** What a case has opened: closed in the reverse order, the arena last. */
final class Resources implements AutoCloseable {
    private final Arena arena = Arena.ofShared();
    private final Deque<AutoCloseable> opened = new ArrayDeque<>();

    Arena arena() {
        return arena;
    }

    <T extends AutoCloseable> T keep(T resource) {
        opened.push(resource);
        return resource;
    }

    @Override
    public void close() {
        try {
            while (!opened.isEmpty()) {
                opened.pop().close();
            }
        } catch (Exception e) {
            throw new IllegalStateException("a resource of a benchmark does not close", e);
        } finally {
            arena.close();
        }
    }
}

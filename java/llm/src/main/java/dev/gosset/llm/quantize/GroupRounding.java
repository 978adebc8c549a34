package dev.gosset.llm.quantize;

import dev.gosset.llm.device.DeviceQuantizer;
import java.util.ArrayDeque;
import java.util.Collections;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.function.Function;

/**
 * Rounds the groups of a block: with one device one after the other, each when its result is asked for; with several side
 * by side, each device taking the next group as soon as it is free. One thread at a time.
 */
final class GroupRounding implements AutoCloseable {
    private final List<DeviceQuantizer> quantizers;
    private final BlockingQueue<DeviceQuantizer> free = new LinkedBlockingQueue<>();
    private final ExecutorService threads;
    private final Queue<Function<DeviceQuantizer, GroupResult>> waiting = new ArrayDeque<>();
    private final Queue<Future<GroupResult>> running = new ArrayDeque<>();

    GroupRounding(List<DeviceQuantizer> quantizers) {
        this.quantizers = Collections.unmodifiableList(quantizers);
        free.addAll(quantizers);
        threads = quantizers.size() == 1 ? null : Executors.newFixedThreadPool(quantizers.size());
    }

    /** Adds a group; results come in the same order. */
    void submit(Function<DeviceQuantizer, GroupResult> work) {
        if (threads == null) {
            waiting.add(work);
        } else {
            running.add(threads.submit(() -> {
                DeviceQuantizer quantizer = free.take();
                try {
                    return work.apply(quantizer);
                } finally {
                    free.add(quantizer);
                }
            }));
        }
    }

    /** The next group's result, whose memory the caller closes. */
    GroupResult next() {
        if (threads == null) {
            return waiting.remove().apply(quantizers.getFirst());
        }
        Future<GroupResult> future = running.remove();
        try {
            return future.get();
        } catch (ExecutionException e) {
            if (e.getCause() instanceof RuntimeException failure) {
                throw failure;
            }
            if (e.getCause() instanceof Error failure) {
                throw failure;
            }
            throw new IllegalStateException("rounding a group failed", e.getCause());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while groups are rounded", e);
        }
    }

    /** Waits for what still runs and frees results that nobody asked for. */
    @Override
    public void close() {
        if (threads == null) {
            return;
        }
        threads.close();
        for (Future<GroupResult> future : running) {
            if (future.state() == Future.State.SUCCESS) {
                future.resultNow().close();
            }
        }
    }
}

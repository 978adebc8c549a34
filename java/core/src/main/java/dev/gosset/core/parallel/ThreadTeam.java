package dev.gosset.core.parallel;

import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.IntConsumer;

/**
 * A fixed number of threads that share the tasks 0..n-1 of one job at a time.
 *
 * <p>The caller cuts the job by its shape and never by the number of threads, and no two tasks write the same element:
 * so a result does not depend on how many threads there are. Tasks are handed out in ascending order. One caller at a
 * time; a task must not start another job on the same team.
 */
public final class ThreadTeam implements AutoCloseable {
    private final int threads;
    private final ExecutorService workers;

    /**
     * @param threads how many threads work, the calling one included; at least 1
     */
    public ThreadTeam(int threads) {
        if (threads < 1) {
            throw new IllegalArgumentException("threads must be at least 1, found " + threads);
        }
        this.threads = threads;
        this.workers = threads == 1
                ? null
                : Executors.newFixedThreadPool(threads - 1, r -> {
                    Thread t = new Thread(r, "gosset-worker");
                    t.setDaemon(true);
                    return t;
                });
    }

    /** A team with one thread for every processor the JVM sees. */
    public static ThreadTeam ofProcessors() {
        return new ThreadTeam(Runtime.getRuntime().availableProcessors());
    }

    public int threads() {
        return threads;
    }

    /**
     * Runs {@code task} for 0..tasks-1 and returns when all have ended. The first exception of a task is rethrown here.
     */
    public void run(int tasks, IntConsumer task) {
        if (workers == null || tasks <= 1) {
            for (int i = 0; i < tasks; i++) {
                task.accept(i);
            }
            return;
        }
        AtomicInteger next = new AtomicInteger();
        Runnable share = () -> {
            for (int i = next.getAndIncrement(); i < tasks; i = next.getAndIncrement()) {
                task.accept(i);
            }
        };
        Future<?>[] others = new Future<?>[Math.min(threads, tasks) - 1];
        for (int i = 0; i < others.length; i++) {
            others[i] = workers.submit(share);
        }
        RuntimeException failure = null;
        try {
            share.run();
        } catch (RuntimeException e) {
            next.set(tasks);
            failure = e;
        }
        for (Future<?> other : others) {
            try {
                other.get();
            } catch (ExecutionException e) {
                next.set(tasks);
                if (e.getCause() instanceof Error error) {
                    throw error;
                }
                failure = failure == null ? (RuntimeException) e.getCause() : failure;
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IllegalStateException("interrupted while a parallel job was running", e);
            }
        }
        if (failure != null) {
            throw failure;
        }
    }

    @Override
    public void close() {
        if (workers != null) {
            workers.shutdown();
        }
    }
}

package dev.gosset.core.parallel;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.concurrent.locks.LockSupport;
import java.util.function.IntConsumer;

/**
 * A fixed number of threads that share the tasks 0..n-1 of one job at a time.
 *
 * <p>The caller cuts the job by its shape and never by the number of threads, and no two tasks write the same element:
 * so a result does not depend on how many threads there are. Tasks are handed out in ascending order. Where a job is
 * running already, started by a task or by another thread, a second one runs on its caller's thread alone.
 *
 * <p>Between jobs a worker looks out for the next one for {@value #SPIN_NANOS} ns and then parks, and so does the caller
 * for its last tasks: the many small jobs of one token follow each other without system calls, and an idle team costs
 * nothing.
 */
public final class ThreadTeam implements AutoCloseable {
    private static final long SPIN_NANOS = 20_000;

    /** Looks between two readings of the clock. */
    private static final int LOOKS = 16;

    private static final VarHandle NEXT;
    private static final VarHandle ENDED;
    private static final VarHandle BUSY;

    static {
        try {
            MethodHandles.Lookup lookup = MethodHandles.lookup();
            NEXT = lookup.findVarHandle(Job.class, "next", int.class);
            ENDED = lookup.findVarHandle(Job.class, "ended", int.class);
            BUSY = lookup.findVarHandle(ThreadTeam.class, "busy", boolean.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    /** One job. A worker that comes late finds no task left, and nothing of it touches the job after. */
    private static final class Job {
        final int tasks;
        final Thread caller = Thread.currentThread();
        IntConsumer task;
        volatile int next;
        volatile int ended;
        volatile boolean callerParked;
        volatile Throwable failure;

        Job(int tasks, IntConsumer task) {
            this.tasks = tasks;
            this.task = task;
        }

        /** Takes tasks until none is left. */
        void work() {
            for (int i = (int) NEXT.getAndAdd(this, 1); i < tasks; i = (int) NEXT.getAndAdd(this, 1)) {
                int done = 1;
                try {
                    task.accept(i);
                } catch (Throwable t) {
                    if (failure == null) {
                        failure = t;
                    }
                    // The tasks that nobody has taken yet end here.
                    done += Math.max(0, tasks - (int) NEXT.getAndSet(this, tasks));
                }
                if ((int) ENDED.getAndAdd(this, done) + done == tasks && callerParked) {
                    LockSupport.unpark(caller);
                }
            }
        }

        void await() {
            if (ended == tasks) {
                return;
            }
            long start = System.nanoTime();
            while (System.nanoTime() - start < SPIN_NANOS) {
                for (int i = 0; i < LOOKS; i++) {
                    if (ended == tasks) {
                        return;
                    }
                    Thread.onSpinWait();
                }
            }
            callerParked = true;
            while (ended != tasks) {
                LockSupport.park(this);
            }
        }
    }

    private final class Worker extends Thread {
        volatile boolean parked;

        Worker() {
            super("gosset-worker");
            setDaemon(true);
        }

        @Override
        public void run() {
            Job last = null;
            while (!closed) {
                Job job = next(last);
                if (job != last) {
                    last = job;
                    job.work();
                }
            }
        }

        /** The job after {@code last}; {@code last} itself where the team was closed or the thread woke for nothing. */
        private Job next(Job last) {
            long start = System.nanoTime();
            while (System.nanoTime() - start < SPIN_NANOS) {
                for (int i = 0; i < LOOKS; i++) {
                    if (job != last) {
                        return job;
                    }
                    Thread.onSpinWait();
                }
            }
            parked = true;
            if (job == last && !closed) {
                LockSupport.park(ThreadTeam.this);
            }
            parked = false;
            return job;
        }
    }

    private final int threads;
    private final Worker[] workers;
    private volatile Job job;
    private volatile boolean closed;
    private volatile boolean busy;

    /**
     * @param threads how many threads work, the calling one included; at least 1
     */
    public ThreadTeam(int threads) {
        if (threads < 1) {
            throw new IllegalArgumentException("threads must be at least 1, found " + threads);
        }
        this.threads = threads;
        this.workers = new Worker[threads - 1];
        for (int i = 0; i < workers.length; i++) {
            workers[i] = new Worker();
            workers[i].start();
        }
    }

    /** A team with one thread for every processor the JVM sees. */
    public static ThreadTeam ofProcessors() {
        return new ThreadTeam(Runtime.getRuntime().availableProcessors());
    }

    public int threads() {
        return threads;
    }

    /**
     * Runs {@code task} for 0..tasks-1 and returns when all that were begun have ended. The first exception of a task is
     * rethrown here; tasks that nobody has begun by then are left out.
     */
    public void run(int tasks, IntConsumer task) {
        if (workers.length == 0 || tasks <= 1 || closed || !BUSY.compareAndSet(this, false, true)) {
            for (int i = 0; i < tasks; i++) {
                task.accept(i);
            }
            return;
        }
        Job shared = new Job(tasks, task);
        try {
            job = shared;
            for (int i = Math.min(workers.length, tasks - 1) - 1; i >= 0; i--) {
                if (workers[i].parked) {
                    LockSupport.unpark(workers[i]);
                }
            }
            shared.work();
            shared.await();
            // The workers remember the job: it must not keep alive what the task holds.
            shared.task = null;
        } finally {
            busy = false;
        }
        switch (shared.failure) {
            case null -> {}
            case RuntimeException e -> throw e;
            case Error e -> throw e;
            default -> throw new IllegalStateException(shared.failure);
        }
    }

    /** Ends the threads; a job after that runs on its caller's thread. */
    @Override
    public void close() {
        closed = true;
        for (Worker worker : workers) {
            LockSupport.unpark(worker);
        }
    }
}

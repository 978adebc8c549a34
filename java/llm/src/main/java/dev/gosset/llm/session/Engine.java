package dev.gosset.llm.session;

import dev.gosset.llm.device.Batch;
import dev.gosset.llm.plan.ModelConfig;
import dev.gosset.llm.sampling.Sampler;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Queue;
import java.util.Set;

/**
 * Runs the sessions of one model, all together: one thread that owns the batch and steps it. Sessions begin in the order in
 * which they were asked for, as soon as there is memory for all that they may need. Thread-safe; nothing is computed under a lock.
 */
public final class Engine implements AutoCloseable {
    private final Batch batch;
    private final int vocabulary;
    private final Thread thread;
    /** Guards {@link #waiting} and {@link #closed}. */
    private final Object lock = new Object();

    private final Queue<Session> waiting = new ArrayDeque<>();
    private boolean closed;
    /** The thread's alone. */
    private final List<Session> running = new ArrayList<>();

    /**
     * @param batch the engine's from here on, and closed with it
     * @param vocabulary tokens of the model
     */
    public Engine(Batch batch, int vocabulary) {
        this.batch = batch;
        this.vocabulary = vocabulary;
        this.thread = Thread.ofPlatform().daemon().name("gosset-engine").start(this::run);
    }

    /** The most tokens of a prompt and what is generated; the last token need not fit. */
    public int context() {
        return batch.context();
    }

    /**
     * Starts a session. It ends with an end token, after {@code limit} tokens, or when prompt and text fill the context.
     *
     * @param prompt at least one token, and less than fill the context
     * @param sampler of this session alone
     * @param limit the most tokens, at least 1
     * @param endTokens after which it ends; they are told as well
     * @throws IllegalArgumentException where prompt or limit are not as they must be
     * @throws IllegalStateException where the engine is closed
     */
    public Session admit(int[] prompt, Sampler sampler, int limit, Set<Integer> endTokens) {
        if (prompt.length < 1 || prompt.length >= context() || limit < 1) {
            throw new IllegalArgumentException("a session has a prompt of 1 to " + (context() - 1)
                    + " tokens and a limit of at least 1, found " + prompt.length + " and " + limit);
        }
        ModelConfig.requireTokens(prompt, vocabulary);
        int most = Math.min(limit, context() - prompt.length + 1);
        Session session = new Session(this, prompt.clone(), sampler, most, Set.copyOf(endTokens));
        synchronized (lock) {
            if (closed) {
                throw closedFailure();
            }
            waiting.add(session);
            lock.notifyAll();
        }
        return session;
    }

    private static IllegalStateException closedFailure() {
        return new IllegalStateException("the model is closed");
    }

    /** Has the thread look at what was cancelled, if it rests. */
    void wake() {
        synchronized (lock) {
            lock.notifyAll();
        }
    }

    private void run() {
        try {
            while (awaitWork()) {
                running.removeIf(this::dropCancelled);
                admitWaiting();
                if (!running.isEmpty()) {
                    step();
                }
            }
            endAll(closedFailure());
        } catch (Throwable e) {
            // Whoever waits must hear of it.
            endAll(e);
        } finally {
            batch.close();
        }
    }

    /** Waits for sessions; false when the engine is closed. */
    private boolean awaitWork() {
        synchronized (lock) {
            while (!closed && waiting.isEmpty() && running.isEmpty()) {
                try {
                    lock.wait();
                } catch (InterruptedException e) {
                    // Nobody has this thread to interrupt it.
                    throw new IllegalStateException(e);
                }
            }
            return !closed;
        }
    }

    private boolean dropCancelled(Session session) {
        if (session.isCancelled()) {
            batch.release(session.sequence);
        }
        return session.isCancelled();
    }

    private void admitWaiting() {
        while (true) {
            Session next;
            synchronized (lock) {
                waiting.removeIf(Session::isCancelled);
                next = waiting.peek();
            }
            if (next == null) {
                return;
            }
            try {
                Optional<Batch.Sequence> sequence = batch.admit(next.prompt, next.sampler, next.most);
                if (sequence.isPresent()) {
                    next.sequence = sequence.get();
                    running.add(next);
                } else if (running.isEmpty()) {
                    next.end(new IllegalStateException("a session of " + (next.prompt.length + next.most - 1)
                            + " tokens does not fit the memory for keys and values"));
                } else {
                    return;
                }
            } catch (RuntimeException | OutOfMemoryError e) {
                next.end(e);
            }
            synchronized (lock) {
                waiting.remove(next);
            }
        }
    }

    private void step() {
        List<Batch.Drawn> drawn;
        try {
            drawn = batch.step();
        } catch (RuntimeException | Error e) {
            // What the step has left of any sequence is unknown.
            endRunning(e);
            return;
        }
        long done = System.nanoTime();
        for (Batch.Drawn d : drawn) {
            Session session = running.stream()
                    .filter(s -> s.sequence.equals(d.sequence()))
                    .findFirst()
                    .orElseThrow();
            if (d.failure() == null) {
                session.offer(new Token(d.token(), d.logProbabilities()), done);
                session.drawn++;
            }
            if (d.failure() != null || session.drawn == session.most || session.endTokens.contains(d.token())) {
                running.remove(session);
                batch.release(session.sequence);
                session.end(d.failure());
            }
        }
    }

    private void endRunning(Throwable why) {
        for (Session session : running) {
            try {
                batch.release(session.sequence);
            } catch (RuntimeException e) {
                why.addSuppressed(e);
            }
            session.end(why);
        }
        running.clear();
    }

    private void endAll(Throwable why) {
        endRunning(why);
        List<Session> left;
        synchronized (lock) {
            closed = true;
            left = List.copyOf(waiting);
            waiting.clear();
        }
        left.forEach(s -> s.end(why));
    }

    /**
     * Lets the step in progress end, ends all sessions with "the model is closed", and frees everything. Returns when that is
     * done; a second call, and one from another thread, does too.
     */
    @Override
    public void close() {
        synchronized (lock) {
            closed = true;
            lock.notifyAll();
        }
        boolean interrupted = false;
        while (thread.isAlive() && thread != Thread.currentThread()) {
            try {
                thread.join();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}

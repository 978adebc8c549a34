package dev.gosset.llm.session;

import dev.gosset.core.GossetException;
import dev.gosset.llm.device.Batch;
import dev.gosset.llm.plan.ModelConfig;
import dev.gosset.llm.sampling.Sampler;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Runs the sessions of one model, all together: one thread that owns the batch and steps it. Sessions begin in the order in
 * which they were asked for, those of several owners in turn, as soon as there is memory for all that they may need. Thread-safe;
 * nothing is computed under a lock.
 */
public final class Engine implements AutoCloseable {
    private final Batch batch;
    private final int vocabulary;
    private final Thread thread;
    /** Guards {@link #waiting} and {@link #closed}. */
    private final Object lock = new Object();

    private final Waiting waiting = new Waiting();
    private final long mostWaiting;
    private boolean closed;
    /** The thread's alone. */
    private final List<Session> running = new ArrayList<>();

    private long steps;
    private long drawnTokens;
    private volatile EngineLoad load;
    /** By {@link System#nanoTime}, 0 between steps. */
    private volatile long stepBegan;
    /** The sessions of the step in progress. */
    private volatile List<Session> stepping = List.of();

    /**
     * @param batch the engine's from here on, and closed with it
     * @param vocabulary tokens of the model
     */
    public Engine(Batch batch, int vocabulary) {
        this(batch, vocabulary, Long.MAX_VALUE);
    }

    /**
     * @param mostWaiting tokens that may wait, of prompts and of what they may become
     */
    public Engine(Batch batch, int vocabulary, long mostWaiting) {
        this.batch = batch;
        this.vocabulary = vocabulary;
        this.mostWaiting = mostWaiting;
        this.load = new EngineLoad(0, 0, 0, 0, batch.capacity(), 0, 0, 0);
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
        return admit(prompt, List.of(sampler), limit, endTokens, this).getFirst();
    }

    /**
     * Starts several sessions with one prompt. All but the first begin when that has drawn a token, so that the prompt is
     * computed once.
     *
     * @param samplers one for each
     * @param owner sessions of different owners begin in turn
     * @throws QueueFullException where too many tokens wait already; then none is started
     */
    public List<Session> admit(int[] prompt, List<Sampler> samplers, int limit, Set<Integer> endTokens, Object owner) {
        if (prompt.length < 1 || prompt.length >= context() || limit < 1) {
            throw new IllegalArgumentException("a session has a prompt of 1 to " + (context() - 1)
                    + " tokens and a limit of at least 1, found " + prompt.length + " and " + limit);
        }
        ModelConfig.requireTokens(prompt, vocabulary);
        int most = Math.min(limit, context() - prompt.length + 1);
        List<Session> sessions = new ArrayList<>();
        for (Sampler sampler : samplers) {
            Session first = sessions.isEmpty() ? null : sessions.getFirst();
            sessions.add(new Session(this, owner, first, prompt.clone(), sampler, most, Set.copyOf(endTokens)));
        }
        synchronized (lock) {
            if (closed) {
                throw closedFailure();
            }
            long tokens = sessions.stream().mapToLong(Session::tokens).sum();
            if (tokens > mostWaiting - waiting.tokens()) {
                throw new QueueFullException(tokens, waiting.tokens(), mostWaiting);
            }
            sessions.forEach(waiting::add);
            lock.notifyAll();
        }
        return sessions;
    }

    /** Tokens that may wait: a request for more can never be taken. */
    public long mostWaiting() {
        return mostWaiting;
    }

    /**
     * Where the step in progress takes longer than {@code seconds}, ends its sessions and those that wait: whoever reads them hears of
     * it. Should the step end after all, the engine goes on with what comes then.
     *
     * @return whether the step takes longer
     */
    public boolean endStuck(double seconds) {
        List<Session> stuck = stepping;
        if (!(load().stepSeconds() > seconds)) {
            return false;
        }
        List<Session> all = new ArrayList<>(stuck);
        synchronized (lock) {
            all.addAll(waiting.removeAll());
        }
        all.forEach(s -> s.abandon(new GossetException("a step takes longer than " + seconds + " s")));
        return true;
    }

    /** What runs and waits now. */
    public EngineLoad load() {
        EngineLoad last = load;
        long began = stepBegan;
        double seconds = began == 0 ? 0 : (System.nanoTime() - began) / 1e9;
        synchronized (lock) {
            return new EngineLoad(
                    waiting.size(),
                    waiting.tokens(),
                    last.running(),
                    last.memoryInUse(),
                    last.memory(),
                    last.steps(),
                    last.drawn(),
                    seconds);
        }
    }

    /** Where the engine's thread is now, for a report on a step that does not end. */
    public StackTraceElement[] stackTrace() {
        return thread.getStackTrace();
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
                sayLoad();
                if (!running.isEmpty()) {
                    step();
                }
                sayLoad();
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
            while (!closed && waiting.size() == 0 && running.isEmpty()) {
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

    private void sayLoad() {
        load = new EngineLoad(0, 0, running.size(), batch.inUse(), batch.capacity(), steps, drawnTokens, 0);
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
                waiting.dropCancelled();
                next = waiting.next();
            }
            if (next == null) {
                return;
            }
            try {
                Optional<Batch.Sequence> sequence = batch.admit(next.prompt, next.sampler, next.most);
                if (sequence.isPresent()) {
                    next.begin(sequence.get());
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
        stepping = List.copyOf(running);
        stepBegan = System.nanoTime();
        try {
            drawn = batch.step();
        } catch (RuntimeException | Error e) {
            // What the step has left of any sequence is unknown.
            endRunning(e);
            return;
        } finally {
            stepBegan = 0;
            stepping = List.of();
            steps++;
        }
        long done = System.nanoTime();
        for (Batch.Drawn d : drawn) {
            Session session = running.stream()
                    .filter(s -> s.sequence.equals(d.sequence()))
                    .findFirst()
                    .orElse(null);
            if (session == null) {
                // It has ended with a token before this one.
                continue;
            }
            if (d.failure() == null) {
                session.drawn = session.drawn + 1;
                drawnTokens++;
                session.offer(new Token(d.token(), d.logProbabilities()), done);
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
            left = waiting.removeAll();
        }
        left.forEach(s -> s.end(why));
        sayLoad();
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

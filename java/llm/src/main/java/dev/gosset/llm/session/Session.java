package dev.gosset.llm.session;

import dev.gosset.llm.device.Batch;
import dev.gosset.llm.sampling.Sampler;
import java.util.ArrayDeque;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.CancellationException;

/**
 * One generation: tokens as an {@link Engine} draws them, from any thread. Closing cancels what is still to come.
 */
public final class Session implements AutoCloseable {
    final Object owner;
    /** The session whose prompt this one shares, null where there is none. */
    private final Session first;

    final int[] prompt;
    final Sampler sampler;
    final int most;
    final Set<Integer> endTokens;
    /** The engine's thread alone: what the batch calls it, once it is admitted, and how many tokens were drawn. */
    Batch.Sequence sequence;

    /** Written by the engine's thread alone. */
    volatile int drawn;

    private volatile int cachedTokens;
    private final Engine engine;
    private final Queue<Drawn> tokens = new ArrayDeque<>();
    private long drawnAt;
    private boolean ended;
    private volatile boolean cancelled;
    /** Ended by others than the engine's thread, which has still to take it out. */
    private volatile boolean abandoned;

    private Throwable failure;

    /** What was drawn and not read. */
    private record Drawn(Token token, long nanos) {}

    Session(
            Engine engine,
            Object owner,
            Session first,
            int[] prompt,
            Sampler sampler,
            int most,
            Set<Integer> endTokens) {
        this.engine = engine;
        this.owner = owner;
        this.first = first;
        this.prompt = prompt;
        this.sampler = sampler;
        this.most = most;
        this.endTokens = endTokens;
    }

    /** What this may come to at most. */
    long tokens() {
        return (long) prompt.length + most;
    }

    /** Whether the session with the same prompt, if there is one, has computed it or never will. */
    boolean mayBegin() {
        return first == null || first.drawn > 0 || first.isOver();
    }

    private synchronized boolean isOver() {
        return ended || cancelled;
    }

    void begin(Batch.Sequence s) {
        sequence = s;
        cachedTokens = s.cachedTokens();
    }

    /** Tokens of the prompt that were not computed, for the memory still had them; known once there is a token. */
    public int cachedTokens() {
        return cachedTokens;
    }

    /**
     * Waits for the next token.
     *
     * @return null after the last one: an end token, or as many as were wanted
     * @throws CancellationException where this was cancelled, or the waiting thread was interrupted, which cancels it
     * @throws IllegalStateException where the engine was closed before
     * @throws RuntimeException what else kept the engine from going on, such as logits that are no numbers
     */
    public synchronized Token next() {
        while (tokens.isEmpty() && !ended && !cancelled) {
            try {
                wait();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                cancel();
            }
        }
        if (cancelled) {
            throw new CancellationException("the generation was cancelled");
        }
        if (!tokens.isEmpty()) {
            Drawn next = tokens.remove();
            drawnAt = next.nanos;
            return next.token;
        }
        switch (failure) {
            case null -> {
                return null;
            }
            case Error e -> throw e;
            case RuntimeException e -> throw e;
            default -> throw new IllegalStateException(failure.toString(), failure);
        }
    }

    /** Ends the generation, within a step of the engine; what was drawn and not read is lost. May be called twice, and late. */
    public void cancel() {
        synchronized (this) {
            if (cancelled || ended && tokens.isEmpty()) {
                return;
            }
            cancelled = true;
            tokens.clear();
            notifyAll();
        }
        engine.wake();
    }

    /** Whether the engine is to take it out. */
    boolean isCancelled() {
        return cancelled || abandoned;
    }

    /**
     * When the token that {@link #next} gave last was drawn, by {@link System#nanoTime}: the engine does not wait for whoever reads, so
     * the times of reading say nothing about its rate. 0 before the first.
     */
    public synchronized long drawnAt() {
        return drawnAt;
    }

    /**
     * A token for whoever reads.
     *
     * @param nanos when its step was done
     */
    synchronized void offer(Token token, long nanos) {
        if (!cancelled && !ended) {
            tokens.add(new Drawn(token, nanos));
            notifyAll();
        }
    }

    /**
     * No more tokens.
     *
     * @param why null where all is well
     */
    synchronized void end(Throwable why) {
        if (!ended) {
            ended = true;
            failure = why;
            notifyAll();
        }
    }

    /** Ends it without the engine's thread, which takes it out when it can. */
    void abandon(Throwable why) {
        end(why);
        abandoned = true;
    }

    @Override
    public void close() {
        cancel();
    }
}

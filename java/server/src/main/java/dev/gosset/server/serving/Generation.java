package dev.gosset.server.serving;

import dev.gosset.core.GossetException;
import dev.gosset.llm.generate.GeneratedText;
import dev.gosset.llm.generate.TextGenerator;
import dev.gosset.llm.sampling.LogProbabilities;
import dev.gosset.llm.sampling.Sampler;
import dev.gosset.llm.session.Session;
import dev.gosset.llm.session.Token;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CancellationException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A request in the engine: sessions, each read by a virtual thread of its own into one queue of events. The engine waits for nobody,
 * so a client that reads slowly holds no memory of the model; the queue holds no more than what was asked for. Closing cancels what is left.
 */
public final class Generation implements AutoCloseable {
    private static final System.Logger LOG = System.getLogger(Generation.class.getName());

    /** What happened to a continuation; {@code choice} is its number. */
    public sealed interface Event {
        int choice();
    }

    /**
     * Its prompt was read.
     *
     * @param likely of its tokens but the first
     */
    public record PromptRead(int choice, List<LogProbabilities> likely) implements Event {}

    /**
     * More text.
     *
     * @param likely of the tokens that brought it, if asked for
     */
    public record Piece(int choice, String text, List<LogProbabilities> likely) implements Event {}

    /** No more comes of it. */
    public record Finish(int choice, TextGenerator.End end) implements Event {}

    /** No more comes of any. */
    public record Failure(int choice, ApiException why) implements Event {}

    private final ServedModel model;
    private final List<Session> sessions = new ArrayList<>();
    /** One for each prompt: that the others share it is no hit of the request. */
    private final List<Session> firsts = new ArrayList<>();

    private final BlockingQueue<Event> events = new LinkedBlockingQueue<>();
    private final AtomicInteger drawn = new AtomicInteger();
    private final long began = System.nanoTime();
    private int promptTokens;

    Generation(ServedModel model, List<Choice> choices, Object owner) {
        this.model = model;
        try {
            List<Runnable> readers = new ArrayList<>();
            for (Choice choice : choices) {
                promptTokens += choice.prompt().length;
                List<Sampler> samplers = new ArrayList<>();
                for (int i = 0; i < choice.count(); i++) {
                    samplers.add(new Sampler(
                            choice.options()
                                    .sampling()
                                    .withSeed(choice.options().sampling().seed() + i),
                            choice.prompt(),
                            choice.constraint() == null
                                    ? null
                                    : choice.constraint().newMask(),
                            choice.options().logProbabilities(),
                            choice.promptLogProbabilities()));
                }
                int limit = choice.options().maxTokens();
                List<Session> own = model.engine().admit(choice.prompt(), samplers, limit, model.endTokens(), owner);
                firsts.add(own.getFirst());
                for (int i = 0; i < own.size(); i++) {
                    int number = sessions.size();
                    Session session = own.get(i);
                    Sampler sampler = samplers.get(i);
                    sessions.add(session);
                    readers.add(() -> read(number, session, sampler, choice));
                }
            }
            readers.forEach(Thread::startVirtualThread);
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    private void read(int number, Session session, Sampler sampler, Choice choice) {
        try {
            GeneratedText text = new GeneratedText(
                    session,
                    model.tokenizer().streamAfter(choice.prompt(), choice.shown()),
                    choice.options().stop(),
                    model.endTokens(),
                    choice.options().maxTokens());
            List<LogProbabilities> held = new ArrayList<>();
            boolean first = true;
            long last = began;
            for (GeneratedText.Piece piece = text.next(); piece != null; piece = text.next()) {
                Token token = piece.token();
                if (token != null) {
                    model.metrics().drawn(first, (session.drawnAt() - last) / 1e9);
                    last = session.drawnAt();
                    if (first) {
                        model.metrics().prompt(choice.prompt().length, session.cachedTokens());
                    }
                    if (first && choice.promptLogProbabilities()) {
                        events.add(new PromptRead(number, sampler.promptLogProbabilities()));
                    }
                    first = false;
                    if (!model.endTokens().contains(token.id())) {
                        drawn.incrementAndGet();
                        if (token.logProbabilities() != null) {
                            held.add(token.logProbabilities());
                        }
                    }
                }
                // Tokens of a stop string bring no text, and are not told.
                if (!piece.text().isEmpty() || token == null && text.end() != TextGenerator.End.STOP_STRING) {
                    if (!piece.text().isEmpty() || !held.isEmpty()) {
                        events.add(new Piece(number, piece.text(), List.copyOf(held)));
                    }
                    held.clear();
                }
            }
            session.close();
            events.add(new Finish(number, text.end()));
        } catch (CancellationException e) {
            // Whoever cancelled reads no more.
            return;
        } catch (Throwable e) {
            events.add(new Failure(number, failure(e)));
        }
    }

    private ApiException failure(Throwable e) {
        if (model.isClosing()) {
            return ApiException.later(503, "stopping", 5, "the server stops");
        }
        if (e instanceof GossetException g) {
            return ApiException.failed(model.withoutPaths(g.getMessage()));
        }
        LOG.log(System.Logger.Level.ERROR, "a generation failed", e);
        return ApiException.failed("internal error");
    }

    /** How many continuations there are. */
    public int choices() {
        return sessions.size();
    }

    /** The next event; null where none came in time. */
    public Event poll(Duration patience) throws InterruptedException {
        return events.poll(patience.toNanos(), TimeUnit.NANOSECONDS);
    }

    /** What it took so far. */
    public Usage usage() {
        int cached = firsts.stream().mapToInt(Session::cachedTokens).sum();
        return new Usage(promptTokens, drawn.get(), cached);
    }

    /** Seconds since it was asked for. */
    public double seconds() {
        return (System.nanoTime() - began) / 1e9;
    }

    @Override
    public void close() {
        sessions.forEach(Session::cancel);
    }
}

package dev.gosset.llm.generate;

import dev.gosset.core.FormatException;
import dev.gosset.llm.sampling.LogProbabilities;
import dev.gosset.llm.sampling.Sampler;
import dev.gosset.llm.session.Engine;
import dev.gosset.llm.session.Session;
import dev.gosset.llm.tokenizer.Tokenizer;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;

/**
 * Generates text with the sessions of an {@link Engine}: calls from several threads run together, and each has the text that it
 * would have alone. What a prompt shares with those before, in whole blocks, is not computed again. Thread-safe; closing
 * closes the engine.
 */
public final class TextGenerator implements AutoCloseable {
    private final String name;
    private final Engine engine;
    private final Tokenizer tokenizer;
    private final Set<Integer> endTokens;

    /** How a generation ended. */
    public enum End {
        /** The model wrote an end token. */
        STOP,
        /** A stop string came. */
        STOP_STRING,
        /** The most tokens were generated. */
        MAX_TOKENS,
        /** Prompt and text fill the model's context. */
        CONTEXT_FULL
    }

    /**
     * What was generated.
     *
     * @param text the generated text, without the prompt and without the stop string
     * @param promptTokens tokens of the prompt
     * @param tokens generated tokens, an end token not counted
     * @param end why it ended
     * @param prefillSeconds time to the first token
     * @param decodeSeconds time from the first token to the last that was drawn, an end token too
     * @param logProbabilities of each generated token, an end token too; empty where they were not asked for
     */
    public record Result(
            String text,
            int promptTokens,
            int tokens,
            End end,
            double prefillSeconds,
            double decodeSeconds,
            List<LogProbabilities> logProbabilities) {
        /** Tokens per second behind the first, which comes with the prompt; 0 where there is none. */
        public double tokensPerSecond() {
            int steps = tokens - (end == End.STOP ? 0 : 1);
            return decodeSeconds > 0 ? steps / decodeSeconds : 0;
        }
    }

    /**
     * @param name the model's, for messages
     * @param engine the generator's from here on
     * @param endTokens the tokens that end a text
     */
    public TextGenerator(String name, Engine engine, Tokenizer tokenizer, Set<Integer> endTokens) {
        this.name = name;
        this.engine = engine;
        this.tokenizer = tokenizer;
        this.endTokens = Set.copyOf(endTokens);
    }

    /**
     * Continues a prompt. An interrupt of the calling thread, and an exception of the sink, end it.
     *
     * @param prompt tokens of the prompt, special tokens included; at least one
     * @param sink receives the text piece by piece, in whole characters
     * @throws FormatException where the prompt fills the context, or the model's logits are not numbers
     * @throws IllegalStateException where the engine is closed, before or meanwhile
     * @throws java.util.concurrent.CancellationException where the thread is interrupted
     */
    public Result generate(int[] prompt, GenerationOptions options, Consumer<String> sink) {
        if (prompt.length == 0) {
            throw new FormatException("the prompt is empty and the tokenizer adds no token in front: give some text");
        }
        if (prompt.length >= engine.context()) {
            throw new FormatException("the prompt has " + prompt.length + " tokens, the context holds "
                    + engine.context() + " and needs room for at least one more");
        }
        long started = System.nanoTime();
        long first = started;
        long last = started;
        int drawn = 0;
        StringBuilder text = new StringBuilder();
        List<LogProbabilities> likely = new ArrayList<>();
        Sampler sampler = new Sampler(options.sampling(), prompt, options.mask(), options.logProbabilities());
        GeneratedText generated;
        try (Session session = engine.admit(prompt, sampler, options.maxTokens(), endTokens)) {
            generated = new GeneratedText(
                    session, tokenizer.streamAfter(prompt), options.stop(), endTokens, options.maxTokens());
            for (GeneratedText.Piece piece = generated.next(); piece != null; piece = generated.next()) {
                if (piece.token() != null) {
                    last = session.drawnAt();
                    first = drawn++ == 0 ? last : first;
                    if (piece.token().logProbabilities() != null) {
                        likely.add(piece.token().logProbabilities());
                    }
                }
                if (!piece.text().isEmpty()) {
                    text.append(piece.text());
                    sink.accept(piece.text());
                }
            }
        } catch (FormatException e) {
            // Logits that are no numbers.
            throw new FormatException(name + ": " + e.getMessage(), e);
        }
        return new Result(
                text.toString(),
                prompt.length,
                generated.tokens(),
                generated.end(),
                (first - started) / 1e9,
                (last - first) / 1e9,
                List.copyOf(likely));
    }

    @Override
    public void close() {
        engine.close();
    }
}

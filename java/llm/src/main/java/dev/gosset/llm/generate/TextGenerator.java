package dev.gosset.llm.generate;

import dev.gosset.core.FormatException;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.device.Decoder;
import dev.gosset.llm.device.LoadedModel;
import dev.gosset.llm.model.Transformer;
import dev.gosset.llm.sampling.LogProbabilities;
import dev.gosset.llm.sampling.Sampler;
import dev.gosset.llm.tokenizer.Tokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;

/**
 * Generates text token by token over a key-value cache that it keeps between calls: what a new prompt shares with the
 * text so far is not computed again. Not thread-safe; closing frees the cache.
 */
public final class TextGenerator implements AutoCloseable {
    private final String name;
    private final LoadedModel owned;
    private final Decoder decoder;
    private final Tokenizer tokenizer;
    private final Set<Integer> endTokens;
    private final int fixedLength;
    /** The tokens of the sequence. */
    private final List<Integer> cached = new ArrayList<>();

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
     * @param prefillSeconds time for the prompt
     * @param decodeSeconds time for the generated tokens
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
        /** Generated tokens per second, the prompt's time not counted. */
        public double tokensPerSecond() {
            return decodeSeconds > 0 ? tokens / decodeSeconds : 0;
        }
    }

    /**
     * @param name the model's, for messages
     * @param endTokens the tokens that end a text
     * @param context the most tokens of prompt and text together
     */
    public TextGenerator(String name, LoadedModel model, Tokenizer tokenizer, Set<Integer> endTokens, int context) {
        this(name, model, tokenizer, endTokens, context, false);
    }

    /** A generator over a transformer on the processor. */
    public TextGenerator(
            String name, Transformer model, Tokenizer tokenizer, Set<Integer> endTokens, int context, ThreadTeam team) {
        this(name, new CpuModel(model, team), tokenizer, endTokens, context, true);
    }

    /**
     * @param owns whether closing closes the model too
     */
    private TextGenerator(
            String name, LoadedModel model, Tokenizer tokenizer, Set<Integer> endTokens, int context, boolean owns) {
        this.name = name;
        this.owned = owns ? model : null;
        this.tokenizer = tokenizer;
        this.endTokens = Set.copyOf(endTokens);
        this.decoder = model.decoder(1, context);
        this.fixedLength = model.config().rotaryScaling().fixedLength();
    }

    /**
     * Continues a prompt.
     *
     * @param prompt tokens of the prompt, special tokens included; at least one
     * @param sink receives the text piece by piece, in whole characters
     * @throws FormatException where the prompt fills the context, or the model's logits are not numbers
     */
    public Result generate(int[] prompt, GenerationOptions options, Consumer<String> sink) {
        if (prompt.length == 0) {
            throw new FormatException("the prompt is empty and the tokenizer adds no token in front: give some text");
        }
        if (prompt.length >= decoder.context()) {
            throw new FormatException("the prompt has " + prompt.length + " tokens, the context holds "
                    + decoder.context() + " and needs room for at least one more");
        }
        long started = System.nanoTime();
        prefill(prompt);
        long prefilled = System.nanoTime();
        Tokenizer.Stream stream = tokenizer.streamAfter(prompt);
        StopStrings stop = new StopStrings(options.stop());
        StringBuilder text = new StringBuilder();
        List<Integer> sampled = new ArrayList<>();
        List<LogProbabilities> likely = new ArrayList<>();
        Sampler sampler = new Sampler(options.sampling(), prompt, options.mask(), options.logProbabilities());
        try {
            decoder.decode(
                    List.of(new Decoder.Continuation(0, sampler, options.maxTokens())),
                    endTokens,
                    (sequence, token) -> {
                        sampled.add(token);
                        if (sampler.logProbabilities() != null) {
                            likely.add(sampler.logProbabilities());
                        }
                        if (!endTokens.contains(token)) {
                            emit(stop.accept(stream.next(token)), text, sink);
                        }
                        return !stop.found();
                    });
        } catch (FormatException e) {
            // Logits that are no numbers.
            throw new FormatException(name + ": " + e.getMessage(), e);
        } finally {
            cached.addAll(sampled.isEmpty() ? sampled : sampled.subList(0, sampled.size() - 1));
        }
        emit(stop.accept(stream.end()), text, sink);
        emit(stop.end(), text, sink);
        boolean ended = endTokens.contains(sampled.getLast());
        int count = ended ? sampled.size() - 1 : sampled.size();
        return new Result(
                text.toString(),
                prompt.length,
                count,
                stop.found()
                        ? End.STOP_STRING
                        : ended ? End.STOP : count == options.maxTokens() ? End.MAX_TOKENS : End.CONTEXT_FULL,
                (prefilled - started) / 1e9,
                (System.nanoTime() - prefilled) / 1e9,
                List.copyOf(likely));
    }

    private static void emit(String piece, StringBuilder text, Consumer<String> sink) {
        if (!piece.isEmpty()) {
            text.append(piece);
            sink.accept(piece);
        }
    }

    private void prefill(int[] prompt) {
        int shared = 0;
        // Beyond this, keys depend on the length that the sequence had when they came.
        boolean reusable = Math.max(prompt.length, cached.size()) <= fixedLength;
        // The last token always runs: what follows it is wanted.
        while (reusable
                && shared < prompt.length - 1
                && shared < cached.size()
                && cached.get(shared) == prompt[shared]) {
            shared++;
        }
        decoder.truncate(0, shared);
        cached.subList(shared, cached.size()).clear();
        decoder.append(0, Arrays.copyOfRange(prompt, shared, prompt.length));
        for (int i = shared; i < prompt.length; i++) {
            cached.add(prompt[i]);
        }
    }

    @Override
    public void close() {
        decoder.close();
        if (owned != null) {
            owned.close();
        }
    }
}

package dev.gosset.llm.generate;

import dev.gosset.core.FormatException;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.model.KeyValueCache;
import dev.gosset.llm.model.Transformer;
import dev.gosset.llm.tokenizer.Tokenizer;
import java.lang.foreign.Arena;
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
    /** Prompt tokens run at a time, so that memory stays bounded. */
    private static final int PREFILL = 512;

    private final Transformer model;
    private final Tokenizer tokenizer;
    private final Set<Integer> endTokens;
    private final Workspace workspace;
    private final KeyValueCache cache;
    private final Arena arena = Arena.ofShared();
    private final FloatMatrix logits;
    private final float[] scores;
    private final List<Integer> cached = new ArrayList<>();

    /** How a generation ended. */
    public enum End {
        /** The model wrote an end token. */
        STOP,
        /** The most tokens were generated. */
        MAX_TOKENS,
        /** Prompt and text fill the model's context. */
        CONTEXT_FULL
    }

    /**
     * What was generated.
     *
     * @param text the generated text, without the prompt
     * @param promptTokens tokens of the prompt
     * @param tokens generated tokens, an end token not counted
     * @param end why it ended
     * @param prefillSeconds time for the prompt
     * @param decodeSeconds time for the generated tokens
     */
    public record Result(
            String text, int promptTokens, int tokens, End end, double prefillSeconds, double decodeSeconds) {
        /** Generated tokens per second, the prompt's time not counted. */
        public double tokensPerSecond() {
            return decodeSeconds > 0 ? tokens / decodeSeconds : 0;
        }
    }

    /**
     * @param endTokens the tokens that end a text
     * @param context the most tokens of prompt and text together
     */
    public TextGenerator(Transformer model, Tokenizer tokenizer, Set<Integer> endTokens, int context, ThreadTeam team) {
        this.model = model;
        this.tokenizer = tokenizer;
        this.endTokens = Set.copyOf(endTokens);
        this.workspace = new Workspace(team);
        this.cache = model.newCache(context);
        this.logits = FloatMatrix.allocate(arena, 1, model.config().vocabularySize());
        this.scores = new float[model.config().vocabularySize()];
    }

    /**
     * Continues a prompt.
     *
     * @param prompt tokens of the prompt, special tokens included; at least one
     * @param sink receives the text piece by piece, in whole characters
     * @throws FormatException where the prompt fills the context
     */
    public Result generate(int[] prompt, GenerationOptions options, Consumer<String> sink) {
        if (prompt.length == 0) {
            throw new FormatException("the prompt is empty and the tokenizer adds no token in front: give some text");
        }
        if (prompt.length >= cache.capacity()) {
            throw new FormatException("the prompt has " + prompt.length + " tokens, the context holds "
                    + cache.capacity() + " and needs room for at least one more");
        }
        long started = System.nanoTime();
        prefill(prompt);
        long prefilled = System.nanoTime();
        Sampler sampler = new Sampler(options);
        Tokenizer.Stream stream = tokenizer.stream();
        StringBuilder text = new StringBuilder();
        End end = End.MAX_TOKENS;
        int count = 0;
        while (count < options.maxTokens()) {
            java.lang.foreign.MemorySegment.copy(
                    logits.data(), java.lang.foreign.ValueLayout.JAVA_FLOAT, 0, scores, 0, scores.length);
            int token = sampler.next(scores);
            if (endTokens.contains(token)) {
                end = End.STOP;
                break;
            }
            count++;
            emit(stream.next(token), text, sink);
            if (count == options.maxTokens()) {
                break;
            }
            if (cached.size() >= cache.capacity()) {
                end = End.CONTEXT_FULL;
                break;
            }
            append(new int[] {token}, true);
        }
        emit(stream.end(), text, sink);
        return new Result(
                text.toString(),
                prompt.length,
                count,
                end,
                (prefilled - started) / 1e9,
                (System.nanoTime() - prefilled) / 1e9);
    }

    private static void emit(String piece, StringBuilder text, Consumer<String> sink) {
        if (!piece.isEmpty()) {
            text.append(piece);
            sink.accept(piece);
        }
    }

    private void prefill(int[] prompt) {
        int shared = 0;
        // The last token always runs: its logits are wanted.
        while (shared < prompt.length - 1 && shared < cached.size() && cached.get(shared) == prompt[shared]) {
            shared++;
        }
        cache.truncate(shared);
        cached.subList(shared, cached.size()).clear();
        for (int from = shared; from < prompt.length; from += PREFILL) {
            int to = Math.min(prompt.length, from + PREFILL);
            append(Arrays.copyOfRange(prompt, from, to), to == prompt.length);
        }
    }

    private void append(int[] tokens, boolean wantLogits) {
        model.append(tokens, cache, wantLogits ? logits : logits.rows(0, 0), workspace);
        for (int token : tokens) {
            cached.add(token);
        }
    }

    @Override
    public void close() {
        cache.close();
        workspace.close();
        arena.close();
    }
}

package dev.gosset.llm.calibration;

import dev.gosset.core.FormatException;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.Progress;
import dev.gosset.llm.cpu.Transformer;
import dev.gosset.llm.io.TextDocuments;
import dev.gosset.llm.plan.ModelConfig;
import dev.gosset.llm.tokenizer.Tokenizer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Supplier;

/**
 * The text whose activations make the Hessians.
 *
 * @param files text, lines of JSON, directories, as {@link TextDocuments} reads them; none for what the model writes itself
 * @param skipped how many sequences at its front to leave out
 * @param sequences how many sequences to take then; 0 for the default
 * @param context tokens per sequence, the begin-of-text token included; 0 for the default
 */
public record CalibrationText(List<Path> files, int skipped, int sequences, int context) {
    private static final int DEFAULT_CONTEXT = 2048;

    /** Sequences of given text. */
    private static final int DEFAULT_SEQUENCES = 128;

    /** Tokens that a model writes: see docs/results.md for what more of them gain. */
    private static final int WRITTEN_TOKENS = 32768;

    public CalibrationText {
        files = List.copyOf(files);
    }

    /** One file from its front. */
    public CalibrationText(Path file, int sequences, int context) {
        this(file, 0, sequences, context);
    }

    /** One file. */
    public CalibrationText(Path file, int skipped, int sequences, int context) {
        this(List.of(file), skipped, sequences, context);
    }

    /** Tokens per sequence: {@link #context}, or 2048 or the model's own context where that is shorter. */
    public int contextFor(ModelConfig config) {
        if (context > config.longestSequence()) {
            throw new FormatException(
                    "a context of " + context + " is longer than the model's context of " + config.longestSequence());
        }
        return context == 0 ? Math.min(DEFAULT_CONTEXT, config.maxPositions()) : context;
    }

    /** How many sequences, none of them left out. */
    public int countFor(ModelConfig config) {
        if (sequences > 0) {
            return sequences;
        }
        return files.isEmpty() ? Math.ceilDiv(WRITTEN_TOKENS, contextFor(config)) : DEFAULT_SEQUENCES;
    }

    /** This text with so many more sequences behind. */
    public CalibrationText andMore(int more, ModelConfig config) {
        return new CalibrationText(files, skipped, Math.addExact(countFor(config), more), context);
    }

    /**
     * Reads, tokenizes and cuts the text, or has the model write it.
     *
     * @param checksum tells the model from others; asked for only where the model writes
     * @param directory where what the model writes is kept for other runs
     */
    public List<int[]> tokenize(
            Transformer model,
            Supplier<String> checksum,
            Tokenizer tokenizer,
            Path directory,
            ThreadTeam team,
            Progress progress) {
        if (!files.isEmpty()) {
            return tokenize(tokenizer, model.config());
        }
        int length = contextFor(model.config());
        return new WrittenText(model, checksum.get(), tokenizer, countFor(model.config()), length)
                .sequences(directory, team, progress);
    }

    /** Reads, tokenizes and cuts the text; there must be one. */
    public List<int[]> tokenize(Tokenizer tokenizer, ModelConfig config) {
        int length = contextFor(config);
        int count = skipped + countFor(config);
        long needed = (long) count * length;
        List<int[]> pieces = new ArrayList<>();
        long[] found = {0};
        TextDocuments.read(files, text -> {
            int[] tokens = tokenizer.encode(text, false);
            pieces.add(tokens);
            found[0] += tokens.length;
            return found[0] < needed;
        });
        String source = files.getFirst() + (files.size() == 1 ? "" : " and " + (files.size() - 1) + " more");
        List<int[]> all = CalibrationSequences.cut(
                pieces.stream().flatMapToInt(Arrays::stream).toArray(),
                tokenizer.leadingToken(),
                count,
                length,
                source);
        return all.subList(skipped, all.size());
    }
}

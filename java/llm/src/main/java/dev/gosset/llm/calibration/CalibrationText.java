package dev.gosset.llm.calibration;

import dev.gosset.llm.io.TextFile;
import dev.gosset.llm.plan.ModelConfig;
import dev.gosset.llm.tokenizer.Tokenizer;
import java.nio.file.Path;
import java.util.List;

/**
 * The text whose activations make the Hessians.
 *
 * @param file UTF-8 text
 * @param skipped how many sequences at its front to leave out
 * @param sequences how many sequences to take then
 * @param context tokens per sequence, the begin-of-text token included; 0 for the default
 */
public record CalibrationText(Path file, int skipped, int sequences, int context) {
    /** A text from its front. */
    public CalibrationText(Path file, int sequences, int context) {
        this(file, 0, sequences, context);
    }

    private static final int DEFAULT_CONTEXT = 2048;

    /** Tokens per sequence: {@link #context}, or 2048 or the model's own context where that is shorter. */
    public int contextFor(ModelConfig config) {
        if (context > config.longestSequence()) {
            throw new dev.gosset.core.FormatException(
                    "a context of " + context + " is longer than the model's context of " + config.longestSequence());
        }
        return context == 0 ? Math.min(DEFAULT_CONTEXT, config.maxPositions()) : context;
    }

    /** Reads, tokenizes and cuts the text. */
    public List<int[]> tokenize(Tokenizer tokenizer, ModelConfig config) {
        int[] tokens = tokenizer.encode(TextFile.read(file), false);
        List<int[]> all = CalibrationSequences.cut(
                tokens, tokenizer.leadingToken(), skipped + sequences, contextFor(config), file.toString());
        return all.subList(skipped, all.size());
    }
}

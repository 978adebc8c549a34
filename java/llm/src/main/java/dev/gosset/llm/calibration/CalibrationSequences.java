package dev.gosset.llm.calibration;

import dev.gosset.core.FormatException;
import java.util.ArrayList;
import java.util.List;

/**
 * Cuts a token stream into the sequences whose activations make the Hessians: pieces of {@code context} tokens, each
 * starting with the begin-of-text token where the model has one; the last, incomplete piece is dropped.
 */
public final class CalibrationSequences {
    private CalibrationSequences() {}

    /**
     * @param tokens the whole text, without special tokens
     * @param bos the token put in front of every sequence, or -1 for none
     * @param sequences how many sequences to take, from the front
     * @param context tokens per sequence, the leading special token included
     * @param source what the tokens came from, for messages
     * @throws FormatException where the text is too short
     */
    public static List<int[]> cut(int[] tokens, int bos, int sequences, int context, String source) {
        int lead = bos < 0 ? 0 : 1;
        int piece = context - lead;
        if (piece < 1) {
            throw new IllegalArgumentException("a context of " + context + " leaves no room for text");
        }
        int available = tokens.length / piece;
        if (available < sequences) {
            throw new FormatException(source + ": calibration text too short: its " + tokens.length + " tokens fill "
                    + available + " sequences of " + context + ", but " + sequences
                    + " are asked for; give more text, or take fewer or shorter sequences");
        }
        List<int[]> out = new ArrayList<>();
        for (int s = 0; s < sequences; s++) {
            int[] sequence = new int[context];
            if (lead == 1) {
                sequence[0] = bos;
            }
            System.arraycopy(tokens, s * piece, sequence, lead, piece);
            out.add(sequence);
        }
        return out;
    }
}

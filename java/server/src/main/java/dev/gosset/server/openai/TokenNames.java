package dev.gosset.server.openai;

import dev.gosset.llm.tokenizer.Tokenizer;
import java.util.HashMap;
import java.util.Map;

/** Tokens as texts of their own, for log-probabilities. One thread at a time. */
final class TokenNames {
    private final Tokenizer tokenizer;
    private final Map<Integer, String> known = new HashMap<>();

    TokenNames(Tokenizer tokenizer) {
        this.tokenizer = tokenizer;
    }

    /** What the token adds inside a text; special tokens by their names, parts of characters as U+FFFD. */
    String of(int token) {
        return known.computeIfAbsent(token, this::read);
    }

    private String read(int token) {
        // Behind another token, for the first one of a text loses its space.
        Tokenizer.Stream stream = tokenizer.streamAfter(new int[] {token});
        String text = stream.next(token) + stream.end();
        String name = tokenizer.textOf(token);
        return text.isEmpty() && name != null ? name : text;
    }
}

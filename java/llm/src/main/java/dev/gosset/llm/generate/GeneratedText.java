package dev.gosset.llm.generate;

import dev.gosset.llm.session.Session;
import dev.gosset.llm.session.Token;
import dev.gosset.llm.tokenizer.Tokenizer;
import java.util.List;
import java.util.Set;

/** Reads a session as text, token by token, until a stop string or its end. One thread at a time. */
public final class GeneratedText {
    private final Session session;
    private final Tokenizer.Stream stream;
    private final StopStrings stop;
    private final Set<Integer> endTokens;
    private final int maxTokens;
    private int count;
    private boolean ended;
    private boolean over;

    /**
     * What a token brought.
     *
     * @param text that no later token changes, in whole characters, perhaps empty
     * @param token null for what was left at the end
     */
    public record Piece(String text, Token token) {}

    /**
     * @param session stays the caller's
     * @param stream behind the prompt
     * @param stop texts that end it, not given themselves
     * @param maxTokens what the session was asked for
     */
    public GeneratedText(
            Session session, Tokenizer.Stream stream, List<String> stop, Set<Integer> endTokens, int maxTokens) {
        this.session = session;
        this.stream = stream;
        this.stop = new StopStrings(stop);
        this.endTokens = endTokens;
        this.maxTokens = maxTokens;
    }

    /**
     * Waits for the next piece; throws as {@link Session#next} does.
     *
     * @return null after the last one
     */
    public Piece next() {
        if (over) {
            return null;
        }
        Token token = stop.found() ? null : session.next();
        if (token == null) {
            over = true;
            return new Piece(stop.found() ? "" : stop.accept(stream.end()) + stop.end(), null);
        }
        ended = endTokens.contains(token.id());
        if (ended) {
            return new Piece("", token);
        }
        count++;
        return new Piece(stop.accept(stream.next(token.id())), token);
    }

    /** Tokens so far, an end token not counted. */
    public int tokens() {
        return count;
    }

    /** Why it ended. */
    public TextGenerator.End end() {
        if (stop.found()) {
            return TextGenerator.End.STOP_STRING;
        }
        if (ended) {
            return TextGenerator.End.STOP;
        }
        return count == maxTokens ? TextGenerator.End.MAX_TOKENS : TextGenerator.End.CONTEXT_FULL;
    }
}

package dev.gosset.llm.constraint;

import dev.gosset.core.FormatException;
import dev.gosset.llm.sampling.TokenMask;
import java.io.ByteArrayOutputStream;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A grammar over the tokens of a model: makes a mask for each sequence that is held to it, and keeps what they find out. A token that was
 * drawn is looked at by itself; the mask over all tokens is made only where it must not come. Thread-safe.
 */
public final class Constraint {
    private static final int MOST_MASKS = 128;
    private static final int MOST_FORCED = 1024;
    /** Where so many different bytes may begin a token, a mask that is not known yet is more work than drawing again. */
    private static final int MANY_BYTES = 64;

    private static final int MOST_REFUSALS = 4;
    /** Bytes that are looked ahead. */
    private static final int LONGEST = 512;

    private final Vocabulary vocabulary;
    private final Automaton.State start;
    private final Map<Automaton.State, long[]> masks = kept(MOST_MASKS);
    private final Map<Place, int[]> forced = kept(MOST_FORCED);

    private record Place(Automaton.State before, int token) {}

    /**
     * @throws FormatException where the grammar has no text
     */
    public Constraint(Grammar grammar, Vocabulary vocabulary) {
        this.vocabulary = vocabulary;
        this.start = new Automaton(grammar.expression()).start();
    }

    private static <K, V> Map<K, V> kept(int most) {
        return new LinkedHashMap<>(16, 0.75f, true) {
            private static final long serialVersionUID = 1L;

            @Override
            protected boolean removeEldestEntry(Map.Entry<K, V> eldest) {
                return size() > most;
            }
        };
    }

    /** A mask for one sequence. */
    public TokenMask newMask() {
        return new Mask();
    }

    private final class Mask implements TokenMask {
        private Automaton.State state = start;
        /** Behind an end token anything may come: it is not told. */
        private boolean ended;
        /** The last token that was refused here, and how many were. */
        private int refused = -1;

        private int refusals;

        @Override
        public boolean allows(int token) {
            boolean may = ended || (vocabulary.isEnd(token) ? state.accepts() : after(state, token) != null);
            refused = may ? -1 : token;
            refusals += may ? 0 : 1;
            return may;
        }

        @Override
        public void accept(int token) {
            if (vocabulary.isEnd(token) || ended) {
                ended = true;
                return;
            }
            refused = -1;
            refusals = 0;
            state = after(state, token);
            if (state == null) {
                throw new IllegalStateException("token " + token + " must not come");
            }
        }

        @Override
        public void mask(float[] logits) {
            if (ended) {
                return;
            }
            if (refused >= 0 && refused < logits.length && refusals <= MOST_REFUSALS && isMuchWork(state)) {
                logits[refused] = Float.NEGATIVE_INFINITY;
                return;
            }
            long[] allowed = allowed(state);
            for (int word = 0; 64 * word < logits.length; word++) {
                long bits = word < allowed.length ? allowed[word] : 0;
                if (bits == -1) {
                    continue;
                }
                int end = Math.min(logits.length, 64 * word + 64);
                if (bits == 0) {
                    Arrays.fill(logits, 64 * word, end, Float.NEGATIVE_INFINITY);
                } else {
                    for (int i = 64 * word; i < end; i++) {
                        if ((bits >>> i & 1) == 0) {
                            logits[i] = Float.NEGATIVE_INFINITY;
                        }
                    }
                }
            }
        }

        @Override
        public int[] forced(int token) {
            return ended || token >= 0 && vocabulary.isEnd(token)
                    ? TokenMask.super.forced(token)
                    : follow(state, token);
        }
    }

    /** The state after a token that is no end; null where it must not come. */
    private Automaton.State after(Automaton.State from, int token) {
        byte[] bytes = vocabulary.bytesOf(token);
        if (bytes == null) {
            return from.stepMark(token);
        }
        Automaton.State state = from;
        for (int i = 0; state != null && i < bytes.length; i++) {
            state = state.step(bytes[i] & 0xff);
        }
        return state;
    }

    private boolean isMuchWork(Automaton.State state) {
        synchronized (masks) {
            return state.firstBytes() > MANY_BYTES && !masks.containsKey(state);
        }
    }

    private long[] allowed(Automaton.State state) {
        synchronized (masks) {
            long[] known = masks.get(state);
            if (known != null) {
                return known;
            }
        }
        long[] all = new long[(vocabulary.size() + 63) / 64];
        for (Automaton.State lexeme : state.lexemes()) {
            Vocabulary.Lexed lexed = vocabulary.lexed(lexeme);
            for (int i = 0; i < all.length; i++) {
                all[i] |= lexed.allowed()[i];
            }
            for (int token : lexed.others()) {
                if ((all[token >> 6] >>> token & 1) == 0 && after(state, token) != null) {
                    all[token >> 6] |= 1L << token;
                }
            }
        }
        for (int token : state.marks()) {
            all[token >> 6] |= 1L << token;
        }
        if (state.accepts()) {
            vocabulary.endTokens().forEach(token -> all[token >> 6] |= 1L << token);
        }
        synchronized (masks) {
            masks.put(state, all);
        }
        return all;
    }

    /** A token that was drawn, -1 for none, and what has to follow it. */
    private int[] follow(Automaton.State before, int token) {
        int[] alone = token < 0 ? new int[0] : new int[] {token};
        Automaton.State state = token < 0 ? before : after(before, token);
        if (state.only() < 0 && (!state.accepts() || state.continues())) {
            return alone;
        }
        Place place = new Place(before, token);
        synchronized (forced) {
            int[] known = forced.get(place);
            if (known != null) {
                return known;
            }
        }
        int[] all = follow(state, token, alone);
        synchronized (forced) {
            forced.put(place, all);
        }
        return all;
    }

    /**
     * What comes without a choice is written in the tokens that the tokenizer would have taken, together with the token before it. The last of them is
     * left out, for what comes behind it might have become one token with it; where the text ends there, it is not.
     */
    private int[] follow(Automaton.State after, int token, int[] alone) {
        byte[] own = token < 0 ? new byte[0] : vocabulary.bytesOf(token);
        if (own == null) {
            return alone;
        }
        ByteArrayOutputStream text = new ByteArrayOutputStream();
        text.writeBytes(own);
        Automaton.State state = after;
        for (int next = state.only(); next >= 0 && text.size() < LONGEST; next = state.only()) {
            text.write(next);
            state = state.step(next);
        }
        boolean over = state.accepts() && !state.continues();
        int[] end = over ? new int[] {vocabulary.endTokens().iterator().next()} : new int[0];
        if (text.size() == own.length) {
            return join(alone, end);
        }
        int[] tokens = vocabulary.tokensOf(text.toByteArray());
        if (tokens == null) {
            return alone;
        }
        if (over) {
            return join(tokens, end);
        }
        int[] kept = Arrays.copyOf(tokens, tokens.length - 1);
        return vocabulary.join(kept).length > own.length ? kept : alone;
    }

    private static int[] join(int[] a, int[] b) {
        int[] all = Arrays.copyOf(a, a.length + b.length);
        System.arraycopy(b, 0, all, a.length, b.length);
        return all;
    }
}

package dev.gosset.llm.constraint;

import dev.gosset.core.FormatException;
import dev.gosset.llm.tokenizer.Tokenizer;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.function.IntFunction;

/**
 * The bytes of a model's tokens as a tree: arrays in the order of a walk through it, so that one that must not begin with some bytes
 * goes past all tokens that do. Thread-safe.
 */
public final class Vocabulary {
    /** Masks of lexemes that are kept, each a bit for each token. */
    private static final int MOST_KEPT = 1024;

    private final Function<String, int[]> encode;
    private final int size;
    private final Set<Integer> endTokens;
    /** By token; null for those without bytes. */
    private final byte[][] bytes;

    private final int nodes;
    private final byte[] labels;
    /** The node behind a node's subtree. */
    private final int[] ends;

    private final short[] depths;
    /** The first token of a node, -1 for none; and the next one with the same bytes, by token. */
    private final int[] tokens;

    private final int[] alike;
    private final int deepest;

    private final Map<Automaton.State, Lexed> lexed = new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<Automaton.State, Lexed> eldest) {
            return size() > MOST_KEPT;
        }
    };

    /**
     * What a state of a lexeme makes of all tokens.
     *
     * @param allowed bits of those that it takes whole
     * @param others tokens that begin with its end, and may go on with what comes behind it
     */
    record Lexed(long[] allowed, int[] others) {}

    /**
     * @param size tokens of the model
     * @param endTokens of the model, at least one
     * @throws FormatException where the tokenizer's tokens have no bytes of their own, or it lacks some
     */
    public Vocabulary(Tokenizer tokenizer, int size, Set<Integer> endTokens) {
        this(tokenizer::bytesOf, text -> tokenizer.encode(text, false), size, endTokens);
    }

    /**
     * @param bytesOf the bytes of a token, null where it has none
     * @param encode the tokens of a text
     */
    Vocabulary(IntFunction<byte[]> bytesOf, Function<String, int[]> encode, int size, Set<Integer> endTokens) {
        this.encode = encode;
        this.size = size;
        this.endTokens = new TreeSet<>(endTokens);
        this.bytes = new byte[size][];
        this.alike = new int[size];
        List<Integer> sorted = new ArrayList<>();
        for (int id = 0; id < size; id++) {
            byte[] own = endTokens.contains(id) ? null : bytesOf.apply(id);
            if (own != null && own.length > 0 && own.length < Short.MAX_VALUE) {
                bytes[id] = own;
                sorted.add(id);
            }
        }
        if (endTokens.isEmpty()) {
            throw new FormatException("the model has no token that ends a text, so none can be held to a form");
        }
        sorted.sort((a, b) -> Arrays.compareUnsigned(bytes[a], bytes[b]));
        int count = 0;
        byte[] before = {};
        for (int id : sorted) {
            int common = Arrays.mismatch(before, bytes[id]);
            count += bytes[id].length - (common < 0 ? bytes[id].length : common);
            before = bytes[id];
        }
        this.nodes = count;
        this.labels = new byte[count];
        this.ends = new int[count];
        this.depths = new short[count];
        this.tokens = new int[count];
        Arrays.fill(tokens, -1);
        Arrays.fill(alike, -1);
        this.deepest = build(sorted);
        requireAscii(sorted);
    }

    private int build(List<Integer> sorted) {
        int most = 0;
        int node = 0;
        byte[] before = {};
        int[] path = new int[Short.MAX_VALUE];
        for (int id : sorted) {
            byte[] own = bytes[id];
            int common = Arrays.mismatch(before, own);
            common = common < 0 ? own.length : common;
            for (int d = before.length - 1; d >= common; d--) {
                ends[path[d]] = node;
            }
            for (int d = common; d < own.length; d++) {
                path[d] = node;
                labels[node] = own[d];
                depths[node++] = (short) d;
            }
            int last = path[own.length - 1];
            alike[id] = tokens[last];
            tokens[last] = id;
            most = Math.max(most, own.length);
            before = own;
        }
        for (int d = before.length - 1; d >= 0; d--) {
            ends[path[d]] = node;
        }
        return most;
    }

    /** Without them there may be a place where no token can come. */
    private void requireAscii(List<Integer> sorted) {
        boolean[] single = new boolean[128];
        for (int id : sorted) {
            if (bytes[id].length == 1 && bytes[id][0] >= 0) {
                single[bytes[id][0]] = true;
            }
        }
        for (int b = ' '; b < 0x7F; b++) {
            if (!single[b]) {
                throw new FormatException("the tokenizer has no token that is the character '" + (char) b
                        + "' alone, so its texts cannot be held to a form");
            }
        }
    }

    int size() {
        return size;
    }

    boolean isEnd(int token) {
        return endTokens.contains(token);
    }

    Set<Integer> endTokens() {
        return endTokens;
    }

    /** The bytes of a token inside a text; null where it has none. */
    byte[] bytesOf(int token) {
        return token < 0 || token >= size ? null : bytes[token];
    }

    /** What a state of a lexeme makes of all tokens; made once. */
    Lexed lexed(Automaton.State state) {
        synchronized (lexed) {
            Lexed known = lexed.get(state);
            if (known != null) {
                return known;
            }
        }
        Lexed made = walk(state);
        synchronized (lexed) {
            lexed.put(state, made);
        }
        return made;
    }

    private Lexed walk(Automaton.State start) {
        long[] allowed = new long[(size + 63) / 64];
        int[] others = new int[64];
        int count = 0;
        Automaton.State[] path = new Automaton.State[deepest + 1];
        // Whether the lexeme may have ended within the token.
        boolean[] ended = new boolean[deepest + 1];
        path[0] = start;
        for (int node = 0; node < nodes; ) {
            int depth = depths[node];
            Automaton.State next = path[depth].step(labels[node] & 0xff);
            if (next != null) {
                path[depth + 1] = next;
                ended[depth + 1] = ended[depth] || next.accepts();
                for (int token = tokens[node]; token >= 0; token = alike[token]) {
                    allowed[token >> 6] |= 1L << token;
                }
                node++;
            } else {
                for (int i = node; ended[depth] && i < ends[node]; i++) {
                    for (int token = tokens[i]; token >= 0; token = alike[token]) {
                        others = count == others.length ? Arrays.copyOf(others, 2 * count) : others;
                        others[count++] = token;
                    }
                }
                node = ends[node];
            }
        }
        return new Lexed(allowed, Arrays.copyOf(others, count));
    }

    /**
     * Tokens of a text that stands behind others, as the tokenizer would have written it.
     *
     * @return null where that cannot be told
     */
    int[] tokensOf(byte[] text) {
        String string = new String(text, StandardCharsets.UTF_8);
        if (!Arrays.equals(string.getBytes(StandardCharsets.UTF_8), text)) {
            // A part of a character.
            return null;
        }
        // Behind a line, so that the tokenizer puts nothing before it.
        int[] all = encode.apply("\n" + string);
        int from = all.length;
        int left = text.length;
        while (left > 0 && from > 0) {
            byte[] own = bytesOf(all[--from]);
            if (own == null || own.length > left) {
                return null;
            }
            left -= own.length;
        }
        int[] tokens = Arrays.copyOfRange(all, from, all.length);
        return left == 0 && Arrays.equals(join(tokens), text) ? tokens : null;
    }

    /** The bytes of tokens that have some. */
    byte[] join(int... ids) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        for (int id : ids) {
            out.writeBytes(bytes[id]);
        }
        return out.toByteArray();
    }
}

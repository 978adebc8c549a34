package dev.gosset.llm.tokenizer;

import ai.djl.huggingface.tokenizers.Encoding;
import ai.djl.huggingface.tokenizers.jni.CharSpan;
import java.util.Arrays;
import java.util.function.Function;

/**
 * Tokenizes long texts in pieces, to the same tokens as at once: the library makes many objects for each token, and where the
 * heap has no room for them it ends the JVM.
 *
 * <p>Two pieces overlap. They are joined where both have the same tokens at the same places for a while on either side: there
 * neither the end of one nor the beginning of the other has any influence any more. Where they do not meet, as in one endless
 * word, the overlap grows, and at last the piece, until it is the whole text. Immutable, thread-safe if the library is.
 */
final class PieceEncoder {
    /** Equal tokens wanted on either side of a joint. */
    private static final int WITNESSES = 32;

    private final Function<String, Encoding> library;
    private final int piece;
    private final int overlap;

    PieceEncoder(Function<String, Encoding> library) {
        this(library, 1 << 16, 1 << 11);
    }

    /**
     * @param library tokenizes a text; its spans are in code points
     * @param piece characters that are tokenized at once
     * @param overlap characters that two pieces share, at most half a piece
     */
    PieceEncoder(Function<String, Encoding> library, int piece, int overlap) {
        this.library = library;
        this.piece = piece;
        this.overlap = overlap;
    }

    /** Tokens of a piece from {@code from} to {@code to}: ids and places in the whole text, -1 where a token has none. */
    private record Piece(int from, int to, int[] ids, int[] starts, int[] ends) {
        /** Whether token {@code a} of this piece and token {@code b} of another begin and end at the same places. */
        boolean agrees(int a, Piece other, int b) {
            return ids[a] == other.ids[b] && starts[a] == other.starts[b] && ends[a] == other.ends[b];
        }
    }

    private Piece encode(String text, int from, int to) {
        String part = text.substring(from, to);
        Encoding encoding = library.apply(part);
        // Where there are surrogate pairs, code points are at other places than characters.
        int[] places = part.codePointCount(0, part.length()) == part.length() ? null : places(part);
        CharSpan[] spans = encoding.getCharTokenSpans();
        int[] starts = new int[spans.length];
        int[] ends = new int[spans.length];
        for (int i = 0; i < spans.length; i++) {
            starts[i] = spans[i] == null ? -1 : from + place(places, spans[i].getStart());
            ends[i] = spans[i] == null ? -1 : from + place(places, spans[i].getEnd());
        }
        return new Piece(from, to, narrow(encoding.getIds()), starts, ends);
    }

    private static int place(int[] places, int codePoint) {
        return places == null ? codePoint : places[codePoint];
    }

    private static int[] places(String part) {
        int[] places = new int[part.codePointCount(0, part.length()) + 1];
        for (int i = 1; i < places.length; i++) {
            places[i] = part.offsetByCodePoints(places[i - 1], 1);
        }
        return places;
    }

    private static int[] narrow(long[] ids) {
        int[] narrow = new int[ids.length];
        for (int i = 0; i < ids.length; i++) {
            narrow[i] = Math.toIntExact(ids[i]);
        }
        return narrow;
    }

    /** The place, or the one before where that is inside of a surrogate pair. */
    private static int border(String text, int at) {
        boolean inside = at > 0
                && at < text.length()
                && Character.isLowSurrogate(text.charAt(at))
                && Character.isHighSurrogate(text.charAt(at - 1));
        return inside ? at - 1 : at;
    }

    /** The tokens of a text. */
    int[] encode(String text) {
        if (text.length() <= piece) {
            return narrow(library.apply(text).getIds());
        }
        int length = text.length();
        int[] tokens = new int[length / 2];
        int count = 0;
        Piece left = encode(text, 0, border(text, piece));
        int given = 0;
        while (left.to < length) {
            Piece right = null;
            int[] joint = null;
            // An odd step: texts of a period are met at other places of it.
            for (int shared = overlap; joint == null && shared <= (left.to - left.from) / 2; shared = 2 * shared + 1) {
                int from = border(text, left.to - shared);
                right = encode(text, from, border(text, Math.min(length, from + piece)));
                joint = joint(left, right, given);
            }
            if (joint == null) {
                long twice = left.from + 2L * (left.to - left.from);
                left = encode(text, left.from, border(text, (int) Math.min(length, twice)));
                continue;
            }
            tokens = append(tokens, count, left.ids, given, joint[0]);
            count += joint[0] - given;
            left = right;
            given = joint[1];
        }
        tokens = append(tokens, count, left.ids, given, left.ids.length);
        return Arrays.copyOf(tokens, count + left.ids.length - given);
    }

    private static int[] append(int[] tokens, int count, int[] ids, int from, int to) {
        int[] all = count + to - from <= tokens.length
                ? tokens
                : Arrays.copyOf(tokens, Math.max(count + to - from, tokens.length + tokens.length / 2));
        System.arraycopy(ids, from, all, count, to - from);
        return all;
    }

    /** The first tokens after a joint in the middle half of the overlap, of the left and of the right piece; null for none. */
    private static int[] joint(Piece left, Piece right, int given) {
        int quarter = (left.to - right.from) / 4;
        int a = given;
        for (int b = WITNESSES; b + WITNESSES <= right.ids.length; b++) {
            int place = right.starts[b];
            if (place > left.to - quarter) {
                return null;
            }
            if (place < right.from + quarter || right.ends[b - 1] > place || right.starts[b - 1] == place) {
                continue;
            }
            while (a < left.ids.length && left.starts[a] < place) {
                a++;
            }
            if (a - WITNESSES >= given && a + WITNESSES <= left.ids.length && agree(left, a, right, b)) {
                return new int[] {a, b};
            }
        }
        return null;
    }

    private static boolean agree(Piece left, int a, Piece right, int b) {
        for (int i = -WITNESSES; i < WITNESSES; i++) {
            if (!left.agrees(a + i, right, b + i)) {
                return false;
            }
        }
        return true;
    }
}

package dev.gosset.llm.tokenizer;

import ai.djl.huggingface.tokenizers.Encoding;
import ai.djl.huggingface.tokenizers.jni.CharSpan;
import java.util.Arrays;
import java.util.function.Function;
import java.util.stream.IntStream;

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
     * @param library tokenizes a text; spans are in code points of the text
     * @param piece code points that are tokenized at once
     * @param overlap code points that two pieces share, at most half a piece
     */
    PieceEncoder(Function<String, Encoding> library, int piece, int overlap) {
        this.library = library;
        this.piece = piece;
        this.overlap = overlap;
    }

    /** Tokens of a piece: ids and places in the whole text, -1 where a token has none. */
    private record Piece(int from, int to, int[] ids, int[] starts, int[] ends) {
        /** Whether token {@code a} of this piece and token {@code b} of another begin and end at the same places. */
        boolean agrees(int a, Piece other, int b) {
            return ids[a] == other.ids[b] && starts[a] == other.starts[b] && ends[a] == other.ends[b];
        }
    }

    private Piece encode(int[] text, int from, int to) {
        Encoding encoding = library.apply(new String(text, from, to - from));
        CharSpan[] spans = encoding.getCharTokenSpans();
        int[] ids = Arrays.stream(encoding.getIds()).mapToInt(Math::toIntExact).toArray();
        int[] starts = Arrays.stream(spans)
                .mapToInt(s -> s == null ? -1 : from + s.getStart())
                .toArray();
        int[] ends = Arrays.stream(spans)
                .mapToInt(s -> s == null ? -1 : from + s.getEnd())
                .toArray();
        return new Piece(from, to, ids, starts, ends);
    }

    /** The tokens of a text. */
    int[] encode(String text) {
        if (text.length() <= piece) {
            return Arrays.stream(library.apply(text).getIds())
                    .mapToInt(Math::toIntExact)
                    .toArray();
        }
        int[] points = text.codePoints().toArray();
        IntStream.Builder tokens = IntStream.builder();
        Piece left = encode(points, 0, Math.min(points.length, piece));
        int given = 0;
        while (left.to < points.length) {
            Piece right = null;
            int[] joint = null;
            // An odd step: texts of a period are met at other places of it.
            for (int shared = overlap; joint == null && shared <= (left.to - left.from) / 2; shared = 2 * shared + 1) {
                int from = left.to - shared;
                right = encode(points, from, Math.min(points.length, from + piece));
                joint = joint(left, right, given);
            }
            if (joint == null) {
                int length = (int) Math.min(points.length - left.from, 2L * (left.to - left.from));
                left = encode(points, left.from, left.from + length);
                continue;
            }
            for (int i = given; i < joint[0]; i++) {
                tokens.add(left.ids[i]);
            }
            left = right;
            given = joint[1];
        }
        for (int i = given; i < left.ids.length; i++) {
            tokens.add(left.ids[i]);
        }
        return tokens.build().toArray();
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

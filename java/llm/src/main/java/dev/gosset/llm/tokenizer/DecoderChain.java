package dev.gosset.llm.tokenizer;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gosset.core.FormatException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/**
 * The decoder of a tokenizer.json, taking the texts of tokens one by one and giving text as soon as no later token can
 * change it. All pieces together are what the {@code decode} of Hugging Face's tokenizers gives for all tokens, which
 * itself can only decode a whole sequence, and ends the process where its Strip meets a short text.
 *
 * <p>A decoder is a list of stages, as in that library: each maps a list of texts to another. Here each is told of one text
 * at a time and of the end. Behind Fuse and ByteLevel the list has a single text, which comes in parts.
 */
final class DecoderChain {
    private final StringBuilder out = new StringBuilder();
    private final Stage first;

    /**
     * @param texts has the decoder
     * @throws FormatException where a stage is unknown or a pattern is none
     */
    DecoderChain(TokenTexts texts) {
        List<JsonNode> stages = new ArrayList<>();
        flatten(texts.decoder(), stages);
        List<Boolean> fused = new ArrayList<>();
        for (int i = 0; i < stages.size(); i++) {
            fused.add(i > 0 && (fused.get(i - 1) || isFusing(stages.get(i - 1))));
        }
        Stage chain = new Out();
        for (int i = stages.size() - 1; i >= 0; i--) {
            chain = stage(stages.get(i), fused.get(i), chain, texts);
        }
        this.first = stages.isEmpty() ? new Joined(chain) : chain;
    }

    private static void flatten(JsonNode decoder, List<JsonNode> stages) {
        if (decoder.path("type").asText().equals("Sequence")) {
            decoder.path("decoders").forEach(d -> flatten(d, stages));
        } else if (decoder.isObject()) {
            stages.add(decoder);
        }
    }

    private static boolean isFusing(JsonNode stage) {
        String type = stage.path("type").asText();
        return type.equals("Fuse") || type.equals("ByteLevel");
    }

    private static Stage stage(JsonNode json, boolean fused, Stage next, TokenTexts texts) {
        String type = json.path("type").asText();
        String content = json.path("content").asText();
        int start = json.path("start").asInt();
        int stop = json.path("stop").asInt();
        JsonNode pattern = json.path("pattern");
        boolean regex = pattern.has("Regex");
        if (fused) {
            // These can work on parts of a text.
            if (type.equals("Fuse")) {
                return next;
            }
            if (type.equals("Strip")) {
                return new StripWhole(next, content, start, stop);
            }
            if (type.equals("Replace") && !regex) {
                return new ReplaceWhole(next, pattern.path("String").asText(), content);
            }
            return new Whole(stage(json, false, next, texts));
        }
        return switch (type) {
            case "Fuse" -> next;
            case "ByteLevel" -> new ByteLevel(next);
            case "ByteFallback" -> new ByteFallback(next);
            case "Metaspace" ->
                new Metaspace(
                        next,
                        json.path("replacement").asText("▁"),
                        !json.path("prepend_scheme").asText("always").equals("never"));
            case "WordPiece" ->
                new WordPiece(
                        next,
                        json.path("prefix").asText("##"),
                        json.path("cleanup").asBoolean(true));
            case "BPEDecoder" -> new Suffixed(next, json.path("suffix").asText("</w>"));
            case "CTC" ->
                new Ctc(
                        next,
                        json.path("pad_token").asText("<pad>"),
                        json.path("word_delimiter_token").asText("|"),
                        json.path("cleanup").asBoolean(true));
            case "Strip" -> new StripEach(next, content, start, stop);
            case "Replace" ->
                new ReplaceEach(
                        next,
                        regex
                                ? compile(pattern.path("Regex").asText(), texts)
                                : Pattern.compile(pattern.path("String").asText(), Pattern.LITERAL),
                        content);
            default -> throw new FormatException(texts.file() + ": found the unknown decoder " + type);
        };
    }

    private static Pattern compile(String regex, TokenTexts texts) {
        try {
            return Pattern.compile(regex, Pattern.UNICODE_CHARACTER_CLASS);
        } catch (PatternSyntaxException e) {
            throw new FormatException(
                    texts.file() + ": decoder: found the pattern " + regex + ", expected a regular expression", e);
        }
    }

    /** Takes the text of the next token. */
    void accept(String token) {
        first.accept(token);
    }

    /** No more tokens come. */
    void end() {
        first.end();
    }

    /** What came so far was a prompt: none of its text is given any more, what follows goes on from it. */
    void settle() {
        first.settle();
        out.setLength(0);
    }

    /** The text that has become certain since the last call. */
    String take() {
        String text = out.toString();
        out.setLength(0);
        return text;
    }

    /**
     * The bytes that a token adds inside a text, by its text in the vocabulary; null where they depend on its neighbours.
     *
     * @param texts has the decoder
     */
    static Function<String, byte[]> bytesOf(TokenTexts texts) {
        List<JsonNode> stages = new ArrayList<>();
        flatten(texts.decoder(), stages);
        Function<String, byte[]> bytes = text -> text.getBytes(StandardCharsets.UTF_8);
        List<String> known = new ArrayList<>();
        for (JsonNode stage : stages) {
            String type = stage.path("type").asText();
            String content = stage.path("content").asText();
            String pattern = stage.at("/pattern/String").asText();
            Function<String, byte[]> next = bytes;
            boolean fused = known.contains("Fuse");
            known.add(type);
            switch (type) {
                case "ByteLevel" -> bytes = ByteLevel::bytesOf;
                case "ByteFallback" ->
                    bytes = text -> {
                        int b = ByteFallback.byteOf(text);
                        return b < 0 ? next.apply(text) : new byte[] {(byte) b};
                    };
                case "Metaspace" -> {
                    String mark = stage.path("replacement").asText("▁");
                    bytes = text -> next.apply(text.replace(mark, " "));
                }
                case "Replace" -> {
                    if (pattern.isEmpty() || fused && pattern.length() > 1 || known.contains("ByteLevel")) {
                        return null;
                    }
                    bytes = text -> next.apply(text.replace(pattern, content));
                }
                case "Fuse" -> {}
                case "Strip" -> {
                    // At the beginning of a text it takes nothing from its inside.
                    if (!fused || stage.path("stop").asInt() > 0) {
                        return null;
                    }
                }
                default -> {
                    return null;
                }
            }
        }
        return stages.isEmpty() ? null : bytes;
    }

    private abstract static class Stage {
        final Stage next;

        Stage(Stage next) {
            this.next = next;
        }

        abstract void accept(String text);

        /** Gives what it has held back. */
        void end() {
            next.end();
        }

        /** Forgets what it has held back as far as it is the text of a prompt that ends here. */
        void settle() {
            next.settle();
        }
    }

    private final class Out extends Stage {
        Out() {
            super(null);
        }

        @Override
        void accept(String text) {
            out.append(text);
        }

        @Override
        void end() {}

        @Override
        void settle() {}
    }

    /** Without any decoder there are spaces between tokens. */
    private static final class Joined extends Stage {
        private boolean more;

        Joined(Stage next) {
            super(next);
        }

        @Override
        void accept(String text) {
            next.accept(more ? " " + text : text);
            more = true;
        }
    }

    /** Waits for the whole of a text that the stage after it cannot take in parts. */
    private static final class Whole extends Stage {
        private final StringBuilder whole = new StringBuilder();

        Whole(Stage next) {
            super(next);
        }

        @Override
        void accept(String text) {
            whole.append(text);
        }

        @Override
        void end() {
            next.accept(whole.toString());
            whole.setLength(0);
            next.end();
        }

        @Override
        void settle() {
            whole.setLength(0);
            next.settle();
        }
    }

    /** Bytes written as characters, as GPT-2 does it; a token with any other character is its UTF-8. */
    private static final class ByteLevel extends Stage {
        /** The byte of each character, or -1. */
        private static final short[] BYTES = bytes();

        private final Utf8 utf8 = new Utf8();
        private final StringBuilder text = new StringBuilder();
        /** Whether the prompt's text ended with U+FFFD for a character that was incomplete then. */
        private boolean shown;

        ByteLevel(Stage next) {
            super(next);
        }

        private static short[] bytes() {
            short[] bytes = new short[512];
            Arrays.fill(bytes, (short) -1);
            int other = 256;
            for (int b = 0; b < 256; b++) {
                boolean itself = b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xFF && b != 0xAD;
                bytes[itself ? b : other++] = (short) b;
            }
            return bytes;
        }

        static byte[] bytesOf(String token) {
            byte[] bytes = new byte[token.length()];
            for (int i = 0; i < bytes.length; i++) {
                char c = token.charAt(i);
                if (c >= BYTES.length || BYTES[c] < 0) {
                    return token.getBytes(StandardCharsets.UTF_8);
                }
                bytes[i] = (byte) BYTES[c];
            }
            return bytes;
        }

        @Override
        void accept(String token) {
            for (byte b : bytesOf(token)) {
                utf8.accept(b & 0xFF, text);
            }
            give();
        }

        @Override
        void end() {
            utf8.end(text);
            give();
            next.end();
        }

        private void give() {
            if (!text.isEmpty()) {
                next.accept(text.substring(shown && text.charAt(0) == '\uFFFD' ? 1 : 0));
                text.setLength(0);
                shown = false;
            }
        }

        @Override
        void settle() {
            shown = utf8.pending() > 0;
            next.settle();
        }
    }

    /**
     * Tokens {@code <0x00>} to {@code <0xFF>} are bytes. A run of them that is UTF-8 is its text; in any other run each byte
     * is U+FFFD, those of good characters too. So a run waits for its end, or for the byte that spoils it.
     */
    private static final class ByteFallback extends Stage {
        private final Utf8 utf8 = new Utf8();
        private final StringBuilder run = new StringBuilder();
        /** Bytes of the run that are not given yet, and how many of them the prompt's text has as U+FFFD. */
        private int length;

        private int shown;
        private boolean spoiled;

        ByteFallback(Stage next) {
            super(next);
        }

        private static int byteOf(String token) {
            if (token.length() != 6 || !token.startsWith("<0x") || token.charAt(5) != '>') {
                return -1;
            }
            int high = Character.digit(token.charAt(3), 16);
            int low = Character.digit(token.charAt(4), 16);
            return high < 0 || low < 0 ? -1 : high << 4 | low;
        }

        @Override
        void accept(String token) {
            int b = byteOf(token);
            if (b < 0) {
                endRun();
                next.accept(token);
                return;
            }
            length++;
            spoiled |= !utf8.accept(b, run);
            if (spoiled) {
                give("\uFFFD".repeat(length - shown));
            }
        }

        private void give(String text) {
            if (!text.isEmpty()) {
                next.accept(text);
            }
            length = 0;
            shown = 0;
            run.setLength(0);
        }

        private void endRun() {
            give(utf8.pending() > 0 && !spoiled ? "\uFFFD".repeat(length - shown) : run.toString());
            spoiled = false;
            utf8.reset();
        }

        @Override
        void end() {
            endRun();
            next.end();
        }

        @Override
        void settle() {
            if (!spoiled) {
                // Whole characters of a good run are the prompt's, whatever bytes come.
                next.accept(length > 0 && run.isEmpty() ? "\uFFFD" : run.toString());
                run.setLength(0);
                length = utf8.pending() > 0 ? length : 0;
                shown = length;
            }
            next.settle();
        }
    }

    /** A mark is a space; the first token loses its own. */
    private static final class Metaspace extends Stage {
        private final String mark;
        private final boolean prepended;
        private boolean more;

        Metaspace(Stage next, String mark, boolean prepended) {
            super(next);
            this.mark = mark;
            this.prepended = prepended;
        }

        @Override
        void accept(String token) {
            next.accept(token.replace(mark, more || !prepended ? " " : ""));
            more = true;
        }
    }

    /** Words are apart, but for those that go on after a prefix. */
    private static final class WordPiece extends Stage {
        private final String prefix;
        private final boolean cleanup;
        private boolean more;

        WordPiece(Stage next, String prefix, boolean cleanup) {
            super(next);
            this.prefix = prefix;
            this.cleanup = cleanup;
        }

        @Override
        void accept(String token) {
            String text = token;
            if (more) {
                text = token.startsWith(prefix) ? token.substring(prefix.length()) : " " + token;
            }
            more = true;
            next.accept(cleanup ? clean(text) : text);
        }

        static String clean(String text) {
            return text.replace(" .", ".")
                    .replace(" ?", "?")
                    .replace(" !", "!")
                    .replace(" ,", ",")
                    .replace(" ' ", "'")
                    .replace(" n't", "n't")
                    .replace(" 'm", "'m")
                    .replace(" do not", " don't")
                    .replace(" 's", "'s")
                    .replace(" 've", "'ve")
                    .replace(" 're", "'re");
        }
    }

    /** A suffix ends a word: a space, but not after the last token. */
    private static final class Suffixed extends Stage {
        private final String suffix;
        private String held;

        Suffixed(Stage next, String suffix) {
            super(next);
            this.suffix = suffix;
        }

        @Override
        void accept(String token) {
            give(" ");
            if (token.contains(suffix)) {
                held = token;
            } else {
                next.accept(token);
            }
        }

        private void give(String space) {
            if (held != null) {
                next.accept(held.replace(suffix, space));
                held = null;
            }
        }

        @Override
        void end() {
            give("");
            next.end();
        }

        @Override
        void settle() {
            int end = held == null ? 0 : held.length();
            while (end > 0 && !suffix.isEmpty() && held.startsWith(suffix, end - suffix.length())) {
                end -= suffix.length();
            }
            held = held == null ? null : held.substring(end);
            next.settle();
        }
    }

    /** Equal neighbours are one token (connectionist temporal classification). */
    private static final class Ctc extends Stage {
        private final String pad;
        private final String delimiter;
        private final boolean cleanup;
        private String last;

        Ctc(Stage next, String pad, String delimiter, boolean cleanup) {
            super(next);
            this.pad = pad;
            this.delimiter = delimiter;
            this.cleanup = cleanup;
        }

        @Override
        void accept(String token) {
            if (token.equals(last)) {
                return;
            }
            last = token;
            String text = token.replace(pad, "");
            text = cleanup ? WordPiece.clean(text).replace(delimiter, " ") : text;
            if (!text.isEmpty()) {
                next.accept(text);
            }
        }
    }

    /** Takes a character off both ends of each text, some times at most. */
    private static final class StripEach extends Stage {
        private final String content;
        private final int start;
        private final int stop;

        StripEach(Stage next, String content, int start, int stop) {
            super(next);
            this.content = content;
            this.start = start;
            this.stop = stop;
        }

        @Override
        void accept(String text) {
            String rest = text;
            for (int i = 0; i < start && rest.startsWith(content); i++) {
                rest = rest.substring(content.length());
            }
            for (int i = 0; i < stop && rest.endsWith(content); i++) {
                rest = rest.substring(0, rest.length() - content.length());
            }
            next.accept(rest);
        }
    }

    /** Takes a character off both ends of one text that comes in parts. */
    private static final class StripWhole extends Stage {
        private final String content;
        private final int stop;
        private int start;
        /** How often the character stands at the end of what has come, at most {@link #stop} times. */
        private int held;

        StripWhole(Stage next, String content, int start, int stop) {
            super(next);
            this.content = content;
            this.start = start;
            this.stop = stop;
        }

        @Override
        void accept(String text) {
            String rest = text;
            while (start > 0 && rest.startsWith(content)) {
                rest = rest.substring(content.length());
                start--;
            }
            if (rest.isEmpty()) {
                return;
            }
            start = 0;
            rest = content.repeat(held) + rest;
            held = 0;
            while (held < stop && rest.endsWith(content)) {
                rest = rest.substring(0, rest.length() - content.length());
                held++;
            }
            next.accept(rest);
        }
    }

    /** Replaces in each text. */
    private static final class ReplaceEach extends Stage {
        private final Pattern pattern;
        private final String content;

        ReplaceEach(Stage next, Pattern pattern, String content) {
            super(next);
            this.pattern = pattern;
            this.content = Matcher.quoteReplacement(content);
        }

        @Override
        void accept(String text) {
            next.accept(pattern.matcher(text).replaceAll(content));
        }
    }

    /** Replaces in one text that comes in parts: its end waits while it can be the beginning of what is replaced. */
    private static final class ReplaceWhole extends Stage {
        private final String pattern;
        private final String content;
        private String held = "";

        ReplaceWhole(Stage next, String pattern, String content) {
            super(next);
            this.pattern = pattern;
            this.content = content;
        }

        @Override
        void accept(String text) {
            String all = held + text;
            int done = 0;
            for (int at = all.indexOf(pattern); at >= 0 && !pattern.isEmpty(); at = all.indexOf(pattern, done)) {
                next.accept(all.substring(done, at) + content);
                done = at + pattern.length();
            }
            int end = Math.max(done, all.length() - pattern.length() + 1);
            while (!pattern.startsWith(all.substring(end))) {
                end++;
            }
            next.accept(all.substring(done, end));
            held = all.substring(end);
        }

        @Override
        void end() {
            next.accept(held);
            held = "";
            next.end();
        }

        @Override
        void settle() {
            held = "";
            next.settle();
        }
    }
}

package dev.gosset.llm.tokenizer;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import java.io.IOException;
import java.nio.file.Path;

/** Stand-in until the real one is merged. */
public final class Tokenizer {
    private final HuggingFaceTokenizer t;

    private Tokenizer(HuggingFaceTokenizer t) {
        this.t = t;
    }

    public static Tokenizer open(Path dir) {
        System.setProperty("RUST_FLAVOR", "cpu");
        try {
            return new Tokenizer(HuggingFaceTokenizer.newInstance(
                    dir.resolve("tokenizer.json"),
                    java.util.Map.of(
                            "truncation",
                            "false",
                            "addSpecialTokens",
                            "true",
                            "maxLength",
                            "2000000000",
                            "modelMaxLength",
                            "2000000000")));
        } catch (IOException e) {
            throw new dev.gosset.core.FormatException(dir + ": no tokenizer", e);
        }
    }

    public int[] encode(String text, boolean special) {
        long[] ids = t.encode(text, special, false).getIds();
        int[] out = new int[ids.length];
        for (int i = 0; i < out.length; i++) {
            out[i] = (int) ids[i];
        }
        return out;
    }

    public int leadingToken() {
        return 0;
    }

    public Stream stream() {
        return new Stream();
    }

    public ChatTemplate chatTemplate() {
        return new ChatTemplate();
    }

    public static String library() {
        return "x";
    }

    public final class Stream {
        public String next(int token) {
            return t.decode(new long[] {token});
        }

        public String end() {
            return "";
        }
    }
}

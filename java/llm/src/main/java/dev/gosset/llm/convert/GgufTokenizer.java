package dev.gosset.llm.convert;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.core.FormatException;
import dev.gosset.core.UnsupportedModelException;
import dev.gosset.core.memory.Quoted;
import dev.gosset.llm.io.Gguf;
import dev.gosset.llm.io.Json;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * The tokenizer of a GGUF file as tokenizer.json and tokenizer_config.json: byte pairs over bytes ({@code gpt2}) with the
 * splitting of texts that {@code tokenizer.ggml.pre} names, and SentencePiece's ({@code llama}), whose merges are those of all
 * pairs of pieces that make up a piece, the best scored first, as in transformers.
 *
 * @param tokenizer tokenizer.json
 * @param config tokenizer_config.json
 */
record GgufTokenizer(ObjectNode tokenizer, ObjectNode config) {
    private static final String WORDS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}%s"
            + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

    private static final int LONGEST = 512;

    private static final String KEY = "tokenizer.ggml.";
    private static final String SPACE = "\u2581";

    // Types of tokens.
    private static final long UNKNOWN = 2;
    private static final long CONTROL = 3;
    private static final long OF_USERS = 4;

    static GgufTokenizer of(Gguf file) {
        return new Reading(file).tokenizer();
    }

    private static final class Reading {
        private final Gguf file;
        private final ObjectNode root = Json.MAPPER.createObjectNode().put("version", "1.0");
        private final List<String> tokens;
        private final List<Long> types;
        private final Map<String, Integer> ids = new HashMap<>();

        Reading(Gguf file) {
            this.file = file;
            tokens = file.list(KEY + "tokens", String.class);
            types = file.list(KEY + "token_type", Long.class);
            if (tokens.isEmpty() || !types.isEmpty() && types.size() != tokens.size()) {
                throw new FormatException(
                        file.source() + ": has " + tokens.size() + " tokens and the types of " + types.size());
            }
            for (int i = 0; i < tokens.size(); i++) {
                if (tokens.get(i).length() > LONGEST) {
                    throw new FormatException(file.source() + ": token " + i + " has "
                            + tokens.get(i).length() + " characters, expected at most " + LONGEST);
                }
                if (ids.put(tokens.get(i), i) != null) {
                    throw new FormatException(file.source() + ": has the token " + Quoted.of(tokens.get(i)) + " twice");
                }
            }
        }

        GgufTokenizer tokenizer() {
            String kind = file.get(KEY + "model", String.class);
            String split = file.find(KEY + "pre", String.class).orElse("");
            addedTokens();
            switch (kind) {
                case "gpt2" -> bytePairs(split);
                case "llama" -> sentencePieces();
                default ->
                    throw new UnsupportedModelException(file.source() + ": found the tokenizer " + Quoted.of(kind)
                            + ", known in GGUF files are gpt2 and llama");
            }
            boolean begins = file.find(KEY + "add_bos_token", Boolean.class)
                    .orElse(kind.equals("llama") || split.equals("llama-bpe"));
            ObjectNode config = Json.MAPPER.createObjectNode().put("tokenizer_class", "PreTrainedTokenizerFast");
            Optional<String> first = token("bos_token_id");
            first.ifPresent(text -> config.put("bos_token", text));
            token("eos_token_id").ifPresent(text -> config.put("eos_token", text));
            file.find("tokenizer.chat_template", String.class).ifPresent(text -> config.put("chat_template", text));
            if (begins && first.isPresent()) {
                beginWith(first.get());
            }
            return new GgufTokenizer(root, config);
        }

        private Optional<String> token(String key) {
            return file.find(KEY + key, Long.class).map(id -> {
                if (id < 0 || id >= tokens.size()) {
                    throw new FormatException(file.source() + ": " + KEY + key + " is " + id + ", expected one of the "
                            + tokens.size() + " tokens");
                }
                return tokens.get(id.intValue());
            });
        }

        private void addedTokens() {
            ArrayNode added = root.putArray("added_tokens");
            for (int i = 0; i < types.size(); i++) {
                long type = types.get(i);
                if (type == UNKNOWN || type == CONTROL || type == OF_USERS) {
                    added.addObject()
                            .put("id", i)
                            .put("content", tokens.get(i))
                            .put("single_word", false)
                            .put("lstrip", false)
                            .put("rstrip", false)
                            .put("normalized", false)
                            .put("special", type != OF_USERS);
                }
            }
        }

        private void beginWith(String token) {
            ObjectNode template = root.putObject("post_processor").put("type", "TemplateProcessing");
            for (String which : List.of("single", "pair")) {
                ArrayNode pieces = template.putArray(which);
                piece(pieces, "SpecialToken", token, 0);
                piece(pieces, "Sequence", "A", 0);
                if (which.equals("pair")) {
                    piece(pieces, "Sequence", "B", 1);
                }
            }
            ObjectNode special =
                    template.putObject("special_tokens").putObject(token).put("id", token);
            special.putArray("ids").add(ids.get(token));
            special.putArray("tokens").add(token);
        }

        private static void piece(ArrayNode pieces, String kind, String id, int type) {
            pieces.addObject().putObject(kind).put("id", id).put("type_id", type);
        }

        private ObjectNode model() {
            ObjectNode model = root.putObject("model").put("type", "BPE");
            ObjectNode vocabulary = model.putObject("vocab");
            for (int i = 0; i < tokens.size(); i++) {
                vocabulary.put(tokens.get(i), i);
            }
            return model;
        }

        private void bytePairs(String split) {
            ObjectNode step = root.putObject("pre_tokenizer");
            switch (split) {
                case "llama-bpe", "llama3" -> words(step, "{1,3}");
                case "qwen2" -> {
                    root.putObject("normalizer").put("type", "NFC");
                    words(step, "");
                }
                case "smollm" -> {
                    ArrayNode steps = step.put("type", "Sequence").putArray("pretokenizers");
                    steps.addObject().put("type", "Digits").put("individual_digits", true);
                    byteLevel(steps.addObject(), true);
                }
                case "gpt-2" -> byteLevel(step, true);
                default ->
                    throw new UnsupportedModelException(file.source() + ": found the splitting of texts "
                            + Quoted.of(split) + ", known in GGUF files are llama-bpe, qwen2, smollm and gpt-2");
            }
            byteLevel(root.putObject("decoder"), true);
            ObjectNode model = model();
            model.put("ignore_merges", split.startsWith("llama"));
            ArrayNode merges = model.putArray("merges");
            for (String merge : file.list(KEY + "merges", String.class)) {
                int space = merge.indexOf(' ', 1);
                if (space < 0) {
                    throw new FormatException(
                            file.source() + ": found the merge " + Quoted.of(merge) + ", expected two tokens");
                }
                merges.addArray().add(merge.substring(0, space)).add(merge.substring(space + 1));
            }
        }

        private static void words(ObjectNode step, String digits) {
            ArrayNode steps = step.put("type", "Sequence").putArray("pretokenizers");
            ObjectNode split = steps.addObject().put("type", "Split");
            split.putObject("pattern").put("Regex", String.format(Locale.ROOT, WORDS, digits));
            split.put("behavior", "Isolated").put("invert", false);
            byteLevel(steps.addObject(), false);
        }

        private static void byteLevel(ObjectNode step, boolean regex) {
            step.put("type", "ByteLevel")
                    .put("add_prefix_space", false)
                    .put("trim_offsets", true)
                    .put("use_regex", regex);
        }

        private void sentencePieces() {
            List<Double> scores = file.list(KEY + "scores", Double.class);
            if (scores.size() != tokens.size()) {
                throw new FormatException(
                        file.source() + ": has " + tokens.size() + " tokens and the scores of " + scores.size());
            }
            boolean space = file.find(KEY + "add_space_prefix", Boolean.class).orElse(true);
            ArrayNode normalizers =
                    root.putObject("normalizer").put("type", "Sequence").putArray("normalizers");
            if (space) {
                normalizers.addObject().put("type", "Prepend").put("prepend", SPACE);
            }
            replace(normalizers.addObject(), " ", SPACE);
            ArrayNode decoders =
                    root.putObject("decoder").put("type", "Sequence").putArray("decoders");
            replace(decoders.addObject(), SPACE, " ");
            decoders.addObject().put("type", "ByteFallback");
            decoders.addObject().put("type", "Fuse");
            if (space) {
                decoders.addObject()
                        .put("type", "Strip")
                        .put("content", " ")
                        .put("start", 1)
                        .put("stop", 0);
            }
            ObjectNode model = model().put("fuse_unk", true).put("byte_fallback", true);
            token("unknown_token_id").ifPresent(text -> model.put("unk_token", text));
            ArrayNode list = model.putArray("merges");
            merges(scores).forEach(m -> list.addArray().add(m.left).add(m.right));
        }

        private static void replace(ObjectNode step, String from, String to) {
            step.put("type", "Replace").putObject("pattern").put("String", from);
            step.put("content", to);
        }

        private record Merge(String left, String right, double score) {}

        private List<Merge> merges(List<Double> scores) {
            List<Merge> all = new ArrayList<>();
            for (int t = 0; t < tokens.size(); t++) {
                String token = tokens.get(t);
                List<Merge> own = new ArrayList<>();
                for (int i = token.offsetByCodePoints(0, token.isEmpty() ? 0 : 1);
                        i < token.length();
                        i = token.offsetByCodePoints(i, 1)) {
                    Merge merge = new Merge(token.substring(0, i), token.substring(i), scores.get(t));
                    if (ids.containsKey(merge.left) && ids.containsKey(merge.right)) {
                        own.add(merge);
                    }
                }
                own.sort(Comparator.comparingInt((Merge m) -> ids.get(m.left)).thenComparing(m -> ids.get(m.right)));
                all.addAll(own);
            }
            all.sort(Comparator.comparingDouble((Merge m) -> -m.score)
                    .thenComparing(m -> -m.left.codePointCount(0, m.left.length()))
                    .thenComparing(m -> -m.right.codePointCount(0, m.right.length())));
            return all;
        }
    }
}

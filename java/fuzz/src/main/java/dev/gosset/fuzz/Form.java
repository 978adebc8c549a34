package dev.gosset.fuzz;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ContainerNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.zip.GZIPInputStream;
import java.util.zip.GZIPOutputStream;

/**
 * How a file is built, so that it can be changed in one place and stay well-formed in the others: bytes alone would hardly
 * get past a parser of JSON or a length at the front.
 */
public enum Form {
    /** Lengths, offsets and values in little-endian words. */
    BINARY {
        @Override
        byte[] vary(byte[] file, SplittableRandom random) {
            byte[] out = file.clone();
            for (int n = random.nextInt(1, 4); n > 0 && out.length >= 8; n--) {
                overwriteWord(out, random);
            }
            return random.nextInt(8) == 0 ? Arrays.copyOf(out, random.nextInt(out.length + 1)) : out;
        }
    },
    /** One value of JSON. */
    JSON {
        @Override
        byte[] vary(byte[] file, SplittableRandom random) {
            return varyJson(new String(file, StandardCharsets.UTF_8), random).getBytes(StandardCharsets.UTF_8);
        }
    },
    /** One value of JSON a line, compressed by gzip or not. */
    JSON_LINES {
        @Override
        byte[] vary(byte[] file, SplittableRandom random) {
            Optional<byte[]> text = decompressed(file);
            if (text.isPresent()) {
                return random.nextBoolean() ? compressed(varyLines(text.get(), random)) : BINARY.vary(file, random);
            }
            byte[] varied = varyLines(file, random);
            return random.nextInt(8) == 0 ? compressed(varied) : varied;
        }

        private byte[] varyLines(byte[] file, SplittableRandom random) {
            String[] lines = new String(file, StandardCharsets.UTF_8).split("\n");
            int i = lines.length == 0 ? -1 : random.nextInt(lines.length);
            if (i >= 0) {
                lines[i] = varyJson(lines[i], random);
            }
            return String.join("\n", lines).getBytes(StandardCharsets.UTF_8);
        }

        /** The first mebibyte of what the file holds; none where it is not whole. */
        private Optional<byte[]> decompressed(byte[] file) {
            try (GZIPInputStream in = new GZIPInputStream(new ByteArrayInputStream(file))) {
                return Optional.of(in.readNBytes(1 << 20));
            } catch (IOException notGzip) {
                return Optional.empty();
            }
        }

        private byte[] compressed(byte[] text) {
            ByteArrayOutputStream file = new ByteArrayOutputStream();
            try (GZIPOutputStream out = new GZIPOutputStream(file)) {
                out.write(text);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
            return file.toByteArray();
        }
    },
    /** The length of a header, the header, the tensors. */
    SAFETENSORS {
        @Override
        byte[] vary(byte[] file, SplittableRandom random) {
            if (file.length < 8) {
                return file;
            }
            long stated = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN).getLong(0);
            int header = stated < 0 || stated > file.length - 8 ? file.length - 8 : (int) stated;
            if (random.nextInt(4) == 0) {
                byte[] out = file.clone();
                if (out.length - 8 - header >= 8) {
                    byte[] tensors = Arrays.copyOfRange(out, 8 + header, out.length);
                    overwriteWord(tensors, random);
                    System.arraycopy(tensors, 0, out, 8 + header, tensors.length);
                }
                return out;
            }
            byte[] text = varyJson(new String(file, 8, header, StandardCharsets.UTF_8), random)
                    .getBytes(StandardCharsets.UTF_8);
            int tensors = file.length - 8 - header;
            int end = random.nextBoolean() ? tensors : (int) Math.min(1 << 16, end(text, tensors));
            ByteBuffer out = ByteBuffer.allocate(8 + text.length + end).order(ByteOrder.LITTLE_ENDIAN);
            out.putLong(text.length).put(text).put(file, 8 + header, Math.min(end, tensors));
            return out.array();
        }

        /** The greatest offset of a header, so that the file can be given the length that its header asks for. */
        private long end(byte[] header, int otherwise) {
            long end = 0;
            for (JsonNode tensor : parse(new String(header, StandardCharsets.UTF_8))) {
                end = Math.max(end, tensor.path("data_offsets").path(1).asLong());
            }
            return end > 0 ? end : otherwise;
        }
    },
    /** Lines of text. */
    TEXT {
        @Override
        byte[] vary(byte[] file, SplittableRandom random) {
            StringBuilder out = new StringBuilder(new String(file, StandardCharsets.UTF_8));
            for (int n = random.nextInt(1, 4); n > 0 && !out.isEmpty(); n--) {
                int from = random.nextInt(out.length());
                int to = Math.min(out.length(), from + random.nextInt(1, 40));
                String piece = out.substring(from, to);
                switch (random.nextInt(3)) {
                    case 0 -> out.delete(from, to);
                    case 1 -> out.insert(random.nextInt(out.length()), piece);
                    default -> out.insert(from, piece.repeat(random.nextInt(1, 30)));
                }
            }
            return out.toString().getBytes(StandardCharsets.UTF_8);
        }
    };

    private static final JsonMapper JSON_MAPPER =
            JsonMapper.builder().enable(JsonWriteFeature.ESCAPE_NON_ASCII).build();
    private static final JsonNodeFactory NODES = JsonNodeFactory.instance;

    private static final long[] NUMBERS = {
        0,
        1,
        -1,
        2,
        3,
        7,
        8,
        16,
        64,
        127,
        128,
        255,
        256,
        4096,
        32768,
        65535,
        65536,
        1 << 20,
        1 << 24,
        1 << 28,
        Integer.MAX_VALUE,
        1L << 31,
        Integer.MIN_VALUE,
        0xffffffffL,
        1L << 32,
        1L << 53,
        1L << 61,
        1L << 62,
        Long.MAX_VALUE,
        Long.MAX_VALUE - 7,
        Long.MIN_VALUE
    };

    private static final List<String> TEXTS = List.of(
            "",
            " ",
            "a\nb",
            "\u0000",
            "\ud800",
            "\u2028",
            "../x",
            "x/y",
            ".",
            "\u00e9",
            "nul\u0000.safetensors",
            "e".repeat(300),
            "long ".repeat(2000),
            "[",
            "{{",
            "{% for x in y %}",
            "<s>",
            "w3",
            "F16",
            "I64",
            "BOOL",
            "E8P12",
            "D4",
            "HI4B1C",
            "gosset",
            "LlamaForCausalLM",
            "linear",
            "llama3",
            "yarn",
            "full_attention");

    /** Beside these, numbers that are no int or long. */
    private static final String[] LITERALS = {
        "1e999", "-0", "1.5", "1e-400", "18446744073709551616", "1".repeat(900), "1".repeat(1100), "NaN", "null", "01"
    };

    /** A file like this one, with one to three changes. */
    abstract byte[] vary(byte[] file, SplittableRandom random);

    /** Puts a telling value into an aligned word, more often near the ends, where lengths and offsets are. */
    private static void overwriteWord(byte[] bytes, SplittableRandom random) {
        int size = 1 << random.nextInt(4);
        int words = bytes.length / size;
        int near = Math.min(words, 512 / size);
        int word = switch (random.nextInt(3)) {
            case 0 -> random.nextInt(near);
            case 1 -> words - 1 - random.nextInt(near);
            default -> random.nextInt(words);
        };
        ByteBuffer at = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).position(word * size);
        long value = switch (random.nextInt(4)) {
            case 0 -> NUMBERS[random.nextInt(NUMBERS.length)];
            case 1 -> bytes.length + random.nextInt(-16, 17);
            case 2 -> random.nextLong();
            // A word from elsewhere.
            default -> bytes[random.nextInt(bytes.length)] & 0xff;
        };
        switch (size) {
            case 1 -> at.put((byte) value);
            case 2 -> at.putShort((short) value);
            case 4 -> at.putInt((int) value);
            default -> at.putLong(value);
        }
    }

    private static JsonNode parse(String text) {
        try {
            JsonNode node = JSON_MAPPER.readTree(text);
            return node == null ? NODES.missingNode() : node;
        } catch (JsonProcessingException e) {
            return NODES.missingNode();
        }
    }

    private static String varyJson(String text, SplittableRandom random) {
        JsonNode root = parse(text);
        if (!(root instanceof ContainerNode<?>)) {
            return text;
        }
        for (int n = random.nextInt(1, 4); n > 0; n--) {
            List<ContainerNode<?>> all = new ArrayList<>();
            collect(root, all);
            change(all.get(random.nextInt(all.size())), all, random);
        }
        String out;
        try {
            out = JSON_MAPPER.writeValueAsString(root);
        } catch (JsonProcessingException e) {
            return text;
        }
        return random.nextInt(6) == 0 ? literal(out, random) : out;
    }

    private static void collect(JsonNode node, List<ContainerNode<?>> all) {
        if (node instanceof ContainerNode<?> c && all.size() < 10_000) {
            all.add(c);
            c.forEach(child -> collect(child, all));
        }
    }

    private static void change(ContainerNode<?> node, List<ContainerNode<?>> all, SplittableRandom random) {
        JsonNode value = switch (random.nextInt(6)) {
            case 0, 1 -> NODES.numberNode(NUMBERS[random.nextInt(NUMBERS.length)]);
            case 2 -> NODES.textNode(TEXTS.get(random.nextInt(TEXTS.size())));
            case 3 -> all.get(random.nextInt(all.size())).deepCopy();
            case 4 -> random.nextBoolean() ? NODES.nullNode() : NODES.booleanNode(random.nextBoolean());
            default -> random.nextBoolean() ? NODES.arrayNode() : NODES.numberNode(random.nextDouble() * 4 - 1);
        };
        switch (node) {
            case ObjectNode object -> {
                List<Map.Entry<String, JsonNode>> entries = List.copyOf(object.properties());
                String key = entries.isEmpty()
                        ? "x"
                        : entries.get(random.nextInt(entries.size())).getKey();
                switch (random.nextInt(8)) {
                    case 0 -> object.remove(key);
                    case 1 -> object.set(TEXTS.get(random.nextInt(TEXTS.size())), object.path(key));
                    case 2 -> {
                        JsonNode other = entries.isEmpty()
                                ? value
                                : entries.get(random.nextInt(entries.size())).getValue();
                        object.set(key, other.deepCopy());
                    }
                    default -> object.set(key, value);
                }
            }
            case ArrayNode array -> {
                int i = array.isEmpty() ? 0 : random.nextInt(array.size());
                switch (random.nextInt(6)) {
                    case 0 -> array.remove(i);
                    case 1 -> array.insert(i, value);
                    case 2 -> {
                        for (int n = random.nextInt(1, 64); n > 0; n--) {
                            array.add(value);
                        }
                    }
                    default -> {
                        array.remove(i);
                        array.insert(i, value);
                    }
                }
            }
            default -> throw new IllegalStateException("a container is an object or an array");
        }
    }

    /** The text with a number replaced by one that a tree does not hold, by deep nesting, or by a key that stands twice. */
    private static String literal(String text, SplittableRandom random) {
        for (int tries = 0, at = random.nextInt(text.length()); tries < text.length(); tries++, at++) {
            int i = at % text.length();
            if (Character.isDigit(text.charAt(i)) && i > 0 && ":[,".indexOf(text.charAt(i - 1)) >= 0) {
                int depth = random.nextInt(1, 3000);
                String by = random.nextInt(3) == 0
                        ? "[".repeat(depth) + "]".repeat(depth)
                        : LITERALS[random.nextInt(LITERALS.length)];
                return text.substring(0, i) + by + text.substring(i + 1);
            }
        }
        return text.startsWith("{\"") ? "{\"x\":1,\"x\":2," + text.substring(1) : text;
    }
}

package dev.gosset.llm.io;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.JsonNode;
import dev.gosset.core.FormatException;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.MappedFile;
import dev.gosset.core.memory.Quoted;
import dev.gosset.core.memory.ReadableFile;
import dev.gosset.core.memory.Tensor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.UnaryOperator;

/**
 * The tensors of a Hugging Face model directory, or of one safetensors file, as views into memory maps: opening reads the
 * headers only.
 *
 * <p>Layout of a file: 8 bytes N, little-endian; N bytes of JSON, {@code {"name": {"dtype": "F16", "shape": [2, 3],
 * "data_offsets": [begin, end]}, ..., "__metadata__": {"key": "text"}}}; then the tensors, little-endian and row-major,
 * at offsets counted from the end of the JSON. They fill the rest of the file without holes or overlaps.
 *
 * <p>A directory holds {@code model.safetensors}, which goes first as in transformers, or else {@code
 * model.safetensors.index.json}: exactly the shards that its {@code weight_map} names are read, and other files are
 * ignored, because published repositories contain stale sets of shards. Where a tensor lies the shards themselves say; the
 * index decides only between several of one name. Entries of it that nobody asks for may be wrong, and shards that hold
 * nothing which is asked for may be missing.
 *
 * <p>Immutable, thread-safe if the arena is shared; the views live as long as the arena. Whatever is wrong with a file is a
 * {@link FormatException} of one line with the file, the tensor, what was found and what was expected; all is checked
 * before it is used, so that a hostile file cannot do more.
 */
public final class Safetensors {
    /** The index of a sharded model. */
    public static final String INDEX_FILE = "model.safetensors.index.json";
    /** The file of a model with one shard. */
    public static final String SINGLE_FILE = "model.safetensors";

    /** The limit of the reference implementation. */
    private static final long LARGEST_HEADER = 100_000_000;

    private static final int LARGEST_RANK = 32;
    /** Of a file, in most file systems. */
    private static final int LONGEST_NAME = 255;

    private static final String METADATA = "__metadata__";
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final Path source;
    private final Map<String, Tensor> tensors;
    private final Map<String, String> metadata;

    /** The shard that the index names for a tensor. */
    private final Map<String, String> indexed;

    /** Of tensors that should be there and cannot be had, why. */
    private final Map<String, String> unavailable;

    private Safetensors(
            Path source,
            Map<String, Tensor> tensors,
            Map<String, String> metadata,
            Map<String, String> indexed,
            Map<String, String> unavailable) {
        this.source = source;
        this.tensors = Collections.unmodifiableMap(tensors);
        this.metadata = Collections.unmodifiableMap(metadata);
        this.indexed = Collections.unmodifiableMap(indexed);
        this.unavailable = Collections.unmodifiableMap(unavailable);
    }

    /**
     * Opens a model directory or a single file.
     *
     * @param path a directory, or a safetensors file of any name
     * @param arena owns the memory maps
     * @throws FormatException if anything is missing or malformed
     */
    public static Safetensors open(Path path, Arena arena) {
        if (!Files.isDirectory(path)) {
            return parse(path, MappedFile.map(path, arena));
        }
        Path single = path.resolve(SINGLE_FILE);
        if (ReadableFile.isPresent(single)) {
            Shard shard = Shard.read(single, MappedFile.map(single, arena));
            return new Safetensors(path, shard.tensors(), shard.metadata(), Map.of(), Map.of());
        }
        if (!ReadableFile.isPresent(path.resolve(INDEX_FILE))) {
            throw new FormatException(path + ": has neither " + SINGLE_FILE + " nor " + INDEX_FILE);
        }
        return openIndexed(path, arena);
    }

    /** Checks the bytes of one file. */
    static Safetensors parse(Path file, MemorySegment bytes) {
        Shard shard = Shard.read(file, bytes);
        return new Safetensors(file, shard.tensors(), shard.metadata(), Map.of(), Map.of());
    }

    private static Safetensors openIndexed(Path directory, Arena arena) {
        Path index = directory.resolve(INDEX_FILE);
        JsonNode map = Json.readObject(index).path("weight_map");
        if (!map.isObject() || map.isEmpty()) {
            throw new FormatException(index + ": weight_map is " + map.getNodeType() + " of " + map.size()
                    + ", expected a filled object");
        }
        Map<String, String> indexed = new LinkedHashMap<>();
        for (Map.Entry<String, JsonNode> e : map.properties()) {
            String file = e.getValue().isTextual() ? e.getValue().asText() : "";
            if (file.isEmpty()
                    || file.length() > LONGEST_NAME
                    || file.startsWith(".")
                    || file.chars().anyMatch(c -> c == '/' || c == '\\' || c < ' ')) {
                throw new FormatException(index + ": tensor " + Quoted.of(e.getKey()) + " lies in "
                        + Quoted.of(e.getValue().toString()) + ", expected the name of a file beside the index");
            }
            indexed.put(e.getKey(), file);
        }
        Map<String, Shard> shards = new LinkedHashMap<>();
        Map<String, String> missing = new HashMap<>();
        for (String name : new LinkedHashSet<>(indexed.values())) {
            Path file;
            MemorySegment bytes;
            try {
                file = directory.resolve(name);
                bytes = MappedFile.map(file, arena);
            } catch (InvalidPathException e) {
                missing.put(
                        name,
                        index + ": names " + Quoted.of(name) + ", expected a name that this system's locale can spell");
                continue;
            } catch (FormatException e) {
                missing.put(name, e.getMessage());
                continue;
            }
            shards.put(name, Shard.read(file, bytes));
        }
        return gather(directory, indexed, shards, missing);
    }

    /** The tensors of all shards; of those of one name the one where the index puts it. */
    private static Safetensors gather(
            Path directory, Map<String, String> indexed, Map<String, Shard> shards, Map<String, String> missing) {
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        Map<String, String> metadata = new LinkedHashMap<>();
        Map<String, String> unavailable = new HashMap<>();
        indexed.forEach((name, file) -> {
            Tensor tensor =
                    shards.containsKey(file) ? shards.get(file).tensors().get(name) : null;
            if (tensor != null) {
                tensors.put(name, tensor);
            }
        });
        Set<String> decided = Set.copyOf(tensors.keySet());
        shards.forEach((file, shard) -> {
            metadata.putAll(shard.metadata());
            shard.tensors().forEach((name, tensor) -> {
                Tensor other = decided.contains(name) ? null : tensors.putIfAbsent(name, tensor);
                if (other != null && !same(other, tensor)) {
                    unavailable.put(
                            name,
                            directory.resolve(file) + ": tensor " + Quoted.of(name) + " is also in "
                                    + other.source().getFileName() + " with other values, expected " + INDEX_FILE
                                    + " to say which counts");
                }
            });
        });
        unavailable.keySet().forEach(tensors::remove);
        indexed.forEach((name, file) -> {
            if (!tensors.containsKey(name) && missing.containsKey(file)) {
                unavailable.putIfAbsent(
                        name, missing.get(file) + ": the shard where " + INDEX_FILE + " puts " + Quoted.of(name));
            }
        });
        return new Safetensors(directory, tensors, metadata, indexed, unavailable);
    }

    private static boolean same(Tensor a, Tensor b) {
        return a.dtype() == b.dtype() && a.shape().equals(b.shape()) && a.data().mismatch(b.data()) == -1;
    }

    /**
     * The same tensors under other names.
     *
     * @param to the new name of each; the first of several that get the same one keeps it
     */
    public Safetensors renamed(UnaryOperator<String> to) {
        Map<String, Tensor> others = new LinkedHashMap<>();
        tensors.forEach((name, t) -> others.putIfAbsent(
                to.apply(name), new Tensor(to.apply(name), t.dtype(), t.shape(), t.data(), t.source())));
        return new Safetensors(source, others, metadata, renamed(indexed, to), renamed(unavailable, to));
    }

    private static Map<String, String> renamed(Map<String, String> byName, UnaryOperator<String> to) {
        Map<String, String> others = new LinkedHashMap<>();
        byName.forEach((name, text) -> others.putIfAbsent(to.apply(name), text));
        return others;
    }

    /** The directory or file that was opened. */
    public Path source() {
        return source;
    }

    /** The names of all tensors that can be had, in the order of the index or of the file's header. */
    public Set<String> names() {
        return tensors.keySet();
    }

    /** All tensors, in the order of {@link #names}. */
    public Collection<Tensor> tensors() {
        return tensors.values();
    }

    /** Whether {@link #find} finds a tensor. */
    public boolean has(String name) {
        return find(name).isPresent();
    }

    /**
     * A tensor, if there is one of this name.
     *
     * @throws FormatException where there should be one and it cannot be had: its shard is missing, or two differ
     */
    public Optional<Tensor> find(String name) {
        if (unavailable.containsKey(name)) {
            throw new FormatException(unavailable.get(name));
        }
        return Optional.ofNullable(tensors.get(name));
    }

    /** The tensor, or a {@link FormatException} that names the file and the tensor. */
    public Tensor get(String name) {
        return find(name)
                .orElseThrow(() -> new FormatException(source + ": has no tensor " + name + " among its "
                        + tensors.size()
                        + (indexed.containsKey(name)
                                ? "; " + INDEX_FILE + " puts it into " + indexed.get(name) + ", which lacks it"
                                : "")));
    }

    /** The texts of {@code __metadata__}; of several shards, the last one's where they disagree. */
    public Map<String, String> metadata() {
        return metadata;
    }

    /** One parsed file. */
    private record Shard(Map<String, Tensor> tensors, Map<String, String> metadata) {
        static Shard read(Path file, MemorySegment all) {
            if (all.byteSize() < 8) {
                throw new FormatException(
                        file + ": has " + all.byteSize() + " bytes, expected at least the 8 of the header's length");
            }
            long header = all.get(LONG, 0);
            if (header < 2 || header > LARGEST_HEADER) {
                throw new FormatException(file + ": has a header of " + Long.toUnsignedString(header)
                        + " bytes, expected 2 to " + LARGEST_HEADER + "; is it a safetensors file?");
            }
            if (header > all.byteSize() - 8) {
                throw new FormatException(file + ": is truncated: has " + all.byteSize()
                        + " bytes, expected a header of " + header + " after the first 8");
            }
            byte[] json = all.asSlice(8, header).toArray(ValueLayout.JAVA_BYTE);
            List<Entry> entries = new ArrayList<>();
            Map<String, String> metadata = new LinkedHashMap<>();
            try (JsonParser parser = Json.parser(json)) {
                new Header(file, parser).read(entries, metadata);
            } catch (IOException e) {
                throw new FormatException(file + ": the header is not a JSON object: " + Json.reason(e), e);
            }
            long length = all.byteSize() - 8 - header;
            requireFilled(file, entries, length);
            Map<String, Tensor> tensors = new LinkedHashMap<>();
            for (Entry e : entries) {
                MemorySegment data = all.asSlice(8 + header + e.begin, e.end - e.begin);
                tensors.put(e.name, new Tensor(e.name, e.dtype, e.shape, data, file));
            }
            return new Shard(tensors, metadata);
        }

        private static void requireFilled(Path file, List<Entry> entries, long length) {
            List<Entry> ordered = new ArrayList<>(entries);
            ordered.sort(Comparator.comparingLong(Entry::begin).thenComparingLong(Entry::end));
            long at = 0;
            for (Entry e : ordered) {
                String what = file + ": tensor " + Quoted.of(e.name) + " has the offsets " + e.begin + " to " + e.end;
                if (e.end > length) {
                    throw new FormatException(
                            what + ", but the file is truncated: only " + length + " bytes follow the header");
                }
                if (e.begin != at) {
                    throw new FormatException(what + (e.begin < at ? " and overlaps" : " and leaves a hole after")
                            + " the one before, expected it to begin at " + at);
                }
                at = e.end;
            }
            if (at != length) {
                throw new FormatException(
                        file + ": has " + (length - at) + " bytes after the last tensor, expected none");
            }
        }
    }

    /** A tensor's line of the header, checked for itself. */
    private record Entry(String name, Dtype dtype, List<Long> shape, long begin, long end) {}

    /** Reads the JSON token by token, so that a hostile header cannot make a large tree. */
    private record Header(Path file, JsonParser parser) {
        void read(List<Entry> entries, Map<String, String> metadata) throws IOException {
            if (parser.nextToken() != JsonToken.START_OBJECT) {
                throw new FormatException(file + ": the header is not a JSON object");
            }
            // The parser rejects duplicate names.
            for (String name = parser.nextFieldName(); name != null; name = parser.nextFieldName()) {
                if (parser.nextToken() != JsonToken.START_OBJECT) {
                    throw wrong(name, "is " + parser.currentToken(), "an object");
                }
                if (name.equals(METADATA)) {
                    readMetadata(metadata);
                } else {
                    entries.add(readEntry(name));
                }
            }
            if (parser.currentToken() != JsonToken.END_OBJECT || parser.nextToken() != null) {
                throw new FormatException(file + ": the header is not one JSON object: found " + parser.currentToken());
            }
        }

        private void readMetadata(Map<String, String> metadata) throws IOException {
            for (String key = parser.nextFieldName(); key != null; key = parser.nextFieldName()) {
                if (parser.nextToken() != JsonToken.VALUE_STRING) {
                    throw wrong(METADATA, "has " + parser.currentToken() + " at " + Quoted.of(key), "text");
                }
                // An escape may spell half of a pair (in names the parser sees to it), and no file that we write can
                // hold it.
                if (!StandardCharsets.UTF_8.newEncoder().canEncode(parser.getText())) {
                    throw wrong(METADATA, "has half of a surrogate pair at " + Quoted.of(key), "text");
                }
                metadata.put(key, parser.getText());
            }
        }

        private Entry readEntry(String name) throws IOException {
            String type = null;
            List<Long> shape = null;
            List<Long> offsets = null;
            for (String key = parser.nextFieldName(); key != null; key = parser.nextFieldName()) {
                JsonToken token = parser.nextToken();
                switch (key) {
                    case "dtype" -> type = token == JsonToken.VALUE_STRING ? parser.getText() : String.valueOf(token);
                    case "shape" -> shape = readLongs(name, "shape");
                    case "data_offsets" -> offsets = readLongs(name, "data_offsets");
                    default -> parser.skipChildren();
                }
            }
            if (type == null || shape == null || offsets == null || offsets.size() != 2) {
                throw wrong(
                        name,
                        "has the dtype " + (type == null ? "null" : Quoted.of(type)) + ", the shape " + shape
                                + " and the data_offsets " + offsets,
                        "all three, and two offsets");
            }
            Dtype dtype = Dtype.named(type).filter(d -> !d.isCodes()).orElse(null);
            if (dtype == null) {
                throw wrong(
                        name, "has the dtype " + Quoted.of(type), "F64, F32, F16, BF16, I64, I32, I16, I8, U8 or BOOL");
            }
            long begin = offsets.get(0);
            long end = offsets.get(1);
            if (begin < 0 || end < begin) {
                throw wrong(name, "has the data_offsets " + offsets, "0 <= begin <= end");
            }
            long size = dtype.size(shape).orElse(-1);
            if (size < 0) {
                throw wrong(name, "has the shape " + shape, "no negative dimension and less than 2^63 bytes");
            }
            if (size != end - begin) {
                throw wrong(
                        name,
                        "has the data_offsets " + offsets + ", " + (end - begin) + " bytes",
                        size + " bytes for " + dtype + " " + shape);
            }
            return new Entry(name, dtype, shape, begin, end);
        }

        private List<Long> readLongs(String name, String key) throws IOException {
            if (parser.currentToken() != JsonToken.START_ARRAY) {
                throw wrong(name, "has " + parser.currentToken() + " as " + key, "an array of integers");
            }
            List<Long> longs = new ArrayList<>();
            while (parser.nextToken() != JsonToken.END_ARRAY) {
                if (parser.currentToken() != JsonToken.VALUE_NUMBER_INT || longs.size() == LARGEST_RANK) {
                    throw wrong(
                            name,
                            "has " + parser.currentToken() + " in " + key + " after " + longs.size() + " numbers",
                            "at most " + LARGEST_RANK + " integers");
                }
                if (parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER) {
                    throw wrong(name, "has " + Quoted.of(parser.getText()) + " in " + key, "integers below 2^63");
                }
                longs.add(parser.getLongValue());
            }
            return longs;
        }

        private FormatException wrong(String name, String found, String expected) {
            return new FormatException(file + ": tensor " + Quoted.of(name) + " " + found + ", expected " + expected);
        }
    }
}

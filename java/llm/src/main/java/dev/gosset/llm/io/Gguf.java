package dev.gosset.llm.io;

import dev.gosset.core.FormatException;
import dev.gosset.core.UnsupportedModelException;
import dev.gosset.core.memory.MappedFile;
import dev.gosset.core.memory.Quoted;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A GGUF file, version 2 or 3, little-endian: what it says of itself and its tensors, as views into a memory map.
 *
 * <p>Layout: {@code GGUF}, the version, the numbers of tensors and of keys; for each key its name, type and value; for each tensor
 * its name, its dimensions from the fastest to the slowest, its type and where it begins behind all this, which is filled up to a
 * multiple of {@code general.alignment} (32). Texts and lists have their length in front, in 8 bytes. Everything is checked
 * before it is used. Immutable; the views live as long as the arena. Source: docs/gguf.md of ggml.
 */
public final class Gguf {
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfShort SHORT =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final int MAGIC = 0x46554747;
    private static final int LONGEST_NAME = 65_535;
    private static final int LARGEST_RANK = 4;
    private static final int LARGEST_ALIGNMENT = 1 << 20;

    /** Names of types that are not known, by their numbers. */
    private static final Map<Integer, String> OTHERS = Map.ofEntries(
            Map.entry(2, "Q4_0"),
            Map.entry(3, "Q4_1"),
            Map.entry(6, "Q5_0"),
            Map.entry(7, "Q5_1"),
            Map.entry(9, "Q8_1"),
            Map.entry(10, "Q2_K"),
            Map.entry(11, "Q3_K"),
            Map.entry(12, "Q4_K"),
            Map.entry(13, "Q5_K"),
            Map.entry(14, "Q6_K"),
            Map.entry(15, "Q8_K"),
            Map.entry(16, "IQ2_XXS"),
            Map.entry(17, "IQ2_XS"),
            Map.entry(18, "IQ3_XXS"),
            Map.entry(19, "IQ1_S"),
            Map.entry(20, "IQ4_NL"),
            Map.entry(21, "IQ3_S"),
            Map.entry(22, "IQ2_S"),
            Map.entry(23, "IQ4_XS"),
            Map.entry(29, "IQ1_M"),
            Map.entry(34, "TQ1_0"),
            Map.entry(35, "TQ2_0"),
            Map.entry(39, "MXFP4"));

    /** How the elements of a tensor lie: blocks of so many elements in so many bytes. */
    public enum Type {
        F32(0, 1, 4),
        F16(1, 1, 2),
        BF16(30, 1, 2),
        /** A scale in float16 and 32 bytes that it multiplies. */
        Q8_0(8, 32, 34);

        final int number;
        final int elements;
        final int bytes;

        Type(int number, int elements, int bytes) {
            this.number = number;
            this.elements = elements;
            this.bytes = bytes;
        }

        /** Bytes of a block. */
        public int bytes() {
            return bytes;
        }
    }

    /**
     * A tensor.
     *
     * @param shape from the slowest to the fastest dimension
     * @param data of the size that type and shape have
     */
    public record Entry(String name, Type type, List<Long> shape, MemorySegment data) {
        public Entry {
            shape = List.copyOf(shape);
        }

        /** Number of elements. */
        public long elements() {
            return shape.stream().reduce(1L, (a, b) -> a * b);
        }
    }

    private final Path source;
    private final Map<String, Object> values;
    private final Map<String, Entry> tensors;

    private Gguf(Path source, Map<String, Object> values, Map<String, Entry> tensors) {
        this.source = source;
        this.values = Collections.unmodifiableMap(values);
        this.tensors = Collections.unmodifiableMap(tensors);
    }

    /**
     * Opens a file.
     *
     * @param arena owns the memory map
     * @throws FormatException where it is malformed
     * @throws UnsupportedModelException where a tensor has a type that is not known
     */
    public static Gguf open(Path file, Arena arena) {
        return new Cursor(file, MappedFile.map(file, arena)).file();
    }

    /** The file, for messages. */
    public Path source() {
        return source;
    }

    /** The tensors by their names, in the order of the file. */
    public Map<String, Entry> tensors() {
        return tensors;
    }

    /** A value of one kind: Long, Double, Boolean, String or List; empty where the key is missing. */
    public <T> Optional<T> find(String key, Class<T> kind) {
        Object value = values.get(key);
        if (value == null) {
            return Optional.empty();
        }
        if (!kind.isInstance(value)) {
            throw new FormatException(source + ": " + Quoted.of(key) + " is a "
                    + (value instanceof List ? "List" : value.getClass().getSimpleName()) + ", expected a "
                    + kind.getSimpleName());
        }
        return Optional.of(kind.cast(value));
    }

    /** The same where it must be there. */
    public <T> T get(String key, Class<T> kind) {
        return find(key, kind)
                .orElseThrow(() -> new FormatException(
                        source + ": " + Quoted.of(key) + " is missing, expected a " + kind.getSimpleName()));
    }

    /** A list whose entries are all of one kind; empty where the key is missing. */
    public <T> List<T> list(String key, Class<T> kind) {
        List<?> found = find(key, List.class).orElse(List.of());
        if (!found.stream().allMatch(kind::isInstance)) {
            throw new FormatException(
                    source + ": " + Quoted.of(key) + " holds other things than " + kind.getSimpleName());
        }
        return found.stream().map(kind::cast).toList();
    }

    /** Reads from the front; each step checks that there are the bytes for it. */
    private static final class Cursor {
        private final Path file;
        private final MemorySegment bytes;
        private long at;

        Cursor(Path file, MemorySegment bytes) {
            this.file = file;
            this.bytes = bytes;
        }

        private FormatException bad(String what) {
            return new FormatException(file + ": " + what);
        }

        /** Where the next so many bytes begin. */
        private long take(long count) {
            if (count < 0 || count > bytes.byteSize() - at) {
                throw bad("ends after " + bytes.byteSize() + " bytes, expected " + Long.toUnsignedString(count)
                        + " more at byte " + at);
            }
            at += count;
            return at - count;
        }

        private int int32() {
            return bytes.get(INT, take(4));
        }

        private long int64() {
            return bytes.get(LONG, take(8));
        }

        /** How many things follow that take at least {@code least} bytes each. */
        private int count(String what, int least) {
            long count = int64();
            long possible = (bytes.byteSize() - at) / least;
            if (count < 0 || count > possible || count > Integer.MAX_VALUE - 8) {
                throw bad("announces " + Long.toUnsignedString(count) + " " + what + " and has bytes for " + possible
                        + " at most");
            }
            return (int) count;
        }

        private String text(int longest) {
            int length = count("bytes of a text", 1);
            if (length > longest) {
                throw bad("a name at byte " + at + " has " + length + " bytes, expected at most " + longest);
            }
            byte[] text = new byte[length];
            MemorySegment.copy(bytes, ValueLayout.JAVA_BYTE, take(length), text, 0, length);
            return new String(text, StandardCharsets.UTF_8);
        }

        Gguf file() {
            if (bytes.byteSize() < 4 || int32() != MAGIC) {
                throw bad("does not begin with GGUF");
            }
            int version = int32();
            if (version != 2 && version != 3) {
                throw bad("is of version " + Integer.toUnsignedString(version)
                        + (Integer.reverseBytes(version) < 16 ? ", big-endian" : "")
                        + ", known are 2 and 3, little-endian");
            }
            int tensorCount = count("tensors", 24);
            int keyCount = count("keys", 13);
            Map<String, Object> values = new LinkedHashMap<>();
            for (int i = 0; i < keyCount; i++) {
                String key = text(LONGEST_NAME);
                if (values.put(key, value(int32(), true)) != null) {
                    throw bad("has the key " + Quoted.of(key) + " twice");
                }
            }
            List<Announced> announced = new ArrayList<>();
            for (int i = 0; i < tensorCount; i++) {
                announced.add(tensor());
            }
            Object given = values.getOrDefault("general.alignment", 32L);
            if (!(given instanceof Long alignment)
                    || alignment < 8
                    || alignment > LARGEST_ALIGNMENT
                    || Long.bitCount(alignment) != 1) {
                throw bad("general.alignment is " + given + ", expected a power of two from 8 to " + LARGEST_ALIGNMENT);
            }
            long begin = (at + alignment - 1) & -alignment;
            Map<String, Entry> tensors = new LinkedHashMap<>();
            for (Announced t : announced) {
                long size = bytesOf(t);
                long room = bytes.byteSize() - begin;
                if (t.offset < 0 || t.offset % alignment != 0 || t.offset > room || size > room - t.offset) {
                    throw bad("tensor " + Quoted.of(t.name) + " of " + size + " bytes lies at "
                            + Long.toUnsignedString(t.offset) + ", expected a multiple of " + alignment
                            + " within the " + Math.max(0, room) + " bytes behind the header");
                }
                Entry entry = new Entry(t.name, t.type, t.shape, bytes.asSlice(begin + t.offset, size));
                if (tensors.put(t.name, entry) != null) {
                    throw bad("has the tensor " + Quoted.of(t.name) + " twice");
                }
            }
            return new Gguf(file, values, tensors);
        }

        private record Announced(String name, Type type, List<Long> shape, long offset) {}

        private Announced tensor() {
            String name = text(LONGEST_NAME);
            int rank = int32();
            if (rank < 0 || rank > LARGEST_RANK) {
                throw bad("tensor " + Quoted.of(name) + " has " + Integer.toUnsignedString(rank)
                        + " dimensions, expected at most " + LARGEST_RANK);
            }
            List<Long> shape = new ArrayList<>();
            for (int i = 0; i < rank; i++) {
                shape.addFirst(int64());
            }
            int number = int32();
            for (Type type : Type.values()) {
                if (type.number == number) {
                    return new Announced(name, type, shape, int64());
                }
            }
            throw new UnsupportedModelException(file + ": tensor " + Quoted.of(name) + " is of the type "
                    + OTHERS.getOrDefault(number, "number " + Integer.toUnsignedString(number))
                    + ", known are F32, F16, BF16 and Q8_0");
        }

        private long bytesOf(Announced t) {
            try {
                long elements = 1;
                for (long dimension : t.shape) {
                    if (dimension == 0) {
                        throw bad("tensor " + Quoted.of(t.name) + " has the shape " + t.shape + ", expected elements");
                    }
                    if (dimension < 0) {
                        throw new ArithmeticException();
                    }
                    elements = Math.multiplyExact(elements, dimension);
                }
                if (t.shape.isEmpty() || t.shape.getLast() % t.type.elements != 0) {
                    throw bad("tensor " + Quoted.of(t.name) + " of " + t.type + " has the shape " + t.shape
                            + ", expected rows of a multiple of " + t.type.elements);
                }
                return Math.multiplyExact(elements / t.type.elements, (long) t.type.bytes);
            } catch (ArithmeticException e) {
                throw new FormatException(
                        file + ": tensor " + Quoted.of(t.name) + " has the shape " + t.shape + ", which overflows", e);
            }
        }

        private Object value(int type, boolean mayBeList) {
            return type == 9 && mayBeList
                    ? list()
                    : switch (type) {
                        case 0 -> (long) Byte.toUnsignedInt(bytes.get(ValueLayout.JAVA_BYTE, take(1)));
                        case 1 -> (long) bytes.get(ValueLayout.JAVA_BYTE, take(1));
                        case 2 -> (long) Short.toUnsignedInt(bytes.get(SHORT, take(2)));
                        case 3 -> (long) bytes.get(SHORT, take(2));
                        case 4 -> Integer.toUnsignedLong(int32());
                        case 5 -> (long) int32();
                        case 6 -> (double) Float.intBitsToFloat(int32());
                        case 7 -> bytes.get(ValueLayout.JAVA_BYTE, take(1)) != 0;
                        case 8 -> text(Integer.MAX_VALUE);
                        // Unsigned ones beyond what a long holds become negative, which no key of a model may be.
                        case 10, 11 -> int64();
                        case 12 -> Double.longBitsToDouble(int64());
                        default ->
                            throw bad("a value before byte " + at + " is of the type " + Integer.toUnsignedString(type)
                                    + ", expected one from 0 to 12 and no lists in lists");
                    };
        }

        private List<Object> list() {
            int type = int32();
            int least = switch (type) {
                case 0, 1, 7 -> 1;
                case 2, 3 -> 2;
                case 8, 10, 11, 12 -> 8;
                default -> 4;
            };
            int count = count("entries of a list", least);
            List<Object> list = new ArrayList<>(count);
            for (int i = 0; i < count; i++) {
                list.add(value(type, false));
            }
            return Collections.unmodifiableList(list);
        }
    }
}

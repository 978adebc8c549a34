package dev.gosset.core.memory;

import dev.gosset.core.FormatException;
import dev.gosset.core.codebook.Codebook;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.function.BiConsumer;
import org.apache.arrow.flatbuf.Block;
import org.apache.arrow.flatbuf.Buffer;
import org.apache.arrow.flatbuf.Endianness;
import org.apache.arrow.flatbuf.Field;
import org.apache.arrow.flatbuf.FieldNode;
import org.apache.arrow.flatbuf.Footer;
import org.apache.arrow.flatbuf.Int;
import org.apache.arrow.flatbuf.KeyValue;
import org.apache.arrow.flatbuf.Message;
import org.apache.arrow.flatbuf.MessageHeader;
import org.apache.arrow.flatbuf.MetadataVersion;
import org.apache.arrow.flatbuf.RecordBatch;
import org.apache.arrow.flatbuf.Schema;
import org.apache.arrow.flatbuf.Type;

/**
 * The tensors of a {@code weights.arrow} as views into its memory map: opening it reads names and shapes only, and the
 * weights are never copied. Reads what {@link WeightFileWriter} writes and what other Arrow writers make of it, in any
 * split into record batches, as long as the columns stay and nothing is compressed. The format is described in {@code
 * docs/formats.md}.
 *
 * <p>Immutable, thread-safe if the arena is shared; the views live as long as the arena. Whatever is wrong with the file
 * is a {@link FormatException} of one line; every offset, length and shape is checked before it is used.
 */
public final class WeightFile {
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final long BLOCK_BYTES = 24;
    private static final long SMALL = 1 << 20;

    /**
     * A row of the file.
     *
     * @param tensor name, dtype, shape and bytes
     * @param role what the tensor is for
     * @param codebook the codebook of codes, empty for every other tensor
     * @param checksum the CRC32C that the bytes had when they were written; empty in files of version 1
     */
    public record Weight(Tensor tensor, String role, Optional<Codebook> codebook, OptionalLong checksum) {
        public String name() {
            return tensor.name();
        }

        /** Whether the bytes, all of which are read, are those that were written, as far as the file can tell. */
        public boolean isIntact() {
            return checksum.isEmpty() || Checksum.of(tensor.data()) == checksum.getAsLong();
        }

        /** This, or a {@link FormatException} where the bytes, all of which are read, are not those that were written. */
        public Weight requireIntact() {
            if (!isIntact()) {
                throw new FormatException(tensor + " is damaged: its bytes have the CRC32C "
                        + Checksum.text(Checksum.of(tensor.data())) + ", expected "
                        + Checksum.text(checksum.getAsLong()));
            }
            return this;
        }

        /** {@link #requireIntact} for tensors of at most 1 MiB, which costs nothing: whoever asks for them reads all. */
        public Weight requireIntactIfSmall() {
            return tensor.data().byteSize() <= SMALL ? requireIntact() : this;
        }
    }

    private final Path source;
    private final MemorySegment map;
    private final Map<String, Weight> weights;
    private final Map<String, String> metadata;
    private final List<String> columns;
    private final ByteBuffer footer;
    private final List<Place> places;

    private WeightFile(
            Path source,
            MemorySegment map,
            Map<String, Weight> weights,
            Map<String, String> metadata,
            List<String> columns,
            ByteBuffer footer,
            List<Place> places) {
        this.columns = columns;
        this.footer = footer;
        this.places = List.copyOf(places);
        this.source = source;
        this.map = map;
        this.weights = Collections.unmodifiableMap(weights);
        this.metadata = Collections.unmodifiableMap(metadata);
    }

    /**
     * Maps a file and checks all of it but the tensors' values.
     *
     * @param arena owns the map
     * @throws FormatException if the file is missing or malformed
     */
    public static WeightFile open(Path file, Arena arena) {
        return parse(file, MappedFile.map(file, arena));
    }

    /** Checks the bytes of a file. */
    static WeightFile parse(Path file, MemorySegment map) {
        try {
            return new Reader(file, map).read();
        } catch (IndexOutOfBoundsException
                | IllegalArgumentException
                | NegativeArraySizeException
                | ClassCastException e) {
            // The generated flatbuffers accessors check nothing but the bounds of the buffer they read, which is the
            // footer or a message: an offset that leads out of it ends here.
            throw new FormatException(file + ": is corrupt: an offset of its Arrow metadata leads nowhere: " + e, e);
        }
    }

    /** The file that was opened. */
    public Path source() {
        return source;
    }

    /** The whole file, read-only: every tensor's bytes lie in it. */
    public MemorySegment map() {
        return map;
    }

    /** All names, in the order of the file. */
    public Set<String> names() {
        return weights.keySet();
    }

    /** All rows, in the order of the file. */
    public Collection<Weight> weights() {
        return weights.values();
    }

    public boolean has(String name) {
        return weights.containsKey(name);
    }

    public Optional<Weight> find(String name) {
        return Optional.ofNullable(weights.get(name));
    }

    /** The row, or a {@link FormatException} that names the file and the tensor. */
    public Weight get(String name) {
        Weight weight = weights.get(name);
        if (weight == null) {
            throw new FormatException(source + ": has no tensor " + Quoted.of(name) + " among its " + weights.size());
        }
        return weight;
    }

    /**
     * The bytes and shape of a row.
     *
     * @throws FormatException with the file and the tensor where there is none, or where it is small and damaged, see
     *     {@link Weight#requireIntactIfSmall}
     */
    public Tensor tensor(String name) {
        return get(name).requireIntactIfSmall().tensor();
    }

    /** Whether the file has a checksum of each tensor: those of version 1 have none. */
    public boolean hasChecksums() {
        return columns.equals(WeightFormat.COLUMNS);
    }

    /** The schema's texts, {@code format} and {@code format_version} among them. */
    public Map<String, String> metadata() {
        return metadata;
    }

    /** The schema as the footer holds it. */
    Schema schema() {
        return Footer.getRootAsFooter(footer.duplicate()).schema();
    }

    /** Calls {@code consumer} with the message and the body of each record batch. */
    void forEachBatch(BiConsumer<Message, MemorySegment> consumer) {
        for (Place place : places) {
            consumer.accept(
                    Message.getRootAsMessage(map.asSlice(place.offset + 8, place.metaLength - 8L)
                            .asByteBuffer()
                            .order(ByteOrder.LITTLE_ENDIAN)),
                    map.asSlice(place.offset + place.metaLength, place.bodyLength));
        }
    }

    /** Where a record batch lies: its message, then its body. */
    private record Place(long offset, int metaLength, long bodyLength) {}

    /** Reads one file. */
    private static final class Reader {
        private final Path file;
        private final MemorySegment map;
        private final Map<String, Weight> weights = new LinkedHashMap<>();
        private List<String> columns;

        Reader(Path file, MemorySegment map) {
            this.file = file;
            this.map = map;
        }

        WeightFile read() {
            long size = map.byteSize();
            // Magic and padding, the end of the stream, the footer's length and magic again.
            if (size < 8 + 8 + 4 + 6) {
                throw wrong("has " + size + " bytes", "an Arrow file of at least 26");
            }
            requireMagic(0, "begins");
            requireMagic(size - 6, "ends");
            long footerLength = map.get(INT, size - 10);
            if (footerLength < 4 || footerLength > size - 10 - 8) {
                throw wrong("has a footer of " + footerLength + " bytes", "4 to " + (size - 18));
            }
            long end = size - 10 - footerLength;
            Footer footer = Footer.getRootAsFooter(bytes(end, footerLength));
            requireVersion(footer.version(), "the footer");
            Map<String, String> metadata = readSchema(footer.schema(), footerLength);
            if (footer.dictionariesLength() != 0) {
                throw wrong("has " + footer.dictionariesLength() + " dictionaries", "none");
            }
            int batches = footer.recordBatchesLength();
            if (batches < 0 || batches > footerLength / BLOCK_BYTES) {
                throw wrong(
                        "has a footer with " + batches + " record batches", "at most " + footerLength / BLOCK_BYTES);
            }
            List<Place> places = new ArrayList<>();
            long at = 8;
            for (int i = 0; i < batches; i++) {
                Block block = footer.recordBatches(i);
                long offset = block.offset();
                int metaLength = block.metaDataLength();
                long bodyLength = block.bodyLength();
                if (offset < at
                        || metaLength < 16
                        || bodyLength < 0
                        || offset > end - metaLength
                        || bodyLength > end - metaLength - offset) {
                    throw wrong(
                            "has record batch " + i + " of " + metaLength + " + " + bodyLength + " bytes at " + offset,
                            "it within " + at + " to " + end);
                }
                at = offset + metaLength + bodyLength;
                places.add(new Place(offset, metaLength, bodyLength));
                readBatch(i, offset, metaLength, map.asSlice(offset + metaLength, bodyLength));
            }
            return new WeightFile(file, map, weights, metadata, columns, bytes(end, footerLength), places);
        }

        private void requireMagic(long offset, String what) {
            byte[] found = map.asSlice(offset, 6).toArray(ValueLayout.JAVA_BYTE);
            if (!Arrays.equals(found, WeightFormat.MAGIC)) {
                throw wrong(
                        what + " with " + Quoted.of(new String(found, StandardCharsets.ISO_8859_1)),
                        "'ARROW1' of an Arrow file" + (offset > 0 ? "; it may be truncated" : ""));
            }
        }

        private void requireVersion(short version, String what) {
            if (version != MetadataVersion.V4 && version != MetadataVersion.V5) {
                throw wrong("has the Arrow metadata version " + (version + 1) + " in " + what, "4 or 5");
            }
        }

        /** Little-endian bytes of the map, for the flatbuffers accessors. */
        private ByteBuffer bytes(long offset, long length) {
            return map.asSlice(offset, length).asByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
        }

        private Map<String, String> readSchema(Schema schema, long footerLength) {
            if (schema == null) {
                throw wrong("has no schema in its footer", "one");
            }
            Map<String, String> metadata = new LinkedHashMap<>();
            long characters = 0;
            for (int i = 0; i < schema.customMetadataLength(); i++) {
                KeyValue pair = schema.customMetadata(i);
                String key = pair.key();
                String value = pair.value();
                if (key == null || value == null || metadata.put(key, value) != null) {
                    throw wrong(
                            "has the schema metadata " + Quoted.of(String.valueOf(key)) + " = "
                                    + Quoted.of(String.valueOf(value)),
                            "each key once, with a value");
                }
                // Entries that share one text could make many times the file of it.
                characters += key.length() + (long) value.length();
                if (characters > footerLength) {
                    throw wrong("has more schema metadata than bytes in its footer", "at most " + footerLength);
                }
            }
            String format = metadata.get(WeightFormat.FORMAT_KEY);
            if (!WeightFormat.FORMAT.equals(format)) {
                throw wrong(
                        "is an Arrow file of the format " + (format == null ? "none" : Quoted.of(format)),
                        "'" + WeightFormat.FORMAT + "' in the schema metadata");
            }
            String version = metadata.get(WeightFormat.VERSION_KEY);
            columns = switch (version) {
                case "1" -> WeightFormat.COLUMNS_1;
                case "2" -> WeightFormat.COLUMNS;
                case null, default ->
                    throw wrong(
                            "has the format_version " + (version == null ? "none" : Quoted.of(version)),
                            "1 or 2, which this Gosset reads");
            };
            if (schema.endianness() != Endianness.Little) {
                throw wrong("is big-endian", "little-endian");
            }
            List<String> found = new ArrayList<>();
            int fields = schema.fieldsLength();
            for (int i = 0; i < Math.min(fields, WeightFormat.COLUMNS.size() + 1); i++) {
                found.add(column(schema.fields(i)));
            }
            List<String> expected = columns.stream()
                    .map(c -> c
                            + switch (c) {
                                case "shape" -> " List of Int64";
                                case "crc32c" -> " UInt32";
                                case "data" -> " LargeBinary";
                                default -> " Utf8";
                            })
                    .toList();
            if (!found.equals(expected)) {
                throw wrong("has the " + fields + " columns " + found, expected.toString());
            }
            return metadata;
        }

        private static String integer(Field field) {
            return field.type(new Int()) instanceof Int n
                    ? (n.isSigned() ? "Int" : "UInt") + n.bitWidth()
                    : "Int without a width";
        }

        private static String column(Field field) {
            String kind = field.typeType() < 0 || field.typeType() >= Type.names.length
                    ? "type " + field.typeType()
                    : Type.name(field.typeType());
            if (field.typeType() == Type.Int) {
                kind = integer(field);
            }
            if (field.typeType() == Type.List && field.childrenLength() == 1) {
                Field item = field.children(0);
                boolean plain = item.typeType() == Type.Int && item.dictionary() == null;
                kind += " of " + (plain ? integer(item) : "another type");
            }
            String name = String.valueOf(field.name());
            String text = name.matches("\\w{1,40}") ? name : Quoted.of(name);
            return text + " " + kind + (field.dictionary() == null ? "" : " by dictionary");
        }

        private void readBatch(int index, long offset, int metaLength, MemorySegment body) {
            String what = "record batch " + index;
            int continuation = map.get(INT, offset);
            int length = map.get(INT, offset + 4);
            if (continuation != -1 || length != metaLength - 8) {
                throw wrong(
                        "has " + what + " that begins with " + continuation + ", " + length, "-1, " + (metaLength - 8));
            }
            Message message = Message.getRootAsMessage(bytes(offset + 8, length));
            requireVersion(message.version(), what);
            if (message.headerType() != MessageHeader.RecordBatch || message.bodyLength() != body.byteSize()) {
                throw wrong(
                        "has " + what + " of message type " + message.headerType() + " with " + message.bodyLength()
                                + " bytes",
                        "type " + MessageHeader.RecordBatch + " with " + body.byteSize());
            }
            RecordBatch batch = (RecordBatch) message.header(new RecordBatch());
            if (batch == null) {
                throw wrong("has " + what + " without a header", "one");
            }
            if (batch.compression() != null) {
                throw wrong("has " + what + " compressed", "no compression: tensors are read in place");
            }
            int nodes = WeightFormat.nodes(columns);
            int buffers = WeightFormat.buffers(columns);
            if (batch.nodesLength() != nodes || batch.buffersLength() != buffers) {
                throw wrong(
                        "has " + what + " of " + batch.nodesLength() + " nodes and " + batch.buffersLength()
                                + " buffers",
                        nodes + " and " + buffers);
            }
            new Rows(what, batch, body).read();
        }

        private FormatException wrong(String found, String expected) {
            return wrong(found, expected, null);
        }

        private FormatException wrong(String found, String expected, Throwable cause) {
            return new FormatException(file + ": " + found + ", expected " + expected, cause);
        }

        /** The rows of one record batch. */
        private final class Rows {
            private final String what;
            private final RecordBatch batch;
            private final MemorySegment body;
            private final long count;

            Rows(String what, RecordBatch batch, MemorySegment body) {
                this.what = what;
                this.batch = batch;
                this.body = body;
                this.count = batch.length();
            }

            void read() {
                // Each row has eight bytes of offsets in the last column: more rows than that are a lie.
                if (count < 0 || count > body.byteSize() / 8) {
                    throw wrong("has " + what + " of " + count + " rows", "at most " + body.byteSize() / 8);
                }
                long items = -1;
                for (int node = 0; node < WeightFormat.nodes(columns); node++) {
                    FieldNode n = batch.nodes(node);
                    boolean isItems = node == 4;
                    if (isItems) {
                        items = n.length();
                    }
                    if (!isItems && n.length() != count || node != 5 && n.nullCount() != 0) {
                        throw wrong(
                                "has " + what + " with " + n.length() + " values and " + n.nullCount()
                                        + " nulls in node " + node,
                                count + " values without nulls");
                    }
                }
                if (count == 0) {
                    return;
                }
                MemorySegment nameOffsets = offsets(1, 4, count);
                MemorySegment roleOffsets = offsets(4, 4, count);
                MemorySegment dtypeOffsets = offsets(7, 4, count);
                MemorySegment shapeOffsets = offsets(10, 4, count);
                MemorySegment codebookOffsets = offsets(14, 4, count);
                boolean summed = columns.equals(WeightFormat.COLUMNS);
                MemorySegment checksums = summed ? values(17, 4, count) : MemorySegment.NULL;
                int dataBuffer = WeightFormat.buffers(columns) - 1;
                MemorySegment dataOffsets = offsets(dataBuffer - 1, 8, count);
                MemorySegment shapes = buffer(12);
                if (items < 0 || items > shapes.byteSize() / 8) {
                    throw wrong("has " + what + " with " + items + " dimensions", "at most " + shapes.byteSize() / 8);
                }
                MemorySegment nulls = batch.nodes(5).nullCount() == 0 ? MemorySegment.NULL : buffer(13);
                if (nulls.byteSize() > 0 && nulls.byteSize() < Math.ceilDiv(count, 8)
                        || nulls.byteSize() == 0 && batch.nodes(5).nullCount() != 0) {
                    throw wrong(
                            "has " + what + " with a null bitmap of " + nulls.byteSize() + " bytes",
                            "one for " + count + " rows");
                }
                for (long i = 0; i < count; i++) {
                    String name = text(2, nameOffsets, i, "name");
                    String where = "tensor " + Quoted.of(name);
                    String role = text(5, roleOffsets, i, "role of " + where);
                    String type = text(8, dtypeOffsets, i, "dtype of " + where);
                    Dtype dtype = Dtype.named(type)
                            .orElseThrow(() -> wrong(
                                    where + " has the dtype " + Quoted.of(type),
                                    "one of " + Arrays.toString(Dtype.values())));
                    List<Long> shape = shape(shapes, shapeOffsets, i, where);
                    boolean isNull =
                            nulls.byteSize() > 0 && (nulls.get(ValueLayout.JAVA_BYTE, i >>> 3) >>> (i & 7) & 1) == 0;
                    Optional<Codebook> codebook = isNull
                            ? Optional.empty()
                            : Optional.of(codebook(text(15, codebookOffsets, i, "codebook of " + where), where));
                    if (dtype.isCodes() != codebook.isPresent()
                            || codebook.isPresent() && Dtype.ofCodes(codebook.orElseThrow()) != dtype) {
                        throw wrong(
                                where + " of " + dtype + " has the codebook "
                                        + codebook.map(Codebook::name).orElse("null"),
                                "a codebook for its codes, and null without");
                    }
                    MemorySegment data = slice(dataBuffer, dataOffsets, i, 8, "data of " + where);
                    long size = dtype.requireSize(shape, file + ": " + where);
                    if (size != data.byteSize()) {
                        throw wrong(where + " has " + data.byteSize() + " bytes", size + " for " + dtype + " " + shape);
                    }
                    OptionalLong checksum = summed
                            ? OptionalLong.of(Integer.toUnsignedLong(checksums.getAtIndex(INT, i)))
                            : OptionalLong.empty();
                    Weight weight = new Weight(new Tensor(name, dtype, shape, data, file), role, codebook, checksum);
                    if (weights.putIfAbsent(name, weight) != null) {
                        throw wrong("has " + where + " twice", "each name once");
                    }
                }
            }

            private Codebook codebook(String name, String where) {
                try {
                    return Codebook.named(name);
                } catch (IllegalArgumentException e) {
                    throw wrong(where + " has the codebook " + Quoted.of(name), Codebook.KNOWN, e);
                }
            }

            private MemorySegment buffer(int index) {
                Buffer b = batch.buffers(index);
                if (b.offset() < 0 || b.length() < 0 || b.offset() > body.byteSize() - b.length()) {
                    throw wrong(
                            "has " + what + " with buffer " + index + " of " + b.length() + " bytes at " + b.offset(),
                            "it within a body of " + body.byteSize());
                }
                return body.asSlice(b.offset(), b.length());
            }

            private MemorySegment offsets(int index, int width, long rows) {
                return values(index, width, rows + 1);
            }

            private MemorySegment values(int index, int width, long values) {
                MemorySegment s = buffer(index);
                if (s.byteSize() / width < values) {
                    throw wrong(
                            "has " + what + " with buffer " + index + " of " + s.byteSize() + " bytes",
                            values * width + " for its " + count + " rows");
                }
                return s;
            }

            /** Bytes of row {@code i} of the column whose bytes are buffer {@code index}. */
            private MemorySegment slice(int index, MemorySegment offsets, long i, int width, String of) {
                MemorySegment bytes = buffer(index);
                long from = width == 4 ? offsets.getAtIndex(INT, i) : offsets.getAtIndex(LONG, i);
                long to = width == 4 ? offsets.getAtIndex(INT, i + 1) : offsets.getAtIndex(LONG, i + 1);
                requireRange(from, to, bytes.byteSize(), of);
                return bytes.asSlice(from, to - from);
            }

            private void requireRange(long from, long to, long size, String of) {
                if (from < 0 || to < from || to > size) {
                    throw wrong("has the offsets " + from + " to " + to + " for the " + of, "them within 0 to " + size);
                }
            }

            private String text(int index, MemorySegment offsets, long i, String of) {
                MemorySegment bytes = slice(index, offsets, i, 4, of);
                if (bytes.byteSize() == 0 || bytes.byteSize() > WeightFormat.LONGEST_TEXT) {
                    throw wrong(
                            "has " + bytes.byteSize() + " bytes for the " + of, "1 to " + WeightFormat.LONGEST_TEXT);
                }
                try {
                    return StandardCharsets.UTF_8
                            .newDecoder()
                            .decode(bytes.asByteBuffer())
                            .toString();
                } catch (CharacterCodingException e) {
                    throw new FormatException(file + ": has malformed UTF-8 for the " + of, e);
                }
            }

            private List<Long> shape(MemorySegment shapes, MemorySegment offsets, long i, String where) {
                long from = offsets.getAtIndex(INT, i);
                long to = offsets.getAtIndex(INT, i + 1);
                requireRange(from, to, shapes.byteSize() / 8, "shape of " + where);
                if (to - from > WeightFormat.LARGEST_RANK) {
                    throw wrong(where + " has " + (to - from) + " dimensions", "at most " + WeightFormat.LARGEST_RANK);
                }
                List<Long> shape = new ArrayList<>();
                for (long k = from; k < to; k++) {
                    shape.add(shapes.getAtIndex(LONG, k));
                }
                return shape;
            }
        }
    }
}

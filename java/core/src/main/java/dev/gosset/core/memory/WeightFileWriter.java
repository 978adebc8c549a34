package dev.gosset.core.memory;

import com.google.flatbuffers.FlatBufferBuilder;
import dev.gosset.core.GossetException;
import dev.gosset.core.codebook.Codebook;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeMap;
import org.apache.arrow.flatbuf.Block;
import org.apache.arrow.flatbuf.Buffer;
import org.apache.arrow.flatbuf.Endianness;
import org.apache.arrow.flatbuf.Field;
import org.apache.arrow.flatbuf.FieldNode;
import org.apache.arrow.flatbuf.Footer;
import org.apache.arrow.flatbuf.Int;
import org.apache.arrow.flatbuf.KeyValue;
import org.apache.arrow.flatbuf.LargeBinary;
import org.apache.arrow.flatbuf.Message;
import org.apache.arrow.flatbuf.MessageHeader;
import org.apache.arrow.flatbuf.MetadataVersion;
import org.apache.arrow.flatbuf.RecordBatch;
import org.apache.arrow.flatbuf.Schema;
import org.apache.arrow.flatbuf.Type;
import org.apache.arrow.flatbuf.Utf8;

/**
 * Writes {@code weights.arrow}, tensor by tensor, of any size: each tensor becomes a record batch of one row, whose bytes
 * go from their segments to the file without a copy on the heap, and begin at a multiple of 64 in the file. The same
 * tensors in the same order give the same bytes. The format is described in {@code docs/formats.md}.
 *
 * <p>The file appears whole at {@link #commit} or not at all, see {@link CrashSafeFile}. Not thread-safe.
 */
public final class WeightFileWriter implements AutoCloseable {
    private final CrashSafeFile file;
    private final Map<String, String> metadata;
    private final Set<String> names = new HashSet<>();
    private final List<BlockPlace> blocks = new ArrayList<>();

    /** Where a record batch lies: its message, then its body. */
    private record BlockPlace(long offset, int metadataLength, long bodyLength) {}

    private WeightFileWriter(CrashSafeFile file, Map<String, String> metadata) {
        this.file = file;
        this.metadata = metadata;
    }

    /**
     * Begins a file.
     *
     * @param target the file's name; its directory exists
     * @param metadata free texts for the Arrow schema, such as where the model came from; {@code format} and {@code
     *     format_version} are set by the writer
     * @throws GossetException if the directory cannot be written
     */
    public static WeightFileWriter create(Path target, Map<String, String> metadata) {
        return create(CrashSafeFile.create(target), metadata);
    }

    /** Takes the file over: it is closed where this fails. */
    static WeightFileWriter create(CrashSafeFile file, Map<String, String> metadata) {
        try {
            WeightFileWriter writer = new WeightFileWriter(file, withFormat(metadata));
            file.append(MemorySegment.ofArray(Arrays.copyOf(WeightFormat.MAGIC, 8)));
            FlatBufferBuilder b = new FlatBufferBuilder();
            writer.appendMessage(message(b, MessageHeader.Schema, writer.schema(b), 0));
            return writer;
        } catch (Throwable e) {
            try (file) {
                throw e;
            }
        }
    }

    private static Map<String, String> withFormat(Map<String, String> metadata) {
        Map<String, String> all = new TreeMap<>(metadata);
        if (all.put(WeightFormat.FORMAT_KEY, WeightFormat.FORMAT) != null
                || all.put(WeightFormat.VERSION_KEY, Integer.toString(WeightFormat.VERSION)) != null) {
            throw new IllegalArgumentException("metadata " + WeightFormat.FORMAT_KEY + " and "
                    + WeightFormat.VERSION_KEY + " are the writer's own");
        }
        return all;
    }

    /**
     * Appends a tensor.
     *
     * @param name unique in the file
     * @param role what the tensor is for: {@code embedding}, {@code norm}, {@code head}, {@code codes}, ...
     * @param dtype how its elements lie in the bytes
     * @param shape dimensions from the slowest to the fastest
     * @param codebook the codebook of codes, empty for every other tensor
     * @param pieces the bytes, native or of {@code byte[]}: together exactly {@code dtype.size(shape)}; read twice, first
     *     for their checksum
     * @throws IllegalArgumentException if name, shape, codebook and bytes do not fit each other
     * @throws GossetException if the disk is full; the file is gone then
     */
    public void add(
            String name,
            String role,
            Dtype dtype,
            List<Long> shape,
            Optional<Codebook> codebook,
            MemorySegment... pieces) {
        long size = Arrays.stream(pieces).mapToLong(MemorySegment::byteSize).sum();
        OptionalLong expected = dtype.size(shape);
        if (expected.isEmpty() || expected.getAsLong() != size || shape.size() > WeightFormat.LARGEST_RANK) {
            throw new IllegalArgumentException("tensor " + Quoted.of(name) + " of " + dtype + " " + shape + " needs "
                    + (expected.isEmpty() ? "another shape" : expected.getAsLong() + " bytes") + ", found " + size
                    + " bytes");
        }
        if (dtype.isCodes() != codebook.isPresent()
                || codebook.isPresent() && dtype != Dtype.ofCodes(codebook.orElseThrow())) {
            throw new IllegalArgumentException(
                    "tensor " + Quoted.of(name) + " of " + dtype + " cannot have the codebook "
                            + codebook.map(Codebook::name).orElse("none"));
        }
        byte[] nameBytes = text(name);
        byte[] roleBytes = text(role);
        if (!names.add(name)) {
            throw new IllegalArgumentException("tensor " + Quoted.of(name) + " is already in " + file.target());
        }

        // The body: small buffers, then the tensor, each from a multiple of 64.
        Body body = new Body();
        body.addText(nameBytes);
        body.addText(roleBytes);
        body.addText(text(dtype.name()));
        body.add(0);
        body.addInts(0, shape.size());
        body.add(0);
        body.addLongs(shape.stream().mapToLong(Long::longValue).toArray());
        if (codebook.isPresent()) {
            body.addText(text(codebook.orElseThrow().name()));
        } else {
            body.addBytes(new byte[1]);
            body.addInts(0, 0);
            body.add(0);
        }
        body.add(0);
        body.addInts((int) Checksum.of(pieces));
        body.add(0);
        body.addLongs(0, size);
        body.add(size);
        long padded = align(body.end);

        FlatBufferBuilder b = new FlatBufferBuilder();
        RecordBatch.startBuffersVector(b, body.lengths.size());
        for (int i = body.lengths.size() - 1; i >= 0; i--) {
            Buffer.createBuffer(b, body.offsets.get(i), body.lengths.get(i));
        }
        int buffers = b.endVector();
        long[] lengths = new long[WeightFormat.nodes(WeightFormat.COLUMNS)];
        Arrays.fill(lengths, 1);
        lengths[4] = shape.size();
        RecordBatch.startNodesVector(b, lengths.length);
        for (int i = lengths.length - 1; i >= 0; i--) {
            FieldNode.createFieldNode(b, lengths[i], i == 5 && codebook.isEmpty() ? 1 : 0);
        }
        int nodes = b.endVector();
        RecordBatch.startRecordBatch(b);
        RecordBatch.addLength(b, 1);
        RecordBatch.addNodes(b, nodes);
        RecordBatch.addBuffers(b, buffers);
        byte[] message = message(b, MessageHeader.RecordBatch, RecordBatch.endRecordBatch(b), padded);

        file.requireSpace(padded);
        long offset = file.position();
        appendMessage(message);
        long start = file.position();
        file.append(MemorySegment.ofArray(Arrays.copyOf(body.small.array(), body.small.position())));
        file.align(WeightFormat.ALIGNMENT);
        for (MemorySegment piece : pieces) {
            file.append(piece);
        }
        file.align(WeightFormat.ALIGNMENT);
        if (file.position() != start + padded) {
            throw new IllegalStateException("a body of " + (file.position() - start) + " bytes, not of " + padded);
        }
        blocks.add(new BlockPlace(offset, Math.toIntExact(start - offset), padded));
    }

    /** The file's name. */
    public Path target() {
        return file.target();
    }

    /** Bytes written so far. */
    public long position() {
        return file.position();
    }

    /** Writes the footer and puts the file in place. */
    public void commit() {
        // The end of the stream, for readers that do not seek: a continuation and a length of 0.
        file.append(MemorySegment.ofArray(new byte[] {-1, -1, -1, -1, 0, 0, 0, 0}));
        FlatBufferBuilder b = new FlatBufferBuilder();
        int schema = schema(b);
        Footer.startDictionariesVector(b, 0);
        int dictionaries = b.endVector();
        Footer.startRecordBatchesVector(b, blocks.size());
        for (BlockPlace block : blocks.reversed()) {
            Block.createBlock(b, block.offset, block.metadataLength, block.bodyLength);
        }
        int batches = b.endVector();
        Footer.startFooter(b);
        Footer.addVersion(b, MetadataVersion.V5);
        Footer.addSchema(b, schema);
        Footer.addDictionaries(b, dictionaries);
        Footer.addRecordBatches(b, batches);
        b.finish(Footer.endFooter(b));
        byte[] footer = b.sizedByteArray();
        ByteBuffer end = ByteBuffer.allocate(footer.length + 10).order(ByteOrder.LITTLE_ENDIAN);
        end.put(footer).putInt(footer.length).put(WeightFormat.MAGIC);
        file.append(MemorySegment.ofArray(end.array()));
        file.commit();
    }

    /** Without a {@link #commit} before, nothing remains. */
    @Override
    public void close() {
        file.close();
    }

    /** Length-prefixed and padded so that what follows begins at a multiple of 64. */
    private void appendMessage(byte[] message) {
        long padded = align(file.position() + 8 + message.length) - file.position() - 8;
        ByteBuffer prefix = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
        prefix.putInt(-1).putInt(Math.toIntExact(padded));
        file.append(MemorySegment.ofArray(prefix.array()));
        file.append(MemorySegment.ofArray(message));
        file.align(WeightFormat.ALIGNMENT);
    }

    private static byte[] message(FlatBufferBuilder b, byte type, int header, long bodyLength) {
        Message.startMessage(b);
        Message.addVersion(b, MetadataVersion.V5);
        Message.addHeaderType(b, type);
        Message.addHeader(b, header);
        Message.addBodyLength(b, bodyLength);
        b.finish(Message.endMessage(b));
        return b.sizedByteArray();
    }

    private int schema(FlatBufferBuilder b) {
        int[] fields = new int[WeightFormat.COLUMNS.size()];
        for (int i = 0; i < fields.length; i++) {
            fields[i] = field(b, WeightFormat.COLUMNS.get(i));
        }
        int fieldsVector = Schema.createFieldsVector(b, fields);
        int metadataVector = Schema.createCustomMetadataVector(
                b,
                metadata.entrySet().stream()
                        .mapToInt(e ->
                                KeyValue.createKeyValue(b, b.createString(e.getKey()), b.createString(e.getValue())))
                        .toArray());
        return Schema.createSchema(b, Endianness.Little, fieldsVector, metadataVector, 0);
    }

    private static int field(FlatBufferBuilder b, String name) {
        return switch (name) {
            case "shape" -> {
                int item = field(b, "item", false, Type.Int, Int.createInt(b, 64, true));
                org.apache.arrow.flatbuf.List.startList(b);
                yield field(b, name, false, Type.List, org.apache.arrow.flatbuf.List.endList(b), item);
            }
            case "crc32c" -> field(b, name, false, Type.Int, Int.createInt(b, 32, false));
            case "data" -> {
                LargeBinary.startLargeBinary(b);
                yield field(b, name, false, Type.LargeBinary, LargeBinary.endLargeBinary(b));
            }
            default -> {
                Utf8.startUtf8(b);
                yield field(b, name, name.equals("codebook"), Type.Utf8, Utf8.endUtf8(b));
            }
        };
    }

    private static int field(FlatBufferBuilder b, String name, boolean nullable, byte kind, int type, int... children) {
        int text = b.createString(name);
        int childrenVector = Field.createChildrenVector(b, children);
        return Field.createField(b, text, nullable, kind, type, 0, childrenVector, 0);
    }

    private static byte[] text(String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        if (bytes.length == 0 || bytes.length > WeightFormat.LONGEST_TEXT) {
            throw new IllegalArgumentException("a text of 1 to " + WeightFormat.LONGEST_TEXT
                    + " bytes is needed for names and roles, found " + bytes.length + ": " + Quoted.of(text));
        }
        return bytes;
    }

    private static long align(long offset) {
        return Math.ceilDiv(offset, WeightFormat.ALIGNMENT) * WeightFormat.ALIGNMENT;
    }

    /** The buffers of a record batch; the last, the tensor itself, is not among the small bytes. */
    private static final class Body {
        final List<Long> offsets = new ArrayList<>();
        final List<Long> lengths = new ArrayList<>();
        ByteBuffer small = ByteBuffer.allocate(1 << 10).order(ByteOrder.LITTLE_ENDIAN);
        long end;

        void add(long length) {
            offsets.add(align(end));
            lengths.add(length);
            end = align(end) + length;
        }

        void addBytes(byte[] bytes) {
            add(bytes.length);
            int at = Math.toIntExact(end) - bytes.length;
            if (small.capacity() < end) {
                small = ByteBuffer.wrap(Arrays.copyOf(small.array(), 2 * Math.toIntExact(end)))
                        .order(ByteOrder.LITTLE_ENDIAN);
            }
            small.position(at).put(bytes);
        }

        void addInts(int... values) {
            ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
            bytes.asIntBuffer().put(values);
            addBytes(bytes.array());
        }

        void addLongs(long... values) {
            ByteBuffer bytes = ByteBuffer.allocate(8 * values.length).order(ByteOrder.LITTLE_ENDIAN);
            bytes.asLongBuffer().put(values);
            addBytes(bytes.array());
        }

        /** A text column of one row without nulls: no validity, two offsets, the bytes. */
        void addText(byte[] bytes) {
            add(0);
            addInts(0, bytes.length);
            addBytes(bytes);
        }
    }
}

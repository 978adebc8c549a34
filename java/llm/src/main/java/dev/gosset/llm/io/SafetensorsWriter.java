package dev.gosset.llm.io;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.core.GossetException;
import dev.gosset.core.memory.CrashSafeFile;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.Quoted;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Writes one safetensors file of any size: the tensors are declared first, then their bytes are streamed in any order and
 * in pieces of any size. The file appears whole at {@link #commit} or not at all, see {@link CrashSafeFile}.
 *
 * <p>The layout is that of the reference implementation: tensors in the order of falling element size, then of name, so
 * that each is aligned to its own element size; metadata by key; the header is padded with spaces to a multiple of 8. Hence the
 * same tensors give the same bytes, whatever the order in which they were declared or written.
 *
 * <p>Not thread-safe.
 */
public final class SafetensorsWriter implements AutoCloseable {
    /** A tensor that is going to be written. */
    public record Declaration(String name, Dtype dtype, List<Long> shape) {
        public Declaration {
            shape = List.copyOf(shape);
            if (dtype.isCodes() || dtype.size(shape).isEmpty()) {
                throw new IllegalArgumentException("a safetensors file cannot hold " + dtype + " " + shape);
            }
            if (name.equals("__metadata__")) {
                throw new IllegalArgumentException("no tensor can be named __metadata__");
            }
        }

        long size() {
            return dtype.size(shape).orElseThrow();
        }
    }

    /** Where a tensor lies and how much of it is written. */
    private static final class Slot {
        final long offset;
        final long size;
        long written;

        Slot(long offset, long size) {
            this.offset = offset;
            this.size = size;
        }
    }

    private final CrashSafeFile file;
    private final Map<String, Slot> slots = new LinkedHashMap<>();

    private SafetensorsWriter(CrashSafeFile file) {
        this.file = file;
    }

    /**
     * Begins a file, whose directory exists and has room for it.
     *
     * @param target the file's name
     * @param tensors all tensors of the file; two of one name are an {@link IllegalArgumentException}
     * @param metadata texts for {@code __metadata__}, such as {@code format: pt}, which transformers asks for; may be empty
     * @throws GossetException if the directory cannot be written or the disk has not enough room
     */
    public static SafetensorsWriter create(Path target, List<Declaration> tensors, Map<String, String> metadata) {
        List<Declaration> ordered = new ArrayList<>(tensors);
        ordered.sort(
                Comparator.comparingInt((Declaration d) -> -d.dtype().bytes()).thenComparing(Declaration::name));
        ObjectNode header = Json.MAPPER.createObjectNode();
        if (!metadata.isEmpty()) {
            ObjectNode texts = header.putObject("__metadata__");
            new TreeMap<>(metadata).forEach(texts::put);
        }
        long end = 0;
        for (Declaration d : ordered) {
            if (header.has(d.name())) {
                throw new IllegalArgumentException("tensor " + Quoted.of(d.name()) + " is declared twice");
            }
            ObjectNode entry = header.putObject(d.name());
            entry.put("dtype", d.dtype().name());
            ArrayNode shape = entry.putArray("shape");
            d.shape().forEach(shape::add);
            entry.putArray("data_offsets").add(end).add(end + d.size());
            end = Math.addExact(end, d.size());
        }
        byte[] json = bytes(header);
        CrashSafeFile file = CrashSafeFile.create(target);
        SafetensorsWriter writer = new SafetensorsWriter(file);
        try {
            long begin = 8L + json.length;
            file.requireSpace(begin + end);
            file.append(MemorySegment.ofArray(ByteBuffer.allocate(8)
                    .order(ByteOrder.LITTLE_ENDIAN)
                    .putLong(json.length)
                    .array()));
            file.append(MemorySegment.ofArray(json));
            for (Declaration d : ordered) {
                writer.slots.put(d.name(), new Slot(begin, d.size()));
                begin += d.size();
            }
            return writer;
        } catch (Throwable e) {
            try (file) {
                throw e;
            }
        }
    }

    private static byte[] bytes(ObjectNode header) {
        try {
            byte[] json = Json.MAPPER.writeValueAsString(header).getBytes(StandardCharsets.UTF_8);
            byte[] padded = Arrays.copyOf(json, Math.ceilDiv(json.length, 8) * 8);
            Arrays.fill(padded, json.length, padded.length, (byte) ' ');
            return padded;
        } catch (IOException e) {
            throw new IllegalArgumentException("the header cannot be written as JSON: " + Json.reason(e), e);
        }
    }

    /**
     * Writes the next bytes of a tensor.
     *
     * @param bytes native or of a {@code byte[]}: little-endian, row-major; all of the tensor or the next piece of it
     * @throws IllegalArgumentException if there is no such tensor or the bytes are more than it still lacks
     * @throws GossetException if the disk is full; the file is gone then
     */
    public void write(String name, MemorySegment bytes) {
        Slot slot = slots.get(name);
        if (slot == null) {
            throw new IllegalArgumentException("tensor " + Quoted.of(name) + " was not declared for " + file.target());
        }
        if (bytes.byteSize() > slot.size - slot.written) {
            throw new IllegalArgumentException("tensor " + Quoted.of(name) + " of " + slot.size + " bytes has "
                    + slot.written + " and gets " + bytes.byteSize() + " more");
        }
        file.writeAt(slot.offset + slot.written, bytes);
        slot.written += bytes.byteSize();
    }

    /** Puts the file in place; an {@link IllegalStateException} where a declared tensor lacks bytes. */
    public void commit() {
        slots.forEach((name, slot) -> {
            if (slot.written != slot.size) {
                throw new IllegalStateException("tensor " + Quoted.of(name) + " of " + file.target() + " has "
                        + slot.written + " of its " + slot.size + " bytes");
            }
        });
        file.commit();
    }

    /** Without a {@link #commit} before, nothing remains. */
    @Override
    public void close() {
        file.close();
    }
}

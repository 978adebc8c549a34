package dev.gosset.core.codebook;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * Every way in which published checkpoints have laid codes out in a {@code Qidxs} tensor.
 *
 * <p>Codes are copied in rows: {@link #unpack} and {@link #pack} take ranges of rows that begin and end at multiples of
 * {@link #ROWS} (or at the last row), read and write nothing that belongs to other rows, and so may run for several ranges
 * at once. Thread-safe; allocates nothing. Source: spec/quip-sharp.md, sections 4.6 and 4.7.
 */
public enum QidxsLayout {
    /** int64 words in the order of the tensor-core kernel, since December 2023: see {@link PublishedLayout}. */
    TILES("I64") {
        @Override
        public List<Long> shape(Codebook codebook, int rows, int cols) {
            return List.of((long) rows, (long) PublishedLayout.wordsPerRow(codebook, cols));
        }

        @Override
        public boolean holds(int rows, int cols) {
            return PublishedLayout.holds(rows, cols);
        }

        @Override
        public String constraint() {
            return "rows a multiple of 16 and columns of 64";
        }

        @Override
        void copy(CodeMatrix codes, MemorySegment qidxs, int from, int to, boolean pack) {
            PublishedLayout.transfer(codes, qidxs, from, to, pack);
        }
    },
    /** E8P version 0, before December 2023: int16 codes row by row, numbered as {@link E8pVersion0} describes. */
    E8P_VERSION_0("I16") {
        @Override
        public List<Long> shape(Codebook codebook, int rows, int cols) {
            return List.of((long) rows, cols / 8L);
        }

        @Override
        void copy(CodeMatrix codes, MemorySegment qidxs, int from, int to, boolean pack) {
            HistoricLayouts.version0(codes, qidxs, from, to, pack);
        }
    },
    /** {@link D4}: one byte for four columns, in strips of 16 columns that hold four bytes of every row. */
    D4_STRIPS("U8") {
        @Override
        public List<Long> shape(Codebook codebook, int rows, int cols) {
            return List.of((long) rows, cols / 4L);
        }

        @Override
        public boolean holds(int rows, int cols) {
            return rows > 0 && cols > 0 && cols % 16 == 0;
        }

        @Override
        public String constraint() {
            return "columns a multiple of 16";
        }

        @Override
        void copy(CodeMatrix codes, MemorySegment qidxs, int from, int to, boolean pack) {
            HistoricLayouts.d4(codes, qidxs, from, to, pack);
        }
    },
    /** {@link HalfInteger}: an int32 for eight columns; its nibbles from the top are columns 0, 2, 4, 6, 1, 3, 5, 7. */
    NIBBLES("I32") {
        @Override
        public List<Long> shape(Codebook codebook, int rows, int cols) {
            return List.of((long) rows, cols / 8L);
        }

        @Override
        void copy(CodeMatrix codes, MemorySegment qidxs, int from, int to, boolean pack) {
            HistoricLayouts.nibbles(codes, qidxs, from, to, pack);
        }
    },
    /** {@link HalfInteger} as first released: a byte for each column. */
    BYTES("U8") {
        @Override
        public List<Long> shape(Codebook codebook, int rows, int cols) {
            return List.of((long) rows, (long) cols);
        }

        @Override
        void copy(CodeMatrix codes, MemorySegment qidxs, int from, int to, boolean pack) {
            HistoricLayouts.bytes(codes, qidxs, from, to, pack);
        }
    };

    /** Ranges of rows begin at multiples of this. */
    public static final int ROWS = 16;

    private final String dtype;

    QidxsLayout(String dtype) {
        this.dtype = dtype;
    }

    /**
     * The layout of a codebook's tensors with elements of a type.
     *
     * @param version the published {@code codebook_version}
     * @param dtype the type's name in safetensors files
     */
    public static Optional<QidxsLayout> of(Codebook codebook, int version, String dtype) {
        return Arrays.stream(values())
                .filter(l -> l.dtype.equals(dtype) && l.belongsTo(codebook, version))
                .findFirst();
    }

    private boolean belongsTo(Codebook codebook, int version) {
        return switch (this) {
            case TILES -> version == codebook.version() && (codebook instanceof E8p || codebook instanceof E8pResidual);
            case E8P_VERSION_0 -> version == 0 && codebook instanceof E8p;
            case D4_STRIPS -> version == codebook.version() && codebook instanceof D4;
            case NIBBLES, BYTES -> version == codebook.version() && codebook instanceof HalfInteger;
        };
    }

    /** The name in safetensors files of the tensor's element type. */
    public String dtype() {
        return dtype;
    }

    /** The tensor's shape for an m x n matrix that the layout {@link #holds}. */
    public abstract List<Long> shape(Codebook codebook, int rows, int cols);

    /** Whether the layout can hold a matrix of this shape. */
    public boolean holds(int rows, int cols) {
        return rows > 0 && cols > 0 && cols % 8 == 0;
    }

    /** What {@link #holds} asks for, for messages. */
    public String constraint() {
        return "columns a multiple of 8";
    }

    /** Bytes of the tensor. */
    public long bytes(Codebook codebook, int rows, int cols) {
        List<Long> shape = shape(codebook, rows, cols);
        int size = switch (dtype) {
            case "I64" -> 8;
            case "I32" -> 4;
            case "I16" -> 2;
            default -> 1;
        };
        return size * shape.get(0) * shape.get(1);
    }

    /**
     * Reads rows {@code from .. to - 1}.
     *
     * @param qidxs the whole tensor, any alignment
     * @param codes receives the rows
     * @throws IllegalArgumentException if the layout cannot hold the matrix, the tensor has another size or the range is
     *     none
     */
    public void unpack(MemorySegment qidxs, CodeMatrix codes, int from, int to) {
        check(codes, qidxs, from, to);
        copy(codes, qidxs, from, to, false);
    }

    /**
     * Writes rows {@code from .. to - 1}.
     *
     * @param qidxs the whole tensor, any alignment; receives the rows
     * @throws IllegalArgumentException if the layout cannot hold the matrix or one of its codes, the tensor has another
     *     size or the range is none
     */
    public void pack(CodeMatrix codes, MemorySegment qidxs, int from, int to) {
        check(codes, qidxs, from, to);
        copy(codes, qidxs, from, to, true);
    }

    abstract void copy(CodeMatrix codes, MemorySegment qidxs, int from, int to, boolean pack);

    private void check(CodeMatrix codes, MemorySegment qidxs, int from, int to) {
        int rows = codes.rows();
        int cols = codes.cols();
        if (!holds(rows, cols)) {
            throw new IllegalArgumentException(
                    "the published layout holds matrices with " + constraint() + ", found " + rows + " x " + cols);
        }
        long expected = bytes(codes.codebook(), rows, cols);
        if (qidxs.byteSize() != expected) {
            throw new IllegalArgumentException("Qidxs of a " + rows + " x " + cols + " "
                    + codes.codebook().name() + " matrix has " + expected + " bytes, found " + qidxs.byteSize());
        }
        if (from < 0 || from > to || to > rows || from % ROWS != 0 || to % ROWS != 0 && to != rows) {
            throw new IllegalArgumentException(
                    "rows " + from + " to " + to + " of " + rows + ", expected a range between multiples of " + ROWS);
        }
    }
}

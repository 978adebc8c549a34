package dev.gosset.core.memory;

import java.util.List;

/** What the writer and the reader of {@code weights.arrow} agree on; {@code docs/formats.md} describes it. */
final class WeightFormat {
    /** Schema metadata: the name of the format. */
    static final String FORMAT_KEY = "format";

    static final String FORMAT = "gosset";

    /** Schema metadata: the version, a decimal number. */
    static final String VERSION_KEY = "format_version";

    /** What the writer writes. */
    static final int VERSION = 2;

    /** The columns in their order. */
    static final List<String> COLUMNS = List.of("name", "role", "dtype", "shape", "codebook", "crc32c", "data");

    /** The columns of version 1, which had no checksums. */
    static final List<String> COLUMNS_1 = List.of("name", "role", "dtype", "shape", "codebook", "data");

    /** Field nodes of a record batch: one per column and one for the items of {@code shape}. */
    static int nodes(List<String> columns) {
        return columns.size() + 1;
    }

    /** Buffers of a record batch: validity, offsets and bytes of five columns; validity and offsets of {@code shape} and
     * validity and values of its items; validity and values of {@code crc32c}. */
    static int buffers(List<String> columns) {
        return columns.contains("crc32c") ? 21 : 19;
    }

    /** Longest name, role or codebook, in bytes of UTF-8. */
    static final int LONGEST_TEXT = 4096;

    static final int LARGEST_RANK = 32;

    /** Tensors and messages begin at multiples of this in the file. */
    static final int ALIGNMENT = 64;

    /** Six bytes at both ends of the file; two zeros follow at the beginning. */
    static final byte[] MAGIC = {'A', 'R', 'R', 'O', 'W', '1'};

    private WeightFormat() {}
}

package dev.gosset.core.memory;

import java.lang.foreign.MemorySegment;
import java.util.HexFormat;
import java.util.zip.CRC32C;

/** CRC32C of bytes outside the heap, of any size: about as fast as they can be read. Thread-safe. */
public final class Checksum {
    /** Bytes of one buffer: a ByteBuffer ends at 2 GiB. */
    private static final long CHUNK = 1L << 26;

    private Checksum() {}

    /** The CRC32C, 0 to 2^32 - 1, of pieces of memory one after the other. */
    public static long of(MemorySegment... pieces) {
        CRC32C crc = new CRC32C();
        for (MemorySegment piece : pieces) {
            for (long at = 0; at < piece.byteSize(); at += CHUNK) {
                crc.update(piece.asSlice(at, Math.min(CHUNK, piece.byteSize() - at))
                        .asByteBuffer());
            }
        }
        return crc.getValue();
    }

    /** Eight hexadecimal digits. */
    public static String text(long checksum) {
        return HexFormat.of().toHexDigits(checksum, 8);
    }
}

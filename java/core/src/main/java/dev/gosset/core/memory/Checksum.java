package dev.gosset.core.memory;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HexFormat;
import java.util.zip.CRC32C;

/**
 * CRC32C of bytes outside the heap, of any size: about as fast as they can be read. Thread-safe.
 *
 * <p>The bytes are copied in small pieces first. The JVM's own CRC32C of mapped memory is native code: a file that is
 * truncated under it ends the process, where a copy throws.
 */
public final class Checksum {
    /** Bytes that stay in the cache. */
    private static final int CHUNK = 1 << 15;

    private Checksum() {}

    /** The CRC32C, 0 to 2^32 - 1, of pieces of memory one after the other. */
    public static long of(MemorySegment... pieces) {
        CRC32C crc = new CRC32C();
        for (MemorySegment piece : pieces) {
            byte[] copy = new byte[(int) Math.min(CHUNK, piece.byteSize())];
            for (long at = 0; at < piece.byteSize(); at += copy.length) {
                int n = (int) Math.min(copy.length, piece.byteSize() - at);
                MemorySegment.copy(piece, ValueLayout.JAVA_BYTE, at, copy, 0, n);
                crc.update(copy, 0, n);
            }
        }
        return crc.getValue();
    }

    /** Eight hexadecimal digits. */
    public static String text(long checksum) {
        return HexFormat.of().toHexDigits(checksum, 8);
    }
}

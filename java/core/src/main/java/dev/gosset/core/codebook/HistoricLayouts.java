package dev.gosset.core.codebook;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * The layouts of {@link QidxsLayout} that were in use before December 2023. All arguments are checked there. Source:
 * spec/quip-sharp.md, section 4.7.
 */
final class HistoricLayouts {
    private static final ValueLayout.OfShort SHORT =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfByte BYTE = ValueLayout.JAVA_BYTE;

    private HistoricLayouts() {}

    static void version0(CodeMatrix codes, MemorySegment qidxs, int from, int to, boolean pack) {
        long groups = codes.groups();
        for (long i = from * groups; i < to * groups; i++) {
            if (pack) {
                int code = codes.data().get(SHORT, 2 * i) & 0xffff;
                qidxs.set(SHORT, 2 * i, (short) (E8pVersion0.fromVersion1(code) - 32768));
            } else {
                int stored = qidxs.get(SHORT, 2 * i) + 32768;
                codes.data().set(SHORT, 2 * i, (short) E8pVersion0.toVersion1(stored));
            }
        }
    }

    /** Byte {@code (j m + r) 4 + q} stands for columns 16 j + 4 q to 16 j + 4 q + 3 of row r. */
    static void d4(CodeMatrix codes, MemorySegment qidxs, int from, int to, boolean pack) {
        MemorySegment data = codes.data();
        long rows = codes.rows();
        int groups = codes.groups();
        for (int row = from; row < to; row++) {
            for (int group = 0; group < groups; group++) {
                long published = (group / 2 * rows + row) * 4 + group % 2 * 2L;
                long own = 2L * ((long) row * groups + group);
                if (pack) {
                    int code = data.get(SHORT, own);
                    qidxs.set(BYTE, published, (byte) (code >>> 8));
                    qidxs.set(BYTE, published + 1, (byte) code);
                } else {
                    int code = qidxs.get(BYTE, published) << 8 | qidxs.get(BYTE, published + 1) & 0xff;
                    data.set(SHORT, own, (short) code);
                }
            }
        }
    }

    static void nibbles(CodeMatrix codes, MemorySegment qidxs, int from, int to, boolean pack) {
        int groups = codes.groups();
        for (int row = from; row < to; row++) {
            for (int group = 0; group < groups; group++) {
                long at = 4L * ((long) row * groups + group);
                int in = pack ? codes.code(row, group) : qidxs.get(INT, at);
                int out = 0;
                for (int k = 0; k < 8; k++) {
                    int natural = 28 - 4 * E8p.coordinate(k);
                    int shuffled = 28 - 4 * k;
                    out |= (in >>> (pack ? natural : shuffled) & 15) << (pack ? shuffled : natural);
                }
                if (pack) {
                    qidxs.set(INT, at, out);
                } else {
                    codes.setCode(row, group, out);
                }
            }
        }
    }

    static void bytes(CodeMatrix codes, MemorySegment qidxs, int from, int to, boolean pack) {
        int groups = codes.groups();
        for (int row = from; row < to; row++) {
            for (int group = 0; group < groups; group++) {
                long at = 8L * ((long) row * groups + group);
                if (pack) {
                    int code = codes.code(row, group);
                    for (int k = 0; k < 8; k++) {
                        qidxs.set(BYTE, at + k, (byte) (code >>> (28 - 4 * k) & 15));
                    }
                } else {
                    int code = 0;
                    for (int k = 0; k < 8; k++) {
                        code = code << 4 | qidxs.get(BYTE, at + k) & 15;
                    }
                    codes.setCode(row, group, code);
                }
            }
        }
    }
}

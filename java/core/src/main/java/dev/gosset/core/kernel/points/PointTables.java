package dev.gosset.core.kernel.points;

import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.codebook.E81b;
import dev.gosset.core.codebook.E8p;
import dev.gosset.core.codebook.E8pResidual;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Codebook points as rows of 32 bytes in native memory, 24 KB in all for the points, so that they stay in the first-level cache.
 *
 * <p>An E8P point is {@code float(MAGNITUDES[a] ^ SIGNS[b]) - BIAS}, exactly. Every value plus 12 lies between 8 and 16,
 * where a float is fixed point: {@code 8 + f / 4} with f the upper five bits of its mantissa and {@code f = 4 v + 16}. The
 * magnitude rows hold f for the +1/4 shift. There f = 2 g + 1 with an odd nibble g, so XOR with 11100b negates the
 * half-integer (g becomes 16 - g) and XOR with 00010b turns the shift into -1/4: both are what the row of the sign byte
 * does. Source: the bit trick of spec/quip-sharp.md, section 6, carried over to floats.
 */
public final class PointTables {
    /** Bytes of a row of eight values. */
    public static final int ROW = 4 * Codebook.DIMENSION;

    /** Bytes of a row of {@link #SCALES}: as many as the widest vectors have. */
    public static final int SCALE_ROW = 64;

    /** Subtracted from {@code float(MAGNITUDES[a] ^ SIGNS[b])}. */
    static final float BIAS = 12;

    /** 256 rows of float bits, indexed by the upper byte of an E8P code. */
    static final MemorySegment MAGNITUDES = Arena.global().allocate(256L * ROW, 64);

    /** 256 rows of XOR masks, indexed by the lower byte of an E8P code. */
    static final MemorySegment SIGNS = Arena.global().allocate(256L * ROW, 64);

    /** 256 rows of floats: the points of E81B. */
    static final MemorySegment RESIDUAL = Arena.global().allocate(256L * ROW, 64);

    /** The residual scale, repeated over 64 bytes, for each number of bits: from byte {@code 64 * bits} on. */
    public static final MemorySegment SCALES = Arena.global().allocate(5L * SCALE_ROW, 64);

    static {
        for (int bits = 2; bits <= 4; bits++) {
            float scale = (float) Codebook.ofBits(bits).residualScale();
            for (int i = 0; i < SCALE_ROW; i += 4) {
                SCALES.set(ValueLayout.JAVA_FLOAT, (long) SCALE_ROW * bits + i, scale);
            }
        }
        double[] v = new double[Codebook.DIMENSION];
        for (int i = 0; i < 256; i++) {
            for (int c = 0; c < Codebook.DIMENSION; c++) {
                long at = (long) i * ROW + 4L * c;
                E8p.INSTANCE.decode(i << 8, v, 0);
                MAGNITUDES.set(ValueLayout.JAVA_INT, at, Float.floatToRawIntBits((float) v[c] + BIAS));
                E8p.INSTANCE.decode(i, v, 0);
                SIGNS.set(
                        ValueLayout.JAVA_INT,
                        at,
                        Float.floatToRawIntBits((float) v[c] + BIAS) ^ Float.floatToRawIntBits(0.75f + BIAS));
                E81b.decode(i, v, 0);
                RESIDUAL.set(ValueLayout.JAVA_FLOAT, at, (float) v[c]);
            }
        }
    }

    private PointTables() {}

    /** Whether a codebook's points are in these tables: the codebooks of old checkpoints have none. */
    static boolean hold(Codebook codebook) {
        return codebook instanceof E8p || codebook instanceof E8pResidual;
    }

    /** Whether {@link #SCALES} too has what a codebook needs: some old checkpoints have a residual scale of their own. */
    public static boolean holdScaled(Codebook codebook) {
        return hold(codebook)
                && codebook.residualScale() == Codebook.ofBits(codebook.bits()).residualScale();
    }

    /** Byte offset of the magnitude row of an E8P code, whatever lies above its 16 bits. */
    static int magnitudeRow(int code) {
        return code >>> 3 & 255 * ROW;
    }

    /** Byte offset of the sign row of an E8P code. */
    static int signRow(int code) {
        return code << 5 & 255 * ROW;
    }
}

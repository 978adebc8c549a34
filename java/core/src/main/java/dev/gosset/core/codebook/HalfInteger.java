package dev.gosset.core.codebook;

/**
 * HI4B1C, 4 bits per weight, of checkpoints of 2023: each weight by itself is one of the sixteen half-integers -15/2 to
 * 15/2. A code holds eight nibbles, that of coordinate c in bits 28 - 4 c to 31 - 4 c; the value of a nibble is nibble - 15/2.
 *
 * <p>Immutable, thread-safe, allocates nothing. Read for the sake of old checkpoints: E8P with a residual is better at the
 * same rate. Source: spec/quip-sharp.md, section 4.7.
 */
public final class HalfInteger implements Codebook {
    public static final HalfInteger INSTANCE = new HalfInteger();

    private static final double LARGEST = 7.5;

    private HalfInteger() {}

    @Override
    public String name() {
        return "HI4B1C";
    }

    @Override
    public int id() {
        return 10;
    }

    @Override
    public int version() {
        return 0;
    }

    @Override
    public int bits() {
        return 4;
    }

    @Override
    public double optimalScale() {
        return 2.97;
    }

    @Override
    public double defaultScale() {
        return optimalScale();
    }

    @Override
    public double residualScale() {
        return 1;
    }

    @Override
    public double largestNorm() {
        return 7.5 * Math.sqrt(DIMENSION);
    }

    @Override
    public void decode(int code, double[] out, int offset) {
        for (int c = 0; c < DIMENSION; c++) {
            out[offset + c] = (code >>> (28 - 4 * c) & 15) - LARGEST;
        }
    }

    @Override
    public int nearest(double[] x, int offset) {
        int code = 0;
        for (int c = 0; c < DIMENSION; c++) {
            // NaN becomes 0.
            code = code << 4 | (int) Math.round(Math.max(0, Math.min(15, x[offset + c] + LARGEST)));
        }
        return code;
    }
}

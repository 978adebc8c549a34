package dev.gosset.core.memory;

import java.lang.foreign.Arena;

/** The two precisions of dense algebra on the processor. */
public enum Precision {
    /** IEEE 754 binary32. */
    FLOAT32(4),
    /** IEEE 754 binary64. */
    FLOAT64(8);

    private final int bytes;

    Precision(int bytes) {
        this.bytes = bytes;
    }

    /** Bytes of one number. */
    public int bytes() {
        return bytes;
    }

    /** A zeroed matrix of this precision, 64-byte aligned. */
    public Matrix allocate(Arena arena, int rows, int cols) {
        return this == FLOAT32 ? FloatMatrix.allocate(arena, rows, cols) : DoubleMatrix.allocate(arena, rows, cols);
    }

    /** The name as messages have it. */
    @Override
    public String toString() {
        return this == FLOAT32 ? "float32" : "float64";
    }
}

package dev.gosset.core.memory;

import dev.gosset.core.FormatException;
import dev.gosset.core.codebook.Codebook;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalLong;

/**
 * How the elements of a stored tensor lie in its bytes. All numbers are little-endian and packed row-major without
 * padding. The names are the published ones of safetensors; the {@code GROUP8} layouts are Gosset's own and hold the
 * codes of a matrix as {@link dev.gosset.core.codebook.CodeMatrix} describes.
 *
 * <p>Immutable, thread-safe.
 */
public enum Dtype {
    /** IEEE 754 binary64. */
    F64(8),
    /** IEEE 754 binary32. */
    F32(4),
    /** IEEE 754 binary16. */
    F16(2),
    /** The upper half of a binary32. */
    BF16(2),
    /** Signed 64-bit integer. */
    I64(8),
    /** Signed 32-bit integer. */
    I32(4),
    /** Signed 16-bit integer. */
    I16(2),
    /** Signed byte. */
    I8(1),
    /** Unsigned byte. */
    U8(1),
    /** One byte, 0 or 1. */
    BOOL(1),
    /** Codes of a matrix, 2 bits per weight: one plane of 16-bit codes of eight columns each. */
    GROUP8_U16(0),
    /** Codes of a matrix, 3 bits per weight: a plane of 16-bit codes, then a plane of 8-bit residual codes. */
    GROUP8_U16_U8(0),
    /** Codes of a matrix, 4 bits per weight: a plane of 16-bit codes, then a plane of 16-bit residual codes. */
    GROUP8_U16_U16(0);

    private final int bytes;

    Dtype(int bytes) {
        this.bytes = bytes;
    }

    /** The type with this name, if there is one; names are case-sensitive. */
    public static java.util.Optional<Dtype> named(String name) {
        return Arrays.stream(values()).filter(d -> d.name().equals(name)).findFirst();
    }

    /** The layout of a codebook's codes. */
    public static Dtype ofCodes(Codebook codebook) {
        return switch (codebook.bits()) {
            case 2 -> GROUP8_U16;
            case 3 -> GROUP8_U16_U8;
            case 4 -> GROUP8_U16_U16;
            default ->
                throw new IllegalArgumentException(
                        "no layout for codes of " + codebook.bits() + " bits: known are 2, 3 and 4");
        };
    }

    /** Whether this is a layout of codes, whose elements have no bytes of their own. */
    public boolean isCodes() {
        return bytes == 0;
    }

    /** Whether {@link Tensor#toFloats} can widen or narrow this type to float32. */
    public boolean isFloating() {
        return this == F64 || this == F32 || this == F16 || this == BF16;
    }

    /** Bytes per element; throws {@link UnsupportedOperationException} for a layout of codes. */
    public int bytes() {
        if (isCodes()) {
            throw new UnsupportedOperationException(name() + " codes stand for eight elements each");
        }
        return bytes;
    }

    /** Bits per weight of a layout of codes; throws {@link UnsupportedOperationException} for every other type. */
    public int codeBits() {
        return switch (this) {
            case GROUP8_U16 -> 2;
            case GROUP8_U16_U8 -> 3;
            case GROUP8_U16_U16 -> 4;
            default -> throw new UnsupportedOperationException(name() + " is not a layout of codes");
        };
    }

    /**
     * Bytes of a tensor of this type: empty where a dimension is negative, the number does not fit a {@code long}, or a
     * layout of codes meets something else than a matrix with int dimensions of at least 1. Never throws.
     */
    public OptionalLong size(List<Long> shape) {
        if (isCodes()) {
            if (shape.size() != 2 || !isCount(shape.get(0)) || !isCount(shape.get(1))) {
                return OptionalLong.empty();
            }
            // Below 2^31 * 2^28 * 4 = 2^61: no overflow.
            return OptionalLong.of(shape.get(0) * Math.ceilDiv(shape.get(1), Codebook.DIMENSION) * codeBits());
        }
        long size = bytes;
        boolean empty = false;
        for (long d : shape) {
            if (d < 0) {
                return OptionalLong.empty();
            }
            empty |= d == 0;
            if (d > 0 && size > Long.MAX_VALUE / d) {
                return OptionalLong.empty();
            }
            size *= Math.max(d, 1);
        }
        return OptionalLong.of(empty ? 0 : size);
    }

    private static boolean isCount(long d) {
        return d >= 1 && d <= Integer.MAX_VALUE;
    }

    /** {@link #size}, or a {@link FormatException} that begins with {@code what}. */
    long requireSize(List<Long> shape, String what) {
        return size(shape)
                .orElseThrow(() -> new FormatException(what + " has the shape " + shape
                        + (isCodes()
                                ? ", but " + this + " codes need a matrix of at least 1 x 1"
                                : ", which is negative or has more bytes than a file can hold")));
    }
}

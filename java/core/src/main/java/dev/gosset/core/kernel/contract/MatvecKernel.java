package dev.gosset.core.kernel.contract;

import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Products with a matrix of codes, at unit scale, float32. Implementations are stateless and thread-safe. */
public interface MatvecKernel {
    /**
     * {@code y[i] = sum_j value(i, j) * x[j]} for {@code firstRow <= i < lastRow}. Each row is summed in an order that
     * depends on nothing but the number of columns.
     *
     * @param x native, {@code 4 * 8 * codes.groups()} bytes: n floats and zeros up to a multiple of 8
     * @param y native, {@code 4 * codes.rows()} bytes
     */
    void matvec(CodeMatrix codes, MemorySegment x, MemorySegment y, int firstRow, int lastRow);

    /**
     * How far a y[i] of {@link #matvec} may be from the exact product at most, whatever the codes: the sum of all that is rounded on the way.
     *
     * @param x as for {@link #matvec}
     */
    double errorBound(CodeMatrix codes, MemorySegment x);

    /** {@link PreparedMatrix#relativeError} of {@link #matvec}. */
    double relativeError(CodeMatrix codes);

    /**
     * Decodes rows {@code firstRow <= i < lastRow} to floats.
     *
     * @param out native, {@code 4 * 8 * codes.groups() * (lastRow - firstRow)} bytes, row-major
     */
    void decode(CodeMatrix codes, int firstRow, int lastRow, MemorySegment out);

    /**
     * The matrix in the form that this kernel multiplies fastest. A kernel that reads codes as they are stored makes no
     * copy; one that needs another layout repacks them into the arena, at no more bits per weight.
     *
     * @param arena owns what the form needs
     * @param team repacks, where the arena and the codes are open to all its threads; stays the caller's
     */
    default PreparedMatrix prepare(CodeMatrix codes, Arena arena, ThreadTeam team) {
        return new DirectMatrix(this, codes);
    }

    /** {@link #prepare(CodeMatrix, Arena, ThreadTeam)} on this thread alone. */
    default PreparedMatrix prepare(CodeMatrix codes, Arena arena) {
        try (ThreadTeam one = new ThreadTeam(1)) {
            return prepare(codes, arena, one);
        }
    }
}

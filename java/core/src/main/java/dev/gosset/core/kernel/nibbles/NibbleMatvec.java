package dev.gosset.core.kernel.nibbles;

import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.E8p;
import dev.gosset.core.codebook.E8pResidual;
import dev.gosset.core.kernel.contract.MatvecKernel;
import dev.gosset.core.kernel.contract.PreparedMatrix;
import dev.gosset.core.kernel.points.VectorMatvec;
import dev.gosset.core.parallel.ThreadTeam;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;

/**
 * Matrix-vector products without multiplications, for machines whose vectors look up bytes in tables of 16: x86 with AVX or
 * AVX2, ARM with NEON. All vectors have 128 bits: of 256 C2 makes such a lookup from five instructions. x becomes tables of
 * products that the nibbles of the codes index; {@link #prepare} repacks a matrix into blocks of 16 rows, at the same number of
 * bits per weight, at most 15 rows of padding.
 *
 * <p>Entries of the tables are rounded to 13 bits, so y differs from the exact product: by at most {@code 3.06 G / scale}
 * with G groups of eight columns and {@code scale >= 5350 / (sqrt(17) max_g |x_g|)}, and by about 7e-4 of itself for Gaussian
 * x; for 3 and 4 bits the residual's error adds to it. Sums are exact integers, so a row depends on nothing but its codes and
 * x.
 *
 * <p>{@link #matvec} and {@link #decode}, on codes as they are stored, are those of {@link VectorMatvec}. Stateless,
 * thread-safe; products allocate nothing.
 */
public final class NibbleMatvec implements MatvecKernel {
    private final VectorMatvec stored = new VectorMatvec();

    @Override
    public void matvec(CodeMatrix codes, MemorySegment x, MemorySegment y, int firstRow, int lastRow) {
        stored.matvec(codes, x, y, firstRow, lastRow);
    }

    @Override
    public double errorBound(CodeMatrix codes, MemorySegment x) {
        return stored.errorBound(codes, x);
    }

    @Override
    public double relativeError(CodeMatrix codes) {
        return stored.relativeError(codes);
    }

    @Override
    public void decode(CodeMatrix codes, int firstRow, int lastRow, MemorySegment out) {
        stored.decode(codes, firstRow, lastRow, out);
    }

    @Override
    public PreparedMatrix prepare(CodeMatrix codes, Arena arena, ThreadTeam team) {
        // The codebooks of the first checkpoints have codes of another build, which the tables do not know.
        boolean known = codes.codebook() instanceof E8p || codes.codebook() instanceof E8pResidual;
        return known && codes.groups() <= NibbleMatrix.MOST_GROUPS
                ? new NibbleMatrix(codes, arena, team)
                : stored.prepare(codes, arena, team);
    }

    /** Why this kernel cannot run well in this JVM, or null where it can. */
    public static String obstacle() {
        if (FloatVector.SPECIES_PREFERRED.vectorBitSize() < 128) {
            return "vectors of " + FloatVector.SPECIES_PREFERRED.vectorBitSize() + " bits, 128 are needed";
        }
        return ByteOrder.nativeOrder() == ByteOrder.LITTLE_ENDIAN ? null : "a big-endian machine";
    }
}

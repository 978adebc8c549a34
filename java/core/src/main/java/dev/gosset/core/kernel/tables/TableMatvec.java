package dev.gosset.core.kernel.tables;

import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.E8p;
import dev.gosset.core.codebook.E8pResidual;
import dev.gosset.core.kernel.contract.MatvecKernel;
import dev.gosset.core.kernel.contract.PreparedMatrix;
import dev.gosset.core.kernel.points.VectorMatvec;
import dev.gosset.core.parallel.ThreadTeam;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import jdk.incubator.vector.FloatVector;

/**
 * Matrix-vector products without multiplications, for 512-bit vectors: x becomes tables of 16-bit products that the bits of
 * the codes index. {@link #prepare} repacks a matrix into blocks of 64 rows, at the same number of bits per weight, at most
 * 63 rows of padding, 127 for the residual of 3 bits, and a sixteenth for whole regions ({@link CodeRegions}). There are two forms: {@link #bytes} needs byte permutations (AVX-512 VBMI and BITALG), {@link #words}
 * those of words alone (AVX-512 BW) and takes a little longer. At 2 and 4 bits their results differ in nothing.
 *
 * <p>Entries of the tables are rounded to 16 bits, so y differs from the exact product: by at most {@code 2.04 G / scale}
 * with G groups of eight columns and {@code scale = 32700 / (sqrt(17) max_g |x_g|)}, and by about 1.3e-4 of itself for
 * Gaussian x. The residual's error adds to it: at 3 bits at most an eighth as much again by bytes, a quarter by words; at 4
 * bits a third. Sums are exact integers, so a row depends on nothing but its codes and x.
 *
 * <p>{@link #matvec} and {@link #decode}, on codes as they are stored, are those of {@link VectorMatvec}. Stateless,
 * thread-safe; products allocate nothing.
 */
public final class TableMatvec implements MatvecKernel {
    static final List<String> BYTES_FLAGS = List.of("avx512bw", "avx512vbmi", "avx512_bitalg");
    static final List<String> WORDS_FLAGS = List.of("avx512bw");
    private static final Path CPU = Path.of("/proc/cpuinfo");
    private final VectorMatvec stored = new VectorMatvec();
    private final BlockCodes form;

    private TableMatvec(BlockCodes form) {
        this.form = form;
    }

    /** The form for processors with AVX-512 VBMI and BITALG. */
    public static TableMatvec bytes() {
        return new TableMatvec(ByteCodes.INSTANCE);
    }

    /** The form for processors with AVX-512 BW. */
    public static TableMatvec words() {
        return new TableMatvec(WordCodes.INSTANCE);
    }

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
        return known && codes.groups() <= TableMatrix.MOST_GROUPS
                ? new TableMatrix(codes, form, arena, team)
                : stored.prepare(codes, arena, team);
    }

    /** Why {@link #bytes} cannot run well in this JVM, or null where it can. */
    public static String bytesObstacle() {
        return obstacle(CPU, BYTES_FLAGS);
    }

    /** Why {@link #words} cannot run well in this JVM, or null where it can. */
    public static String wordsObstacle() {
        return obstacle(CPU, WORDS_FLAGS);
    }

    private static String obstacle(Path cpuinfo, List<String> flags) {
        int bits = FloatVector.SPECIES_PREFERRED.vectorBitSize();
        if (bits != 512) {
            return "vectors of " + bits + " bits, 512 are needed";
        }
        if (ByteOrder.nativeOrder() != ByteOrder.LITTLE_ENDIAN) {
            return "a big-endian machine";
        }
        if (!Files.isReadable(cpuinfo)) {
            return "whether the processor has " + flags.getLast() + " is unknown without " + cpuinfo;
        }
        return lacking(cpuinfo, flags);
    }

    /** Java does not tell what the processor can do, the first "flags" line of Linux's cpuinfo does. */
    static String lacking(Path cpuinfo, List<String> flags) {
        try (var lines = Files.lines(cpuinfo)) {
            List<String> found = List.of(lines.filter(l -> l.startsWith("flags"))
                    .findFirst()
                    .orElse("")
                    .split("\\s+"));
            for (String flag : flags) {
                if (!found.contains(flag)) {
                    return "the processor has no " + flag;
                }
            }
            return null;
        } catch (IOException | java.io.UncheckedIOException e) {
            return cpuinfo + " cannot be read: " + e.getMessage();
        }
    }
}

package dev.gosset.core.kernel;

import dev.gosset.core.GossetException;
import dev.gosset.core.kernel.contract.MatvecKernel;
import dev.gosset.core.kernel.encode.VectorEncode;
import dev.gosset.core.kernel.nibbles.NibbleMatvec;
import dev.gosset.core.kernel.points.VectorMatvec;
import dev.gosset.core.kernel.tables.TableMatvec;
import dev.gosset.core.kernel.transform.VectorTransform;
import java.util.Locale;
import jdk.incubator.vector.FloatVector;

/** The one door to the classes that link against jdk.incubator.vector; load it only after the module has been found. */
final class VectorKernels {
    private VectorKernels() {}

    /**
     * @param kernels the vector family
     * @param matvec why its products are what they are, one line
     */
    record Choice(Kernels kernels, String matvec) {}

    /** The family of this JVM, its products by {@code mode}: auto, tables, words, nibbles or points. */
    static Choice create(String mode) {
        return switch (mode.toLowerCase(Locale.ROOT)) {
            case "auto" -> fastest(TableMatvec.bytesObstacle(), TableMatvec.wordsObstacle(), NibbleMatvec.obstacle());
            case "tables" -> forced("tables", TableMatvec.bytesObstacle(), TableMatvec.bytes(), "product tables");
            case "words" ->
                forced("words", TableMatvec.wordsObstacle(), TableMatvec.words(), "product tables by words");
            case "nibbles" -> forced("nibbles", NibbleMatvec.obstacle(), new NibbleMatvec(), "nibble tables");
            case "points" -> forced("points", null, new VectorMatvec(), "point tables");
            default ->
                throw new GossetException(
                        Kernels.MATVEC + "=" + mode + ": expected auto, tables, words, nibbles or points");
        };
    }

    /**
     * The fastest products among those that have no obstacle.
     *
     * @param bytes what keeps product tables by bytes from running here, or null
     * @param words the same of those by words
     * @param nibbles the same of nibble tables
     */
    static Choice fastest(String bytes, String words, String nibbles) {
        if (bytes == null) {
            return choice(TableMatvec.bytes(), "matvec: product tables, 512 bit vectors with VBMI");
        }
        if (words == null) {
            return choice(TableMatvec.words(), "matvec: product tables by words; by bytes rejected, " + bytes);
        }
        if (nibbles == null) {
            return choice(
                    new NibbleMatvec(), "matvec: nibble tables, 128 bit vectors; product tables rejected, " + words);
        }
        return choice(
                new VectorMatvec(),
                "matvec: point tables; product tables rejected, " + words + "; nibble tables, " + nibbles);
    }

    private static Choice forced(String mode, String obstacle, MatvecKernel matvec, String name) {
        if (obstacle != null) {
            throw new GossetException(Kernels.MATVEC + "=" + mode + " cannot be honoured: " + obstacle);
        }
        return choice(matvec, "matvec: " + name + ", " + Kernels.MATVEC + "=" + mode);
    }

    private static Choice choice(MatvecKernel matvec, String reason) {
        return new Choice(new Kernels("vector", new VectorTransform(), new VectorEncode(), matvec), reason);
    }

    /** The width of the JVM's preferred vectors. */
    static int bits() {
        return FloatVector.SPECIES_PREFERRED.vectorBitSize();
    }
}

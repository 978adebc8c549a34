package dev.gosset.core.kernel;

import dev.gosset.core.GossetException;
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

    /** The family of this JVM, its products by {@code mode}: auto, tables, nibbles or points. */
    static Choice create(String mode) {
        String tables = TableMatvec.obstacle();
        String nibbles = NibbleMatvec.obstacle();
        return switch (mode.toLowerCase(Locale.ROOT)) {
            case "auto" -> automatic(tables, nibbles);
            case "tables" -> {
                honour(mode, tables);
                yield choice(new TableMatvec(), "matvec: product tables, " + Kernels.MATVEC + "=tables");
            }
            case "nibbles" -> {
                honour(mode, nibbles);
                yield choice(new NibbleMatvec(), "matvec: nibble tables, " + Kernels.MATVEC + "=nibbles");
            }
            case "points" -> choice(new VectorMatvec(), "matvec: point tables, " + Kernels.MATVEC + "=points");
            default ->
                throw new GossetException(Kernels.MATVEC + "=" + mode + ": expected auto, tables, nibbles or points");
        };
    }

    private static Choice automatic(String tables, String nibbles) {
        if (tables == null) {
            return choice(new TableMatvec(), "matvec: product tables, 512 bit vectors with VBMI");
        }
        if (nibbles == null && bits() < 512) {
            return choice(
                    new NibbleMatvec(),
                    "matvec: nibble tables, fastest at " + bits() + " bits; product tables rejected, " + tables);
        }
        return choice(new VectorMatvec(), "matvec: point tables; product tables rejected, " + tables);
    }

    private static void honour(String mode, String obstacle) {
        if (obstacle != null) {
            throw new GossetException(Kernels.MATVEC + "=" + mode + " cannot be honoured: " + obstacle);
        }
    }

    private static Choice choice(MatvecKernel matvec, String reason) {
        return new Choice(new Kernels("vector", new VectorTransform(), new VectorEncode(), matvec), reason);
    }

    /** The width of the JVM's preferred vectors. */
    static int bits() {
        return FloatVector.SPECIES_PREFERRED.vectorBitSize();
    }
}

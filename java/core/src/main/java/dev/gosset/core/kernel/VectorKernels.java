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

    /** The family of this JVM, its products by {@code mode}: auto, tables or points. */
    static Choice create(String mode) {
        String obstacle = mode.equals("points") ? null : TableMatvec.obstacle();
        return switch (mode.toLowerCase(Locale.ROOT)) {
            case "auto" ->
                obstacle == null
                        ? choice(new TableMatvec(), "matvec: product tables, 512 bit vectors with VBMI")
                        : choice(new VectorMatvec(), "matvec: point tables; product tables rejected, " + obstacle);
            case "tables" -> {
                if (obstacle != null) {
                    throw new GossetException(Kernels.MATVEC + "=tables cannot be honoured: " + obstacle);
                }
                yield choice(new TableMatvec(), "matvec: product tables, " + Kernels.MATVEC + "=tables");
            }
            case "points" -> choice(new VectorMatvec(), "matvec: point tables, " + Kernels.MATVEC + "=points");
            default -> throw new GossetException(Kernels.MATVEC + "=" + mode + ": expected auto, tables or points");
        };
    }

    private static Choice choice(MatvecKernel matvec, String reason) {
        return new Choice(new Kernels("vector", new VectorTransform(), new VectorEncode(), matvec), reason);
    }

    /** The width of the JVM's preferred vectors. */
    static int bits() {
        return FloatVector.SPECIES_PREFERRED.vectorBitSize();
    }
}

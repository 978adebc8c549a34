package dev.gosset.core.kernel;

import jdk.incubator.vector.FloatVector;

/** The one door to the classes that link against jdk.incubator.vector; load it only after the module has been found. */
final class VectorKernels {
    private VectorKernels() {}

    static Kernels create() {
        return new Kernels("vector", new VectorTransform(), new VectorEncode(), new VectorMatvec());
    }

    /** The width of the JVM's preferred vectors. */
    static int bits() {
        return FloatVector.SPECIES_PREFERRED.vectorBitSize();
    }
}

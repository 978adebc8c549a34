/**
 * Matrices and codes, no models: quantizes a matrix, and multiplies with the result on the processor.
 *
 * <p>{@link dev.gosset.core.kernel.Kernels} chooses what runs, {@link dev.gosset.core.rounding.LinearQuantizer} quantizes, {@link
 * dev.gosset.core.kernel.QuantizedProduct} multiplies. The kernels want {@code --add-modules=jdk.incubator.vector} and {@code
 * --enable-native-access=dev.gosset.core}.
 */
module dev.gosset.core {
    // Without it everything runs in plain Java.
    requires static jdk.incubator.vector;
    requires org.apache.arrow.format;
    requires flatbuffers.java;
    // For ArrowBatches alone; who calls it requires them too.
    requires static org.apache.arrow.memory.core;
    requires static org.apache.arrow.vector;

    exports dev.gosset.core;
    exports dev.gosset.core.blas;
    exports dev.gosset.core.codebook;
    exports dev.gosset.core.hadamard;
    exports dev.gosset.core.kernel;
    exports dev.gosset.core.kernel.contract;
    exports dev.gosset.core.memory;
    exports dev.gosset.core.methods;
    exports dev.gosset.core.parallel;
    exports dev.gosset.core.rounding;
    exports dev.gosset.core.kernel.dense to
            dev.gosset.llm;
    exports dev.gosset.core.library to
            dev.gosset.llm;
}

package dev.gosset.core.kernel;

import dev.gosset.core.GossetException;
import dev.gosset.core.kernel.contract.EncodeKernel;
import dev.gosset.core.kernel.contract.MatvecKernel;
import dev.gosset.core.kernel.contract.TransformKernel;
import dev.gosset.core.kernel.memory.VectorApi;
import dev.gosset.core.kernel.nibbles.NibbleMatvec;
import dev.gosset.core.kernel.oracle.ScalarEncode;
import dev.gosset.core.kernel.oracle.ScalarMatvec;
import dev.gosset.core.kernel.oracle.ScalarTransform;
import dev.gosset.core.kernel.points.VectorMatvec;
import dev.gosset.core.kernel.tables.TableMatvec;
import java.util.List;
import java.util.Objects;

/**
 * One family of CPU kernels. {@link #selected()} is the family that this JVM runs; the system property {@value #PROPERTY}
 * says which: {@code auto} (the default), {@code scalar} or {@code vector}. The scalar family transforms, quantizes matrices and
 * multiplies with them; whole models need the vector one and are refused without it. Immutable, thread-safe.
 *
 * @param name the value of the property that selects this family
 * @param transform orthogonal transforms
 * @param encode nearest codebook points
 * @param matvec products with coded matrices
 */
public record Kernels(String name, TransformKernel transform, EncodeKernel encode, MatvecKernel matvec) {
    /** The system property that selects a family. */
    public static final String PROPERTY = "gosset.kernels";

    /**
     * The system property that selects how the vector family multiplies with codes: {@code auto} (the default), {@code
     * tables} or {@code words} (see {@link TableMatvec}), {@code nibbles} (see {@link NibbleMatvec}) or {@code points} (see
     * {@link VectorMatvec}).
     */
    public static final String MATVEC = "gosset.matvec";

    public Kernels {
        Objects.requireNonNull(name);
        Objects.requireNonNull(transform);
        Objects.requireNonNull(encode);
        Objects.requireNonNull(matvec);
    }

    /** The oracle: plain Java, double accumulation, on every JVM. */
    public static Kernels scalar() {
        return new Kernels("scalar", new ScalarTransform(), new ScalarEncode(), new ScalarMatvec());
    }

    /**
     * The family chosen for this JVM, once. Where {@code auto} has to fall back on the scalar kernels it says so in one
     * line on standard error.
     *
     * @throws GossetException where the property forces a family that cannot run here, or names none
     */
    public static Kernels selected() {
        return KernelSelection.ofThisJvm().kernels();
    }

    /**
     * Why {@link #selected()} is what it is: one line for each family, {@code "name: chosen, ..."} or {@code "name: rejected,
     * ..."}.
     *
     * @throws GossetException as {@link #selected()}
     */
    public static List<String> selection() {
        return KernelSelection.ofThisJvm().reasons();
    }

    /**
     * The chosen family and the width of this JVM's vectors: what the last bits of float32 results depend on.
     *
     * @throws GossetException as {@link #selected()}
     */
    public static String description() {
        return selected().name() + ", "
                + (VectorApi.isPresent() ? VectorKernels.bits() + " bit vectors" : "no vectors");
    }

    /**
     * Fails where {@link #selected()} is the scalar family: for work that has no scalar form, such as the arithmetic of a transformer. A
     * program that runs on scalar kernels runs on nothing else.
     *
     * @param what the work, as the first words of the message
     * @throws GossetException with the reason, one line: the flag that is missing, or the property that chose so
     */
    public static void requireVectorApi(String what) {
        String obstacle = KernelSelection.ofThisJvm().obstacle();
        if (obstacle != null) {
            throw new GossetException(what + " has no scalar form and the vector kernels are not used: " + obstacle);
        }
    }
}

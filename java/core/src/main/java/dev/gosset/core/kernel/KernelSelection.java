package dev.gosset.core.kernel;

import dev.gosset.core.GossetException;
import dev.gosset.core.kernel.memory.VectorApi;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Locale;

/**
 * A choice among the kernel families and the reasons for it. This class must load where the module jdk.incubator.vector is
 * absent: whatever links against it is behind {@link VectorKernels}, touched only after the probe.
 *
 * @param kernels the chosen family
 * @param reasons one line for each family
 * @param obstacle why that is not the vector family, or null where it is
 */
record KernelSelection(Kernels kernels, List<String> reasons, String obstacle) {
    private static final System.Logger LOG = System.getLogger(KernelSelection.class.getName());

    private static KernelSelection chosen;

    static synchronized KernelSelection ofThisJvm() {
        if (chosen == null) {
            String mode = System.getProperty(Kernels.PROPERTY, "auto").toLowerCase(Locale.ROOT);
            String obstacle = mode.equals("scalar") ? null : vectorObstacle();
            chosen = of(mode, obstacle);
            if (mode.equals("auto") && obstacle != null) {
                LOG.log(System.Logger.Level.WARNING, "running on the slow scalar kernels: " + obstacle);
            }
        }
        return chosen;
    }

    /**
     * @param mode the value of the property
     * @param obstacle why the vector kernels cannot run, or null
     */
    static KernelSelection of(String mode, String obstacle) {
        switch (mode) {
            case "scalar" -> {
                return new KernelSelection(
                        Kernels.scalar(),
                        List.of(
                                "vector: rejected, " + Kernels.PROPERTY + "=scalar",
                                "scalar: chosen, " + Kernels.PROPERTY + "=scalar"),
                        Kernels.PROPERTY + "=scalar");
            }
            case "auto", "vector" -> {
                if (obstacle == null) {
                    VectorKernels.Choice vector = VectorKernels.create(System.getProperty(Kernels.MATVEC, "auto"));
                    return new KernelSelection(
                            vector.kernels(),
                            List.of(
                                    "vector: chosen, " + VectorKernels.bits() + " bit vectors",
                                    vector.matvec(),
                                    "scalar: rejected, "
                                            + (mode.equals("auto") ? "slower" : Kernels.PROPERTY + "=vector")),
                            null);
                }
                if (mode.equals("vector")) {
                    throw new GossetException(Kernels.PROPERTY + "=vector cannot be honoured: " + obstacle);
                }
                return new KernelSelection(
                        Kernels.scalar(),
                        List.of("vector: rejected, " + obstacle, "scalar: chosen, nothing faster can run"),
                        obstacle);
            }
            default -> throw new GossetException(Kernels.PROPERTY + "=" + mode + ": expected auto, scalar or vector");
        }
    }

    /** Why the Vector API kernels cannot run well in this JVM, or null where they can. */
    private static String vectorObstacle() {
        if (!VectorApi.isPresent()) {
            return "the module jdk.incubator.vector is not loaded; start java with " + VectorApi.FLAG;
        }
        // without C2 every vector operation is a call that allocates: far slower than the scalar kernels
        String vm = System.getProperty("java.vm.info", "");
        if (vm.contains("interpreted mode") || vm.contains("emulated-client")) {
            return "this JVM runs without its optimizing compiler (" + vm
                    + "); start java without -Xint or -XX:TieredStopAtLevel";
        }
        int bits = VectorKernels.bits();
        if (bits < 128) {
            return "this JVM has vectors of " + bits + " bits, at least 128 are needed";
        }
        try {
            MemorySegment.NULL.reinterpret(1);
        } catch (IllegalCallerException e) {
            Module own = KernelSelection.class.getModule();
            return "native access is denied; start java with --enable-native-access="
                    + (own.isNamed() ? own.getName() : "ALL-UNNAMED");
        }
        return null;
    }
}

package dev.gosset.bench;

import dev.gosset.core.codebook.Codebook;
import dev.gosset.llm.device.Device;
import dev.gosset.llm.device.DeviceBackend;
import dev.gosset.llm.device.DeviceKernels;
import java.util.List;
import java.util.Locale;

/**
 * Kernels on the first GPU. The one contender, {@link #CUDA}, makes {@link DeviceKernels.Work#CALLS} calls by one launch and
 * waits for them, so that launching is a small part of what is measured from outside.
 */
final class DeviceCases {
    /** The contender. */
    static final String CUDA = "cuda";

    private static final int MILLISECONDS = 100;

    private DeviceCases() {}

    /** Makes work of opened kernels. */
    @FunctionalInterface
    private interface Maker {
        DeviceKernels.Work make(DeviceKernels kernels);
    }

    /** @throws dev.gosset.core.DeviceException with the reason where there is no GPU */
    private static Case of(String what, String size, String unit, double units, Maker maker) {
        DeviceBackend backend = DeviceBackend.require(new Device(CUDA, 0));
        Resources resources = new Resources();
        boolean done = false;
        try {
            DeviceKernels kernels = resources.keep(backend.kernels(0, MILLISECONDS));
            DeviceKernels.Work work = resources.keep(maker.make(kernels));
            DeviceKernels.Timing timing = work.time();
            System.out.printf(
                    Locale.ROOT,
                    "%n%s: %s %s: %.2f us a call between events, %.0f %% of what copying bounds%n",
                    kernels.device(),
                    what,
                    size,
                    1e6 * timing.seconds(),
                    100 * timing.ofLimit());
            List<Case.Contender> contenders =
                    List.of(new Case.Contender(CUDA, units * DeviceKernels.Work.CALLS, work::run));
            done = true;
            return new Case(what, size, 1, unit, contenders, resources);
        } finally {
            if (!done) {
                resources.close();
            }
        }
    }

    /** {@code rows} vectors of n floats. */
    static Case transform(int n, int rows) {
        String size = n + ", " + rows + " at a time";
        return of(Cases.TRANSFORM, size, "floats", (double) n * rows, kernels -> kernels.transform(n, rows));
    }

    /** The product, with a batch of vectors. */
    static Case product(int bits, int rows, int cols, int batch) {
        return of(
                Cases.MATVEC,
                bits + " bit " + rows + "x" + cols + " batch " + batch,
                "weights",
                (double) rows * cols * batch,
                kernels -> kernels.product(Codebook.ofBits(bits), rows, cols, batch));
    }

    /** Nearest points of {@code count} vectors. */
    static Case encode(int bits, int count) {
        return of(
                Cases.ENCODE,
                bits + " bit, " + count + " vectors",
                "weights",
                8.0 * count,
                kernels -> kernels.encode(Codebook.ofBits(bits), count));
    }
}

package dev.gosset.cuda.llm;

import dev.gosset.core.codebook.Codebook;
import dev.gosset.cuda.CudaContext;
import dev.gosset.cuda.KernelTimer;
import dev.gosset.cuda.Resources;
import dev.gosset.llm.device.DeviceKernels;

/** {@link DeviceKernels} by {@link KernelTimer}. */
final class CudaKernelTimes implements DeviceKernels {
    private final Resources owned = new Resources();
    private final CudaContext context;
    private final KernelTimer timer;

    CudaKernelTimes(int index, int milliseconds) {
        context = owned.own(CudaContext.open(index));
        boolean done = false;
        try {
            timer = owned.own(new KernelTimer(context, milliseconds));
            done = true;
        } finally {
            if (!done) {
                owned.close();
            }
        }
    }

    private static Timing timing(KernelTimer.Timing t) {
        return new Timing(t.seconds(), t.limitSeconds());
    }

    @Override
    public String device() {
        return "cuda:" + context.device().index() + " " + context.device().name();
    }

    @Override
    public Timing transform(int n, int rows) {
        return timing(timer.transform(n, rows));
    }

    @Override
    public Timing product(Codebook codebook, int rows, int cols, int batch) {
        return timing(timer.product(codebook, rows, cols, batch));
    }

    @Override
    public Timing encode(Codebook codebook, int count) {
        return timing(timer.encode(codebook, count));
    }

    @Override
    public void close() {
        owned.close();
    }
}

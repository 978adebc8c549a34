package dev.gosset.cuda.llm;

import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.memory.Construction;
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
        try (Construction construction = new Construction(owned::close)) {
            timer = owned.own(new KernelTimer(context, milliseconds));
            construction.done();
        }
    }

    private record TimerWork(KernelTimer.Work work) implements Work {
        @Override
        public Timing time() {
            KernelTimer.Timing t = work.time();
            return new Timing(t.seconds(), t.limitSeconds());
        }

        @Override
        public void run() {
            work.run();
        }

        @Override
        public void close() {
            work.close();
        }
    }

    @Override
    public String device() {
        return "cuda:" + context.device().index() + " " + context.device().name();
    }

    @Override
    public Work transform(int n, int rows) {
        return new TimerWork(timer.transform(n, rows));
    }

    @Override
    public Work product(Codebook codebook, int rows, int cols, int batch) {
        return new TimerWork(timer.product(codebook, rows, cols, batch));
    }

    @Override
    public Work encode(Codebook codebook, int count) {
        return new TimerWork(timer.encode(codebook, count));
    }

    @Override
    public void close() {
        owned.close();
    }
}

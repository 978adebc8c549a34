package dev.gosset.cuda.llm;

import dev.gosset.core.DeviceException;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.rounding.RoundingSettings;
import dev.gosset.cuda.CudaContext;
import dev.gosset.cuda.CudaEvent;
import dev.gosset.cuda.CudaLibrary;
import dev.gosset.cuda.CudaStream;
import dev.gosset.cuda.DeviceBuffer;
import dev.gosset.llm.cpu.StorageOptions;
import dev.gosset.llm.device.DeviceBackend;
import dev.gosset.llm.device.DeviceKernels;
import dev.gosset.llm.device.DeviceQuantizer;
import dev.gosset.llm.device.LoadedModel;
import dev.gosset.llm.model.Model;

/** NVIDIA GPUs, through Gosset's CUDA library. */
public final class CudaBackend implements DeviceBackend {
    /** Far more than any cache of the device holds. */
    private static final long COPY_BYTES = 1L << 30;

    private static final int COPY_ROUNDS = 8;

    @Override
    public String name() {
        return "cuda";
    }

    @Override
    public String description() {
        return CudaLibrary.description();
    }

    @Override
    public boolean isUsable() {
        return CudaLibrary.isUsable();
    }

    @Override
    public int devices() {
        return CudaLibrary.count();
    }

    @Override
    public LoadedModel load(Model model, int index, StorageOptions storage, ThreadTeam team) {
        CudaLibrary.require();
        if (storage.cache() != Dtype.F16) {
            throw new DeviceException(name() + ":" + index + " keeps keys and values as F16, asked for "
                    + storage.cache() + "; the cpu has it");
        }
        CudaPlan.of(model.weights().path(), model.plan());
        return new CudaModel(model, index, storage, team);
    }

    @Override
    public double copyBandwidth(int index) {
        try (CudaContext context = CudaContext.open(index);
                CudaStream stream = context.stream();
                CudaEvent from = context.event();
                CudaEvent to = context.event()) {
            long bytes = Math.min(COPY_BYTES, context.freeBytes() / 4);
            try (DeviceBuffer a = context.allocate(bytes, "the source of a copy");
                    DeviceBuffer b = context.allocate(bytes, "the target of a copy")) {
                a.fill(0, stream);
                float best = Float.POSITIVE_INFINITY;
                for (int round = 0; round < COPY_ROUNDS; round++) {
                    from.record(stream);
                    b.copyFrom(a, 0, 0, bytes, stream);
                    to.record(stream);
                    to.synchronize();
                    best = Math.min(best, to.millisecondsSince(from));
                }
                return 2e3 * bytes / best;
            }
        }
    }

    @Override
    public DeviceQuantizer quantizer(int index, RoundingSettings settings, ThreadTeam team) {
        return new CudaQuantizer(index, settings, team);
    }

    @Override
    public DeviceKernels kernels(int index, int milliseconds) {
        CudaLibrary.require();
        return new CudaKernelTimes(index, milliseconds);
    }
}

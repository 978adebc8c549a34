package dev.gosset.cuda.llm;

import dev.gosset.core.DeviceException;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.cuda.CudaLibrary;
import dev.gosset.llm.device.DeviceBackend;
import dev.gosset.llm.device.DeviceOptions;
import dev.gosset.llm.device.LoadedModel;
import dev.gosset.llm.model.Model;

/** NVIDIA GPUs, through Gosset's CUDA library. */
public final class CudaBackend implements DeviceBackend {
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
    public LoadedModel load(Model model, int index, DeviceOptions options, ThreadTeam team) {
        CudaLibrary.require();
        throw new DeviceException("cuda:" + index + " does not run models yet; --device cpu does");
    }
}

import dev.gosset.cuda.llm.CudaBackend;
import dev.gosset.llm.device.DeviceBackend;

/** Whole models on the GPU: a backend that {@code dev.gosset.llm} finds as a service. */
module dev.gosset.cuda.llm {
    requires dev.gosset.llm;
    requires dev.gosset.cuda;

    provides DeviceBackend with
            CudaBackend;
}

package dev.gosset.cuda;

import dev.gosset.bindings.GossetCuda;
import dev.gosset.core.DeviceException;

/**
 * A failure of the device, the driver, the CUDA library or cuBLAS. The message is one line: the operation with its sizes,
 * and what went wrong.
 */
public class CudaException extends DeviceException {
    private static final long serialVersionUID = 1L;

    private final int status;
    private final int nativeCode;

    CudaException(int status, int nativeCode, String message) {
        super(message);
        this.status = status;
        this.nativeCode = nativeCode;
    }

    /** The status of Gosset's CUDA library ({@code GOSSET_...} in gosset_cuda.h), or 0 where cuBLAS failed. */
    public int status() {
        return status;
    }

    /** Whether the arguments were right and only this device cannot do it; nothing was queued. */
    public boolean isUnsupported() {
        return status == GossetCuda.GOSSET_UNSUPPORTED();
    }

    /** The code of the CUDA runtime or of cuBLAS, or 0. */
    public int nativeCode() {
        return nativeCode;
    }
}

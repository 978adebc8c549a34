package dev.gosset.cuda;

/** The device has too little free memory. The message says how much was asked for, how much is free and what helps. */
public final class CudaMemoryException extends CudaException {
    private static final long serialVersionUID = 1L;

    private final long askedBytes;
    private final long freeBytes;

    CudaMemoryException(int status, int nativeCode, String what, long askedBytes, long freeBytes, long ownBytes) {
        super(
                status,
                nativeCode,
                "out of device memory: " + what + " needs " + askedBytes + " bytes, " + freeBytes + " are free and "
                        + ownBytes
                        + " are held by this program; a shorter context, fewer bits per weight or the cpu helps");
        this.askedBytes = askedBytes;
        this.freeBytes = freeBytes;
    }

    /** How many bytes were asked for. */
    public long askedBytes() {
        return askedBytes;
    }

    /** How many bytes of the device were free. */
    public long freeBytes() {
        return freeBytes;
    }
}

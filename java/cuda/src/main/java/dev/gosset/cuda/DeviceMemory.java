package dev.gosset.cuda;

/** Device memory that kernels may be given: a whole {@link DeviceBuffer} or a {@link DeviceSlice} of one. */
public sealed interface DeviceMemory permits DeviceBuffer, DeviceSlice {
    /** How many bytes there are. */
    long bytes();

    /**
     * The device address of {@code size} bytes from {@code offset} on.
     *
     * @throws IndexOutOfBoundsException where they are not all inside
     */
    long address(long offset, long size);

    /**
     * A part of this memory, without owning it. Kernels want 16-byte alignment of all but arrays of int32 and the settings of
     * sampling.
     *
     * @throws IndexOutOfBoundsException where it is not all inside
     */
    default DeviceSlice slice(long offset, long size) {
        return new DeviceSlice(this, offset, size);
    }
}

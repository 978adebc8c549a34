package dev.gosset.llm.device;

/**
 * How a model is loaded onto a device.
 *
 * @param headBits bits per weight of the head's copy there: 16 keeps what is stored in 16 bits; 8 rounds each row to int8
 *     with a scale of its own, which halves what the head reads per token
 */
public record DeviceOptions(int headBits) {
    public DeviceOptions {
        if (headBits != 8 && headBits != 16) {
            throw new IllegalArgumentException("the head has 8 or 16 bits per weight, found " + headBits);
        }
    }

    /** A head of 16 bits. */
    public static DeviceOptions defaults() {
        return new DeviceOptions(16);
    }
}

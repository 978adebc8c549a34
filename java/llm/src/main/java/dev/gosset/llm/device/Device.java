package dev.gosset.llm.device;

import java.util.Locale;

/**
 * Where a model computes: {@code cpu}, or a device of a {@link DeviceBackend} such as {@code cuda:1}.
 *
 * @param kind {@code cpu}, or the name of a backend
 * @param index the device's number among its kind, from 0
 */
public record Device(String kind, int index) {
    /** The processor. */
    public static final Device CPU = new Device("cpu", 0);

    public Device {
        if (!kind.matches("[a-z]+") || index < 0 || kind.equals("cpu") && index != 0) {
            throw new IllegalArgumentException("there is no device " + kind + ":" + index);
        }
    }

    /**
     * Reads {@code cpu}, {@code cuda} or {@code cuda:N}.
     *
     * @throws IllegalArgumentException where the text is none of them
     */
    public static Device parse(String text) {
        String lower = text.strip().toLowerCase(Locale.ROOT);
        if (!lower.matches("cpu|cuda(:\\d{1,4})?")) {
            throw new IllegalArgumentException("a device is cpu, cuda or cuda:N, found '" + text + "'");
        }
        int colon = lower.indexOf(':');
        return colon < 0
                ? new Device(lower, 0)
                : new Device(lower.substring(0, colon), Integer.parseInt(lower.substring(colon + 1)));
    }

    public boolean isCpu() {
        return kind.equals("cpu");
    }

    @Override
    public String toString() {
        return isCpu() ? kind : kind + ":" + index;
    }
}

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
     * Reads {@code cpu}, the name of a backend such as {@code cuda}, or that with a number, {@code cuda:1}. Whether there is
     * such a backend is {@link DeviceBackend#require}'s to say.
     *
     * @throws IllegalArgumentException where the text has another form
     */
    public static Device parse(String text) {
        String lower = text.strip().toLowerCase(Locale.ROOT);
        if (!lower.matches("cpu|(?!cpu:)[a-z]+(:\\d{1,4})?")) {
            throw new IllegalArgumentException(
                    "a device is cpu, or a backend's name such as cuda or cuda:1, found '" + text + "'");
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

package dev.gosset.core;

/**
 * A device that was asked for is missing, has too little memory or failed: the message says which, and what can be done.
 * Nothing is wrong with the input.
 */
public class DeviceException extends GossetException {
    private static final long serialVersionUID = 1L;

    public DeviceException(String message) {
        super(message);
    }
}

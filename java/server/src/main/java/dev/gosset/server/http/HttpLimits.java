package dev.gosset.server.http;

/**
 * What a client may take.
 *
 * @param bodyBytes of a request
 * @param writeSeconds without reading what it is sent
 */
public record HttpLimits(int bodyBytes, int writeSeconds) {
    /** 8 MiB and 30 seconds. */
    public static HttpLimits defaults() {
        return new HttpLimits(8 << 20, 30);
    }
}

package dev.gosset.server;

import dev.gosset.core.GossetException;
import java.time.Duration;
import java.util.List;

/**
 * How a server listens and what it takes.
 *
 * @param host to listen at; anything but this machine's own address without a key lets everybody in who reaches it
 * @param port 0 for any that is free
 * @param context the most tokens of prompt and continuation
 * @param parallel the most sequences that run together
 * @param cacheBytes the most memory for keys and values; 0 for as much as is right where the model computes
 * @param apiKey what clients have to say as {@code Authorization: Bearer KEY}; null where they need not
 * @param corsOrigins web pages that may ask, {@code *} for all
 * @param grace how long a stop waits for answers in progress
 * @param stepLimit a step of the model that takes longer is stuck, and its requests fail
 */
public record ServerSettings(
        String host,
        int port,
        int context,
        int parallel,
        long cacheBytes,
        String apiKey,
        List<String> corsOrigins,
        Duration grace,
        Duration stepLimit) {
    /** A step of a large model on a small machine takes some seconds. */
    public static final Duration STEP_LIMIT = Duration.ofSeconds(120);

    /**
     * @throws GossetException where a value is out of its bounds
     */
    public ServerSettings {
        corsOrigins = List.copyOf(corsOrigins);
        if (port < 0 || port > 65535) {
            throw new GossetException("a port is from 0 to 65535, found " + port);
        }
        if (context < 2 || parallel < 1 || parallel > 4096) {
            throw new GossetException("a server has a context of at least 2 tokens and from 1 to 4096 sequences, found "
                    + context + " and " + parallel);
        }
        if (cacheBytes < 0) {
            throw new GossetException("the memory for keys and values is 0 or more bytes, found " + cacheBytes);
        }
        if (apiKey != null && apiKey.isBlank()) {
            throw new GossetException("an API key is not blank");
        }
    }

    /** This machine alone, port 8080, 16 sequences. */
    public static ServerSettings of(int context) {
        return new ServerSettings(
                "127.0.0.1", 8080, context, 16, 0, null, List.of(), Duration.ofSeconds(30), STEP_LIMIT);
    }

    public ServerSettings withPort(int p) {
        return new ServerSettings(host, p, context, parallel, cacheBytes, apiKey, corsOrigins, grace, stepLimit);
    }

    public ServerSettings withParallel(int n) {
        return new ServerSettings(host, port, context, n, cacheBytes, apiKey, corsOrigins, grace, stepLimit);
    }

    public ServerSettings withApiKey(String key) {
        return new ServerSettings(host, port, context, parallel, cacheBytes, key, corsOrigins, grace, stepLimit);
    }

    public ServerSettings withGrace(Duration time) {
        return new ServerSettings(host, port, context, parallel, cacheBytes, apiKey, corsOrigins, time, stepLimit);
    }

    public ServerSettings withStepLimit(Duration time) {
        return new ServerSettings(host, port, context, parallel, cacheBytes, apiKey, corsOrigins, grace, time);
    }
}

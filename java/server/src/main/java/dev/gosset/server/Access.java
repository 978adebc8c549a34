package dev.gosset.server;

import dev.gosset.server.http.Exchange;
import dev.gosset.server.serving.ApiException;
import java.net.InetAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.List;
import java.util.Locale;

/** Who may ask: those with the key where there is one, web pages of known origins only. */
final class Access {
    private static final String BEARER = "Bearer ";
    private static final List<String> LOCAL = List.of("localhost", "127.0.0.1", "[::1]");

    private final ServerSettings settings;
    private final boolean local;
    private final byte[] key;

    /**
     * @param address that is listened at
     */
    Access(ServerSettings settings, InetAddress address) {
        this.settings = settings;
        this.local = address.isLoopbackAddress();
        this.key = settings.apiKey() == null ? null : digest(settings.apiKey());
    }

    /** Whether everybody in the network may ask. */
    boolean isOpenToAll() {
        return !local && key == null;
    }

    /**
     * Says to web pages what they may do.
     *
     * @throws ApiException where a page of another origin asks, or one that calls this machine by a name of its own: nobody else
     *     sends such headers
     */
    void checkOrigin(Exchange exchange) {
        String origin = exchange.header("Origin");
        String host = exchange.header("Host");
        if (local && key == null && host != null && !isLocal(host)) {
            throw ApiException.refused(403, "host_not_allowed", "the Host header must name this machine");
        }
        if (origin == null || isSame(origin, host)) {
            return;
        }
        if (!settings.corsOrigins().contains("*") && !settings.corsOrigins().contains(origin)) {
            throw ApiException.refused(
                    403, "origin_not_allowed", "web pages of this origin may not ask; --cors-origin allows one");
        }
        exchange.set("Access-Control-Allow-Origin", origin);
        exchange.set("Vary", "Origin");
        exchange.set("Access-Control-Allow-Headers", "Authorization, Content-Type");
        exchange.set("Access-Control-Allow-Methods", "GET, POST, OPTIONS");
    }

    private boolean isLocal(String host) {
        String name = host.toLowerCase(Locale.ROOT).replaceFirst(":\\d+$", "");
        return LOCAL.contains(name) || name.equals(settings.host().toLowerCase(Locale.ROOT));
    }

    private static boolean isSame(String origin, String host) {
        try {
            return host != null && host.equals(URI.create(origin).getRawAuthority());
        } catch (IllegalArgumentException e) {
            return false;
        }
    }

    /**
     * @throws ApiException where the key is missing or another one
     */
    void checkKey(Exchange exchange) {
        if (key == null) {
            return;
        }
        String given = exchange.header("Authorization");
        boolean bearer = given != null && given.regionMatches(true, 0, BEARER, 0, BEARER.length());
        // Digests are as long as each other, so the time says nothing about the key.
        if (!bearer
                || !MessageDigest.isEqual(
                        key, digest(given.substring(BEARER.length()).strip()))) {
            throw ApiException.refused(
                    401, "invalid_api_key", "the API key is missing or wrong: Authorization: Bearer KEY");
        }
    }

    private static byte[] digest(String text) {
        try {
            return MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }
}

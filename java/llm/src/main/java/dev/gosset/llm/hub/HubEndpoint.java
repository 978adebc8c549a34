package dev.gosset.llm.hub;

import dev.gosset.core.FormatException;
import dev.gosset.core.memory.Quoted;
import java.io.IOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;

/**
 * Where the Hub is, and who asks.
 *
 * @param address scheme and host, perhaps a port and a path, without a slash at the end
 * @param token the user's access token, for models that are private or gated; it is sent to this address only
 */
public record HubEndpoint(URI address, Optional<String> token) {
    /** The Hub itself. */
    static final String HUB = "https://huggingface.co";

    /** What the environment says: {@code HF_ENDPOINT}, and the token where the Hub's tools have it. */
    public static HubEndpoint ofEnvironment() {
        return of(System.getenv(), Path.of(System.getProperty("user.home", "")));
    }

    static HubEndpoint of(Map<String, String> environment, Path home) {
        return new HubEndpoint(
                address(environment.getOrDefault("HF_ENDPOINT", HUB)),
                token(environment, HubCache.home(environment, home)));
    }

    /** The same user at another address. */
    public HubEndpoint at(String other) {
        return new HubEndpoint(address(other), token);
    }

    private static URI address(String text) {
        try {
            URI address = new URI(text.replaceAll("/+$", ""));
            if (("https".equals(address.getScheme()) || "http".equals(address.getScheme()))
                    && address.getHost() != null
                    && address.getQuery() == null
                    && address.getUserInfo() == null) {
                return address;
            }
        } catch (URISyntaxException e) {
            // Said below.
        }
        throw new FormatException("found " + Quoted.of(text) + " as the Hub's address, expected one like " + HUB);
    }

    private static Optional<String> token(Map<String, String> environment, Path home) {
        String token = environment.getOrDefault("HF_TOKEN", environment.getOrDefault("HUGGING_FACE_HUB_TOKEN", ""));
        if (token.isBlank()) {
            String named = environment.getOrDefault("HF_TOKEN_PATH", "");
            Path file = named.isEmpty() ? home.resolve("token") : Path.of(named);
            try {
                token = Files.isRegularFile(file) && Files.size(file) < 4096 ? Files.readString(file) : "";
            } catch (IOException e) {
                throw new FormatException(file + ": the Hub's token cannot be read: " + e.getMessage(), e);
            }
        }
        token = token.strip();
        if (!token.chars().allMatch(c -> c > ' ' && c < 127)) {
            throw new FormatException("the Hub's token holds characters that no token has (it is not shown here)");
        }
        return Optional.of(token).filter(t -> !t.isEmpty());
    }

    /** Whether an address is of the same server, so that it may see the token. */
    boolean isAt(URI other) {
        return address.getScheme().equals(other.getScheme())
                && address.getHost().equalsIgnoreCase(other.getHost())
                && address.getPort() == other.getPort();
    }

    @Override
    public String toString() {
        return address + (token.isPresent() ? " with a token" : "");
    }
}

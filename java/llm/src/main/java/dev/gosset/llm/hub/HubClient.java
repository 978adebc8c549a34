package dev.gosset.llm.hub;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.gosset.core.memory.Quoted;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.URISyntaxException;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** The two requests that {@link HubPull} makes of the Hub's HTTP API. Thread-safe. */
final class HubClient implements AutoCloseable {
    /** More than the listing of any model; what is longer is not one. */
    private static final int LONGEST_LISTING = 64 << 20;

    private static final int REDIRECTS = 5;
    private static final Pattern HASH = Pattern.compile("[0-9a-f]{40}|[0-9a-f]{64}");
    private static final ObjectMapper JSON = new ObjectMapper();

    private final HubEndpoint endpoint;
    private final HttpClient http;

    HubClient(HubEndpoint endpoint) {
        this.endpoint = endpoint;
        // Redirects are followed here: the JDK's client would send the token along to another server.
        this.http = HttpClient.newBuilder()
                .followRedirects(HttpClient.Redirect.NEVER)
                .connectTimeout(Duration.ofSeconds(30))
                .build();
    }

    /**
     * A file of a model.
     *
     * @param path its name, perhaps in folders, with slashes
     * @param size in bytes
     * @param hash SHA-256 of its bytes where it is large (LFS), else SHA-1 of Git's blob, in hexadecimal digits
     */
    record RemoteFile(String path, long size, String hash) {
        boolean isGitBlob() {
            return hash.length() == 40;
        }
    }

    /**
     * A model at one moment.
     *
     * @param commit the hash of the commit
     */
    record Listing(String commit, List<RemoteFile> files) {}

    /** The commit and the files of a revision. */
    Listing list(HubName name) throws IOException, InterruptedException {
        URI address = URI.create(endpoint.address() + "/api/models/" + name.repository() + "/revision/"
                + URLEncoder.encode(name.revision(), StandardCharsets.UTF_8) + "?blobs=true");
        HttpResponse<InputStream> response = get(address, Map.of());
        try (InputStream body = response.body()) {
            require(name, response, 200);
            byte[] bytes = body.readNBytes(LONGEST_LISTING + 1);
            if (bytes.length > LONGEST_LISTING) {
                throw new HubException(name + ": the list of its files is longer than " + LONGEST_LISTING + " bytes");
            }
            return listing(name, JSON.readTree(bytes));
        } catch (com.fasterxml.jackson.core.JsonProcessingException e) {
            throw new HubException(name + ": the list of its files is not JSON: " + e.getOriginalMessage(), e);
        }
    }

    private static Listing listing(HubName name, JsonNode json) {
        String commit = json.path("sha").asText();
        if (!HASH.matcher(commit).matches() || commit.length() != 40) {
            throw new HubException(
                    name + ": found " + Quoted.of(commit) + " as its commit, expected 40 hexadecimal digits");
        }
        List<RemoteFile> files = new ArrayList<>();
        for (JsonNode file : json.path("siblings")) {
            String path = file.path("rfilename").asText();
            if (Stream.of(path.split("/", -1)).anyMatch(p -> p.isEmpty() || p.equals(".") || p.equals(".."))
                    || path.chars().anyMatch(c -> c < ' ' || c == '\\' || c == ':')) {
                throw new HubException(
                        name + ": holds a file " + Quoted.of(path) + ", expected a name within the model");
            }
            JsonNode large = file.path("lfs");
            JsonNode size = large.has("size") ? large.path("size") : file.path("size");
            String hash = (large.has("sha256") ? large.path("sha256") : file.path("blobId")).asText();
            if (!size.canConvertToLong()
                    || !size.isIntegralNumber()
                    || size.asLong() < 0
                    || !HASH.matcher(hash).matches()) {
                throw new HubException(name + ": of " + Quoted.of(path) + " found the size " + size + " and the hash "
                        + Quoted.of(hash) + ", expected bytes and a SHA-1 or SHA-256");
            }
            files.add(new RemoteFile(path, size.asLong(), hash));
        }
        return new Listing(commit, files);
    }

    /**
     * A file's bytes from {@code offset} on, or from 0 where the server cannot do that.
     *
     * @param offset of the first byte
     * @param body to read and close
     */
    record Part(long offset, InputStream body) {}

    Part open(HubName name, String commit, RemoteFile file, long offset) throws IOException, InterruptedException {
        String path = Stream.of(file.path().split("/"))
                .map(p -> URLEncoder.encode(p, StandardCharsets.UTF_8).replace("+", "%20"))
                .collect(Collectors.joining("/"));
        HttpResponse<InputStream> response = get(
                URI.create(endpoint.address() + "/" + name.repository() + "/resolve/" + commit + "/" + path),
                offset == 0 ? Map.of() : Map.of("Range", "bytes=" + offset + "-"));
        try {
            require(name, response, 200, 206);
            if (response.statusCode() == 200) {
                return new Part(0, response.body());
            }
            String range = response.headers().firstValue("Content-Range").orElse("none");
            if (!range.equals("bytes " + offset + "-" + (file.size() - 1) + "/" + file.size())) {
                throw new HubException(file.path() + ": asked for its bytes from " + offset + " of " + file.size()
                        + " on, found the range " + Quoted.of(range));
            }
            return new Part(offset, response.body());
        } catch (RuntimeException | IOException e) {
            response.body().close();
            throw e;
        }
    }

    /** A server that may answer better in a moment. */
    static final class Busy extends IOException {
        private static final long serialVersionUID = 1L;

        /** Seconds that it asks to wait. */
        final transient OptionalLong wait;

        Busy(int status, OptionalLong wait) {
            super("the server answered " + status);
            this.wait = wait;
        }
    }

    private void require(HubName name, HttpResponse<?> response, int... good) throws Busy {
        int status = response.statusCode();
        for (int g : good) {
            if (status == g) {
                return;
            }
        }
        if (status == 429 || status >= 500) {
            OptionalLong wait = response.headers().firstValue("Retry-After").stream()
                    .filter(w -> w.matches("\\d{1,6}"))
                    .mapToLong(Long::parseLong)
                    .findFirst();
            throw new Busy(status, wait);
        }
        String why = response.headers().firstValue("X-Error-Message").orElse("");
        throw new HubException(name + ": "
                + switch (status) {
                    // The Hub says 401 of models that do not exist too.
                    case 401, 403 ->
                        endpoint.token().isEmpty()
                                ? "no such model, or one that asks for a token: set HF_TOKEN"
                                : "this token is not let in"
                                        + (status == 403 ? "; ask for access on the model's page" : "");
                    case 404 ->
                        "no such model, or no revision " + Quoted.of(name.revision()) + " of it, at "
                                + endpoint.address();
                    default -> "the server answered " + status;
                }
                + (why.isEmpty() ? "" : " (" + why + ")"));
    }

    /** The answer after redirects. Its body must be closed. */
    private HttpResponse<InputStream> get(URI address, Map<String, String> headers)
            throws IOException, InterruptedException {
        URI at = address;
        for (int hop = 0; hop <= REDIRECTS; hop++) {
            HttpRequest.Builder request =
                    HttpRequest.newBuilder(at).timeout(Duration.ofSeconds(60)).header("User-Agent", "gosset");
            headers.forEach(request::header);
            if (endpoint.isAt(at)) {
                endpoint.token().ifPresent(t -> request.header("Authorization", "Bearer " + t));
            }
            HttpResponse<InputStream> response = http.send(request.build(), HttpResponse.BodyHandlers.ofInputStream());
            int status = response.statusCode();
            if (status < 300 || status >= 400 || status == 304) {
                return response;
            }
            response.body().close();
            String location = response.headers().firstValue("Location").orElse("");
            URI next;
            try {
                next = at.resolve(new URI(location));
            } catch (URISyntaxException e) {
                throw new HubException(address + ": is sent on to " + Quoted.of(location) + ", which is no address", e);
            }
            boolean secure = "https".equals(next.getScheme());
            if (next.getHost() == null
                    || !secure
                            && (!"http".equals(next.getScheme())
                                    || at.getScheme().equals("https"))) {
                throw new HubException(
                        address + ": is sent on to " + Quoted.of(location) + ", expected an address of https");
            }
            at = next;
        }
        throw new HubException(address + ": is sent on more than " + REDIRECTS + " times");
    }

    @Override
    public void close() {
        http.shutdownNow();
    }
}

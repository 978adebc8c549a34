package dev.gosset.llm.hub;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import dev.gosset.core.FormatException;
import dev.gosset.llm.Progress;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.Executors;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Against a server of ours that speaks the Hub's API, and a second one that keeps the large files. */
@Timeout(60)
class HubPullTest {
    private static final String COMMIT = "0123456789abcdef0123456789abcdef01234567";
    private static final HubName NAME = HubName.of("some-owner/Model-1.0");

    @TempDir
    private Path folder;

    private HttpServer hub;
    private HttpServer store;
    private HubCache cache;

    /** What the repository holds; large files are those that end in .safetensors. */
    private final Map<String, byte[]> files = new LinkedHashMap<>();

    /** What is listed in place of the truth. */
    private final Map<String, Long> listedSizes = new LinkedHashMap<>();

    private final Map<String, String> listedHashes = new LinkedHashMap<>();

    private final List<String> requests = Collections.synchronizedList(new ArrayList<>());
    private final List<String> storeAuthorizations = Collections.synchronizedList(new ArrayList<>());
    private Behaviour behaviour = HubPullTest::send;
    private String wantedToken = "";
    private int missing = 404;

    /** How the store answers for a file, given how often it was asked for it. */
    private interface Behaviour {
        void answer(HttpExchange exchange, byte[] bytes, int time) throws IOException;
    }

    @BeforeEach
    void start() throws IOException {
        cache = new HubCache(folder.resolve("hub"));
        Random random = new Random();
        files.put("config.json", "{\"architectures\": []}".getBytes(StandardCharsets.UTF_8));
        files.put("tokenizer.json", "{}".getBytes(StandardCharsets.UTF_8));
        // The same content as another file's.
        files.put("generation_config.json", "{}".getBytes(StandardCharsets.UTF_8));
        files.put("additional_chat_templates/tool use.jinja", "{{ x }}".getBytes(StandardCharsets.UTF_8));
        files.put("README.md", "not wanted".getBytes(StandardCharsets.UTF_8));
        files.put("pytorch_model.bin", new byte[100]);
        files.put("onnx/model.safetensors", new byte[100]);
        for (String shard : List.of("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")) {
            byte[] bytes = new byte[300_000 + random.nextInt(100_000)];
            random.nextBytes(bytes);
            files.put(shard, bytes);
        }
        files.put("model.safetensors.index.json", """
                {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
                """.getBytes(StandardCharsets.UTF_8));
        hub = server();
        store = server();
        Map<String, Integer> times = Collections.synchronizedMap(new LinkedHashMap<>());
        hub.createContext("/", exchange -> {
            try (exchange) {
                String path = exchange.getRequestURI().getPath();
                requests.add(path);
                if (!wantedToken.isEmpty()
                        && !("Bearer " + wantedToken)
                                .equals(exchange.getRequestHeaders().getFirst("Authorization"))) {
                    exchange.sendResponseHeaders(401, -1);
                } else if (path.equals("/api/models/" + NAME.repository() + "/revision/main")) {
                    byte[] listing = listing();
                    exchange.sendResponseHeaders(200, listing.length);
                    exchange.getResponseBody().write(listing);
                } else if (path.startsWith("/" + NAME.repository() + "/resolve/" + COMMIT + "/")) {
                    String file = path.split("/", 6)[5];
                    if (file.endsWith(".safetensors")) {
                        exchange.getResponseHeaders()
                                .add("Location", address(store) + "/large/" + file + "?signature=x");
                        exchange.sendResponseHeaders(302, -1);
                    } else {
                        send(exchange, files.get(file), 1);
                    }
                } else {
                    exchange.sendResponseHeaders(missing, -1);
                }
            }
        });
        store.createContext("/large/", exchange -> {
            try (exchange) {
                String file = exchange.getRequestURI().getPath().substring("/large/".length());
                requests.add("store:" + file);
                storeAuthorizations.add(
                        String.valueOf(exchange.getRequestHeaders().getFirst("Authorization")));
                behaviour.answer(exchange, files.get(file), times.merge(file, 1, Integer::sum));
            }
        });
    }

    @AfterEach
    void stop() {
        hub.stop(0);
        store.stop(0);
    }

    private static HttpServer server() throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
        server.start();
        return server;
    }

    private static String address(HttpServer server) {
        return "http://127.0.0.1:" + server.getAddress().getPort();
    }

    /** As a server should, ranges too. */
    private static void send(HttpExchange exchange, byte[] bytes, int time) throws IOException {
        String range = exchange.getRequestHeaders().getFirst("Range");
        int from = range == null ? 0 : Integer.parseInt(range.substring("bytes=".length(), range.length() - 1));
        if (range != null) {
            exchange.getResponseHeaders()
                    .add("Content-Range", "bytes " + from + "-" + (bytes.length - 1) + "/" + bytes.length);
        }
        exchange.sendResponseHeaders(range == null ? 200 : 206, bytes.length - from == 0 ? -1 : bytes.length - from);
        exchange.getResponseBody().write(bytes, from, bytes.length - from);
    }

    private byte[] listing() throws IOException {
        List<Map<String, Object>> siblings = new ArrayList<>();
        files.forEach((path, bytes) -> {
            Map<String, Object> file = new LinkedHashMap<>();
            file.put("rfilename", path);
            long size = listedSizes.getOrDefault(path, (long) bytes.length);
            file.put("size", size);
            file.put("blobId", hash("SHA-1", ("blob " + bytes.length + "\0").getBytes(StandardCharsets.UTF_8), bytes));
            if (path.endsWith(".safetensors")) {
                String hash = listedHashes.getOrDefault(path, hash("SHA-256", bytes));
                file.put("lfs", Map.of("sha256", hash, "size", size, "pointerSize", 130));
            }
            siblings.add(file);
        });
        return new ObjectMapper().writeValueAsBytes(Map.of("sha", COMMIT, "siblings", siblings));
    }

    private static String hash(String algorithm, byte[]... parts) {
        try {
            MessageDigest digest = MessageDigest.getInstance(algorithm);
            for (byte[] part : parts) {
                digest.update(part);
            }
            return HexFormat.of().formatHex(digest.digest());
        } catch (java.security.NoSuchAlgorithmException e) {
            throw new AssertionError(e);
        }
    }

    private HubPull.Result pull() {
        return pull(NAME, Optional.empty());
    }

    private HubPull.Result pull(HubName name, Optional<String> token) {
        HubEndpoint endpoint = new HubEndpoint(java.net.URI.create(address(hub)), token);
        return HubPull.run(name, cache, endpoint, Progress.NONE, Duration.ofMillis(1), Duration.ofMillis(400));
    }

    private void requireWhole(HubPull.Result result) throws IOException {
        Path snapshot =
                cache.root().resolve("models--some-owner--Model-1.0/snapshots").resolve(COMMIT);
        assertThat(result.directory()).isEqualTo(snapshot);
        assertThat(cache.find(NAME)).contains(snapshot);
        List<String> wanted = files.keySet().stream()
                .filter(f -> !f.equals("README.md") && !f.endsWith(".bin") && !f.startsWith("onnx"))
                .sorted()
                .toList();
        try (Stream<Path> there = Files.walk(snapshot)) {
            assertThat(there.filter(p -> !Files.isDirectory(p))
                            .map(p -> snapshot.relativize(p).toString())
                            .sorted())
                    .isEqualTo(wanted);
        }
        for (String file : wanted) {
            Path link = snapshot.resolve(file);
            assertThat(Files.readAllBytes(link)).as(file).isEqualTo(files.get(file));
            assertThat(Files.readSymbolicLink(link).isAbsolute()).isFalse();
        }
        assertThat(result.files()).isEqualTo(wanted.size());
        assertThat(result.bytes())
                .isEqualTo(wanted.stream().mapToLong(f -> files.get(f).length).sum());
        assertThat(names(snapshot.getParent().resolveSibling("blobs"))).noneMatch(n -> n.endsWith(".incomplete"));
    }

    private static List<String> names(Path directory) throws IOException {
        try (Stream<Path> all = Files.list(directory)) {
            return all.map(p -> p.getFileName().toString()).toList();
        }
    }

    /** Nothing that a command would take for a model. */
    private void requireNothing() {
        assertThat(cache.find(NAME)).isEmpty();
        assertThat(cache.root().resolve("models--some-owner--Model-1.0/snapshots"))
                .doesNotExist();
    }

    @Test
    void fetchesWhatAModelNeedsAndNothingTwice() throws IOException {
        HubPull.Result first = pull();
        requireWhole(first);
        // One content under two names.
        assertThat(first.fetched()).isEqualTo(first.bytes() - files.get("tokenizer.json").length);
        requests.clear();
        HubPull.Result second = pull();
        requireWhole(second);
        assertThat(second.fetched()).isZero();
        assertThat(requests).hasSize(1);
        // Only what changed is fetched.
        files.put("config.json", "{\"architectures\": [\"x\"]}".getBytes(StandardCharsets.UTF_8));
        Files.delete(first.directory().resolve("config.json"));
        assertThat(pull().fetched()).isEqualTo(files.get("config.json").length);
    }

    @Test
    void aBrokenConnectionGoesOnWhereItEnded() throws IOException {
        behaviour = (exchange, bytes, time) -> {
            String range = exchange.getRequestHeaders().getFirst("Range");
            int from = range == null ? 0 : Integer.parseInt(range.substring(6, range.length() - 1));
            if (range != null) {
                exchange.getResponseHeaders()
                        .add("Content-Range", "bytes " + from + "-" + (bytes.length - 1) + "/" + bytes.length);
            }
            exchange.sendResponseHeaders(range == null ? 200 : 206, bytes.length - from);
            // More often than a server that gives nothing is asked.
            exchange.getResponseBody().write(bytes, from, Math.min(50_000, bytes.length - from));
            exchange.getResponseBody().flush();
            exchange.close();
        };
        HubPull.Result result = pull();
        requireWhole(result);
        assertThat(requests.stream().filter(r -> r.startsWith("store:")).count())
                .isGreaterThan(12);
    }

    @Test
    void aRunThatWasKilledGoesOn() throws IOException {
        Path blobs = cache.root().resolve("models--some-owner--Model-1.0/blobs");
        Files.createDirectories(blobs);
        byte[] shard = files.get("model-00001-of-00002.safetensors");
        Files.write(blobs.resolve(hash("SHA-256", shard) + ".incomplete"), Arrays.copyOf(shard, 123_457));
        HubPull.Result result = pull();
        requireWhole(result);
        assertThat(result.fetched()).isEqualTo(result.bytes() - 123_457 - 2);
    }

    @Test
    void aServerWithoutRangesSendsItAllAgain() throws IOException {
        Path blobs = cache.root().resolve("models--some-owner--Model-1.0/blobs");
        Files.createDirectories(blobs);
        byte[] shard = files.get("model-00001-of-00002.safetensors");
        Files.write(blobs.resolve(hash("SHA-256", shard) + ".incomplete"), new byte[1000]);
        behaviour = (exchange, bytes, time) -> {
            exchange.sendResponseHeaders(200, bytes.length);
            exchange.getResponseBody().write(bytes);
        };
        requireWhole(pull());
    }

    @Test
    void whatIsThereButWrongIsNoticedAndFetchedTheNextTime() throws IOException {
        Path blobs = cache.root().resolve("models--some-owner--Model-1.0/blobs");
        Files.createDirectories(blobs);
        byte[] shard = files.get("model-00001-of-00002.safetensors");
        Files.write(blobs.resolve(hash("SHA-256", shard) + ".incomplete"), new byte[1000]);
        assertThatExceptionOfType(HubException.class)
                .isThrownBy(this::pull)
                .withMessageMatching(".*model-00001-of-00002.*have the hash [0-9a-f]{64}, expected "
                        + hash("SHA-256", shard) + ".*try again");
        requireNothing();
        requireWhole(pull());
    }

    @Test
    void aBusyServerIsAskedAgain() throws IOException {
        behaviour = (exchange, bytes, time) -> {
            if (time < 3) {
                exchange.getResponseHeaders().add("Retry-After", "0");
                exchange.sendResponseHeaders(time == 1 ? 429 : 503, -1);
            } else {
                send(exchange, bytes, time);
            }
        };
        requireWhole(pull());
    }

    @Test
    void aServerThatStaysSilentIsGivenUpAndAskedAgain() throws IOException {
        behaviour = (exchange, bytes, time) -> {
            if (time == 1) {
                exchange.sendResponseHeaders(200, bytes.length);
                exchange.getResponseBody().write(bytes, 0, 5000);
                exchange.getResponseBody().flush();
                try {
                    Thread.sleep(5000);
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
            } else {
                send(exchange, bytes, time);
            }
        };
        requireWhole(pull());
    }

    @Test
    void aServerThatNeverAnswersWellEndsInOneLine() {
        behaviour = (exchange, bytes, time) -> exchange.sendResponseHeaders(500, -1);
        assertThatExceptionOfType(HubException.class)
                .isThrownBy(this::pull)
                .withMessageMatching("some-owner/Model-1.0: 'model-0000.*could not be had in 5 attempts: the server"
                        + " answered 500");
        requireNothing();
        hub.stop(0);
        assertThatExceptionOfType(HubException.class)
                .isThrownBy(this::pull)
                .withMessageContaining("the list of its files could not be had in 5 attempts");
    }

    @ParameterizedTest
    @CsvSource({"-1000, sends more than", "1000, found the range"})
    void sizesThatAreNotTrueAreNoticed(long more, String message) {
        String shard = "model-00002-of-00002.safetensors";
        listedSizes.put(shard, files.get(shard).length + more);
        assertThatExceptionOfType(HubException.class)
                .isThrownBy(this::pull)
                .withMessageContaining(shard)
                .withMessageContaining(message);
        requireNothing();
    }

    @ParameterizedTest
    @ValueSource(longs = {Long.MAX_VALUE / 4, Long.MAX_VALUE})
    void moreThanTheDiskHoldsIsNotBegun(long size) {
        listedSizes.put("model-00001-of-00002.safetensors", size);
        listedSizes.put("model-00002-of-00002.safetensors", size);
        assertThatExceptionOfType(HubException.class)
                .isThrownBy(this::pull)
                .withMessageMatching(".*: \\d+ bytes are still to come and \\d+ are free in .*");
        assertThat(requests).noneMatch(r -> r.startsWith("store:"));
    }

    @Test
    void otherBytesAreNoticed() {
        String shard = "model-00002-of-00002.safetensors";
        listedHashes.put(shard, "ab".repeat(32));
        assertThatExceptionOfType(HubException.class).isThrownBy(this::pull).withMessageContaining("expected abab");
        requireNothing();
    }

    @Test
    void theTokenGoesToTheHubAloneAndIsNeverShown() throws IOException {
        wantedToken = "hf_secret";
        assertThatExceptionOfType(HubException.class)
                .isThrownBy(this::pull)
                .withMessage("some-owner/Model-1.0: no such model, or one that asks for a token: set HF_TOKEN");
        assertThatExceptionOfType(HubException.class)
                .isThrownBy(() -> pull(NAME, Optional.of("hf_wrong")))
                .withMessageContaining("this token is not let in")
                .withMessageNotContaining("hf_wrong");
        requireWhole(pull(NAME, Optional.of("hf_secret")));
        assertThat(storeAuthorizations).isNotEmpty().containsOnly("null");
        assertThat(new HubEndpoint(java.net.URI.create("http://h"), Optional.of("hf_secret")).toString())
                .doesNotContain("hf_secret");
    }

    @Test
    void whatTheHubDoesNotHaveIsSaid() {
        assertThatExceptionOfType(HubException.class)
                .isThrownBy(() -> pull(HubName.of("a/b@v2"), Optional.empty()))
                .withMessageContaining("a/b@v2: no such model, or no revision")
                .withMessageContaining("v2");
        missing = 403;
        assertThatExceptionOfType(HubException.class)
                .isThrownBy(() -> pull(HubName.of("a/b"), Optional.of("t")))
                .withMessageContaining("ask for access");
        files.keySet().removeIf(f -> f.startsWith("model"));
        assertThatExceptionOfType(HubException.class)
                .isThrownBy(this::pull)
                .withMessageContaining("holds neither model.safetensors nor")
                .withMessageContaining("pytorch_model.bin");
    }

    @ParameterizedTest
    @ValueSource(strings = {"../config.json", "/etc/x.json", "a//b.json", "a\\b.json", "C:x.json", "./config.json", ""})
    void namesThatLeaveTheModelAreRefused(String path) {
        files.put(path, new byte[1]);
        assertThatExceptionOfType(HubException.class)
                .isThrownBy(this::pull)
                .withMessageContaining("expected a name within the model");
        requireNothing();
    }

    @Test
    void anIndexThatNamesMissingFilesIsRefused() {
        files.put(
                "model.safetensors.index.json",
                "{\"weight_map\": {\"a\": \"../../x\"}}".getBytes(StandardCharsets.UTF_8));
        assertThatExceptionOfType(HubException.class)
                .isThrownBy(this::pull)
                .withMessageContaining("which it does not hold");
        files.put("model.safetensors.index.json", "[".getBytes(StandardCharsets.UTF_8));
        assertThatExceptionOfType(FormatException.class).isThrownBy(this::pull).withMessageContaining("JSON");
    }

    @Test
    void modelsAreFoundByNameAndByTheirFolder() throws IOException {
        Path snapshot = pull().directory();
        Path repository = snapshot.getParent().getParent();
        assertThat(cache.resolve(Path.of("some-owner/Model-1.0"))).isEqualTo(snapshot);
        assertThat(cache.resolve(Path.of("some-owner/Model-1.0@" + COMMIT))).isEqualTo(snapshot);
        assertThat(cache.resolve(repository)).isEqualTo(snapshot);
        assertThat(cache.resolve(snapshot)).isEqualTo(snapshot);
        assertThat(cache.resolve(folder)).isEqualTo(folder);
        assertThat(cache.resolve(Path.of("no-such-folder"))).isEqualTo(Path.of("no-such-folder"));
        assertThat(HubCache.label(snapshot)).isEqualTo("some-owner/Model-1.0");
        assertThat(HubCache.label(Path.of("x/y"))).isEqualTo("y");
        assertThatExceptionOfType(FormatException.class)
                .isThrownBy(() -> cache.resolve(Path.of("some-owner/other")))
                .withMessageContaining("gosset pull some-owner/other");
        // As after a download of one commit by the Hub's tools.
        Files.delete(repository.resolve("refs/main"));
        assertThat(cache.resolve(repository)).isEqualTo(snapshot);
        assertThatExceptionOfType(FormatException.class)
                .isThrownBy(() -> cache.resolve(Path.of("some-owner/Model-1.0")));
    }

    @Test
    void theEnvironmentSaysWhereAndWho() throws IOException {
        Path home = folder.resolve("home");
        assertThat(HubCache.of(Map.of(), home).root()).isEqualTo(home.resolve(".cache/huggingface/hub"));
        assertThat(HubCache.of(Map.of("XDG_CACHE_HOME", "/x"), home).root()).isEqualTo(Path.of("/x/huggingface/hub"));
        assertThat(HubCache.of(Map.of("HF_HOME", "/h", "XDG_CACHE_HOME", "/x"), home)
                        .root())
                .isEqualTo(Path.of("/h/hub"));
        assertThat(HubCache.of(Map.of("HF_HUB_CACHE", "/c", "HF_HOME", "/h"), home)
                        .root())
                .isEqualTo(Path.of("/c"));
        HubEndpoint plain = HubEndpoint.of(Map.of(), home);
        assertThat(plain.address()).hasToString("https://huggingface.co");
        assertThat(plain.token()).isEmpty();
        Files.createDirectories(home.resolve(".cache/huggingface"));
        Files.writeString(home.resolve(".cache/huggingface/token"), "hf_file\n");
        assertThat(HubEndpoint.of(Map.of(), home).token()).contains("hf_file");
        HubEndpoint said =
                HubEndpoint.of(Map.of("HF_TOKEN", "hf_said", "HF_ENDPOINT", "http://mirror:8080/hub/"), home);
        assertThat(said.token()).contains("hf_said");
        assertThat(said.address()).hasToString("http://mirror:8080/hub");
        for (String bad : List.of("mirror", "ftp://a", "http://", "http://u:p@h", "")) {
            assertThatExceptionOfType(FormatException.class)
                    .isThrownBy(() -> HubEndpoint.of(Map.of("HF_ENDPOINT", bad), home));
        }
        assertThatExceptionOfType(FormatException.class)
                .isThrownBy(() -> HubEndpoint.of(Map.of("HF_TOKEN", "a\nb"), home))
                .withMessageNotContaining("a b");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"a", "a/b/c", "../b", "a/..", "/a/b", "a/b@", "a--b/c", "-a/b", "a/b c", "a/b@../x", "./a", ""})
    void otherTextsAreNoNames(String text) {
        assertThat(HubName.find(text)).isEmpty();
    }
}

package dev.gosset.llm.hub;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gosset.core.memory.CrashSafeFile;
import dev.gosset.core.memory.Quoted;
import dev.gosset.llm.Progress;
import dev.gosset.llm.hub.HubClient.Listing;
import dev.gosset.llm.hub.HubClient.Part;
import dev.gosset.llm.hub.HubClient.RemoteFile;
import dev.gosset.llm.io.JsonFile;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Collectors;

/**
 * Gets a model from the Hub into a cache. What is there already is not fetched again; a file that an earlier run began goes on
 * where it ended. Each file is compared with the hash that the Hub has of it before it gets its name, and the model appears in
 * the cache when all its files have: a run that is killed leaves nothing that looks whole.
 */
public final class HubPull {
    private static final int AT_A_TIME = 4;
    /** Times that a file is asked for without getting a byte. */
    private static final int ATTEMPTS = 5;

    private static final Duration LONGEST_WAIT = Duration.ofMinutes(5);
    private static final long MIB = 1 << 20;
    private static final String SINGLE = "model.safetensors";
    private static final String INDEX = "model.safetensors.index.json";
    private static final String GOSSET = "weights.arrow";

    private final HubName name;
    private final HubCache cache;
    private final HubClient client;
    private final Progress progress;
    /** Wait before the second attempt; twice as long before each further one. */
    private final Duration firstWait;
    /** A connection that sends nothing for so long is given up. */
    private final Duration longestStall;

    private final AtomicLong fetched = new AtomicLong();
    private long bytesDone;
    private long stepsDone;

    private HubPull(
            HubName name,
            HubCache cache,
            HubClient client,
            Progress progress,
            Duration firstWait,
            Duration longestStall) {
        this.name = name;
        this.cache = cache;
        this.client = client;
        this.progress = progress;
        this.firstWait = firstWait;
        this.longestStall = longestStall;
    }

    /**
     * A model in the cache.
     *
     * @param directory its files
     * @param commit the commit of the Hub's repository
     * @param files how many
     * @param bytes of all files
     * @param fetched bytes that came over the network in this run
     */
    public record Result(Path directory, String commit, int files, long bytes, long fetched) {}

    /**
     * @param progress steps are mebibytes
     * @throws HubException where the Hub has no such model, does not give it, or cannot be reached
     */
    public static Result run(HubName name, HubCache cache, HubEndpoint endpoint, Progress progress) {
        return run(name, cache, endpoint, progress, Duration.ofSeconds(1), Duration.ofSeconds(60));
    }

    static Result run(
            HubName name,
            HubCache cache,
            HubEndpoint endpoint,
            Progress progress,
            Duration firstWait,
            Duration longestStall) {
        try (HubClient client = new HubClient(endpoint)) {
            return new HubPull(name, cache, client, progress, firstWait, longestStall).run();
        }
    }

    private Result run() {
        Listing listing = patiently("the list of its files", () -> 0L, () -> client.list(name));
        Map<String, RemoteFile> all = new LinkedHashMap<>();
        listing.files().forEach(f -> all.put(f.path(), f));
        Path repository = cache.repository(name);
        Path blobs = repository.resolve("blobs");
        List<RemoteFile> files = all.values().stream()
                .filter(f -> isDescription(f.path()))
                .collect(Collectors.toCollection(ArrayList::new));
        try {
            Files.createDirectories(blobs);
            RemoteFile index = all.get(INDEX);
            Set<String> weights = new TreeSet<>();
            if (all.containsKey(GOSSET)) {
                weights.add(GOSSET);
            } else if (all.containsKey(SINGLE)) {
                weights.add(SINGLE);
            } else if (index != null) {
                fetchAll(listing.commit(), blobs, List.of(index));
                weights.addAll(shards(blobs.resolve(index.hash())));
                files.add(index);
            } else {
                throw new HubException(name + ": holds neither " + SINGLE + " nor " + INDEX + " nor " + GOSSET
                        + ", of weights it has " + Quoted.of(otherWeights(all.keySet())));
            }
            for (String weight : weights) {
                RemoteFile file = all.get(weight);
                if (file == null) {
                    throw new HubException(
                            name + ": its index names " + Quoted.of(weight) + ", which it does not hold");
                }
                files.add(file);
            }
            fetchAll(listing.commit(), blobs, files);
            Path snapshot = repository.resolve("snapshots").resolve(listing.commit());
            // The configuration is what a directory is known by as a model.
            files.sort(Comparator.comparing(f -> f.path().equals("config.json")));
            for (RemoteFile file : files) {
                link(blobs.resolve(file.hash()), snapshot.resolve(file.path()));
            }
            if (!name.revision().equals(listing.commit())) {
                Path reference = repository.resolve("refs").resolve(name.revision());
                Files.createDirectories(reference.getParent());
                CrashSafeFile.write(reference, listing.commit().getBytes(StandardCharsets.US_ASCII));
            }
            long bytes = files.stream().mapToLong(RemoteFile::size).sum();
            return new Result(snapshot, listing.commit(), files.size(), bytes, fetched.get());
        } catch (IOException e) {
            throw unwritable(e);
        }
    }

    /** Configuration, tokenizer, chat templates, licence: all that is small. */
    private static boolean isDescription(String path) {
        if (path.contains("/")) {
            return path.matches("additional_chat_templates/[^/]+\\.jinja");
        }
        return path.endsWith(".json") && !path.endsWith(".index.json")
                || path.endsWith(".jinja")
                || path.endsWith(".model")
                || path.equals("merges.txt")
                || path.startsWith("LICENSE")
                || path.startsWith("NOTICE");
    }

    private static String otherWeights(Set<String> files) {
        return files.stream()
                .filter(f -> f.matches(".*\\.(bin|gguf|pt|pth|safetensors|msgpack|h5|onnx)"))
                .limit(3)
                .collect(Collectors.joining(", "));
    }

    private Set<String> shards(Path index) {
        JsonNode map = JsonFile.read(index).node().path("weight_map");
        Set<String> shards = new TreeSet<>();
        map.forEach(file -> shards.add(file.asText()));
        if (shards.isEmpty()) {
            throw new HubException(name + ": its " + INDEX + " names no file");
        }
        return shards;
    }

    /** Several files at a time; the first failure ends them all. */
    private void fetchAll(String commit, Path blobs, List<RemoteFile> files) throws IOException {
        // Two names may have the same content.
        Map<String, RemoteFile> missing = new LinkedHashMap<>();
        for (RemoteFile file : files) {
            Path blob = blobs.resolve(file.hash());
            if (!Files.exists(blob) || Files.size(blob) != file.size()) {
                missing.put(file.hash(), file);
            }
        }
        if (missing.isEmpty()) {
            return;
        }
        long bytes = 0;
        for (RemoteFile file : missing.values()) {
            Path begun = incomplete(blobs, file);
            long more = Math.max(0, file.size() - (Files.exists(begun) ? Files.size(begun) : 0));
            // A hub may claim anything.
            bytes = more > Long.MAX_VALUE - bytes ? Long.MAX_VALUE : bytes + more;
        }
        long free = Files.getFileStore(blobs).getUsableSpace();
        if (bytes > free) {
            throw new HubException(
                    name + ": " + bytes + " bytes are still to come and " + free + " are free in " + cache.root());
        }
        bytesDone = 0;
        stepsDone = 0;
        progress.start("pull " + name + " (MiB)", (bytes + MIB - 1) / MIB);
        ScheduledExecutorService clock = Executors.newSingleThreadScheduledExecutor(
                Thread.ofPlatform().daemon().name("gosset-pull-clock").factory());
        ExecutorService executor =
                Executors.newFixedThreadPool(AT_A_TIME, Thread.ofVirtual().factory());
        try {
            List<Future<?>> running = new ArrayList<>();
            for (RemoteFile file : missing.values()) {
                running.add(executor.submit(() -> {
                    fetch(commit, blobs, file, clock);
                    return null;
                }));
            }
            for (Future<?> one : running) {
                one.get();
            }
        } catch (ExecutionException e) {
            switch (e.getCause()) {
                case RuntimeException r -> throw r;
                case IOException io -> throw io;
                default -> throw new IllegalStateException(e.getCause());
            }
        } catch (InterruptedException e) {
            throw interrupted(e);
        } finally {
            // What runs is interrupted and leaves what it has for the next run.
            executor.shutdownNow();
            executor.close();
            clock.shutdownNow();
        }
        progress.end();
    }

    private static Path incomplete(Path blobs, RemoteFile file) {
        return blobs.resolve(file.hash() + ".incomplete");
    }

    private void fetch(String commit, Path blobs, RemoteFile file, ScheduledExecutorService clock) throws IOException {
        Path begun = incomplete(blobs, file);
        try (FileChannel out =
                FileChannel.open(begun, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            // Another process may be at it, which ends with the file in place.
            if (out.tryLock() == null) {
                note("waiting for another process that pulls " + Quoted.of(file.path()) + " of " + name);
                out.lock();
            }
            Path blob = blobs.resolve(file.hash());
            if (Files.exists(blob) && Files.size(blob) == file.size()) {
                Files.deleteIfExists(begun);
                return;
            }
            if (out.size() > file.size()) {
                out.truncate(0);
            }
            MessageDigest digest = digest(file);
            readInto(digest, out);
            patiently(Quoted.of(file.path()), out::position, () -> {
                while (out.position() < file.size()) {
                    receive(commit, file, out, digest, clock);
                }
                return null;
            });
            String found = HexFormat.of().formatHex(digest.digest());
            if (!found.equals(file.hash())) {
                Files.delete(begun);
                throw new HubException(name + ": the bytes of " + Quoted.of(file.path()) + " have the hash " + found
                        + ", expected " + file.hash() + "; they are deleted, try again");
            }
            out.force(true);
            Files.move(begun, blob, StandardCopyOption.ATOMIC_MOVE);
        }
    }

    private static MessageDigest digest(RemoteFile file) {
        try {
            MessageDigest digest = MessageDigest.getInstance(file.isGitBlob() ? "SHA-1" : "SHA-256");
            begin(digest, file);
            return digest;
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has it", e);
        }
    }

    /** Before the first byte: the head of Git's blob says its length. */
    private static void begin(MessageDigest digest, RemoteFile file) {
        digest.reset();
        if (file.isGitBlob()) {
            digest.update(("blob " + file.size() + "\0").getBytes(StandardCharsets.US_ASCII));
        }
    }

    /** What an earlier run has left; the channel's position is then at its end. */
    private static void readInto(MessageDigest digest, FileChannel in) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate(1 << 16);
        in.position(0);
        while (in.read(buffer) >= 0) {
            digest.update(buffer.flip());
            buffer.clear();
        }
    }

    /** One connection: as much as it gives. */
    private void receive(
            String commit, RemoteFile file, FileChannel out, MessageDigest digest, ScheduledExecutorService clock)
            throws IOException, InterruptedException {
        Part part = client.open(name, commit, file, out.position());
        AtomicLong lastByte = new AtomicLong(System.nanoTime());
        try (InputStream body = part.body()) {
            if (part.offset() != out.position()) {
                count(-out.position());
                out.truncate(0);
                begin(digest, file);
            }
            long stall = longestStall.toNanos();
            Future<?> watch = clock.scheduleAtFixedRate(
                    () -> {
                        if (System.nanoTime() - lastByte.get() > stall) {
                            closeQuietly(body);
                        }
                    },
                    stall / 4,
                    stall / 4,
                    TimeUnit.NANOSECONDS);
            try {
                byte[] buffer = new byte[1 << 16];
                for (int n; (n = body.read(buffer)) >= 0; ) {
                    if (n > file.size() - out.position()) {
                        throw new HubException(name + ": the server sends more than the " + file.size() + " bytes that "
                                + Quoted.of(file.path()) + " should have");
                    }
                    lastByte.set(System.nanoTime());
                    digest.update(buffer, 0, n);
                    write(out, ByteBuffer.wrap(buffer, 0, n));
                    fetched.addAndGet(n);
                    count(n);
                }
            } finally {
                watch.cancel(false);
            }
        }
        if (out.position() < file.size()) {
            throw new IOException("the connection ended after " + out.position() + " of " + file.size() + " bytes");
        }
    }

    /** A disk that is full is nothing to try again. */
    private void write(FileChannel out, ByteBuffer bytes) {
        try {
            while (bytes.hasRemaining()) {
                out.write(bytes);
            }
        } catch (IOException e) {
            throw unwritable(e);
        }
    }

    private HubException unwritable(IOException e) {
        return new HubException(cache.repository(name) + ": cannot be written: " + CrashSafeFile.reason(e), e);
    }

    private static void closeQuietly(InputStream body) {
        try {
            body.close();
        } catch (IOException e) {
            // It is given up either way.
        }
    }

    private synchronized void note(String text) {
        progress.note(text);
    }

    private synchronized void count(long bytes) {
        bytesDone += bytes;
        for (; stepsDone < bytesDone / MIB; stepsDone++) {
            progress.step("");
        }
    }

    /** Tries again where that may help: as long as {@code bytes} grow, and {@link #ATTEMPTS} times without. */
    private <T> T patiently(String what, Callable<Long> bytes, Callable<T> request) {
        Duration wait = firstWait;
        long before = 0;
        for (int attempt = 1; ; attempt++) {
            try {
                return request.call();
            } catch (HubException e) {
                throw e;
            } catch (InterruptedException e) {
                throw interrupted(e);
            } catch (IOException e) {
                long now = position(bytes);
                if (now > before) {
                    attempt = 1;
                    wait = firstWait;
                }
                before = now;
                if (attempt == ATTEMPTS) {
                    throw new HubException(
                            name + ": " + what + " could not be had in " + ATTEMPTS + " attempts: " + reason(e), e);
                }
                pause(
                        e instanceof HubClient.Busy busy && busy.wait.isPresent()
                                ? Duration.ofSeconds(busy.wait.getAsLong())
                                : wait);
                wait = wait.multipliedBy(2);
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        }
    }

    private static long position(Callable<Long> bytes) {
        try {
            return bytes.call();
        } catch (Exception closed) {
            // By the interrupt that ends this download.
            return 0;
        }
    }

    private static String reason(IOException e) {
        return Optional.ofNullable(e.getMessage())
                .or(() -> Optional.ofNullable(e.getCause()).map(Throwable::getMessage))
                .orElse("no connection");
    }

    private static void pause(Duration wait) {
        try {
            Thread.sleep(wait.compareTo(LONGEST_WAIT) > 0 ? LONGEST_WAIT : wait);
        } catch (InterruptedException e) {
            throw interrupted(e);
        }
    }

    private static HubException interrupted(InterruptedException e) {
        Thread.currentThread().interrupt();
        return new HubException("the download was interrupted", e);
    }

    /** The Hub's tools link relatively, so that a cache can be moved; a file system without links gets the file itself. */
    private static void link(Path blob, Path file) throws IOException {
        Files.createDirectories(file.getParent());
        try {
            Files.createSymbolicLink(file, file.getParent().relativize(blob));
        } catch (FileAlreadyExistsException e) {
            // From an earlier run, or from the Hub's own tools.
        } catch (UnsupportedOperationException | IOException e) {
            Files.copy(blob, file, StandardCopyOption.REPLACE_EXISTING);
        }
    }
}

package dev.gosset.llm.hub;

import dev.gosset.core.FormatException;
import dev.gosset.core.memory.Quoted;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * The cache of models that the Hub's tools share: {@code models--OWNER--NAME} with {@code blobs/} (each content once, by its
 * hash), {@code snapshots/COMMIT/} (the files' names as links to blobs) and {@code refs/REVISION} (a commit's hash).
 *
 * @param root the folder of all models; need not exist
 */
public record HubCache(Path root) {
    private static final Pattern COMMIT = Pattern.compile("[0-9a-f]{40}");
    private static final Pattern FOLDER = Pattern.compile("models--(.+?)--(.+)");

    /** The cache that the environment names, as the Hub's tools look for it. */
    public static HubCache ofEnvironment() {
        return of(System.getenv(), Path.of(System.getProperty("user.home", "")));
    }

    static HubCache of(Map<String, String> environment, Path home) {
        String hub = environment.getOrDefault("HF_HUB_CACHE", environment.getOrDefault("HUGGINGFACE_HUB_CACHE", ""));
        return new HubCache(hub.isEmpty() ? home(environment, home).resolve("hub") : Path.of(hub));
    }

    /** What the Hub's tools keep for a user. */
    static Path home(Map<String, String> environment, Path home) {
        String own = environment.getOrDefault("HF_HOME", "");
        if (!own.isEmpty()) {
            return Path.of(own);
        }
        String caches = environment.getOrDefault("XDG_CACHE_HOME", "");
        return (caches.isEmpty() ? home.resolve(".cache") : Path.of(caches)).resolve("huggingface");
    }

    /** Where everything of a model lies, or would. */
    Path repository(HubName name) {
        return root.resolve("models--" + name.owner() + "--" + name.name());
    }

    /** The directory of a model's files, where the cache has them. */
    public Optional<Path> find(HubName name) {
        return snapshot(repository(name), name.revision());
    }

    /**
     * The directory that a user means by a model: a directory as it is; a model's folder of a cache ({@code
     * models--OWNER--NAME}) as what its {@code main}, or its one snapshot, holds; a name as what the cache holds for it. What is
     * none of these stays as it is, for those to refuse who open it.
     *
     * @throws FormatException where the path is a name that the cache does not know
     */
    public Path resolve(Path model) {
        if (Files.exists(model)) {
            boolean ofCache =
                    Files.isDirectory(model.resolve("snapshots")) && !Files.exists(model.resolve("config.json"));
            return ofCache ? snapshot(model, "main").or(() -> only(model)).orElse(model) : model;
        }
        Optional<HubName> name = HubName.find(model.toString());
        if (name.isEmpty()) {
            return model;
        }
        return find(name.get())
                .orElseThrow(
                        () -> new FormatException(Quoted.of(model.toString()) + ": neither a directory nor a model in "
                                + root + "; if it is one of the Hub's, get it with: gosset pull " + name.get()));
    }

    /** What a user calls the model of a directory: OWNER/NAME where it lies in such a cache, else the directory's name. */
    public static String label(Path directory) {
        Path path = directory.toAbsolutePath().normalize();
        Path snapshots = path.getParent();
        if (snapshots != null && snapshots.endsWith("snapshots") && snapshots.getParent() != null) {
            Matcher folder = FOLDER.matcher(String.valueOf(snapshots.getParent().getFileName()));
            if (folder.matches()) {
                return folder.group(1) + "/" + folder.group(2);
            }
        }
        return String.valueOf(path.getFileName());
    }

    private static Optional<Path> snapshot(Path repository, String revision) {
        String commit = revision;
        try {
            Path reference = repository.resolve("refs").resolve(revision);
            if (Files.isRegularFile(reference) && Files.size(reference) <= 64) {
                commit = Files.readString(reference, StandardCharsets.US_ASCII).strip();
            }
        } catch (IOException unreadable) {
            return Optional.empty();
        }
        return Optional.of(commit)
                .filter(c -> COMMIT.matcher(c).matches())
                .map(c -> repository.resolve("snapshots").resolve(c))
                .filter(s -> Files.exists(s.resolve("config.json")));
    }

    private static Optional<Path> only(Path repository) {
        try (Stream<Path> snapshots = Files.list(repository.resolve("snapshots"))) {
            List<Path> all = snapshots
                    .filter(s -> Files.exists(s.resolve("config.json")))
                    .toList();
            return all.size() == 1 ? Optional.of(all.getFirst()) : Optional.empty();
        } catch (IOException unreadable) {
            return Optional.empty();
        }
    }
}

package dev.gosset.llm.quantize;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import dev.gosset.core.FormatException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.LinkedHashSet;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/**
 * Where a model is quantized before it appears under its own name: the directory {@code OUT.partial} beside {@code OUT}.
 *
 * <p>It holds the settings of the run, one finished file for every quantized block, and at the end the whole model in a
 * folder of its own; the last step renames that to {@code OUT}. So {@code OUT} is either absent or whole, and a run killed at any moment goes on
 * from its finished blocks. A lock keeps two runs apart. Not thread-safe.
 */
final class WorkDirectory implements AutoCloseable {
    private static final String SETTINGS = "settings.json";
    private static final String LOCK = "lock";
    private static final ObjectMapper JSON = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

    private final Path out;
    private final Path path;
    private final FileChannel lockFile;

    private WorkDirectory(Path out, Path path, FileChannel lockFile) {
        this.out = out;
        this.path = path;
        this.lockFile = lockFile;
    }

    /** Fails where {@code out} exists and is anything but an empty directory. */
    static void requireFree(Path out) {
        if (!Files.exists(out)) {
            return;
        }
        if (!Files.isDirectory(out)) {
            throw new FormatException(out + ": the output exists and is not a directory");
        }
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(out)) {
            if (entries.iterator().hasNext()) {
                throw new FormatException(
                        out + ": the output directory is not empty; name another one or empty it first");
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * Makes the work directory of {@code out}, or takes up the one that an unfinished run left.
     *
     * @param settings what decides the result; an unfinished run goes on only with equal settings
     * @param resume whether to take up an unfinished run; without it one is an error
     */
    static WorkDirectory open(Path out, Map<String, ?> settings, boolean resume) {
        requireFree(out);
        Path absolute = out.toAbsolutePath().normalize();
        Path path = absolute.resolveSibling(absolute.getFileName() + ".partial");
        JsonNode wanted = JSON.valueToTree(settings);
        boolean unfinished = Files.exists(path.resolve(SETTINGS));
        try {
            if (unfinished && !resume) {
                throw new FormatException(
                        path + ": an unfinished run lies here; resume it, or delete the directory to start anew");
            }
            if (!unfinished && Files.exists(path) && !onlyLock(path)) {
                throw new FormatException(path + ": exists and is not the work directory of an unfinished run;"
                        + " move it away or choose another output");
            }
            Files.createDirectories(path);
            FileChannel lockFile = lock(path);
            try {
                if (unfinished) {
                    requireSame(path, wanted);
                } else {
                    Path temporary = path.resolve(SETTINGS + ".tmp");
                    JSON.writeValue(temporary.toFile(), wanted);
                    Files.move(temporary, path.resolve(SETTINGS), StandardCopyOption.ATOMIC_MOVE);
                }
                removeTemporaries(path);
                return new WorkDirectory(absolute, path, lockFile);
            } catch (IOException | RuntimeException | Error e) {
                lockFile.close();
                if (!unfinished) {
                    delete(path);
                }
                throw e;
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static boolean onlyLock(Path path) throws IOException {
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(path)) {
            for (Path entry : entries) {
                String name = entry.getFileName().toString();
                if (!name.equals(LOCK) && !name.endsWith(".tmp")) {
                    return false;
                }
            }
        }
        return true;
    }

    private static FileChannel lock(Path path) throws IOException {
        FileChannel channel = FileChannel.open(path.resolve(LOCK), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        try {
            FileLock lock = channel.tryLock();
            if (lock != null) {
                return channel;
            }
        } catch (OverlappingFileLockException e) {
            // The same JVM holds it: the message below says so.
        }
        channel.close();
        throw new FormatException(path + ": another run is at work here");
    }

    private static void requireSame(Path path, JsonNode wanted) {
        JsonNode found;
        try {
            found = JSON.readTree(path.resolve(SETTINGS).toFile());
        } catch (IOException e) {
            throw new FormatException(
                    path.resolve(SETTINGS) + ": not readable as JSON; delete the directory to start anew", e);
        }
        String difference = difference(found, wanted);
        if (difference != null) {
            throw new FormatException(path + ": the unfinished run was started with " + difference
                    + "; resume with the same settings, or delete the directory");
        }
    }

    /** What differs first between two sets of settings, or null. */
    static String difference(JsonNode found, JsonNode wanted) {
        Set<String> keys = new LinkedHashSet<>();
        wanted.fieldNames().forEachRemaining(keys::add);
        found.fieldNames().forEachRemaining(keys::add);
        for (String key : keys) {
            // Through text, so that 1 and 1L are the same number.
            String was = String.valueOf(found.get(key));
            String is = String.valueOf(wanted.get(key));
            if (!was.equals(is)) {
                return key + " = " + was + ", this one has " + is;
            }
        }
        return null;
    }

    private static void removeTemporaries(Path path) throws IOException {
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(path, "*.tmp")) {
            for (Path entry : entries) {
                Files.delete(entry);
            }
        }
    }

    Path path() {
        return path;
    }

    /** The file of one finished block. */
    Path blockFile(int block) {
        return path.resolve(String.format(Locale.ROOT, "block-%05d.arrow", block));
    }

    /** The errors of one finished block, written before {@link #blockFile}. */
    Path blockReport(int block) {
        return path.resolve(String.format(Locale.ROOT, "block-%05d.json", block));
    }

    boolean blockDone(int block) {
        return Files.exists(blockFile(block)) && Files.exists(blockReport(block));
    }

    int blocksDone(int blocks) {
        int done = 0;
        for (int b = 0; b < blocks; b++) {
            done += blockDone(b) ? 1 : 0;
        }
        return done;
    }

    /** Where the finished model is put together; {@link #finish} gives it its own name. */
    Path model() {
        try {
            return Files.createDirectories(path.resolve("model"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Gives the finished model its own name, in one step, then removes the rest. */
    void finish() {
        try {
            Files.move(path.resolve("model"), out, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        delete(path);
    }

    /** Removes everything, finished blocks too. */
    void discard() {
        delete(path);
    }

    static void delete(Path root) {
        try {
            Files.walkFileTree(root, new SimpleFileVisitor<>() {
                @Override
                public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                    Files.delete(file);
                    return FileVisitResult.CONTINUE;
                }

                @Override
                public FileVisitResult postVisitDirectory(Path dir, IOException e) throws IOException {
                    Files.delete(dir);
                    return FileVisitResult.CONTINUE;
                }
            });
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Lets go of the lock; the directory stays unless {@link #finish} or {@link #discard} was called. */
    @Override
    public void close() {
        try {
            lockFile.close();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}

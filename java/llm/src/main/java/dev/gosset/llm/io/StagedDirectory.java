package dev.gosset.llm.io;

import dev.gosset.core.FormatException;
import dev.gosset.core.GossetException;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ThreadLocalRandom;

/**
 * A directory that appears whole or not at all: files are written to a hidden directory beside it, which {@link #commit}
 * renames in one atomic step. {@link #close} without a commit and an orderly end of the JVM (Ctrl-C) delete it; after a hard
 * kill one named {@code .NAME.<random>.tmp} may remain, which nothing reads. Not thread-safe.
 */
public final class StagedDirectory implements AutoCloseable {
    private static final Set<Path> UNFINISHED = ConcurrentHashMap.newKeySet();

    static {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> UNFINISHED.forEach(StagedDirectory::deleteQuietly)));
    }

    private final Path target;
    private final Path path;
    private final List<Path> parents;
    private boolean finished;

    private StagedDirectory(Path target, Path path, List<Path> parents) {
        this.target = target;
        this.path = path;
        this.parents = parents;
    }

    /**
     * Begins a directory; its parents are made where they are missing.
     *
     * @param target absent or an empty directory
     * @throws FormatException where it is anything else
     * @throws GossetException where nothing can be written there
     */
    public static StagedDirectory create(Path target) {
        Path absolute = target.toAbsolutePath().normalize();
        requireFree(target, absolute);
        List<Path> parents = new ArrayList<>();
        for (Path p = absolute.getParent(); p != null && !Files.exists(p); p = p.getParent()) {
            parents.add(p);
        }
        String random = HexFormat.of().toHexDigits(ThreadLocalRandom.current().nextLong());
        Path path = absolute.resolveSibling("." + absolute.getFileName() + "." + random + ".tmp");
        UNFINISHED.add(path);
        StagedDirectory staged = new StagedDirectory(absolute, path, parents);
        try {
            Files.createDirectories(path);
            return staged;
        } catch (IOException e) {
            staged.close();
            throw new GossetException(target + ": cannot be written: " + e, e);
        }
    }

    private static void requireFree(Path target, Path absolute) {
        if (absolute.getFileName() == null) {
            throw new FormatException(target + ": expected the name of a directory to write");
        }
        if (!Files.exists(absolute)) {
            return;
        }
        if (!Files.isDirectory(absolute)) {
            throw new FormatException(target + ": the output exists and is not a directory");
        }
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(absolute)) {
            if (entries.iterator().hasNext()) {
                throw new FormatException(
                        target + ": the output directory is not empty; name another one or empty it first");
            }
        } catch (IOException e) {
            throw new GossetException(target + ": cannot be read: " + e, e);
        }
    }

    /** Where the files are written. */
    public Path path() {
        return path;
    }

    /** Gives the directory its name. */
    public void commit() {
        try {
            Files.move(path, target, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            throw new GossetException(target + ": cannot be written: " + e, e);
        }
        finished = true;
        UNFINISHED.remove(path);
    }

    /** Deletes everything unless the directory was committed. */
    @Override
    public void close() {
        if (finished) {
            return;
        }
        finished = true;
        deleteQuietly(path);
        UNFINISHED.remove(path);
        for (Path parent : parents) {
            // Only if it is empty, as the ones that were made for this directory are.
            boolean ignored = parent.toFile().delete();
        }
    }

    private static void deleteQuietly(Path root) {
        if (!Files.exists(root)) {
            return;
        }
        try {
            Files.walkFileTree(root, new SimpleFileVisitor<>() {
                @Override
                public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                    Files.deleteIfExists(file);
                    return FileVisitResult.CONTINUE;
                }

                @Override
                public FileVisitResult postVisitDirectory(Path dir, IOException e) throws IOException {
                    Files.deleteIfExists(dir);
                    return FileVisitResult.CONTINUE;
                }
            });
        } catch (IOException e) {
            // Nothing reads what remains; the failure that led here is the one to report.
            boolean ignored = root.toFile().delete();
        }
    }
}

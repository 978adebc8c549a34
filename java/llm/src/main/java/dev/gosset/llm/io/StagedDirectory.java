package dev.gosset.llm.io;

import dev.gosset.core.FormatException;
import dev.gosset.core.GossetException;
import dev.gosset.core.memory.CrashSafeFile;
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
 * kill one named {@code .NAME.<random>.tmp} may remain, which nothing reads. Its steps can be called by themselves where
 * the directory has to outlive a failure. Every failure is a {@link GossetException} of one line. Not thread-safe.
 */
public final class StagedDirectory implements AutoCloseable {
    private static final Set<Path> UNFINISHED = ConcurrentHashMap.newKeySet();

    static {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> UNFINISHED.forEach(StagedDirectory::deleteAtTheEnd)));
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
        requireFree(target);
        Path absolute = target.toAbsolutePath().normalize();
        String random = HexFormat.of().toHexDigits(ThreadLocalRandom.current().nextLong());
        Path path = absolute.resolveSibling("." + absolute.getFileName() + "." + random + ".tmp");
        UNFINISHED.add(path);
        StagedDirectory staged = new StagedDirectory(absolute, path, missingParents(absolute));
        try {
            Files.createDirectories(path);
            return staged;
        } catch (IOException e) {
            try (staged) {
                throw new GossetException(target + ": cannot be written: " + CrashSafeFile.reason(e), e);
            }
        } catch (Throwable e) {
            try (staged) {
                throw e;
            }
        }
    }

    /**
     * Fails where a directory cannot appear under a name.
     *
     * @throws FormatException where it is anything but absent or an empty directory
     */
    public static void requireFree(Path target) {
        if (target.toAbsolutePath().normalize().getFileName() == null) {
            throw new FormatException(target + ": expected the name of a directory to write");
        }
        if (!Files.exists(target)) {
            return;
        }
        if (!Files.isDirectory(target)) {
            throw new FormatException(target + ": the output exists and is not a directory");
        }
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(target)) {
            if (entries.iterator().hasNext()) {
                throw new FormatException(
                        target + ": the output directory is not empty; name another one or empty it first");
            }
        } catch (IOException e) {
            throw new GossetException(target + ": cannot be read: " + CrashSafeFile.reason(e), e);
        }
    }

    /** The directories above a path that do not exist, the innermost first. */
    public static List<Path> missingParents(Path absolute) {
        List<Path> missing = new ArrayList<>();
        for (Path p = absolute.getParent(); p != null && !Files.exists(p); p = p.getParent()) {
            missing.add(p);
        }
        return missing;
    }

    /** Gives a whole directory its name, in one atomic step, and forces that to disk. */
    public static void rename(Path from, Path target) {
        try {
            Files.move(from, target, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            throw new GossetException(target + ": cannot be written: " + CrashSafeFile.reason(e), e);
        }
        CrashSafeFile.forceDirectory(target);
    }

    /** Deletes a file, or a directory with all that is in it, and then what is empty of {@code parents}. */
    public static void delete(Path root, List<Path> parents) {
        try {
            if (Files.exists(root)) {
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
            }
            for (Path parent : parents) {
                if (Files.exists(parent) && isEmpty(parent)) {
                    Files.delete(parent);
                }
            }
        } catch (IOException e) {
            throw new GossetException(root + ": cannot be deleted: " + CrashSafeFile.reason(e), e);
        }
    }

    /** {@link #delete} while a failure is on its way, which gets what goes wrong here too. */
    public static void deleteAfter(Throwable failure, Path root, List<Path> parents) {
        try {
            delete(root, parents);
        } catch (GossetException e) {
            failure.addSuppressed(e);
        }
    }

    private static boolean isEmpty(Path directory) throws IOException {
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(directory)) {
            return !entries.iterator().hasNext();
        }
    }

    /** Where the files are written. */
    public Path path() {
        return path;
    }

    /** Gives the directory its name. */
    public void commit() {
        rename(path, target);
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
        try {
            delete(path, parents);
        } finally {
            UNFINISHED.remove(path);
        }
    }

    private static void deleteAtTheEnd(Path root) {
        try {
            delete(root, List.of());
        } catch (GossetException e) {
            // Nobody is there to hear of it, and nothing reads what remains.
            System.getLogger(StagedDirectory.class.getName()).log(System.Logger.Level.DEBUG, e.getMessage());
        }
    }
}

package dev.gosset.llm.quantize;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gosset.core.FormatException;
import dev.gosset.core.GossetException;
import dev.gosset.core.memory.CrashSafeFile;
import dev.gosset.llm.io.Json;
import dev.gosset.llm.io.StagedDirectory;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * Where a model is quantized before it appears under its own name: the directory {@code OUT.partial} beside {@code OUT}.
 *
 * <p>It holds the record of the run, one finished file for every quantized block, and at the end the whole model in a folder
 * of its own, which is renamed to {@code OUT}. So {@code OUT} is either absent or whole, and a run killed at any moment goes
 * on from its finished blocks. A lock keeps two runs apart. Not thread-safe.
 */
final class WorkDirectory implements AutoCloseable {
    private static final String SETTINGS = "settings.json";
    private static final String LOCK = "lock";

    private final Path out;
    private final Path path;
    private final List<Path> parents;
    private final FileChannel lockFile;

    private WorkDirectory(Path out, Path path, List<Path> parents, FileChannel lockFile) {
        this.out = out;
        this.path = path;
        this.parents = parents;
        this.lockFile = lockFile;
    }

    /**
     * Makes the work directory of {@code out}, or takes up the one that an unfinished run left.
     *
     * @param record what decides the result; an unfinished run goes on only with an equal one
     * @param resume whether to take up an unfinished run; without it one is an error
     */
    static WorkDirectory open(Path out, RunRecord record, boolean resume) {
        StagedDirectory.requireFree(out);
        Path absolute = out.toAbsolutePath().normalize();
        Path path = path(absolute);
        boolean unfinished = Files.exists(path.resolve(SETTINGS));
        if (unfinished && !resume) {
            throw new FormatException(
                    path + ": an unfinished run lies here; resume it, or delete the directory to start anew");
        }
        if (!unfinished && Files.exists(path) && !isOurs(path)) {
            throw new FormatException(path + ": exists and is not the work directory of an unfinished run;"
                    + " move it away or choose another output");
        }
        List<Path> parents = StagedDirectory.missingParents(path);
        WorkDirectory work = new WorkDirectory(absolute, path, parents, makeAndLock(path, parents));
        try {
            if (unfinished) {
                work.requireSame(record);
            } else {
                CrashSafeFile.write(path.resolve(SETTINGS), record.toJson());
            }
            work.removeTemporaries();
            return work;
        } catch (Throwable e) {
            try (work) {
                if (!unfinished) {
                    StagedDirectory.deleteAfter(e, path, parents);
                }
                throw e;
            }
        }
    }

    /** Removes what a run left that was ended after {@code out} had its name. */
    static void removeLeftOver(Path out) {
        Path path = path(out.toAbsolutePath().normalize());
        if (Files.exists(path) && isOurs(path)) {
            try (WorkDirectory work = new WorkDirectory(out, path, List.of(), makeAndLock(path, List.of()))) {
                work.discard();
            }
        }
    }

    private static Path path(Path out) {
        return out.resolveSibling(out.getFileName() + ".partial");
    }

    /** Whether a directory is the work directory of an unfinished run, or of one that was ended while it made or removed it. */
    private static boolean isOurs(Path path) {
        return Files.exists(path.resolve(SETTINGS))
                || entries(path).stream()
                        .map(e -> e.getFileName().toString())
                        .allMatch(n -> n.equals(LOCK) || n.endsWith(".tmp"));
    }

    private static List<Path> entries(Path path) {
        List<Path> all = new ArrayList<>();
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(path)) {
            entries.forEach(all::add);
            return all;
        } catch (IOException e) {
            throw new GossetException(path + ": cannot be read: " + CrashSafeFile.reason(e), e);
        }
    }

    private static FileChannel makeAndLock(Path path, List<Path> parents) {
        boolean isNew = !Files.exists(path);
        try {
            Files.createDirectories(path);
            FileChannel channel =
                    FileChannel.open(path.resolve(LOCK), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
            try {
                FileLock lock = channel.tryLock();
                if (lock != null) {
                    return channel;
                }
            } catch (OverlappingFileLockException e) {
                // The same JVM holds it: the message below says so.
            } catch (Throwable e) {
                try (channel) {
                    throw e;
                }
            }
            channel.close();
        } catch (IOException e) {
            GossetException failure = new GossetException(path + ": cannot be written: " + CrashSafeFile.reason(e), e);
            if (isNew) {
                StagedDirectory.deleteAfter(failure, path, parents);
            }
            throw failure;
        } catch (Throwable e) {
            if (isNew) {
                StagedDirectory.deleteAfter(e, path, parents);
            }
            throw e;
        }
        throw new FormatException(path + ": another run is at work here");
    }

    private void requireSame(RunRecord record) {
        JsonNode found;
        try {
            found = Json.readObject(path.resolve(SETTINGS));
        } catch (FormatException e) {
            throw new FormatException(e.getMessage() + "; delete the directory to start anew", e);
        }
        record.differenceTo(found).ifPresent(difference -> {
            throw new FormatException(path + ": the unfinished run was started with " + difference
                    + "; resume with the same, or delete the directory to start anew");
        });
    }

    private void removeTemporaries() {
        for (Path entry : entries(path)) {
            if (entry.getFileName().toString().endsWith(".tmp")) {
                StagedDirectory.delete(entry, List.of());
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

    /** What the loss says about one block. */
    Path lossFile(int block) {
        return path.resolve(String.format(Locale.ROOT, "block-%05d.loss.arrow", block));
    }

    /** What is set aside of a block while it is tuned between the roundings of its linears. */
    Path partFile(int block) {
        return path.resolve(String.format(Locale.ROOT, "block-%05d.part.arrow", block));
    }

    /** The state of tuning in a block after the rounding of its first {@code rounded} groups. */
    Path tuningState(int block, int rounded) {
        return path.resolve(String.format(Locale.ROOT, "block-%05d.tuning-%d.arrow", block, rounded));
    }

    /** The state of tuning the whole model. */
    Path tuningState() {
        return path.resolve("tuning.arrow");
    }

    /** Removes what only an unfinished block needs. */
    void removeParts(int block) {
        String tuning = String.format(Locale.ROOT, "block-%05d.tuning-", block);
        for (Path entry : entries(path)) {
            if (entry.equals(partFile(block))
                    || entry.equals(lossFile(block))
                    || entry.getFileName().toString().startsWith(tuning)) {
                StagedDirectory.delete(entry, List.of());
            }
        }
    }

    /** Whether there is anything that a run could go on from. */
    boolean isBegun() {
        return entries(path).stream().anyMatch(e -> e.getFileName().toString().endsWith(".arrow"));
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

    /** An empty folder, where the finished model is put together; {@link #publish} gives it its own name. */
    Path model() {
        return folder("model");
    }

    /** An empty folder for what the finished model is made from. */
    Path quantized() {
        return folder("quantized");
    }

    private Path folder(String name) {
        Path model = path.resolve(name);
        StagedDirectory.delete(model, List.of());
        try {
            return Files.createDirectory(model);
        } catch (IOException e) {
            throw new GossetException(model + ": cannot be written: " + CrashSafeFile.reason(e), e);
        }
    }

    /** Gives the finished model its own name, in one step; what remains is to {@link #discard} the rest. */
    void publish() {
        StagedDirectory.rename(path.resolve("model"), out);
    }

    /** Removes everything, finished blocks too; the record last, so that the rest is known for what it is until then. */
    void discard() {
        for (Path entry : entries(path)) {
            String name = entry.getFileName().toString();
            if (!name.equals(SETTINGS) && !name.equals(LOCK)) {
                StagedDirectory.delete(entry, List.of());
            }
        }
        StagedDirectory.delete(path.resolve(SETTINGS), List.of());
        StagedDirectory.delete(path, parents);
    }

    /** Lets go of the lock; the directory stays unless {@link #discard} was called. */
    @Override
    public void close() {
        try {
            lockFile.close();
        } catch (IOException e) {
            throw new GossetException(path + ": cannot be closed: " + CrashSafeFile.reason(e), e);
        }
    }
}

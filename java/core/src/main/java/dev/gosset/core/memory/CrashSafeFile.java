package dev.gosset.core.memory;

import dev.gosset.core.GossetException;
import java.io.Closeable;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.HexFormat;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ThreadLocalRandom;

/**
 * A file that appears whole or not at all. Bytes go to a hidden temporary file in the same directory; {@link #commit}
 * forces them to disk, renames the file to its name in one atomic step and forces the directory. {@link #close} without
 * a commit, a failed write and an orderly end of the JVM (Ctrl-C) delete the temporary file; after a hard kill one
 * named {@code .NAME.<random>.tmp} may remain, which nothing reads.
 *
 * <p>Every failure is a {@link GossetException} of one line with the file, the reason, the bytes that were to be written
 * and the bytes free. Not thread-safe.
 */
public final class CrashSafeFile implements AutoCloseable {
    private static final long CHUNK = 1L << 28;
    private static final Set<Path> UNFINISHED = ConcurrentHashMap.newKeySet();

    static {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> UNFINISHED.forEach(CrashSafeFile::deleteAtTheEnd)));
    }

    private final Path target;
    private final Path temporary;
    private final FileChannel channel;
    private long position;
    private boolean finished;

    private CrashSafeFile(Path target) throws IOException {
        this.target = target;
        String random = HexFormat.of().toHexDigits(ThreadLocalRandom.current().nextLong());
        this.temporary = target.resolveSibling("." + target.getFileName() + "." + random + ".tmp");
        this.channel = FileChannel.open(temporary, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
        UNFINISHED.add(temporary);
    }

    /**
     * Begins a file whose directory exists. An existing file of that name stays untouched until {@link #commit}.
     *
     * @throws GossetException if the directory is missing or cannot be written
     */
    public static CrashSafeFile create(Path target) {
        Path absolute = target.toAbsolutePath();
        if (absolute.getFileName() == null || Files.isDirectory(absolute)) {
            throw new GossetException(target + ": is a directory, expected the name of a file to write");
        }
        if (!Files.isDirectory(absolute.getParent())) {
            throw new GossetException(target + ": cannot be written: no directory " + absolute.getParent());
        }
        try {
            return new CrashSafeFile(absolute);
        } catch (IOException e) {
            throw new GossetException(target + ": cannot be written: " + reason(e), e);
        }
    }

    /** Writes a whole file. */
    public static void write(Path target, byte[] bytes) {
        try (CrashSafeFile file = create(target)) {
            file.append(MemorySegment.ofArray(bytes));
            file.commit();
        }
    }

    /** The name that the file gets. */
    public Path target() {
        return target;
    }

    /** Where {@link #append} writes next: the end of the furthest byte written so far. */
    public long position() {
        return position;
    }

    /** Fails now rather than after hours where the disk has fewer than {@code bytes} free. */
    public void requireSpace(long bytes) {
        long free = free();
        if (free >= 0 && free < bytes) {
            close();
            throw new GossetException(target + ": needs " + bytes + " more bytes, the disk has " + free + " free");
        }
    }

    /** Writes all bytes of a segment, native or of a {@code byte[]}, at {@link #position}. */
    public void append(MemorySegment bytes) {
        writeAt(position, bytes);
    }

    /** Writes zeros up to the next multiple of {@code alignment}, a power of two up to 4096. */
    public void align(int alignment) {
        if (Integer.bitCount(alignment) != 1 || alignment < 0 || alignment > 4096) {
            throw new IllegalArgumentException("alignment must be a power of two up to 4096, found " + alignment);
        }
        int pad = (int) (-position & (alignment - 1));
        append(MemorySegment.ofArray(new byte[pad]));
    }

    /** Writes all bytes of a segment at an offset; bytes that are never written read as zero. */
    public void writeAt(long offset, MemorySegment bytes) {
        if (finished) {
            throw new IllegalStateException(target + " is already committed or closed");
        }
        if (offset < 0) {
            throw new IllegalArgumentException("offset " + offset + " is negative");
        }
        long done = 0;
        try {
            while (done < bytes.byteSize()) {
                ByteBuffer chunk = bytes.asSlice(done, Math.min(CHUNK, bytes.byteSize() - done))
                        .asByteBuffer();
                while (chunk.hasRemaining()) {
                    done += channel.write(chunk, offset + done);
                }
            }
        } catch (IOException e) {
            throw failed(bytes.byteSize() - done, e);
        }
        position = Math.max(position, offset + done);
    }

    /**
     * Forces the bytes to disk and gives the file its name, replacing an older file of that name. The file can be
     * written no more.
     */
    public void commit() {
        if (finished) {
            throw new IllegalStateException(target + " is already committed or closed");
        }
        try {
            channel.force(true);
            channel.close();
            Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            throw failed(0, e);
        }
        finished = true;
        UNFINISHED.remove(temporary);
        forceDirectory(target);
    }

    /** Deletes the temporary file unless the file was committed. */
    @Override
    public void close() {
        if (finished) {
            return;
        }
        finished = true;
        try (Closeable last = () -> Files.deleteIfExists(temporary)) {
            channel.close();
        } catch (IOException e) {
            throw new GossetException(temporary + ": cannot be deleted: " + reason(e), e);
        } finally {
            UNFINISHED.remove(temporary);
        }
    }

    private GossetException failed(long needed, IOException e) {
        GossetException failure = new GossetException(
                target + ": cannot be written: " + reason(e) + "; " + position + " bytes were written, at least "
                        + needed + " more are needed, the disk has " + (free() < 0 ? "an unknown number" : free())
                        + " free",
                e);
        try {
            close();
        } catch (GossetException more) {
            failure.addSuppressed(more);
        }
        return failure;
    }

    /** Bytes free on the disk, or -1 where it does not tell. */
    private long free() {
        try {
            return Files.getFileStore(target.getParent()).getUsableSpace();
        } catch (IOException e) {
            return -1;
        }
    }

    /**
     * Forces the directory of a file or directory to disk that has just got its name, so that a loss of power does not take
     * the name away.
     */
    public static void forceDirectory(Path renamed) {
        // Windows cannot open a directory, and needs no force for a rename.
        if (System.getProperty("os.name").startsWith("Windows")) {
            return;
        }
        try (FileChannel directory = FileChannel.open(renamed.toAbsolutePath().getParent(), StandardOpenOption.READ)) {
            directory.force(true);
        } catch (IOException e) {
            throw new GossetException(renamed + ": is written, but its directory cannot be synced: " + reason(e), e);
        }
    }

    /** What went wrong, in a few words without the name of the file. */
    public static String reason(IOException e) {
        return switch (e) {
            case ClosedByInterruptException interrupt -> "the thread was interrupted";
            case AccessDeniedException denied -> "permission denied";
            case NoSuchFileException missing -> "no such file or directory";
            case FileAlreadyExistsException there -> "it exists already";
            case DirectoryNotEmptyException full -> "it is a directory that is not empty";
            case FileSystemException f when f.getReason() != null -> f.getReason();
            case FileSystemException f -> f.getClass().getSimpleName() + " " + f.getMessage();
            default -> e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
        };
    }

    private static void deleteAtTheEnd(Path file) {
        try {
            Files.deleteIfExists(file);
        } catch (IOException e) {
            // Nobody is there to hear of it, and nothing reads what remains.
            System.getLogger(CrashSafeFile.class.getName()).log(System.Logger.Level.DEBUG, e.toString());
        }
    }
}

package dev.gosset.core.library;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.URL;
import java.net.URLConnection;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.nio.file.attribute.UserPrincipal;
import java.util.Map;
import java.util.Set;
import java.util.UUID;

/**
 * Copies native libraries out of jars: into the user's cache directory where that is the user's own alone, else into a fresh
 * directory that goes with the JVM. A library that another user may have put somewhere is never loaded. Thread-safe, also
 * between processes.
 */
public final class LibraryFiles {
    private static final System.Logger LOG = System.getLogger(LibraryFiles.class.getName());
    private static final Set<PosixFilePermission> PRIVATE = PosixFilePermissions.fromString("rwx------");

    private LibraryFiles() {}

    /**
     * The directory that holds the files, after copying those which are not there yet.
     *
     * @param name of the directory; other versions and platforms have others
     * @param files what is copied, by file name
     * @throws IOException where no directory can be used; the message says why for each that was tried
     */
    public static Path extract(String name, Map<String, URL> files) throws IOException {
        long bytes = 0;
        for (URL url : files.values()) {
            bytes += size(url);
        }
        IOException refusal;
        try {
            // The sum of the sizes too: another build never meets the files of this one.
            return copyAll(own(cache().resolve(name + "-" + bytes)), files);
        } catch (IOException e) {
            refusal = e;
        }
        LOG.log(System.Logger.Level.DEBUG, "the cache directory cannot be used, a temporary one is: " + refusal);
        try {
            // A fresh name that only this user can read: a fixed one in a shared place could be another user's trap.
            Path temporary = Files.createTempDirectory("gosset-" + name + "-");
            temporary.toFile().deleteOnExit();
            files.keySet().forEach(file -> temporary.resolve(file).toFile().deleteOnExit());
            return copyAll(temporary, files);
        } catch (IOException e) {
            throw new IOException(
                    "no place for " + name + ": " + reason(refusal) + "; " + reason(e)
                            + "; the variable GOSSET_CACHE names a directory of your own",
                    e);
        }
    }

    private static String reason(IOException e) {
        if (e instanceof FileSystemException f) {
            String reason = f instanceof AccessDeniedException
                    ? "permission denied"
                    : f.getReason() == null ? f.getClass().getSimpleName() : f.getReason();
            return f.getFile() + ": " + reason;
        }
        return String.valueOf(e.getMessage());
    }

    private static Path copyAll(Path directory, Map<String, URL> files) throws IOException {
        for (Map.Entry<String, URL> file : files.entrySet()) {
            copy(file.getValue(), directory.resolve(file.getKey()));
        }
        return directory;
    }

    /** Makes a directory, or refuses one that another user could have a hand in. */
    static Path own(Path directory) throws IOException {
        boolean posix = directory.getFileSystem().supportedFileAttributeViews().contains("posix");
        Files.createDirectories(
                directory,
                posix
                        ? new FileAttribute<?>[] {PosixFilePermissions.asFileAttribute(PRIVATE)}
                        : new FileAttribute<?>[0]);
        if (!posix) {
            return directory;
        }
        // There is no asking who we are; what we create is ours.
        Path probe = Files.createTempFile(directory, "owner", ".tmp");
        try {
            UserPrincipal me = Files.getOwner(probe);
            PosixFileAttributes found =
                    Files.readAttributes(directory, PosixFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
            if (!found.isDirectory() || !found.owner().equals(me)) {
                throw new FileSystemException(
                        directory.toString(),
                        null,
                        "belongs to " + found.owner().getName() + ", not to this user");
            }
            if (!found.permissions().equals(PRIVATE)) {
                Files.setPosixFilePermissions(directory, PRIVATE);
            }
            for (Path above = directory.toRealPath().getParent(); above != null; above = above.getParent()) {
                int mode = (Integer) Files.getAttribute(above, "unix:mode");
                // Whoever may rename in a directory above could put another one here; the sticky bit forbids that.
                if ((mode & 0002) != 0 && (mode & 01000) == 0) {
                    throw new FileSystemException(above.toString(), null, "can be written by every user");
                }
            }
        } finally {
            Files.deleteIfExists(probe);
        }
        return directory;
    }

    private static boolean isThere(Path file, long bytes) throws IOException {
        return Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)
                && Files.size(file) == bytes
                && Files.getOwner(file).equals(Files.getOwner(file.getParent()));
    }

    /** Copies to a name of its own and renames: another process sees the whole file or none. */
    static void copy(URL url, Path target) throws IOException {
        long bytes = size(url);
        if (isThere(target, bytes)) {
            return;
        }
        Path own = target.resolveSibling(target.getFileName() + "." + UUID.randomUUID() + ".tmp");
        try {
            URLConnection connection = url.openConnection();
            connection.setUseCaches(false);
            try (InputStream in = connection.getInputStream();
                    FileChannel channel =
                            FileChannel.open(own, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
                    OutputStream out = Channels.newOutputStream(channel)) {
                in.transferTo(out);
                channel.force(true);
            }
            try {
                Files.move(own, target, StandardCopyOption.ATOMIC_MOVE);
            } catch (AtomicMoveNotSupportedException e) {
                Files.move(own, target, StandardCopyOption.REPLACE_EXISTING);
            }
        } catch (IOException e) {
            // On Windows a file in use cannot be replaced; the process that uses it wrote the same bytes.
            if (!isThere(target, bytes)) {
                throw e;
            }
        } finally {
            Files.deleteIfExists(own);
        }
    }

    /** The cache directory: property {@code gosset.cache}, else variable GOSSET_CACHE, else {@code ~/.cache/gosset}. */
    static Path cache() throws IOException {
        for (String set : new String[] {System.getProperty("gosset.cache"), System.getenv("GOSSET_CACHE")}) {
            if (set != null && !set.isBlank()) {
                return Path.of(set).toAbsolutePath();
            }
        }
        // A user without a home has "?" here: no directory of that name is meant.
        Path home = Path.of(System.getProperty("user.home", ""));
        if (!home.isAbsolute()) {
            throw new IOException("this user has no home directory");
        }
        return home.resolve(".cache").resolve("gosset");
    }

    private static long size(URL url) throws IOException {
        URLConnection connection = url.openConnection();
        connection.setUseCaches(false);
        long bytes = connection.getContentLengthLong();
        // Opening and closing the stream is what releases the jar of an uncached connection.
        connection.getInputStream().close();
        return bytes;
    }
}

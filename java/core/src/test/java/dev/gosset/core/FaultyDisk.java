package dev.gosset.core;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.ReadableByteChannel;
import java.nio.channels.SeekableByteChannel;
import java.nio.channels.WritableByteChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.AccessMode;
import java.nio.file.CopyOption;
import java.nio.file.DirectoryStream;
import java.nio.file.FileStore;
import java.nio.file.FileSystem;
import java.nio.file.FileSystemException;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.PathMatcher;
import java.nio.file.StandardOpenOption;
import java.nio.file.WatchEvent;
import java.nio.file.WatchKey;
import java.nio.file.WatchService;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.FileAttributeView;
import java.nio.file.attribute.UserPrincipalLookupService;
import java.nio.file.spi.FileSystemProvider;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * The default file system behind paths of its own, which counts every change of a file or directory and makes one of them
 * fail. Code under test gets {@link #path} and knows nothing of it. One thread at a time.
 *
 * <p>Memory maps go to the real files: what is written through one cannot fail here.
 */
public final class FaultyDisk extends FileSystemProvider {
    /** What happens at the chosen change. */
    public enum Fault {
        /** It fails, and from then on everything that needs room does. */
        FULL,
        /** It fails; what comes after does not. */
        DENIED,
        /** It and everything after it fails. */
        READ_ONLY,
        /** The thread is interrupted just before. */
        INTERRUPTED,
        /** Of a write half the bytes are taken, which is no failure; other changes are as ever. */
        SHORT,
        /** An OutOfMemoryError; what comes after does not fail. */
        OUT_OF_MEMORY,
        /** The process is no more: half of a write has happened, and nothing can be changed after. */
        KILLED,
        /** The same for the machine: what was not synced is half there, renames that were not synced never were. */
        POWER
    }

    /** Kinds of change. */
    public enum Change {
        CREATE,
        WRITE,
        SYNC,
        RENAME,
        MAKE_DIRECTORY,
        DELETE
    }

    /** The end of a process: nothing catches it. */
    public static final class Killed extends Error {
        private static final long serialVersionUID = 1L;
    }

    private record Rename(Path from, Path to) {}

    private final FileSystemProvider real = FileSystems.getDefault().provider();
    private final Wrapped system = new Wrapped();
    private final List<String> changes = new ArrayList<>();
    private final Set<Path> unsynced = new HashSet<>();
    private final List<Rename> renames = new ArrayList<>();
    private int at = -1;
    private Fault fault;
    private boolean broken;
    private boolean dead;

    /** The same file, seen through this disk. */
    public Path path(Path file) {
        return new Seen(unwrap(file));
    }

    /** From now on the change of this number, counted from 0, has the fault. */
    public void fail(int change, Fault with) {
        changes.clear();
        at = change;
        fault = with;
    }

    /** No faults any more. */
    public void repair() {
        at = -1;
        broken = false;
        dead = false;
    }

    /** Every change that was asked for since {@link #fail}: kind and file name. */
    public List<String> changes() {
        return Collections.unmodifiableList(changes);
    }

    /** What the disk holds after a loss of power now. */
    public void losePower() throws IOException {
        for (Path file : unsynced) {
            if (Files.isRegularFile(file)) {
                try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
                    channel.truncate(channel.size() / 2);
                }
            }
        }
        for (Rename r : renames.reversed()) {
            if (Files.exists(r.to) && !Files.exists(r.from)) {
                Files.move(r.to, r.from);
            }
        }
        unsynced.clear();
        renames.clear();
    }

    /** Counts a change and says whether it is the one that has the fault; throws where it has to fail. */
    private boolean change(Change kind, Path file) throws IOException {
        if (dead) {
            throw new Killed();
        }
        boolean chosen = changes.size() == at;
        changes.add(kind + " " + file.getFileName());
        boolean needsRoom = kind != Change.DELETE && kind != Change.RENAME;
        if (!chosen && !(broken && (needsRoom || fault == Fault.READ_ONLY))) {
            return false;
        }
        switch (fault) {
            case FULL -> {
                broken = true;
                throw failure(kind, file, "No space left on device");
            }
            case READ_ONLY -> {
                broken = true;
                throw failure(kind, file, "Read-only file system");
            }
            case DENIED -> {
                if (kind == Change.WRITE || kind == Change.SYNC) {
                    throw new IOException("Input/output error");
                }
                throw new AccessDeniedException(file.toString());
            }
            case INTERRUPTED -> Thread.currentThread().interrupt();
            case OUT_OF_MEMORY -> throw new OutOfMemoryError("Java heap space");
            case KILLED, POWER -> {
                if (kind != Change.WRITE) {
                    throw die();
                }
            }
            case SHORT -> {}
        }
        return true;
    }

    private static IOException failure(Change kind, Path file, String reason) {
        // As the JDK has it: operations on a channel do not know the file.
        return kind == Change.WRITE || kind == Change.SYNC
                ? new IOException(reason)
                : new FileSystemException(file.toString(), null, reason);
    }

    private Killed die() throws IOException {
        dead = true;
        if (fault == Fault.POWER) {
            losePower();
        }
        return new Killed();
    }

    private static Path unwrap(Path path) {
        return path instanceof Seen s ? s.file : path;
    }

    private static boolean writes(Set<? extends OpenOption> options) {
        return options.contains(StandardOpenOption.WRITE) || options.contains(StandardOpenOption.APPEND);
    }

    @Override
    public FileChannel newFileChannel(Path path, Set<? extends OpenOption> options, FileAttribute<?>... attributes)
            throws IOException {
        Path file = unwrap(path);
        if (writes(options)) {
            change(Change.CREATE, file);
        }
        return new Watched(file, real.newFileChannel(file, options, attributes));
    }

    @Override
    public SeekableByteChannel newByteChannel(
            Path path, Set<? extends OpenOption> options, FileAttribute<?>... attributes) throws IOException {
        return newFileChannel(path, options, attributes);
    }

    @Override
    public void createDirectory(Path dir, FileAttribute<?>... attributes) throws IOException {
        change(Change.MAKE_DIRECTORY, unwrap(dir));
        real.createDirectory(unwrap(dir), attributes);
    }

    @Override
    public void delete(Path path) throws IOException {
        change(Change.DELETE, unwrap(path));
        real.delete(unwrap(path));
    }

    @Override
    public void move(Path source, Path target, CopyOption... options) throws IOException {
        Path from = unwrap(source);
        Path to = unwrap(target);
        change(Change.RENAME, to);
        boolean replaces = Files.exists(to);
        real.move(from, to, options);
        for (Path file : List.copyOf(unsynced)) {
            if (file.startsWith(from) && unsynced.remove(file)) {
                unsynced.add(to.resolve(from.relativize(file).toString()));
            }
        }
        if (!replaces) {
            renames.add(new Rename(from, to));
        }
    }

    @Override
    public void copy(Path source, Path target, CopyOption... options) {
        throw new UnsupportedOperationException();
    }

    @Override
    public DirectoryStream<Path> newDirectoryStream(Path dir, DirectoryStream.Filter<? super Path> filter)
            throws IOException {
        DirectoryStream<Path> entries = real.newDirectoryStream(unwrap(dir), p -> filter.accept(new Seen(p)));
        return new DirectoryStream<>() {
            @Override
            public Iterator<Path> iterator() {
                Iterator<Path> all = entries.iterator();
                return new Iterator<>() {
                    @Override
                    public boolean hasNext() {
                        return all.hasNext();
                    }

                    @Override
                    public Path next() {
                        return new Seen(all.next());
                    }
                };
            }

            @Override
            public void close() throws IOException {
                entries.close();
            }
        };
    }

    @Override
    public String getScheme() {
        return "faulty";
    }

    @Override
    public FileSystem newFileSystem(URI uri, Map<String, ?> env) {
        throw new UnsupportedOperationException();
    }

    @Override
    public FileSystem getFileSystem(URI uri) {
        return system;
    }

    @Override
    public Path getPath(URI uri) {
        throw new UnsupportedOperationException();
    }

    @Override
    public boolean isSameFile(Path a, Path b) throws IOException {
        return real.isSameFile(unwrap(a), unwrap(b));
    }

    @Override
    public boolean isHidden(Path path) throws IOException {
        return real.isHidden(unwrap(path));
    }

    @Override
    public FileStore getFileStore(Path path) throws IOException {
        return real.getFileStore(unwrap(path));
    }

    @Override
    public void checkAccess(Path path, AccessMode... modes) throws IOException {
        real.checkAccess(unwrap(path), modes);
    }

    @Override
    public <V extends FileAttributeView> V getFileAttributeView(Path path, Class<V> type, LinkOption... options) {
        return real.getFileAttributeView(unwrap(path), type, options);
    }

    @Override
    public <A extends BasicFileAttributes> A readAttributes(Path path, Class<A> type, LinkOption... options)
            throws IOException {
        return real.readAttributes(unwrap(path), type, options);
    }

    @Override
    public Map<String, Object> readAttributes(Path path, String attributes, LinkOption... options) throws IOException {
        return real.readAttributes(unwrap(path), attributes, options);
    }

    @Override
    public void setAttribute(Path path, String attribute, Object value, LinkOption... options) throws IOException {
        real.setAttribute(unwrap(path), attribute, value, options);
    }

    /** A channel that asks before each write and sync. */
    private final class Watched extends FileChannel {
        private final Path file;
        private final FileChannel channel;

        Watched(Path file, FileChannel channel) {
            this.file = file;
            this.channel = channel;
        }

        private ByteBuffer taken(ByteBuffer bytes, boolean chosen) {
            boolean half = chosen && (fault == Fault.SHORT || dies());
            unsynced.add(file);
            return half ? bytes.slice(bytes.position(), Math.ceilDiv(bytes.remaining(), 2)) : bytes;
        }

        private boolean dies() {
            return fault == Fault.KILLED || fault == Fault.POWER;
        }

        @SuppressWarnings("ReferenceEquality") // a slice is another buffer, whatever it holds
        private int written(ByteBuffer bytes, ByteBuffer taken, int count, boolean chosen) throws IOException {
            if (taken != bytes) {
                bytes.position(bytes.position() + count);
            }
            if (chosen && dies()) {
                throw die();
            }
            return count;
        }

        @Override
        public int write(ByteBuffer bytes) throws IOException {
            boolean chosen = change(Change.WRITE, file);
            ByteBuffer taken = taken(bytes, chosen);
            return written(bytes, taken, channel.write(taken), chosen);
        }

        @Override
        public int write(ByteBuffer bytes, long position) throws IOException {
            boolean chosen = change(Change.WRITE, file);
            ByteBuffer taken = taken(bytes, chosen);
            return written(bytes, taken, channel.write(taken, position), chosen);
        }

        @Override
        public long write(ByteBuffer[] bytes, int offset, int length) {
            throw new UnsupportedOperationException();
        }

        @Override
        public void force(boolean metadata) throws IOException {
            change(Change.SYNC, file);
            channel.force(metadata);
            unsynced.remove(file);
            renames.removeIf(r -> Objects.equals(r.to.getParent(), file));
        }

        @Override
        public FileChannel truncate(long size) throws IOException {
            change(Change.WRITE, file);
            channel.truncate(size);
            return this;
        }

        @Override
        public int read(ByteBuffer bytes) throws IOException {
            return channel.read(bytes);
        }

        @Override
        public long read(ByteBuffer[] bytes, int offset, int length) throws IOException {
            return channel.read(bytes, offset, length);
        }

        @Override
        public int read(ByteBuffer bytes, long position) throws IOException {
            return channel.read(bytes, position);
        }

        @Override
        public long position() throws IOException {
            return channel.position();
        }

        @Override
        public FileChannel position(long position) throws IOException {
            channel.position(position);
            return this;
        }

        @Override
        public long size() throws IOException {
            return channel.size();
        }

        @Override
        public long transferTo(long position, long count, WritableByteChannel target) throws IOException {
            return channel.transferTo(position, count, target);
        }

        @Override
        public long transferFrom(ReadableByteChannel source, long position, long count) {
            throw new UnsupportedOperationException();
        }

        @Override
        public MappedByteBuffer map(MapMode mode, long position, long size) throws IOException {
            return channel.map(mode, position, size);
        }

        @Override
        public MemorySegment map(MapMode mode, long offset, long size, Arena arena) throws IOException {
            return channel.map(mode, offset, size, arena);
        }

        @Override
        public FileLock lock(long position, long size, boolean shared) throws IOException {
            return channel.lock(position, size, shared);
        }

        @Override
        public FileLock tryLock(long position, long size, boolean shared) throws IOException {
            return channel.tryLock(position, size, shared);
        }

        @Override
        protected void implCloseChannel() throws IOException {
            channel.close();
        }
    }

    /** A path of this disk. */
    private final class Seen implements Path {
        private final Path file;

        Seen(Path file) {
            this.file = file;
        }

        private Path seen(Path path) {
            return path == null ? null : new Seen(path);
        }

        @Override
        public FileSystem getFileSystem() {
            return system;
        }

        @Override
        public boolean isAbsolute() {
            return file.isAbsolute();
        }

        @Override
        public Path getRoot() {
            return seen(file.getRoot());
        }

        @Override
        public Path getFileName() {
            return seen(file.getFileName());
        }

        @Override
        public Path getParent() {
            return seen(file.getParent());
        }

        @Override
        public int getNameCount() {
            return file.getNameCount();
        }

        @Override
        public Path getName(int index) {
            return seen(file.getName(index));
        }

        @Override
        public Path subpath(int from, int to) {
            return seen(file.subpath(from, to));
        }

        @Override
        public boolean startsWith(Path other) {
            return file.startsWith(unwrap(other));
        }

        @Override
        public boolean endsWith(Path other) {
            return file.endsWith(unwrap(other));
        }

        @Override
        public Path normalize() {
            return seen(file.normalize());
        }

        @Override
        public Path resolve(Path other) {
            return seen(file.resolve(unwrap(other)));
        }

        @Override
        public Path relativize(Path other) {
            return seen(file.relativize(unwrap(other)));
        }

        @Override
        public URI toUri() {
            throw new UnsupportedOperationException();
        }

        @Override
        public Path toAbsolutePath() {
            return seen(file.toAbsolutePath());
        }

        @Override
        public Path toRealPath(LinkOption... options) throws IOException {
            return seen(file.toRealPath(options));
        }

        @Override
        public WatchKey register(WatchService watcher, WatchEvent.Kind<?>[] events, WatchEvent.Modifier... modifiers) {
            throw new UnsupportedOperationException();
        }

        @Override
        public int compareTo(Path other) {
            return file.compareTo(unwrap(other));
        }

        @Override
        public boolean equals(Object other) {
            return other instanceof Seen s && file.equals(s.file);
        }

        @Override
        public int hashCode() {
            return file.hashCode();
        }

        @Override
        public String toString() {
            return file.toString();
        }
    }

    private final class Wrapped extends FileSystem {
        private final FileSystem system = FileSystems.getDefault();

        @Override
        public FileSystemProvider provider() {
            return FaultyDisk.this;
        }

        @Override
        public void close() {
            throw new UnsupportedOperationException();
        }

        @Override
        public boolean isOpen() {
            return true;
        }

        @Override
        public boolean isReadOnly() {
            return false;
        }

        @Override
        public String getSeparator() {
            return system.getSeparator();
        }

        @Override
        public Iterable<Path> getRootDirectories() {
            throw new UnsupportedOperationException();
        }

        @Override
        public Iterable<FileStore> getFileStores() {
            return system.getFileStores();
        }

        @Override
        public Set<String> supportedFileAttributeViews() {
            return system.supportedFileAttributeViews();
        }

        @Override
        public Path getPath(String first, String... more) {
            return new Seen(system.getPath(first, more));
        }

        @Override
        public PathMatcher getPathMatcher(String pattern) {
            PathMatcher matcher = system.getPathMatcher(pattern);
            return p -> matcher.matches(unwrap(p));
        }

        @Override
        public UserPrincipalLookupService getUserPrincipalLookupService() {
            return system.getUserPrincipalLookupService();
        }

        @Override
        public WatchService newWatchService() {
            throw new UnsupportedOperationException();
        }
    }
}

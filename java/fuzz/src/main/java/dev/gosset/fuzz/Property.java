package dev.gosset.fuzz;

import com.sun.management.ThreadMXBean;
import dev.gosset.core.GossetException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * What holds for every reader and any bytes: it gives a value, or a {@link GossetException} whose message is one line that
 * names the file; within {@link #SECONDS} of the processor's time; and it allocates, on the heap and outside it, garbage
 * included, at most {@link #CONSTANT} and {@link Reader#bytesPerByte} for each byte of the file. Memory maps do not count.
 *
 * <p>One thread at a time.
 */
public final class Property implements AutoCloseable {
    /** Bytes that reading may allocate whatever the file. */
    public static final long CONSTANT = 16 << 20;

    /** Processor time that reading may take, in seconds. */
    public static final double SECONDS = 5;

    private static final int LONGEST_MESSAGE = 1000;
    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    /**
     * How reading went.
     *
     * @param message of the refusal, null where the file was accepted
     * @param allocated bytes
     * @param seconds of processor time
     */
    public record Outcome(String message, long allocated, double seconds) {
        /** Whether the reader took the file for valid. */
        public boolean accepted() {
            return message == null;
        }
    }

    /** Reading took more than it may. */
    public static final class Exceeded extends AssertionError {
        private static final long serialVersionUID = 1;

        Exceeded(String message) {
            super(message);
        }
    }

    private final Reader reader;
    private final Path directory;

    /** Writes what stands beside the input to a directory that {@link #close} removes. */
    public Property(Reader reader) throws IOException {
        this.reader = reader;
        // In memory where that can be: a file is written for every input.
        Path memory = Path.of("/dev/shm");
        this.directory = Files.isWritable(memory)
                ? Files.createTempDirectory(memory, "gosset-fuzz-")
                : Files.createTempDirectory("gosset-fuzz-");
        reader.prepare(directory);
    }

    /**
     * Reads one input.
     *
     * @throws Exceeded where it took too long, or too much was allocated
     * @throws AssertionError with what else does not hold
     */
    public Outcome check(byte[] input) {
        Outcome outcome = read(input);
        for (int again = 0; again < 3 && exceeds(input, outcome); again++) {
            // The first times classes are loaded, and instrumented by Jazzer, too.
            outcome = read(input);
        }
        if (exceeds(input, outcome)) {
            throw new Exceeded(reader.key() + ": " + input.length + " bytes were read in " + outcome.seconds
                    + " s with " + outcome.allocated + " bytes allocated, expected at most " + SECONDS + " s and "
                    + limit(input));
        }
        String message = outcome.message;
        if (message != null
                && (message.length() > LONGEST_MESSAGE
                        || !message.contains(directory.toString())
                        || message.chars().anyMatch(Character::isISOControl))) {
            throw new AssertionError(reader.key() + ": expected one line that names the file, found the message: "
                    + message.codePoints()
                            .limit(LONGEST_MESSAGE)
                            .mapToObj(c -> Character.isISOControl(c) ? "<" + c + ">" : Character.toString(c))
                            .reduce("", String::concat));
        }
        return outcome;
    }

    private boolean exceeds(byte[] input, Outcome outcome) {
        return outcome.allocated > limit(input) || outcome.seconds > SECONDS;
    }

    private long limit(byte[] input) {
        return CONSTANT + reader.bytesPerByte() * input.length;
    }

    private Outcome read(byte[] input) {
        try {
            Files.write(directory.resolve(reader.file()), input);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        String message = null;
        long heap = THREADS.getCurrentThreadAllocatedBytes();
        long time = THREADS.getCurrentThreadCpuTime();
        long outside;
        try (CountedArena arena = new CountedArena()) {
            try {
                reader.read(directory, arena);
            } catch (GossetException e) {
                message = String.valueOf(e.getMessage());
            } catch (IOException | RuntimeException | StackOverflowError | OutOfMemoryError | InternalError e) {
                throw new AssertionError(reader.key() + ": expected a value or a GossetException, found " + e, e);
            }
            outside = arena.allocated;
        }
        return new Outcome(
                message,
                THREADS.getCurrentThreadAllocatedBytes() - heap + outside,
                (THREADS.getCurrentThreadCpuTime() - time) / 1e9);
    }

    @Override
    public void close() throws IOException {
        try (var files = Files.list(directory)) {
            for (Path file : files.toList()) {
                Files.delete(file);
            }
        }
        Files.delete(directory);
    }

    /** An arena that counts what is allocated from it. */
    private static final class CountedArena implements Arena {
        private final Arena arena = Arena.ofConfined();
        private long allocated;

        @Override
        public MemorySegment allocate(long bytes, long alignment) {
            allocated += bytes;
            return arena.allocate(bytes, alignment);
        }

        @Override
        public MemorySegment.Scope scope() {
            return arena.scope();
        }

        @Override
        public void close() {
            arena.close();
        }
    }
}

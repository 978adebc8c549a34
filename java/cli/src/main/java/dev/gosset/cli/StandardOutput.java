package dev.gosset.cli;

import dev.gosset.core.GossetException;
import java.io.BufferedOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Standard output, in UTF-8 whatever the locale, that throws where it cannot be written: {@link PrintStream} by itself
 * goes on as if nothing were, and the result is lost without a word. After the first failure what is written is dropped.
 */
final class StandardOutput extends OutputStream {
    private final FileOutputStream file = new FileOutputStream(FileDescriptor.out);
    private boolean lost;

    /** What could not be written. */
    static final class Lost extends GossetException {
        private static final long serialVersionUID = 1L;

        /** Whether the reader of a pipe has gone, as {@code head} does when it has seen enough. */
        final boolean pipeClosed;

        Lost(IOException cause) {
            super("standard output cannot be written: " + cause.getMessage(), cause);
            pipeClosed = isPipe(Path.of("/proc/self/fd/1"), cause);
        }

        private static boolean isPipe(Path link, IOException cause) {
            try {
                // The system's message may be in any language.
                return Files.readSymbolicLink(link).toString().startsWith("pipe:");
            } catch (IOException e) {
                return "Broken pipe".equals(cause.getMessage());
            }
        }
    }

    private StandardOutput() {}

    /** A stream for {@link System#setOut} that flushes at the end of each line. */
    static PrintStream open() {
        return new PrintStream(new BufferedOutputStream(new StandardOutput()), true, StandardCharsets.UTF_8);
    }

    @Override
    public void write(byte[] bytes, int from, int length) {
        if (lost) {
            return;
        }
        try {
            file.write(bytes, from, length);
        } catch (IOException e) {
            lost = true;
            throw new Lost(e);
        }
    }

    @Override
    public void write(int b) {
        write(new byte[] {(byte) b}, 0, 1);
    }
}

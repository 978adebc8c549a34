package dev.gosset.server.http;

import java.io.IOException;

/**
 * A request and its answer, of one thread. Where the client has gone, writing throws an {@link IOException}: at the second write
 * after it closed, for the first only provokes its system's answer. Let it pass: the connection ends with it.
 */
public interface Exchange {
    /** A handler of requests. */
    @FunctionalInterface
    interface Handler {
        void handle(Exchange exchange) throws IOException, InterruptedException;
    }

    /** An answer that goes out piece by piece. */
    interface Stream extends AutoCloseable {
        /** Sends a piece at once; waits while the client does not read, up to {@link HttpLimits#writeSeconds}. */
        void write(byte[] piece) throws IOException;

        @Override
        void close() throws IOException;
    }

    String method();

    /** The path without the query, as it was sent. */
    String path();

    /** The first header of a name in any case, null where there is none. */
    String header(String name);

    /** The client's address. */
    String peer();

    /**
     * The whole body.
     *
     * @throws BodyTooLargeException past {@link HttpLimits#bodyBytes}
     */
    byte[] body() throws IOException;

    /** Sets a header of the answer. */
    void set(String header, String value);

    /** Whether the head of the answer is out. */
    boolean isAnswered();

    /** Sends the whole answer. */
    void answer(int status, String type, byte[] body) throws IOException;

    /** Begins an answer of unknown length. */
    Stream stream(int status, String type) throws IOException;
}

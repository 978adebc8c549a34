package dev.gosset.server.http;

/** A server that listens. */
public interface HttpServer extends AutoCloseable {
    int port();

    /** Stops listening and ends every connection. */
    @Override
    void close();
}

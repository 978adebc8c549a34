package dev.gosset.server.http;

import com.sun.net.httpserver.HttpExchange;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** The JDK's server, a virtual thread for each request. */
public final class JdkHttpServer implements HttpServer {
    private static final int BACKLOG = 1024;

    /** Read and thrown away of a body that is too large: a client that still sends would not see the answer. */
    private static final long DRAINED = 32L << 20;

    /** By default half a request may stay for ever, and anybody may open any number of connections. In seconds. */
    private static final Map<String, String> PROPERTIES = Map.of(
            "sun.net.httpserver.maxReqTime", "30",
            "sun.net.httpserver.nodelay", "true",
            "jdk.httpserver.maxConnections", "2048");

    static {
        PROPERTIES.forEach((key, value) -> {
            if (System.getProperty(key) == null) {
                System.setProperty(key, value);
            }
        });
    }

    private final com.sun.net.httpserver.HttpServer server;
    private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
    private final HttpLimits limits;
    /** Exchanges in progress. */
    private final Set<Running> running = ConcurrentHashMap.newKeySet();

    private final Thread watch;

    /**
     * Begins to listen.
     *
     * @param address with port 0 for any that is free
     * @throws IOException where it cannot be listened at
     */
    public JdkHttpServer(InetSocketAddress address, HttpLimits limits, Exchange.Handler handler) throws IOException {
        this.limits = limits;
        this.server = com.sun.net.httpserver.HttpServer.create(address, BACKLOG);
        server.setExecutor(threads);
        server.createContext("/", exchange -> run(exchange, handler));
        server.start();
        this.watch = Thread.ofVirtual().name("gosset-http-watch").start(this::watch);
    }

    @Override
    public int port() {
        return server.getAddress().getPort();
    }

    private void run(HttpExchange exchange, Exchange.Handler handler) throws IOException {
        Running own = new Running(exchange);
        running.add(own);
        try {
            handler.handle(own);
            own.finish();
        } catch (InterruptedException e) {
            // It was this exchange's write that took too long.
            throw new IOException("the client reads nothing", e);
        } finally {
            // An exception that passes here has the JDK's server close the connection and forget it.
            running.remove(own);
        }
    }

    /** Ends writes that nobody reads: interrupting one closes its connection. */
    private void watch() {
        try {
            while (true) {
                Thread.sleep(500);
                long now = System.nanoTime();
                for (Running exchange : running) {
                    long since = exchange.writingSince;
                    if (since != 0 && now - since > limits.writeSeconds() * 1_000_000_000L) {
                        exchange.thread.interrupt();
                    }
                }
            }
        } catch (InterruptedException e) {
            // The server is closed.
            Thread.currentThread().interrupt();
        }
    }

    @Override
    public void close() {
        server.stop(0);
        threads.shutdownNow();
        watch.interrupt();
    }

    private final class Running implements Exchange {
        private final HttpExchange exchange;
        private final Thread thread = Thread.currentThread();
        private volatile long writingSince;
        private boolean answered;
        private Output output;

        Running(HttpExchange exchange) {
            this.exchange = exchange;
        }

        @Override
        public String method() {
            return exchange.getRequestMethod();
        }

        @Override
        public String path() {
            return exchange.getRequestURI().getRawPath();
        }

        @Override
        public String header(String name) {
            return exchange.getRequestHeaders().getFirst(name);
        }

        @Override
        public String peer() {
            return exchange.getRemoteAddress().getAddress().getHostAddress();
        }

        @Override
        public byte[] body() throws IOException {
            InputStream in = exchange.getRequestBody();
            byte[] body = in.readNBytes(limits.bodyBytes() + 1);
            if (body.length <= limits.bodyBytes()) {
                return body;
            }
            byte[] rest = new byte[1 << 16];
            long drained = 0;
            for (int n = in.read(rest); n >= 0 && drained < DRAINED; n = in.read(rest)) {
                drained += n;
            }
            throw new BodyTooLargeException(limits.bodyBytes());
        }

        @Override
        public void set(String header, String value) {
            exchange.getResponseHeaders().set(header, value);
        }

        @Override
        public boolean isAnswered() {
            return answered;
        }

        @Override
        public void answer(int status, String type, byte[] body) throws IOException {
            boolean bare = body.length == 0 || method().equals("HEAD");
            head(status, type, bare ? -1 : body.length);
            if (!bare) {
                try (Stream out = new Output(exchange.getResponseBody())) {
                    out.write(body);
                }
            }
        }

        @Override
        public Stream stream(int status, String type) throws IOException {
            head(status, type, 0);
            output = new Output(exchange.getResponseBody());
            return output;
        }

        private void head(int status, String type, long length) throws IOException {
            answered = true;
            set("Content-Type", type);
            exchange.sendResponseHeaders(status, length);
        }

        /** Ends an answer that its handler forgot to. */
        void finish() throws IOException {
            if (!answered) {
                throw new IOException("no answer");
            }
            if (output != null) {
                output.close();
            }
        }

        private final class Output implements Stream {
            private final OutputStream out;

            Output(OutputStream out) {
                this.out = out;
            }

            @Override
            public void write(byte[] piece) throws IOException {
                writingSince = System.nanoTime();
                try {
                    out.write(piece);
                    out.flush();
                } finally {
                    writingSince = 0;
                }
            }

            @Override
            public void close() throws IOException {
                out.close();
            }
        }
    }
}

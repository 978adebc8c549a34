package dev.gosset.server;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.core.GossetException;
import dev.gosset.llm.LanguageModel;
import dev.gosset.llm.io.Json;
import dev.gosset.llm.session.Engine;
import dev.gosset.llm.session.EngineLoad;
import dev.gosset.server.http.BodyTooLargeException;
import dev.gosset.server.http.Exchange;
import dev.gosset.server.http.HttpLimits;
import dev.gosset.server.http.HttpServer;
import dev.gosset.server.http.JdkHttpServer;
import dev.gosset.server.ollama.OllamaChat;
import dev.gosset.server.ollama.OllamaError;
import dev.gosset.server.ollama.OllamaGenerate;
import dev.gosset.server.ollama.OllamaModels;
import dev.gosset.server.openai.ChatCompletions;
import dev.gosset.server.openai.Completions;
import dev.gosset.server.openai.Models;
import dev.gosset.server.openai.OpenAiError;
import dev.gosset.server.serving.ApiException;
import dev.gosset.server.serving.Metrics;
import dev.gosset.server.serving.ServedModel;
import dev.gosset.server.web.WebPage;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A model over HTTP. It listens as soon as it is made, and says 503 until {@link #serve} gives it a model:
 *
 * {@snippet :
 * try (LanguageModel model = LanguageModel.open(Path.of("my-model-2bit"));
 *         GossetServer server = new GossetServer(ServerSettings.of(4096))) {
 *     server.serve(model);
 *     server.awaitClose();
 * }
 * }
 *
 * <p>Thread-safe.
 */
public final class GossetServer implements AutoCloseable {
    private static final System.Logger LOG = System.getLogger(GossetServer.class.getName());

    /** Waiting tokens, in contexts for each sequence that runs. */
    private static final long WAITING = 16;

    private static final int RETRY_SECONDS = 5;
    private static final String JSON = "application/json";

    private final ServerSettings settings;
    private final Access access;
    private final HttpServer http;
    private final Metrics metrics = new Metrics();
    private final Map<String, Route> routes = new LinkedHashMap<>();
    /** Guards what follows. */
    private final Object lock = new Object();

    private ServedModel model;
    private int answering;
    private boolean stopping;
    private boolean closed;

    /** What answers at a path. */
    private record Route(String path, String method, boolean open, Exchange.Handler handler) {}

    /** What a model answers to whom. */
    @FunctionalInterface
    private interface Answer {
        void send(Exchange exchange, ServedModel model, Object owner) throws IOException, InterruptedException;
    }

    /**
     * Begins to listen.
     *
     * @throws GossetException where the address cannot be listened at
     */
    public GossetServer(ServerSettings settings) {
        this.settings = settings;
        WebPage.routes().forEach((path, handler) -> get(path, handler, true));
        get("/health", this::health, true);
        get("/metrics", x -> text(x, "text/plain; version=0.0.4", metrics.text(load())), false);
        get("/v1/models", x -> text(x, JSON, Models.list(requireModel())), false);
        get(Models.PATH, x -> text(x, JSON, Models.one(requireModel(), x.path())), false);
        post("/v1/chat/completions", ChatCompletions::handle);
        post("/v1/completions", Completions::handle);
        get("/api/version", x -> text(x, JSON, OllamaModels.version()), false);
        get("/api/tags", x -> text(x, JSON, OllamaModels.tags(requireModel())), false);
        post("/api/show", (x, model, owner) -> text(x, JSON, OllamaModels.show(x.body(), model)));
        post("/api/chat", OllamaChat::handle);
        post("/api/generate", OllamaGenerate::handle);
        try {
            InetAddress address = InetAddress.getByName(settings.host());
            this.access = new Access(settings, address);
            this.http = new JdkHttpServer(
                    new InetSocketAddress(address, settings.port()), HttpLimits.defaults(), this::answer);
        } catch (UnknownHostException e) {
            throw new GossetException("--host: there is no address '" + settings.host() + "'", e);
        } catch (IOException e) {
            throw new GossetException(
                    "cannot listen at " + settings.host() + " port " + settings.port() + ": " + e.getMessage(), e);
        }
    }

    private void get(String path, Exchange.Handler handler, boolean open) {
        routes.put(path, new Route(path, "GET", open, handler));
    }

    private void post(String path, Answer answer) {
        routes.put(path, new Route(path, "POST", false, x -> answer.send(x, requireModel(), owner(x))));
    }

    /** Those who share a key or an address share a turn. */
    private static Object owner(Exchange exchange) {
        return exchange.peer();
    }

    public int port() {
        return http.port();
    }

    /** Whether everybody in the network may ask, without a key. */
    public boolean isOpenToAll() {
        return access.isOpenToAll();
    }

    /** What runs and waits now; null where there is no model. */
    public EngineLoad load() {
        synchronized (lock) {
            return model == null ? null : model.load();
        }
    }

    /**
     * Answers with a model from now on.
     *
     * @param served stays the caller's; closed after this
     * @throws GossetException where the memory does not hold one sequence
     */
    public void serve(LanguageModel served) {
        long waiting = WAITING * settings.parallel() * settings.context();
        serve(served, served.newEngine(settings.parallel(), settings.context(), settings.cacheBytes(), waiting));
    }

    /** Answers with an engine of the model from now on, and watches it. */
    void serve(LanguageModel served, Engine engine) {
        synchronized (lock) {
            model = new ServedModel(served, engine, metrics);
        }
        Thread.ofVirtual().name("gosset-watch").start(this::watch);
    }

    /** Tells whoever waits for a step that does not end. */
    private void watch() {
        double limit = settings.stepLimit().toNanos() / 1e9;
        long seen = -1;
        synchronized (lock) {
            while (!closed) {
                long steps = model.load().steps();
                if (model.endStuck(limit) && steps != seen) {
                    seen = steps;
                    metrics.stuck();
                    LOG.log(
                            System.Logger.Level.ERROR,
                            "a step takes longer than {0} s, at\n  {1}",
                            limit,
                            model.stackTrace());
                }
                try {
                    lock.wait(Math.clamp(settings.stepLimit().toMillis() / 4, 1, 1000));
                } catch (InterruptedException e) {
                    // Nobody has this thread to interrupt it.
                    throw new IllegalStateException(e);
                }
            }
        }
    }

    private boolean isStuck(EngineLoad load) {
        return load.stepSeconds() * 1e9 > settings.stepLimit().toNanos();
    }

    private ServedModel requireModel() {
        synchronized (lock) {
            if (stopping) {
                throw ApiException.later(503, "stopping", RETRY_SECONDS, "the server stops");
            }
            if (model == null) {
                throw ApiException.later(503, "loading", RETRY_SECONDS, "the model is being loaded");
            }
            if (isStuck(model.load())) {
                throw ApiException.later(503, "stuck", RETRY_SECONDS, "a step of the model does not end");
            }
            return model;
        }
    }

    private void health(Exchange exchange) throws IOException {
        EngineLoad load = load();
        String status;
        synchronized (lock) {
            status = stopping ? "stopping" : load == null ? "loading" : isStuck(load) ? "stuck" : "ok";
        }
        ObjectNode node = Json.MAPPER.createObjectNode().put("status", status);
        exchange.answer(status.equals("ok") ? 200 : 503, JSON, node.toString().getBytes(StandardCharsets.UTF_8));
    }

    private static void text(Exchange exchange, String type, String text) throws IOException {
        exchange.answer(200, type, text.getBytes(StandardCharsets.UTF_8));
    }

    private void answer(Exchange exchange) throws IOException, InterruptedException {
        synchronized (lock) {
            answering++;
        }
        String path = exchange.path();
        Route route = routes.get(path.startsWith(Models.PATH) ? Models.PATH : path);
        int status = 200;
        try {
            access.checkOrigin(exchange);
            String method = exchange.method().equals("HEAD") ? "GET" : exchange.method();
            if (method.equals("OPTIONS")) {
                exchange.set("Allow", route == null ? "OPTIONS" : route.method() + ", OPTIONS");
                exchange.answer(204, JSON, new byte[0]);
                return;
            }
            if (route == null) {
                throw ApiException.refused(404, "not_found", "there is nothing at this path");
            }
            if (!method.equals(route.method())) {
                exchange.set("Allow", route.method() + ", OPTIONS");
                throw ApiException.refused(405, "method_not_allowed", "this path takes " + route.method());
            }
            if (!route.open()) {
                access.checkKey(exchange);
            }
            route.handler().handle(exchange);
        } catch (IOException | InterruptedException e) {
            // The client has gone.
            status = 499;
            throw e;
        } catch (Throwable e) {
            ApiException why = apiException(e);
            status = why.status();
            refuse(exchange, why);
        } finally {
            metrics.answered(route == null ? "other" : route.path(), status);
            synchronized (lock) {
                answering--;
                lock.notifyAll();
            }
        }
    }

    private static ApiException apiException(Throwable e) {
        if (e instanceof ApiException api) {
            return api;
        }
        if (e instanceof BodyTooLargeException) {
            return ApiException.refused(413, "body_too_large", e.getMessage());
        }
        LOG.log(System.Logger.Level.ERROR, "a request failed", e);
        return ApiException.failed("internal error");
    }

    private static void refuse(Exchange exchange, ApiException why) throws IOException {
        if (exchange.isAnswered()) {
            throw new IOException("the answer broke off", why);
        }
        if (why.retrySeconds() > 0) {
            exchange.set("Retry-After", String.valueOf(why.retrySeconds()));
        }
        if (why.status() == 401) {
            exchange.set("WWW-Authenticate", "Bearer");
        }
        if (why.status() == 413) {
            exchange.set("Connection", "close");
        }
        String text = exchange.path().startsWith("/api/") ? OllamaError.text(why) : OpenAiError.text(why);
        exchange.answer(why.status(), JSON, text.getBytes(StandardCharsets.UTF_8));
    }

    /** Waits until this is closed. */
    public void awaitClose() throws InterruptedException {
        synchronized (lock) {
            while (!closed) {
                lock.wait();
            }
        }
    }

    /**
     * Refuses new requests with 503, waits {@link ServerSettings#grace} for answers in progress, cancels what is left of them, and stops
     * listening. The model stays the caller's. Where a step does not end, that is not waited for. A second call does nothing.
     */
    @Override
    public void close() {
        ServedModel served;
        synchronized (lock) {
            if (stopping) {
                return;
            }
            stopping = true;
            awaitAnswers(settings.grace().toNanos());
            served = model;
        }
        if (served != null && !isStuck(served.load())) {
            // Whoever still waits hears of it.
            served.close();
        }
        synchronized (lock) {
            awaitAnswers(1_000_000_000L);
        }
        http.close();
        synchronized (lock) {
            closed = true;
            lock.notifyAll();
        }
    }

    /** Waits for answers in progress, under the lock. */
    private void awaitAnswers(long nanos) {
        long end = System.nanoTime() + nanos;
        try {
            for (long left = nanos; answering > 0 && left > 0; left = end - System.nanoTime()) {
                lock.wait(Math.max(1, left / 1_000_000));
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}

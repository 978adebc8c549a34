package dev.gosset.server;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.gosset.llm.LanguageModel;
import dev.gosset.llm.TinyModels;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** A server of a small random model with a chat template, and a client for it. */
final class Served implements AutoCloseable {
    static final ObjectMapper JSON = new ObjectMapper();

    final LanguageModel model;
    final GossetServer server;
    final HttpClient client =
            HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

    Served(Path temporary, ServerSettings settings) throws IOException {
        Path directory = temporary.resolve("tiny");
        if (!Files.exists(directory)) {
            TinyModels.copy("llama", directory);
            Files.writeString(
                    directory.resolve("tokenizer_config.json"),
                    "{\"chat_template\": \"{% for m in messages %}{% if m.content == 'bad' %}{{ raise_exception('no') }}"
                            + "{% endif %}{{ m.role }} {{ m.content }} {% endfor %}\"}");
        }
        model = LanguageModel.open(directory);
        server = new GossetServer(settings.withPort(0));
    }

    static Served start(Path temporary) throws IOException {
        return start(temporary, ServerSettings.of(256).withParallel(4));
    }

    static Served start(Path temporary, ServerSettings settings) throws IOException {
        Served served = new Served(temporary, settings);
        served.server.serve(served.model);
        return served;
    }

    URI uri(String path) {
        return URI.create("http://127.0.0.1:" + server.port() + path);
    }

    HttpResponse<String> get(String path, String... headers) throws Exception {
        HttpRequest.Builder request = HttpRequest.newBuilder(uri(path));
        if (headers.length > 0) {
            request.headers(headers);
        }
        return client.send(request.build(), HttpResponse.BodyHandlers.ofString());
    }

    HttpResponse<String> post(String path, String body, String... headers) throws Exception {
        HttpRequest.Builder request = HttpRequest.newBuilder(uri(path)).POST(HttpRequest.BodyPublishers.ofString(body));
        if (headers.length > 0) {
            request.headers(headers);
        }
        return client.send(request.build(), HttpResponse.BodyHandlers.ofString());
    }

    /** The JSON of an answer with status 200. */
    JsonNode ask(String path, String body) throws Exception {
        HttpResponse<String> answer = post(path, body);
        if (answer.statusCode() != 200) {
            throw new AssertionError(answer.statusCode() + ": " + answer.body());
        }
        return JSON.readTree(answer.body());
    }

    /** The error of an answer that has one. */
    JsonNode refused(int status, String path, String body) throws Exception {
        HttpResponse<String> answer = post(path, body);
        if (answer.statusCode() != status) {
            throw new AssertionError(answer.statusCode() + ": " + answer.body());
        }
        return JSON.readTree(answer.body()).path("error");
    }

    /** The events of a stream, without comments and the last word. */
    List<JsonNode> events(String path, String body) throws Exception {
        String text = post(path, body).body();
        List<JsonNode> events = new ArrayList<>();
        for (String line : text.split("\n")) {
            if (line.startsWith("data: ") && !line.equals("data: [DONE]")) {
                events.add(JSON.readTree(line.substring(6)));
            } else if (!line.isEmpty() && !line.startsWith(":") && !line.equals("data: [DONE]")) {
                throw new AssertionError("not an event: " + line);
            }
        }
        if (!text.endsWith("data: [DONE]\n\n")) {
            throw new AssertionError("does not end as it should: " + text);
        }
        return events;
    }

    /** Waits until nothing runs, waits or holds memory. */
    void awaitIdle(Duration patience) throws InterruptedException {
        long end = System.nanoTime() + patience.toNanos();
        while (server.load().running() + server.load().waiting() + server.load().memoryInUse() > 0) {
            if (System.nanoTime() > end) {
                throw new AssertionError("still busy: " + server.load());
            }
            Thread.sleep(5);
        }
    }

    @Override
    public void close() {
        client.shutdownNow();
        server.close();
        model.close();
    }
}

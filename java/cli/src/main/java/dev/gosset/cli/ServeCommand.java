package dev.gosset.cli;

import dev.gosset.core.GossetException;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.LanguageModel;
import dev.gosset.llm.plan.ModelConfig;
import dev.gosset.llm.session.EngineLoad;
import dev.gosset.llm.weights.ModelDirectory;
import dev.gosset.server.GossetServer;
import dev.gosset.server.ServerSettings;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code gosset serve}: a model over HTTP. */
@Command(
        name = "serve",
        description = "Serves a model over HTTP, as OpenAI's and Ollama's clients ask for one.",
        footer = {"", "SIGTERM and SIGINT let answers in progress end, for up to 30 seconds."})
final class ServeCommand implements Runnable {
    private static final Pattern SIZE = Pattern.compile("([1-9]\\d{0,5})([KMGT])(I?B)?");

    @Spec
    private CommandSpec spec;

    @Mixin
    private CommonOptions common;

    @Mixin
    private CommonOptions.Run run;

    @Mixin
    private StorageFlags storage;

    @Parameters(
            paramLabel = "MODEL",
            converter = Arguments.Model.class,
            description = "Directory of a model, original or quantized, or the name of a pulled one.")
    private Path model;

    @Option(
            names = "--host",
            paramLabel = "ADDRESS",
            description = "Listen there; default ${DEFAULT-VALUE}: this machine alone.")
    private String host = "127.0.0.1";

    @Option(
            names = "--port",
            paramLabel = "N",
            description = "Listen there; 0 for any that is free; default ${DEFAULT-VALUE}.")
    private int port = 8080;

    @Option(
            names = "--context",
            paramLabel = "N",
            description = "Tokens of prompt and text together; default: 4096, or the model's context where that is"
                    + " shorter.")
    private Integer context;

    @Option(
            names = "--parallel",
            paramLabel = "N",
            description = "Most sequences that run together; others wait; default ${DEFAULT-VALUE}.")
    private int parallel = 16;

    @Option(
            names = "--cache-memory",
            paramLabel = "SIZE",
            description =
                    "Most memory for keys and values, such as 800M or 4G; default: what --parallel times --context"
                            + " need, but no more than a quarter of the machine's.")
    private String cacheMemory;

    @Option(
            names = "--api-key",
            paramLabel = "KEY",
            defaultValue = "${env:GOSSET_API_KEY}",
            description =
                    "What clients have to send as 'Authorization: Bearer KEY'; default: GOSSET_API_KEY, else none.")
    private String apiKey;

    @Option(
            names = "--cors-origin",
            paramLabel = "ORIGIN",
            description = "Answer web pages of this origin, such as https://example.org, or * for all; may be given"
                    + " several times.")
    private List<String> corsOrigins = List.of();

    @Override
    public void run() {
        try (ThreadTeam team = run.team(spec)) {
            ModelConfig config = ModelDirectory.open(model).config();
            ServerSettings settings = settings(config);
            // Before the model, which may take long: clients hear that it is being loaded.
            try (GossetServer server = new GossetServer(settings);
                    LanguageModel lm = run.open(model, storage.options(spec), team)) {
                server.serve(lm);
                serve(server);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private ServerSettings settings(ModelConfig config) {
        try {
            return new ServerSettings(
                    host,
                    port,
                    SamplingOptions.context(spec, config, context),
                    parallel,
                    bytes(),
                    apiKey == null || apiKey.isEmpty() ? null : apiKey,
                    corsOrigins,
                    Duration.ofSeconds(30),
                    ServerSettings.STEP_LIMIT);
        } catch (GossetException e) {
            // Without its cause, which would make bad input of wrong usage.
            throw new ParameterException(spec.commandLine(), e.getMessage());
        }
    }

    private void serve(GossetServer server) throws InterruptedException {
        Runtime.getRuntime().addShutdownHook(new Thread(server::close));
        if (server.isOpenToAll()) {
            System.err.println("warning: everybody who reaches " + host + " may ask; --api-key keeps others out");
        }
        String at = "http://" + (host.contains(":") ? "[" + host + "]" : host) + ":" + server.port();
        EngineLoad load = server.load();
        if (common.json) {
            common.printJson(Map.of("url", at, "cache_blocks", load.memory()));
        } else {
            System.err.println("serving " + model + " at " + at + "/v1; blocks for keys and values: " + load.memory());
        }
        System.out.flush();
        server.awaitClose();
    }

    private long bytes() {
        if (cacheMemory == null) {
            return 0;
        }
        Matcher size = SIZE.matcher(cacheMemory.toUpperCase(Locale.ROOT));
        if (!size.matches()) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--cache-memory must be a number with K, M, G or T, such as 800M, found '" + cacheMemory + "'");
        }
        return Long.parseLong(size.group(1)) << 10 * " KMGT".indexOf(size.group(2));
    }
}

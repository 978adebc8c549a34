package dev.gosset.cli;

import dev.gosset.llm.hub.HubCache;
import dev.gosset.llm.hub.HubEndpoint;
import dev.gosset.llm.hub.HubName;
import dev.gosset.llm.hub.HubPull;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code gosset pull}: a model from the Hugging Face Hub. */
@Command(
        name = "pull",
        description = "Gets a model from the Hugging Face Hub into the cache that its own tools use.",
        footer = {
            "",
            "Afterwards every command takes OWNER/NAME where it asks for a MODEL. Safetensors, configuration, tokenizer and"
                    + " licence are fetched, several files at a time; what is there already is not, and a run that was broken off"
                    + " goes on where it ended. Each file is compared with the Hub's hash of it.",
            "",
            "The cache is HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub. A token for private and gated models"
                    + " is taken from HF_TOKEN, else from the file that HF_TOKEN_PATH names, else from HF_HOME/token."
        })
final class PullCommand implements Runnable {
    @Mixin
    private CommonOptions common;

    @Parameters(
            paramLabel = "OWNER/NAME[@REVISION]",
            description = "The model; a branch, tag or commit, default: main.")
    private String model;

    @Option(names = "--cache", paramLabel = "DIR", description = "Folder of all models instead of the environment's.")
    private Path cache;

    @Option(
            names = "--endpoint",
            paramLabel = "URL",
            description = "The Hub's address; default: HF_ENDPOINT or the Hub's own.")
    private String endpoint;

    @Override
    public void run() {
        HubName name = HubName.of(model);
        HubEndpoint hub = HubEndpoint.ofEnvironment();
        HubPull.Result result;
        try (ConsoleProgress progress = new ConsoleProgress()) {
            result = HubPull.run(
                    name,
                    cache == null ? HubCache.ofEnvironment() : new HubCache(cache),
                    endpoint == null ? hub : hub.at(endpoint),
                    progress);
        }
        if (common.json) {
            Map<String, Object> fields = new LinkedHashMap<>();
            fields.put("model", name.toString());
            fields.put("directory", result.directory().toString());
            fields.put("commit", result.commit());
            fields.put("files", result.files());
            fields.put("bytes", result.bytes());
            fields.put("fetched_bytes", result.fetched());
            common.printJson(fields);
            return;
        }
        System.out.println(result.directory() + ": " + result.files() + " files, " + Sizes.bytes(result.bytes())
                + ", of which " + Sizes.bytes(result.fetched()) + " were fetched");
    }
}

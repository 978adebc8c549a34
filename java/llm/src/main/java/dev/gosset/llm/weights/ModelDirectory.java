package dev.gosset.llm.weights;

import dev.gosset.core.FormatException;
import dev.gosset.core.UnsupportedModelException;
import dev.gosset.core.memory.Quoted;
import dev.gosset.core.memory.ReadableFile;
import dev.gosset.core.memory.WeightFile;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.io.JsonFile;
import dev.gosset.llm.io.Safetensors;
import dev.gosset.llm.plan.ModelConfig;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;

/**
 * A directory that holds a model, and what kind of one.
 *
 * @param path the directory
 * @param kind how the weights are stored
 * @param config the model's shape
 */
public record ModelDirectory(Path path, Kind kind, ModelConfig config) {
    /** How the weights of a directory are stored. */
    public enum Kind {
        /** An original model: safetensors. */
        ORIGINAL,
        /** A model that Gosset quantized: weights.arrow. */
        GOSSET,
        /** A published QuIP# checkpoint: safetensors with packed codes. */
        QUIP_SHARP
    }

    /**
     * Reads the configuration, and of the weights names and shapes.
     *
     * @throws FormatException where the directory or its configuration is missing or malformed
     * @throws UnsupportedModelException where the architecture or the quantization is unknown
     */
    public static ModelDirectory open(Path path) {
        try {
            if (!Files.readAttributes(path, BasicFileAttributes.class).isDirectory()) {
                throw new FormatException(path + ": is a file, expected the directory of a model"
                        + (path.toString().endsWith(".gguf")
                                ? ", which gosset convert " + path + " --to original --out DIR makes of a GGUF file"
                                : ""));
            }
        } catch (IOException e) {
            throw ReadableFile.failure(path, "the directory of a model", e);
        }
        JsonFile json = JsonFile.read(path.resolve("config.json"));
        Kind kind = kind(json);
        // The tensors say what the configuration leaves out.
        try (Arena arena = Arena.ofConfined()) {
            WeightSource stored = kind == Kind.GOSSET
                    ? new GossetWeights(WeightFile.open(path.resolve(GossetWeights.FILE), arena))
                    : OriginalWeights.of(Safetensors.open(path, arena), json.flag("tie_word_embeddings", false));
            return new ModelDirectory(path, kind, ModelConfig.read(path, stored::find));
        }
    }

    private static Kind kind(JsonFile json) {
        if (json.has(QuipParams.KEY)) {
            return Kind.QUIP_SHARP;
        }
        if (!json.has("quantization_config")) {
            return Kind.ORIGINAL;
        }
        String method = json.object("quantization_config").text("quant_method");
        if (!method.equals("gosset")) {
            throw new UnsupportedModelException(json.where() + ": found the quant_method " + Quoted.of(method)
                    + ", known are gosset, models that are not quantized and QuIP# checkpoints (quip_params)");
        }
        return Kind.GOSSET;
    }

    /**
     * Opens the weights.
     *
     * @param arena owns the memory maps; shared where several threads run the model
     * @param team unpacks what is stored packed, when it is asked for; stays the caller's
     */
    public WeightSource weights(Arena arena, ThreadTeam team) {
        return switch (kind) {
            case ORIGINAL -> OriginalWeights.of(Safetensors.open(path, arena), config.tiedEmbeddings());
            case GOSSET -> new GossetWeights(WeightFile.open(path.resolve(GossetWeights.FILE), arena));
            case QUIP_SHARP -> new QuipSharpWeights(QuipSharpCheckpoint.open(path, config.plan(), arena), arena, team);
        };
    }
}

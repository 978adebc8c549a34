package dev.gosset.llm.quantize;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.core.FormatException;
import dev.gosset.core.GossetException;
import dev.gosset.core.memory.Checksum;
import dev.gosset.core.memory.CrashSafeFile;
import dev.gosset.llm.io.Json;
import dev.gosset.llm.tokenizer.ChatTemplate;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * The small files of an original model that belong to the quantized one too. They are read once, when a run begins: what is
 * written hours later is what the record of the run speaks of.
 *
 * @param config config.json
 * @param others the others by name, those that exist
 */
record CopiedFiles(ObjectNode config, Map<String, byte[]> others) {
    private static final String GENERATION = "generation_config.json";
    private static final List<String> OF_THE_TOKENIZER = List.of(
            "tokenizer.json",
            "tokenizer_config.json",
            "special_tokens_map.json",
            "added_tokens.json",
            "tokenizer.model",
            "chat_template.jinja",
            "chat_template.json");

    /**
     * @param model directory of the original model
     * @param tokenizer directory of its tokenizer
     */
    static CopiedFiles read(Path model, Path tokenizer) {
        Map<String, byte[]> others = new LinkedHashMap<>();
        OF_THE_TOKENIZER.forEach(name -> add(others, name, tokenizer));
        Path templates = tokenizer.resolve(ChatTemplate.FOLDER);
        if (Files.isDirectory(templates)) {
            try (Stream<Path> files = Files.list(templates)) {
                files.map(f -> ChatTemplate.FOLDER + "/" + f.getFileName())
                        .filter(name -> name.endsWith(".jinja"))
                        .sorted()
                        .forEach(name -> add(others, name, tokenizer));
            } catch (IOException e) {
                throw new FormatException(templates + ": cannot be read: " + CrashSafeFile.reason(e), e);
            }
        }
        add(others, GENERATION, model);
        return new CopiedFiles((ObjectNode) Json.readObject(model.resolve("config.json")), others);
    }

    private static void add(Map<String, byte[]> files, String name, Path directory) {
        Path file = directory.resolve(name);
        try {
            if (Files.isRegularFile(file)) {
                files.put(name, Files.readAllBytes(file));
            }
        } catch (IOException e) {
            throw new FormatException(file + ": cannot be read: " + CrashSafeFile.reason(e), e);
        }
    }

    /** By name, in hexadecimal. */
    Map<String, String> checksums() {
        Map<String, String> sums = new LinkedHashMap<>();
        sums.put("config.json", checksum(config.toString().getBytes(StandardCharsets.UTF_8)));
        others.forEach((name, bytes) -> sums.put(name, checksum(bytes)));
        return sums;
    }

    private static String checksum(byte[] bytes) {
        return Checksum.text(Checksum.of(MemorySegment.ofArray(bytes)));
    }

    void write(Path out) {
        try {
            for (Map.Entry<String, byte[]> file : others.entrySet()) {
                Path to = out.resolve(file.getKey());
                Files.createDirectories(to.getParent());
                CrashSafeFile.write(to, file.getValue());
            }
        } catch (IOException e) {
            throw new GossetException(out + ": cannot be written: " + CrashSafeFile.reason(e), e);
        }
    }
}

package dev.gosset.llm;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.llm.quantize.FinetuningRun;
import dev.gosset.llm.quantize.QuantizationPipeline;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;

/** What is in a directory of files, to be compared. */
public final class DirectoryContent {
    private static final ObjectMapper JSON = new ObjectMapper();

    private DirectoryContent() {}

    /** The names in a directory. */
    public static List<String> names(Path directory) throws IOException {
        try (Stream<Path> entries = Files.list(directory)) {
            return new ArrayList<>(
                    entries.map(p -> p.getFileName().toString()).sorted().toList());
        }
    }

    /** Every file with its bytes; of reports all but the times. */
    public static Map<String, String> of(Path directory) throws IOException {
        Map<String, String> content = new TreeMap<>();
        for (String name : names(directory)) {
            byte[] bytes = Files.readAllBytes(directory.resolve(name));
            if (name.equals(QuantizationPipeline.REPORT) || name.equals(FinetuningRun.REPORT)) {
                JsonNode report = JSON.readTree(bytes);
                report.findParents("seconds").forEach(o -> ((ObjectNode) o).remove("seconds"));
                bytes = JSON.writeValueAsBytes(report);
            }
            content.put(name, new String(bytes, StandardCharsets.ISO_8859_1));
        }
        return content;
    }
}

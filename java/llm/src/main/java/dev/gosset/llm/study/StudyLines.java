package dev.gosset.llm.study;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.core.FormatException;
import dev.gosset.core.GossetException;
import dev.gosset.core.memory.CrashSafeFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Supplier;

/** The results of a study's runs, one JSON object a line, in the order in which they ended. One thread at a time. */
public final class StudyLines {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final Path file;
    private final List<ObjectNode> lines = new ArrayList<>();

    private StudyLines(Path file) {
        this.file = file;
    }

    /**
     * Reads what is there. A last line that a killed run left unfinished is dropped.
     *
     * @throws FormatException naming a line that is no JSON object
     */
    public static StudyLines open(Path file) {
        StudyLines lines = new StudyLines(file);
        if (!Files.exists(file)) {
            return lines;
        }
        try {
            byte[] bytes = Files.readAllBytes(file);
            int end = bytes.length;
            while (end > 0 && bytes[end - 1] != '\n') {
                end--;
            }
            int number = 0;
            for (String line :
                    new String(bytes, 0, end, StandardCharsets.UTF_8).lines().toList()) {
                number++;
                if (!(JSON.readTree(line) instanceof ObjectNode object)) {
                    throw new FormatException(file + ": line " + number + " is no JSON object");
                }
                lines.lines.add(object);
            }
            if (end < bytes.length) {
                CrashSafeFile.write(file, Arrays.copyOf(bytes, end));
            }
        } catch (JsonProcessingException e) {
            throw new FormatException(file + ": line " + (lines.lines.size() + 1) + " is no JSON object", e);
        } catch (IOException e) {
            throw new FormatException(file + ": cannot be read: " + CrashSafeFile.reason(e), e);
        }
        return lines;
    }

    /**
     * The line that says all that {@code key} says; where there is none it is made and added.
     *
     * @param found receives it
     */
    public void orRun(ObjectNode key, Supplier<ObjectNode> run, List<ObjectNode> found) {
        for (ObjectNode line : lines) {
            if (key.propertyStream().allMatch(field -> says(line.path(field.getKey()), field.getValue()))) {
                found.add(line);
                return;
            }
        }
        ObjectNode line = run.get();
        add(line);
        found.add(line);
    }

    /** Numbers that were read may have another type. */
    private static boolean says(JsonNode field, JsonNode key) {
        return field.asText().equals(key.asText());
    }

    /** Adds a line and forces it to disk. */
    private void add(ObjectNode line) {
        try (FileChannel channel = FileChannel.open(
                file, StandardOpenOption.CREATE, StandardOpenOption.WRITE, StandardOpenOption.APPEND)) {
            ByteBuffer bytes = ByteBuffer.wrap((JSON.writeValueAsString(line) + "\n").getBytes(StandardCharsets.UTF_8));
            while (bytes.hasRemaining()) {
                channel.write(bytes);
            }
            channel.force(true);
        } catch (IOException e) {
            throw new GossetException(file + ": cannot be written: " + CrashSafeFile.reason(e), e);
        }
        lines.add(line);
    }
}

package dev.gosset.llm.convert;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.core.FormatException;
import dev.gosset.core.GossetException;
import dev.gosset.core.memory.CrashSafeFile;
import dev.gosset.core.memory.MappedFile;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.Progress;
import dev.gosset.llm.io.Json;
import dev.gosset.llm.io.StagedDirectory;
import dev.gosset.llm.tokenizer.ChatTemplate;
import dev.gosset.llm.weights.GossetWeights;
import dev.gosset.llm.weights.ModelDirectory;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/**
 * Quantized models from one format to the other, without loss: a published QuIP# checkpoint made a Gosset model and back
 * has the same tensors, bit by bit, and so has a Gosset model made a checkpoint and back, except that a checkpoint has no
 * other floating type than float16, to which other tensors than those of linears are rounded where they are wider.
 *
 * @param linears how many linears were converted
 * @param tensors how many other tensors
 * @param rounded how many numbers float16 did not hold exactly
 * @param bytes size of the weights written
 * @param seconds wall time
 */
public record ModelConversion(int linears, int tensors, long rounded, long bytes, double seconds) {
    /** Endings of files that hold weights or belong to files that do. */
    private static final List<String> WEIGHTS = List.of(
            ".safetensors", ".arrow", ".index.json", ".bin", ".pt", ".pth", ".gguf", ".h5", ".msgpack", ".onnx");

    /**
     * Converts a model.
     *
     * @param model a directory with a quantized model
     * @param out absent or an empty directory; it appears whole or not at all
     * @param to the format of the result, {@link ModelDirectory.Kind#GOSSET} or {@link ModelDirectory.Kind#QUIP_SHARP}
     * @param team packs and unpacks the codes; the result does not depend on it
     * @throws FormatException where the model is damaged, is not quantized, or has that format already
     * @throws dev.gosset.core.UnsupportedModelException where the other format cannot hold the model
     */
    public static ModelConversion run(
            Path model, Path out, ModelDirectory.Kind to, ThreadTeam team, Progress progress) {
        long started = System.nanoTime();
        if (to == ModelDirectory.Kind.ORIGINAL) {
            throw new IllegalArgumentException("a quantized model cannot become an original one");
        }
        ModelDirectory directory = ModelDirectory.open(model);
        if (directory.kind() == ModelDirectory.Kind.ORIGINAL) {
            throw new FormatException(
                    model + ": is an original model with full weights, expected a quantized one: quantize it first");
        }
        if (directory.kind() == to) {
            throw new FormatException(model + ": is already "
                    + (to == ModelDirectory.Kind.GOSSET ? "a Gosset model" : "a published QuIP# checkpoint"));
        }
        try (StagedDirectory staged = StagedDirectory.create(out)) {
            Written written = to == ModelDirectory.Kind.GOSSET
                    ? GossetImport.write(directory, staged.path(), team, progress)
                    : QuipSharpExport.write(directory, staged.path(), team, progress);
            write(staged.path().resolve("config.json"), written.config());
            copyOthers(model, staged.path());
            long bytes = weightBytes(staged.path());
            staged.commit();
            return new ModelConversion(
                    directory.config().plan().groups().size(),
                    written.tensors(),
                    written.rounded(),
                    bytes,
                    (System.nanoTime() - started) / 1e9);
        } catch (IOException e) {
            throw new GossetException(out + ": cannot be written: " + CrashSafeFile.reason(e), e);
        }
    }

    /**
     * What one of the two directions has done besides the weights.
     *
     * @param config of the result
     */
    record Written(ObjectNode config, int tensors, long rounded) {}

    static void write(Path file, ObjectNode json) throws IOException {
        String text = Json.MAPPER.writerWithDefaultPrettyPrinter().writeValueAsString(json) + "\n";
        CrashSafeFile.write(file, text.getBytes(StandardCharsets.UTF_8));
    }

    /** The tokenizer and whatever else lies beside the weights. */
    private static void copyOthers(Path from, Path to) throws IOException {
        try (Stream<Path> files = Files.list(from)) {
            for (Path file : files.sorted().toList()) {
                String name = file.getFileName().toString();
                boolean ours = name.equals("config.json") || name.equals("quantization.json");
                if (!ours
                        && !name.startsWith(".")
                        && WEIGHTS.stream().noneMatch(name::endsWith)
                        && Files.isRegularFile(file)) {
                    copy(file, to.resolve(name));
                }
            }
        }
        ChatTemplate.copyNamed(from, to);
    }

    private static void copy(Path from, Path to) {
        try (Arena arena = Arena.ofConfined();
                CrashSafeFile file = CrashSafeFile.create(to)) {
            file.append(MappedFile.map(from, arena));
            file.commit();
        }
    }

    private static long weightBytes(Path directory) throws IOException {
        long bytes = 0;
        try (Stream<Path> files = Files.list(directory)) {
            for (Path file : files.toList()) {
                String name = file.getFileName().toString();
                if (name.endsWith(".safetensors") || name.equals(GossetWeights.FILE)) {
                    bytes += Files.size(file);
                }
            }
        }
        return bytes;
    }
}

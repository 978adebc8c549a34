package dev.gosset.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.llm.TinyModels;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Studies of tiny models: what lines, tables and pictures hold, what a kill leaves, what is refused. */
final class StudyTest {
    private static final ObjectMapper JSON = new ObjectMapper();

    @TempDir
    private Path temporary;

    private Path model;
    private Path text;
    private Path out;

    @BeforeEach
    void makeModel() throws Exception {
        model = TinyModels.copy("llama", temporary.resolve("tiny"));
        text = Files.writeString(temporary.resolve("text.txt"), TinyModels.text(3, 3000));
        out = temporary.resolve("out");
    }

    private List<String> arguments(String study, String... more) {
        List<String> all = new ArrayList<>(List.of("study", study, model.toString(), "--out", out.toString()));
        all.addAll(List.of("--calibration", text.toString(), "--sequences", "4", "--context", "32"));
        if (!study.equals("spectrum")) {
            all.addAll(List.of("--text", text.toString(), "--eval-context", "32", "--chunks", "3"));
        }
        all.addAll(Arrays.asList(more));
        return all;
    }

    private Captured study(String study, String... more) {
        return Captured.run(arguments(study, more).toArray(String[]::new));
    }

    private List<JsonNode> lines() throws IOException {
        List<JsonNode> lines = new ArrayList<>();
        for (String line : Files.readAllLines(out.resolve("runs.jsonl"))) {
            lines.add(JSON.readTree(line));
        }
        return lines;
    }

    /** Rows of the table in Markdown, its head left out. */
    private List<String> rows(String study) throws IOException {
        return Files.readAllLines(out.resolve(study + ".md")).stream()
                .filter(l -> l.startsWith("| "))
                .skip(1)
                .toList();
    }

    private void pictures(String... names) throws IOException {
        for (String name : names) {
            var image = ImageIO.read(out.resolve(name + ".png").toFile());
            assertThat(image.getWidth()).isEqualTo(900);
            assertThat(Files.readString(out.resolve(name + ".svg"))).contains("<svg", "</svg>");
        }
    }

    @Test
    void methodsWithTheirDraws() throws IOException {
        Captured run = study("methods", "--seeds", "2", "--only", "nearest", "--only", "optq", "--only", "ldlq");
        assertThat(run.exit()).as(run.err()).isZero();
        // For each rate three rows without processing, and two in two draws.
        assertThat(lines()).hasSize(3 * (3 + 2 * 2));
        List<String> rows = rows("methods");
        assertThat(rows).hasSize(3 * 5);
        assertThat(rows.getFirst()).startsWith("| tiny | 2 | nearest | none | 1 | 2.");
        assertThat(rows).filteredOn(r -> r.contains("| kron | 2 |")).hasSize(6).allMatch(r -> r.contains(" ± "));
        assertThat(run.out()).isEqualTo(Files.readString(out.resolve("methods.md")));
        assertThat(Files.readAllLines(out.resolve("methods.csv"))).hasSize(1 + 15);
        pictures("methods-tiny-2bit-kl", "methods-tiny-3bit-perplexity", "methods-tiny-4bit-kl");
        double[] byBits = new double[5];
        for (JsonNode line : lines()) {
            assertThat(line.get("linears")).hasSize(14);
            assertThat(line.get("kl").doubleValue()).isPositive();
            byBits[line.get("bits").intValue()] += line.get("kl").doubleValue();
        }
        assertThat(byBits[2]).isGreaterThan(2 * byBits[3]);
        assertThat(byBits[3]).isGreaterThan(2 * byBits[4]);
    }

    /** Tables say what lines say, and what has a line is not run again; other settings are other runs. */
    @Test
    void tablesComeFromLinesOnly() throws IOException {
        assertThat(study("seeds", "--only", "ldlq", "--seeds", "1").exit()).isZero();
        List<JsonNode> lines = lines();
        assertThat(lines).hasSize(2);
        List<String> changed = new ArrayList<>();
        for (JsonNode line : lines) {
            changed.add(((ObjectNode) line).put("kl", 7.25).toString());
        }
        Files.write(out.resolve("runs.jsonl"), changed);
        assertThat(study("seeds", "--only", "ldlq", "--seeds", "1").exit()).isZero();
        assertThat(Files.readAllLines(out.resolve("runs.jsonl"))).isEqualTo(changed);
        assertThat(rows("seeds")).hasSize(2).allMatch(r -> r.contains("| 7.2500 |"));
        assertThat(study("seeds", "--only", "ldlq", "--seeds", "2", "--as-published")
                        .exit())
                .isZero();
        assertThat(lines()).hasSize(2 + 4);
        assertThat(rows("seeds")).hasSize(2).allMatch(r -> r.contains("| 2 | 2.") && !r.contains("7.2500"));
    }

    /** The rows that both papers have, the tuned ones included; of tuned models nothing is left. */
    @Test
    void ablationTunes() throws IOException {
        Captured run = study("ablation", "--seeds", "1", "--finetune-sequences", "4");
        assertThat(run.exit()).as(run.err()).isZero();
        assertThat(rows("ablation"))
                .hasSize(14)
                .anyMatch(r -> r.contains("e8p-block-tuned"))
                .anyMatch(r -> r.contains("| e8p-tuned |"));
        pictures("ablation-tiny-2bit-kl");
        assertThat(out.toFile().listFiles(File::isDirectory))
                .hasSize(1)
                .allMatch(d -> d.getName().startsWith("hessians-tiny-"));
        Captured untuned = study("ablation", "--seeds", "1", "--finetune-sequences", "0");
        assertThat(untuned.exit()).isZero();
        assertThat(rows("ablation")).hasSize(12);
        assertThat(lines()).hasSize(14);
    }

    @Test
    void scalingOverModels() throws IOException {
        Path other = TinyModels.copy("mistral", temporary.resolve("other"));
        List<String> arguments =
                arguments("scaling", "--seeds", "2", "--only", "original", "--only", "optq", "--only", "ldlq");
        arguments.add(3, other.toString());
        Captured run = Captured.run(arguments.toArray(String[]::new));
        assertThat(run.exit()).as(run.err()).isZero();
        assertThat(rows("scaling")).hasSize(2 * (3 * 2 + 1));
        JsonNode original = lines().stream()
                .filter(l -> l.get("method").asText().equals("original"))
                .findFirst()
                .orElseThrow();
        assertThat(original.get("kl").doubleValue()).isZero();
        assertThat(original.get("perplexity")).isEqualTo(original.get("teacher_perplexity"));
        assertThat(original.get("bits_per_weight").doubleValue()).isEqualTo(16);
        assertThat(original.get("bytes").longValue())
                .isGreaterThan(original.get("linear_bytes").longValue());
        pictures("scaling-kl", "scaling-perplexity");
    }

    @Test
    void spectrumSaysWhatTheoryDoes() throws IOException {
        Captured run = study("spectrum", "--seeds", "6");
        assertThat(run.exit()).as(run.err()).isZero();
        assertThat(lines()).hasSize(4);
        for (JsonNode line : lines()) {
            for (JsonNode l : line.get("linears")) {
                assertThat(l.get("trace_d").doubleValue())
                        .isPositive()
                        .isLessThanOrEqualTo(l.get("trace_h").doubleValue() * (1 + 1e-9))
                        .isLessThanOrEqualTo(l.get("bound_d").doubleValue() * (1 + 1e-9));
                assertThat(l.get("mu_h_99").doubleValue())
                        .isGreaterThanOrEqualTo(l.get("mu_h").doubleValue() * (1 - 1e-9));
            }
        }
        pictures("spectrum-tiny-mu", "spectrum-tiny-none", "spectrum-tiny-kron");
        assertThat(rows("spectrum"))
                .filteredOn(r -> r.matches(".*\\| (none|kron|hadamard|fourier) \\|.*"))
                .hasSize(4 * 14 + 4);
    }

    @Test
    void codebooksWithAndWithoutAModel() throws IOException {
        String[] few = {"--only", "half-integer-2", "--only", "e8p12", "--only", "d4", "--seeds", "2"};
        List<String> alone = new ArrayList<>(List.of("study", "codebooks", "--out", out.toString()));
        alone.addAll(List.of(few));
        Captured run = Captured.run(alone.toArray(String[]::new));
        assertThat(run.exit()).as(run.err()).isZero();
        assertThat(lines()).hasSize(6);
        assertThat(rows("codebooks")).hasSize(3).allMatch(r -> r.contains(" ± "));
        pictures("codebooks-normal");
        run = study("codebooks", few);
        assertThat(run.exit()).as(run.err()).isZero();
        assertThat(lines()).hasSize(6 + 3 * 3 * 2);
        assertThat(rows("codebooks")).hasSize(3 + 1 + 9).anyMatch(r -> r.contains("| e8p12@0.87 | hadamard | 2 | 2."));
        pictures("codebooks-tiny-2bit-kl");
    }

    /** Killed at a random moment and started again: lines that were there stay, and all together say what an unbroken run's do. */
    @Test
    void killedAndResumed() throws Exception {
        Path whole = Files.createDirectory(temporary.resolve("whole"));
        out = whole.resolve("out");
        String[] some = {"--seeds", "1", "--only", "ldlq", "--only", "greedy"};
        assertThat(study("methods", some).exit()).isZero();
        List<String> expected = results();
        out = temporary.resolve("killed");
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--add-modules=jdk.incubator.vector",
                "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow",
                "-Xmx512m",
                "-cp",
                System.getProperty("java.class.path"),
                Main.class.getName()));
        command.addAll(arguments("methods", some));
        long seed = System.nanoTime();
        int count = new Random(seed).nextInt(1, 9);
        Process process = new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(temporary.resolve("log").toFile())
                .start();
        Path lines = out.resolve("runs.jsonl");
        long deadline = System.nanoTime() + TimeUnit.MINUTES.toNanos(2);
        while (process.isAlive()
                && System.nanoTime() < deadline
                && (!Files.exists(lines) || Files.readString(lines).lines().count() < count)) {
            Thread.sleep(2);
        }
        process.destroyForcibly().waitFor();
        List<String> before = Files.readAllLines(lines);
        assertThat(before.size()).as("seed %d", seed).isBetween(1, 11);
        // What a kill within a write leaves.
        Files.writeString(lines, Files.readString(lines) + "{\"model\":\"ti\u00e9");
        byte[] bytes = Files.readAllBytes(lines);
        Files.write(lines, Arrays.copyOf(bytes, bytes.length - 1));
        Captured rest = study("methods", some);
        assertThat(rest.exit()).as("seed %d: %s", seed, rest.err()).isZero();
        assertThat(Files.readAllLines(lines).subList(0, before.size() - 1))
                .isEqualTo(before.subList(0, before.size() - 1));
        assertThat(results()).as("seed %d", seed).isEqualTo(expected);
    }

    /** Lines without what the clock says. */
    private List<String> results() throws IOException {
        return lines().stream()
                .map(l -> ((ObjectNode) l)
                        .without(List.of("seconds", "quantize_seconds"))
                        .toString())
                .toList();
    }

    private void refused(Captured run, String... words) {
        assertThat(run.exit()).as(run.err()).isEqualTo(3);
        List<String> errors =
                run.err().lines().filter(l -> l.startsWith("gosset: ")).toList();
        assertThat(errors).hasSize(1);
        assertThat(errors.getFirst()).contains(words);
    }

    @Test
    void badInput() throws IOException {
        Path whole = text;
        text = Files.writeString(temporary.resolve("short.txt"), "w3 w4");
        refused(study("methods"), "short.txt", "too short");
        text = temporary.resolve("absent.txt");
        refused(study("methods"), "absent.txt");
        text = whole;
        Path there = model;
        model = temporary.resolve("nowhere");
        refused(study("methods"), "nowhere");
        model = there;
        assertThat(out.resolve("methods.md")).doesNotExist();
        Files.createDirectories(out);
        for (String line : List.of("[1]", "{\"a\": ", "null", "")) {
            Files.writeString(out.resolve("runs.jsonl"), "{}\n" + line + "\n");
            refused(study("seeds"), "runs.jsonl", "line 2");
        }
        Files.delete(out.resolve("runs.jsonl"));
        assertThat(study("seeds", "--only", "ldlq", "--seeds", "1").exit()).isZero();
        List<String> lines = lines().stream()
                .map(l -> ((ObjectNode) l).without(List.of("kl")).toString())
                .toList();
        Files.write(out.resolve("runs.jsonl"), lines);
        refused(study("seeds", "--only", "ldlq", "--seeds", "1"), "runs.jsonl", "\"kl\"");
        out = Files.writeString(temporary.resolve("file"), "");
        refused(study("seeds"), "file");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "study methods --out x --text y",
                "study spectrum --out x",
                "study seeds m --out x",
                "study nothing m --out x",
                "study seeds m --out x --text y --seeds 0",
                "study seeds m --out x --text y --chunks 0",
                "study seeds m n --out x --text y --hessians h",
                "study ablation m --out x --text y --finetune-sequences 1",
                "study seeds m --out x --text y --device cuda",
                "study methods m --text y",
                "study methods m --out x --text y --only e8p",
                "study codebooks --out x --only ldlq"
            })
    void wrongUsage(String line) {
        Captured run = Captured.run(line.split(" "));
        assertThat(run.exit()).as(run.err()).isEqualTo(2);
        assertThat(Path.of("x")).doesNotExist();
    }
}

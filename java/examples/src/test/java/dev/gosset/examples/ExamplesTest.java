package dev.gosset.examples;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gosset.cli.demo.DemoModel;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class ExamplesTest {
    @TempDir
    private Path temporary;

    /** What a program prints. */
    private static String printed(Consumer<String[]> program, String... arguments) {
        PrintStream out = System.out;
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        System.setOut(new PrintStream(bytes, true, StandardCharsets.UTF_8));
        try {
            program.accept(arguments);
        } finally {
            System.setOut(out);
        }
        return bytes.toString(StandardCharsets.UTF_8);
    }

    private Path chattingModel() throws Exception {
        Path model = DemoModel.copyTo(temporary.resolve("model"));
        Files.writeString(model.resolve("chat_template.jinja"), "{% for m in messages %}{{ m.content }}{% endfor %}");
        return model;
    }

    @Test
    void generateTextStreamsAContinuation() throws Exception {
        Path model = DemoModel.copyTo(temporary.resolve("model"));
        assertThat(printed(GenerateText::main, model.toString(), "Once"))
                .hasSizeGreaterThan(20)
                .contains(" ");
    }

    /** Spring Boot's programs live on the class path. */
    @Test
    void chatWithSpringAiAnswers() throws Exception {
        String out = printed(ChatWithSpringAi::main, chattingModel().toString(), "Once upon a time");
        // Behind Spring's banner.
        assertThat(out.substring(out.indexOf(":: Spring Boot ::")).lines().skip(1))
                .anyMatch(line -> line.length() > 20 && line.contains(" "));
    }

    /** A JVM of modules alone, which may call native code only from those that are named. */
    @Test
    void allRunOnTheModulePath() throws Exception {
        Path model = DemoModel.copyTo(temporary.resolve("model"));
        Files.writeString(model.resolve("chat_template.jinja"), "{% for m in messages %}{{ m.content }}{% endfor %}");
        assertThat(module("ChatWithLangChain4j", model.toString(), "Once upon a time"))
                .hasSizeGreaterThan(20)
                .contains(" ");
        assertThat(module("GenerateText", model.toString(), "Once"))
                .hasSizeGreaterThan(20)
                .contains(" ");
        assertThat(module("QuantizeMatrix")).contains("2 bits: relative error 0.", "4 bits: relative error 0.");
    }

    private static String module(String program, String... arguments) throws Exception {
        String path = Stream.of(System.getProperty("java.class.path").split(File.pathSeparator))
                .filter(p -> !p.contains("test-classes"))
                .collect(Collectors.joining(File.pathSeparator));
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--add-modules=jdk.incubator.vector",
                "--enable-native-access=dev.gosset.core,ai.djl.tokenizers,com.sun.jna",
                "--illegal-native-access=deny",
                "--module-path",
                path,
                "--module",
                "dev.gosset.examples/dev.gosset.examples." + program));
        command.addAll(List.of(arguments));
        Process process = new ProcessBuilder(command)
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor()).as(out).isZero();
        return out;
    }

    /** Normal weights and inputs: the relative error is near the root of the codebook's Gaussian error. */
    @Test
    void quantizeMatrixKeepsTheProduct() {
        assertThat(QuantizeMatrix.relativeError(256, 512, 2, 5)).isBetween(0.2, 0.45);
        assertThat(QuantizeMatrix.relativeError(256, 512, 3, 5)).isBetween(0.1, 0.25);
        assertThat(QuantizeMatrix.relativeError(256, 512, 4, 5)).isBetween(0.05, 0.15);
    }
}

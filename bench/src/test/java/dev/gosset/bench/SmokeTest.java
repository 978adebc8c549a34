package dev.gosset.bench;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gosset.core.kernel.Kernels;
import dev.gosset.core.memory.Dtype;
import dev.gosset.cuda.Emulation;
import dev.gosset.llm.cpu.StorageOptions;
import dev.gosset.llm.io.Json;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.TimeValue;
import org.openjdk.jmh.runner.options.VerboseMode;

/** Runs every benchmark once on something small, so that none of them rots. */
class SmokeTest {
    private static final Race ONCE = new Race(1, 2, 1, false);

    @TempDir
    private Path directory;

    @Test
    void everyCaseRunsAndTheTableShowsIt() throws IOException {
        List<Supplier<Case>> makers = List.of(
                () -> Cases.transform(256),
                () -> Cases.transform(768),
                () -> Cases.matvec(2, 64, 256, 1),
                () -> Cases.matvec(2, 64, 256, 2),
                () -> Cases.matvec(3, 40, 64, 1),
                () -> Cases.matvec(4, 40, 64, 1),
                () -> Cases.linear(2, 128, 256, 1, 1),
                () -> Cases.linear(4, 128, 256, 3, 2),
                () -> Cases.linear(2, 128, 256, 64, 1),
                () -> Cases.encode(2, 64),
                () -> Cases.encode(3, 64),
                () -> Cases.encode(4, 64),
                () -> Cases.quantize(2, 64, 128, 1, 1),
                () -> DecodeSteps.head(Dtype.F16, 64, 128, 1),
                () -> DecodeSteps.head(Dtype.I8, 64, 128, 2),
                () -> DecodeSteps.attention(Dtype.F16, 6, 2, 40, 64),
                () -> DecodeSteps.attention(Dtype.I8, 6, 2, 40, 64),
                () -> DecodeSteps.attention(Dtype.F32, 6, 2, 40, 64),
                () -> DecodeSteps.step(DecodeSteps.Step.RMS_NORM),
                () -> DecodeSteps.step(DecodeSteps.Step.ROPE),
                () -> DecodeSteps.step(DecodeSteps.Step.SWIGLU),
                () -> DecodeSteps.step(DecodeSteps.Step.SOFTMAX),
                () -> DecodeSteps.sampling(100, 0.8, 0.9),
                () -> DecodeSteps.sampling(100, 0, 1),
                () -> Cases.memory(2, 1 << 20));
        List<Entry> entries = new ArrayList<>();
        for (Supplier<Case> maker : makers) {
            try (Case work = maker.get()) {
                Map<String, Race.Timing> nanos = ONCE.run(work.contenders());
                assertThat(nanos).containsKey(Case.OURS);
                assertThat(nanos.values()).allMatch(t -> t.best() > 0 && t.best() <= t.worst());
                entries.add(Entry.of(work, nanos));
            }
        }
        Targets.judge(entries);
        Path file = directory.resolve("entries.json");
        Json.MAPPER.writeValue(file.toFile(), entries);
        assertThat(Json.MAPPER.readTree(file.toFile())).hasSize(makers.size());
        Map<String, Object> run = Map.of("date", "today", "cpu model name", "any", "jvm", "any");
        assertThat(Table.of(run, entries)).contains("transform", "2 bit 64x256", "targets:");
        assertThat(Chart.of(run, entries)).startsWith("<svg").endsWith("</svg>\n");
    }

    @Test
    void theSuiteHasSections() {
        assertThat(Sections.all(true)).containsKeys("machine", "transform", "matvec", "matvec-2", "quantize");
        assertThat(Sections.all(false)).containsKeys("rest", "prefill", "encode", "linear");
    }

    @Test
    void aRandomModelDecodes() throws IOException {
        SyntheticModel small = new SyntheticModel(256, 512, 2, 4, 2, 300);
        Path ours = small.gosset(directory.resolve("ours"), 2);
        assertThat(ModelRun.run(ours, StorageOptions.defaults(), 1, 1, 3))
                .containsOnlyKeys("millis", "cpu")
                .values()
                .allSatisfy(times -> assertThat(times).hasSize(3).allMatch(t -> t > 0));
        assertThat(small.gguf(directory.resolve("x.gguf"), Ggml.IQ2_XXS)).isNotEmptyFile();
        assertThat(small.jlama(directory.resolve("jlama")).resolve("model.safetensors"))
                .isNotEmptyFile();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "TransformBenchmark -p n=256",
                "DecodeBenchmark -p shape=256x512x2 -p bits=2 -p batch=2",
                "MatvecBenchmark -p bits=2 -p shape=64x256 -p threads=1",
                "LinearBenchmark -p bits=3 -p shape=64x256 -p batch=2 -p threads=1",
                "EncodeBenchmark -p bits=2",
                "QuantizeBenchmark -p bits=2 -p size=128 -p greedyPasses=1 -p threads=1",
                "HeadBenchmark -p dtype=I8 -p shape=64x256 -p threads=1",
                "AttentionBenchmark -p dtype=F16 -p heads=6/2 -p positions=40 -p dim=64",
                "StepsBenchmark -p step=ROPE",
                "SamplingBenchmark -p vocabulary=100 -p temperature=0.8 -p topP=0.9",
                "DeviceBenchmark -p kernel=transform_256",
                "DeviceBenchmark -p kernel=product_3_64x256_8",
                "DeviceBenchmark -p kernel=encode_4 -p vectors=64"
            })
    void jmhRuns(String benchmark) throws RunnerException {
        jmh(benchmark, Case.OURS);
    }

    /** On the emulation: times mean nothing here. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "DeviceBenchmark -p kernel=transform_256 -p vectors=2",
                "DeviceBenchmark -p kernel=product_2_64x256_1",
                "DeviceBenchmark -p kernel=product_4_64x256_8",
                "DeviceBenchmark -p kernel=encode_2 -p vectors=64"
            })
    void jmhRunsOnADevice(String benchmark) throws RunnerException {
        Emulation.require();
        RunResult result = jmh(benchmark, DeviceCases.CUDA);
        assertThat(result.getSecondaryResults().get("gigaUnits").getScore()).isPositive();
        assertThat(Emulation.live()).isZero();
    }

    private static RunResult jmh(String benchmark, String contender) throws RunnerException {
        String[] words = benchmark.split(" ");
        OptionsBuilder options = new OptionsBuilder();
        options.include("\\." + words[0] + "\\.")
                .forks(0)
                .verbosity(VerboseMode.SILENT)
                .warmupIterations(0)
                .measurementIterations(1)
                .measurementTime(TimeValue.milliseconds(1))
                .param("contender", contender);
        for (int i = 2; i < words.length; i += 2) {
            options.param(
                    words[i].substring(0, words[i].indexOf('=')),
                    words[i].substring(words[i].indexOf('=') + 1).replace('_', ' '));
        }
        options.shouldFailOnError(true);
        Collection<RunResult> results = new Runner(options.build()).run();
        assertThat(results).hasSize(1).allMatch(SmokeTest::hasScore);
        assertThat(Kernels.selection()).isNotEmpty();
        return results.iterator().next();
    }

    private static boolean hasScore(RunResult result) {
        return result.getPrimaryResult().getScore() > 0;
    }
}

package dev.gosset.llm.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.methods.MethodSettings;
import dev.gosset.core.methods.Processing;
import dev.gosset.core.methods.ScalarMethod;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.Progress;
import dev.gosset.llm.TinyModels;
import dev.gosset.llm.calibration.CalibrationText;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.plan.LinearGroup;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Whole models by QuIP's methods: linears of their own, several in one tensor, experts. */
final class MethodQuantizationTest {
    @TempDir
    private Path temporary;

    @ParameterizedTest
    @CsvSource({"llama, ldlq, kron", "phi3, optq, none", "phi4-mini, nearest, hadamard", "qwen3-moe, greedy, fourier"})
    void makesAWholeModel(String name, String method, String processing) throws Exception {
        long seed = System.nanoTime();
        Path model = TinyModels.copy(name, temporary.resolve("model"));
        Path text = Files.writeString(temporary.resolve("text.txt"), TinyModels.text(seed, 3000));
        MethodSettings settings = MethodSettings.of(ScalarMethod.named(method), Processing.named(processing), 8, false);
        if (processing.equals("none")) {
            assertThat(settings.grid()).isInstanceOf(dev.gosset.core.methods.Grid.PerRow.class);
        } else {
            settings = settings.withRho(6);
        }
        Path[] outs = {temporary.resolve("one"), temporary.resolve("two")};
        for (int i = 0; i < 2; i++) {
            try (ThreadTeam team = new ThreadTeam(i + 1)) {
                QuantizationReport report = MethodQuantization.run(
                        model,
                        model,
                        outs[i],
                        Map.of("method", method),
                        settings,
                        seed,
                        new CalibrationText(text, 6, 64),
                        null,
                        team,
                        Progress.NONE);
                assertThat(report.meanFrobeniusError()).isBetween(1e-8, 2e-3);
                assertThat(report.linears()).allMatch(l -> l.proxyError() > 0 && l.proxyError() < 2e-3);
                assertThat(report.settings()).containsEntry("method", method).containsEntry("seed", seed);
            }
        }
        assertThat(outs[0].resolve("model.safetensors")).hasSameBinaryContentAs(outs[1].resolve("model.safetensors"));
        // At 8 bits every matrix is nearly what it was: none went to the place of another.
        try (Model original = Model.open(model);
                Model made = Model.open(outs[0]);
                Arena arena = Arena.ofConfined()) {
            assertThat(made.plan()).isEqualTo(original.plan());
            for (LinearGroup group : original.plan().groups()) {
                for (LinearGroup.Part part : group.parts()) {
                    FloatMatrix before = original.weights().weight(group, part).toFloatMatrix(arena);
                    FloatMatrix after = made.weights().weight(group, part).toFloatMatrix(arena);
                    double error = 0;
                    double whole = 0;
                    for (int i = 0; i < before.rows(); i++) {
                        for (int j = 0; j < before.cols(); j++) {
                            error += Math.pow(after.get(i, j) - before.get(i, j), 2);
                            whole += Math.pow(before.get(i, j), 2);
                        }
                    }
                    assertThat(error / whole)
                            .as("%s, seed %d", part.name(), seed)
                            .isCloseTo(0, within(2e-2));
                }
            }
            for (var kept : original.plan().tensors()) {
                Tensor a = original.weights().tensor(kept);
                Tensor b = made.weights().tensor(kept);
                assertThat(b.dtype()).isEqualTo(a.dtype());
                assertThat(b.data().mismatch(a.data())).isEqualTo(-1);
            }
        }
    }
}

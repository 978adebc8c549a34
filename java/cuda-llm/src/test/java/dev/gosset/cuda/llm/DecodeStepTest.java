package dev.gosset.cuda.llm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.cuda.CudaContext;
import dev.gosset.cuda.CudaLinear;
import dev.gosset.cuda.CudaStream;
import dev.gosset.cuda.DecoderKernels;
import dev.gosset.cuda.DeviceLinear;
import dev.gosset.cuda.Emulation;
import dev.gosset.llm.SyntheticCheckpoint;
import dev.gosset.llm.TinyModels;
import dev.gosset.llm.cpu.StorageOptions;
import dev.gosset.llm.device.ExactModel;
import dev.gosset.llm.device.LoadedModel;
import dev.gosset.llm.model.Model;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The logits of steps, fused and step by step, are the processor's; on the emulation. */
class DecodeStepTest {
    @TempDir
    private Path temporary;

    /** Codes, with and without biases and a choice of inputs, and stored matrices. */
    private List<Path> models() throws IOException {
        SyntheticCheckpoint plain = new SyntheticCheckpoint(SyntheticCheckpoint.Shape.SMALL, 2, 41);
        SyntheticCheckpoint biased = new SyntheticCheckpoint(SyntheticCheckpoint.Shape.SMALL, 3, 42);
        for (int layer = 0; layer < 2; layer++) {
            for (String group : List.of("self_attn.o_proj", "mlp.upgate_proj", "mlp.down_proj")) {
                int m = group.equals("mlp.upgate_proj") ? 2 * 192 : 64;
                float[] bias = new float[m];
                for (int i = 0; i < m; i++) {
                    bias[i] = (i % 7 - 3) * 0.1f;
                }
                biased.tensors.put(
                        "model.layers." + layer + "." + group + ".bias",
                        SyntheticCheckpoint.halves(List.of((long) m), bias));
            }
        }
        SyntheticCheckpoint chosen = new SyntheticCheckpoint(SyntheticCheckpoint.Shape.SMALL, 4, 43);
        chosen.params.put("rescale_WH", true);
        chosen.params.put("outlier_channel_split", true);
        SplittableRandom random = new SplittableRandom(3);
        for (int layer = 0; layer < 2; layer++) {
            for (String group : List.of("self_attn.qkv_proj", "self_attn.o_proj", "mlp.upgate_proj", "mlp.down_proj")) {
                float[] scale = new float[group.equals("mlp.down_proj") ? 192 : 64];
                for (int j = 0; j < scale.length; j++) {
                    scale[j] = 0.5f + random.nextFloat();
                }
                chosen.tensors.put(
                        "model.layers." + layer + "." + group + ".scaleWH",
                        SyntheticCheckpoint.halves(List.of((long) scale.length), scale));
            }
            chosen.tensors.put(
                    "model.layers." + layer + ".mlp.down_proj.ocs_dupe_inds",
                    new SyntheticCheckpoint.Item(Dtype.I64, List.of(192L), piece -> {
                        for (long i = 0; i < piece.byteSize(); i += 8) {
                            piece.set(ValueLayout.JAVA_LONG_UNALIGNED, i, random.nextInt(192));
                        }
                    }));
        }
        return List.of(
                chosen.write(temporary.resolve("chosen")),
                plain.write(temporary.resolve("plain")),
                biased.write(temporary.resolve("biased")),
                TinyModels.directory("llama3"));
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void logitsOfSteps(boolean fuse) throws IOException {
        Emulation.require();
        int[][] tokens = {{5, 17, 80, 4}, {9, 33, 2, 71}};
        for (Path directory : models()) {
            try (ThreadTeam team = new ThreadTeam(1);
                    Model model = Model.openStored(directory, team);
                    CudaContext context = CudaContext.open(0);
                    CudaStream stream = context.stream();
                    CudaWeights weights = new CudaWeights(model, StorageOptions.defaults(), stream, team);
                    // The third sequence rests.
                    CudaPool cache = new CudaPool(weights, stream, CudaPool.shape(weights.config(), 4, 3, 8), 64);
                    DecodeStep step = new DecodeStep(weights, stream, cache, fuse);
                    ExactModel exact = new ExactModel(directory, team, CudaLinear.FEW_ROWS_ERROR, true);
                    Arena arena = Arena.ofConfined()) {
                MemorySegment state = arena.allocate(3 * DecodeStep.STATE_BYTES, 16);
                for (int place : new int[] {2, 0}) {
                    cache.place(place, cache.book().reserve(new int[1], 8).orElseThrow());
                }
                MemorySegment settings = arena.allocate(3L * DecoderKernels.Sampling.BYTES, 16);
                FloatMatrix found =
                        FloatMatrix.allocate(arena, 3, model.config().vocabularySize());
                for (int r = 0; r < 3; r++) {
                    new DecoderKernels.Sampling(0, 0, 1, 0, 0, 9).write(settings, r);
                }
                step.settings().copyFrom(settings, 0, stream);
                for (int t = 0; t < 4; t++) {
                    for (int r = 0; r < 3; r++) {
                        state.setAtIndex(ValueLayout.JAVA_INT, r, r < 2 ? tokens[r][t] : 0);
                        state.setAtIndex(ValueLayout.JAVA_INT, 3 + r, r < 2 ? t : -1);
                        state.setAtIndex(ValueLayout.JAVA_INT, 6 + r, r == 0 ? 2 : 0);
                    }
                    step.state().copyFrom(state, 0, stream);
                    step.queue(3);
                    step.logits().copyTo(found.data(), 0, stream);
                    step.state().copyTo(state, 0, stream);
                    stream.synchronize();
                    assertThat(state.getAtIndex(ValueLayout.JAVA_INT, 3)).isEqualTo(t + 1);
                    assertThat(state.getAtIndex(ValueLayout.JAVA_INT, 5)).isEqualTo(-1);
                    int row = t;
                    for (int r = 0; r < 2; r++) {
                        int sequence = r;
                        exact.loaded()
                                .logits(
                                        tokens[r],
                                        t,
                                        t + 1,
                                        (first, expected) -> assertClose(found, sequence, expected, row, exact));
                    }
                }
            }
            assertThat(Emulation.live()).isZero();
        }
    }

    @Test
    void aPromptOfACheckpointThatChoosesInputs() throws IOException {
        Emulation.require();
        int[] tokens = new SplittableRandom(9).ints(20, 3, 90).toArray();
        Path directory = models().getFirst();
        try (ThreadTeam team = new ThreadTeam(1);
                Model model = Model.openStored(directory, team);
                LoadedModel loaded = new CudaBackend().load(model, 0, StorageOptions.defaults(), team);
                ExactModel exact = new ExactModel(directory, team, DeviceLinear.MANY_ROWS_ERROR, true)) {
            exact.assertLogits(ExactModel.logits(loaded, tokens, 0, 20), tokens, 0);
        }
    }

    private static void assertClose(FloatMatrix found, int sequence, FloatMatrix expected, int row, ExactModel exact) {
        double worst = 0;
        double largest = 0;
        for (int j = 0; j < expected.cols(); j++) {
            worst = Math.max(worst, Math.abs(found.get(sequence, j) - expected.get(0, j)));
            largest = Math.max(largest, Math.abs(expected.get(0, j)));
        }
        assertThat(worst / largest).as("token %d of sequence %d", row, sequence).isLessThan(exact.tolerance());
    }
}

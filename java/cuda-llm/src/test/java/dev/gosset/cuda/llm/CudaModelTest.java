package dev.gosset.cuda.llm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gosset.core.DeviceException;
import dev.gosset.core.UnsupportedModelException;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.cuda.CudaContext;
import dev.gosset.cuda.CudaStream;
import dev.gosset.cuda.DecoderKernels.CacheShape;
import dev.gosset.cuda.DeviceLinear;
import dev.gosset.cuda.Emulation;
import dev.gosset.llm.TinyModels;
import dev.gosset.llm.cpu.StorageOptions;
import dev.gosset.llm.device.Batch;
import dev.gosset.llm.device.LoadedModel;
import dev.gosset.llm.device.LoadedModelContract;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.sampling.Sampler;
import dev.gosset.llm.sampling.Sampling;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Whole models through the kernels, on the emulation: not yet run on a device. */
class CudaModelTest extends LoadedModelContract {
    /** What the emulation has by default. */
    private static final long MEMORY = 8L << 30;

    @BeforeEach
    void requireEmulation() {
        Emulation.require();
    }

    @AfterEach
    void nothingIsLeft() {
        assertThat(Emulation.live()).as("objects of the runtime that are alive").isZero();
    }

    @Test
    void aCacheThatDoesNotFitIsRefusedWithWhatWould() {
        Emulation.requireNoDevice();
        try (ThreadTeam team = new ThreadTeam(1);
                Model model = Model.openStored(TinyModels.directory("llama"), team);
                LoadedModel loaded = load(model, team)) {
            Emulation.memoryBytes(loaded.peakDeviceBytes() + (20L << 20));
            try {
                // 2 layers, keys and values of 4 heads of 8 halves: 256 bytes a token.
                assertThatThrownBy(() -> loaded.batch(2, 1 << 20))
                        .isInstanceOf(DeviceException.class)
                        .hasMessageContaining("a sequence of 1048576 tokens needs")
                        .hasMessageMatching(".* of cuda:0, .* MiB are free beside the weights: .*");
                // What is said to fit does, prompts and steps too.
                int asked = 60_000;
                int fits = asked;
                try (Batch batch = loaded.batch(1, asked)) {
                    assertThat(batch.context()).isEqualTo(asked);
                } catch (DeviceException e) {
                    String words = e.getMessage().replaceAll(".*a context of (\\d+) or less fits", "$1");
                    fits = Integer.parseInt(words);
                }
                assertThat(fits).isBetween(1000, asked - 1);
                try (Batch batch = loaded.batch(16, fits)) {
                    assertThat(batch.admit(new int[70], new Sampler(Sampling.greedy()), 2))
                            .isPresent();
                    int drawn = 0;
                    while (drawn < 2) {
                        drawn += batch.step().size();
                    }
                    assertThat(batch.admit(new int[fits], new Sampler(Sampling.greedy()), 1))
                            .as("all blocks of one context are there, and two are in use")
                            .isEmpty();
                    assertThat(batch.inUse()).isEqualTo(2);
                }
            } finally {
                Emulation.memoryBytes(MEMORY);
            }
        }
    }

    /** Before anything is allocated: there is no memory to have. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "smollm3 | layers without a rotary embedding; the device runs layers with one",
                "olmo2 | norms behind attention and feed-forward; the device runs norms before them",
                "ministral3 | queries that grow with their positions; the device runs queries that do not",
                "phi4-mini | heads of which 12 of 16 elements are turned; the device runs whole ones",
                "ernie4.5 | pairs that are turned side by side; the device runs pairs half a head apart",
                "hunyuan | norms of turned queries and keys; the device runs norms of those that are not turned yet",
                "cohere | attention beside the feed-forward; the device runs one after the other",
                "starcoder2 | norms that take the mean away; the device runs norms that do not",
                "mixtral | mixtures of experts; the device runs one MLP for all tokens",
                "gemma2  | scaled embeddings; the device runs embeddings as they are stored",
            })
    void aKindThatTheDeviceDoesNotKnowIsRefusedByName(String name, String what) {
        Emulation.requireNoDevice();
        Emulation.memoryBytes(1 << 10);
        try (ThreadTeam team = new ThreadTeam(1);
                Model model = Model.openStored(TinyModels.directory(name), team)) {
            assertThatThrownBy(() -> load(model, team))
                    .isInstanceOf(UnsupportedModelException.class)
                    .hasMessageEndingWith(": has " + what + "; the cpu runs any");
        } finally {
            Emulation.memoryBytes(MEMORY);
        }
    }

    /** What a cache leaves free is what a step then takes, at many rows and long contexts too. */
    @Test
    void aStepTakesWhatIsReservedForIt() {
        Emulation.requireNoDevice();
        try (ThreadTeam team = new ThreadTeam(1);
                Model model = Model.openStored(TinyModels.directory("llama"), team);
                CudaContext context = CudaContext.open(0);
                CudaStream stream = context.stream();
                CudaWeights weights = new CudaWeights(model, StorageOptions.defaults(), stream, team)) {
            for (int[] size : new int[][] {{1, 64}, {16, 2000}, {3, 9000}}) {
                CacheShape shape = CudaPool.shape(weights.config(), 200, size[0], size[1]);
                long empty = context.freeBytes();
                try (CudaPool cache = new CudaPool(weights, stream, shape, 64)) {
                    assertThat(CudaPool.bytes(weights.config(), shape)).isEqualTo(empty - context.freeBytes());
                    long before = context.freeBytes();
                    try (DecodeStep step = new DecodeStep(weights, stream, cache)) {
                        long taken = before - context.freeBytes();
                        assertThat(DecodeStep.bytes(context, weights, cache.shape()))
                                .as(size[0] + " x " + size[1])
                                .isBetween(taken - 4096, taken + 4096);
                        assertThat(step.logits()).isNotNull();
                    }
                }
            }
        }
    }

    /** Batches that nobody has closed go with the model, and know it. */
    @Test
    void closingTheModelClosesItsBatches() {
        try (ThreadTeam team = new ThreadTeam(1);
                Model model = Model.openStored(TinyModels.directory("llama"), team)) {
            LoadedModel loaded = load(model, team);
            Batch batch = loaded.batch(2, 100);
            assertThat(batch.admit(new int[70], new Sampler(Sampling.greedy()), 9))
                    .isPresent();
            batch.step();
            batch.step();
            loaded.close();
            assertThat(Emulation.live()).isZero();
            assertThatThrownBy(batch::step)
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessage("the model is closed");
            assertThatThrownBy(() -> loaded.batch(1, 10)).hasMessage("the model is closed");
            batch.close();
            loaded.close();
        }
    }

    /** Before anything of the model is uploaded. */
    @Test
    void aDeviceThatIsTooOldIsRefusedInOneSentence() {
        Emulation.requireNoDevice();
        Emulation.capability(7);
        try (ThreadTeam team = new ThreadTeam(1);
                Model model = Model.openStored(TinyModels.directory("llama"), team)) {
            assertThatThrownBy(() -> load(model, team))
                    .isInstanceOf(DeviceException.class)
                    .hasMessage("cuda:0 (emulation on the CPU) has compute capability 7.0, 8.0 or later is needed");
        } finally {
            Emulation.capability(9);
        }
    }

    @Test
    void aModelThatDoesNotFitLeavesNothing() {
        Emulation.requireNoDevice();
        Emulation.memoryBytes(30_000);
        try (ThreadTeam team = new ThreadTeam(1);
                Model model = Model.openStored(TinyModels.directory("llama"), team)) {
            assertThatThrownBy(() -> load(model, team))
                    .isInstanceOf(DeviceException.class)
                    .hasMessageContaining("out of device memory");
        } finally {
            Emulation.memoryBytes(MEMORY);
        }
    }

    @Test
    void theHeadMayHaveEightBits() {
        try (ThreadTeam team = new ThreadTeam(1);
                Model model = Model.openStored(TinyModels.directory("qwen3"), team);
                LoadedModel loaded = load(model, team);
                LoadedModel rounded = new CudaBackend()
                        .load(model, 0, StorageOptions.defaults().withByteHead(), team)) {
            int[] tokens = {5, 9, 70, 33, 12, 60, 8};
            float[] expected = lastRow(loaded, tokens);
            float[] found = lastRow(rounded, tokens);
            double error = 0;
            double size = 0;
            for (int i = 0; i < expected.length; i++) {
                error += Math.pow(found[i] - expected[i], 2);
                size += Math.pow(expected[i], 2);
            }
            assertThat(Math.sqrt(error / size)).isBetween(1e-4, 1e-2);
        }
    }

    private static float[] lastRow(LoadedModel model, int[] tokens) {
        float[] row = new float[model.config().vocabularySize()];
        model.logits(tokens, tokens.length - 1, tokens.length, (first, logits) -> {
            for (int i = 0; i < row.length; i++) {
                row[i] = logits.get(0, i);
            }
        });
        return row;
    }

    @Override
    protected LoadedModel load(Model model, ThreadTeam team) {
        return new CudaBackend().load(model, 0, StorageOptions.defaults(), team);
    }

    @Override
    protected double relativeError(Model model) {
        return DeviceLinear.MANY_ROWS_ERROR;
    }

    @Override
    protected boolean halfCaches() {
        return true;
    }
}

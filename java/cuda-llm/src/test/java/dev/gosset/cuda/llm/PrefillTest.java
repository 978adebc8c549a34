package dev.gosset.cuda.llm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.cuda.CudaContext;
import dev.gosset.cuda.CudaStream;
import dev.gosset.cuda.DeviceBuffer;
import dev.gosset.cuda.DeviceLinear;
import dev.gosset.cuda.Emulation;
import dev.gosset.llm.TinyModels;
import dev.gosset.llm.cache.BlockTable;
import dev.gosset.llm.cpu.StorageOptions;
import dev.gosset.llm.device.ExactModel;
import dev.gosset.llm.model.Model;
import java.lang.foreign.Arena;
import java.util.SplittableRandom;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** However a prompt is cut, the logits are the processor's; on the emulation. */
class PrefillTest {
    private static final int TOKENS = 60;

    /** Models without and with grouped heads, without and with a window; the last ones attend few rows of one head at a time. */
    @ParameterizedTest
    @CsvSource({
        "llama, 64, 1000000",
        "llama, 23, 5000",
        "llama3, 64, 1000000",
        "llama3, 7, 1000000",
        "llama3, 23, 9000",
        "mistral, 23, 1000",
        "mistral, 64, 1",
        "qwen2, 20, 4000",
    })
    void chunksOfAnySize(String name, int rows, long attentionBytes) {
        Emulation.require();
        int[] tokens = new SplittableRandom(1).ints(TOKENS, 0, 90).toArray();
        try (ThreadTeam team = new ThreadTeam(1);
                Model model = Model.openStored(TinyModels.directory(name), team);
                CudaContext context = CudaContext.open(0);
                CudaStream stream = context.stream();
                CudaWeights weights = new CudaWeights(model, StorageOptions.defaults(), stream, team);
                CudaPool cache = new CudaPool(weights, stream, CudaPool.shape(weights.config(), 3, 2, 64), 64);
                BlockTable other = cache.book().reserve(tokens, 64).orElseThrow();
                BlockTable table = cache.book().reserve(tokens, 64).orElseThrow();
                Prefill prefill = new Prefill(weights, stream, rows, 64, attentionBytes);
                Arena arena = Arena.ofConfined()) {
            cache.place(0, other);
            cache.place(1, table);
            int vocabulary = model.config().vocabularySize();
            FloatMatrix found = FloatMatrix.allocate(arena, TOKENS, vocabulary);
            try (DeviceBuffer logits = context.allocate(found.data().byteSize(), "logits")) {
                for (int first = 0; first < TOKENS; first += rows) {
                    int count = Math.min(rows, TOKENS - first);
                    prefill.run(cache, 1, first, tokens, first, count, TOKENS);
                    prefill.logits(0, count, logits);
                    FloatMatrix part = found.rows(first, first + count);
                    logits.copyTo(part.data(), 0, stream);
                    stream.synchronize();
                }
            }
            try (ExactModel exact =
                    new ExactModel(TinyModels.directory(name), team, DeviceLinear.MANY_ROWS_ERROR, true)) {
                float[][] all = new float[TOKENS][vocabulary];
                for (int i = 0; i < TOKENS * vocabulary; i++) {
                    all[i / vocabulary][i % vocabulary] = found.get(i / vocabulary, i % vocabulary);
                }
                exact.assertLogits(all, tokens, 0);
            }
        }
        assertThat(Emulation.live()).isZero();
    }
}

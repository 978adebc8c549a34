package dev.gosset.llm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.cpu.KeyValueCache;
import dev.gosset.llm.cpu.Transformer;
import dev.gosset.llm.model.Model;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;

/**
 * A random checkpoint of the size of Llama 2 7B at 2 bits, 2.2 GB: how long it takes from opening it to the first token, and
 * how much memory. Skipped unless {@code -Dgosset.test.large=DIR} names a directory with room for it, where the checkpoint
 * is made, or found from an earlier run; delete it afterwards.
 *
 * <p>Memory is what Linux counts for this process: {@code VmRSS}, of which {@code RssAnon} cannot be taken back, and the
 * highest {@code VmRSS} ever, {@code VmHWM}. Mapped pages that were read and not given back count.
 */
@EnabledIfSystemProperty(named = "gosset.test.large", matches = ".+")
class LargeCheckpointTest {
    private static long status(String key) throws IOException {
        return Files.readAllLines(Path.of("/proc/self/status")).stream()
                        .filter(line -> line.startsWith(key + ":"))
                        .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")))
                        .findFirst()
                        .orElseThrow()
                * 1024;
    }

    @Test
    void firstTokenOf7b() throws IOException {
        Path directory = Path.of(System.getProperty("gosset.test.large")).resolve("synthetic-7b-2bit");
        if (!Files.exists(directory.resolve("model.safetensors"))) {
            new SyntheticCheckpoint(SyntheticCheckpoint.Shape.LLAMA_7B, 2, 1).write(directory);
        }
        double size = Files.size(directory.resolve("model.safetensors"));
        long before = status("VmRSS");
        long started = System.nanoTime();
        try (ThreadTeam team = ThreadTeam.ofProcessors();
                Workspace workspace = new Workspace(team);
                Arena arena = Arena.ofShared();
                Model model = Model.open(directory)) {
            double opened = (System.nanoTime() - started) / 1e9;
            FloatMatrix logits = FloatMatrix.allocate(arena, 1, model.config().vocabularySize());
            try (KeyValueCache cache = new KeyValueCache(model.config(), 64)) {
                model.transformer()
                        .run(
                                List.of(new Transformer.Segment(cache, new int[] {1, 5, 9, 30_000}, logits.rows())),
                                logits,
                                workspace);
                double first = (System.nanoTime() - started) / 1e9;
                long decode = System.nanoTime();
                for (int i = 0; i < 4; i++) {
                    model.transformer()
                            .run(
                                    List.of(new Transformer.Segment(cache, new int[] {7 + i}, logits.rows())),
                                    logits,
                                    workspace);
                }
                double perToken = (System.nanoTime() - decode) / 4e9;
                long peak = status("VmHWM");
                System.out.printf(
                        "%.0f MB: opened in %.2f s, first token after %.2f s, then %.2f s each; resident %d MB before,"
                                + " %d MB at the end (%d MB anonymous), at most %d MB = %.2f of the file%n",
                        size / 1e6,
                        opened,
                        first,
                        perToken,
                        before / 1_000_000,
                        status("VmRSS") / 1_000_000,
                        status("RssAnon") / 1_000_000,
                        peak / 1_000_000,
                        peak / size);
                assertThat(peak / size).isLessThan(1.3);
                for (int j = 0; j < logits.cols(); j++) {
                    assertThat(logits.get(0, j)).isFinite();
                }
            }
        }
    }
}

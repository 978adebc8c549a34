package dev.gosset.llm.model;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.core.rounding.RoundingSettings;
import dev.gosset.llm.Progress;
import dev.gosset.llm.TinyModels;
import dev.gosset.llm.calibration.CalibrationText;
import dev.gosset.llm.cpu.KeyValueCache;
import dev.gosset.llm.cpu.KeyValuePool;
import dev.gosset.llm.cpu.StorageOptions;
import dev.gosset.llm.cpu.Transformer;
import dev.gosset.llm.quantize.QuantizationPipeline;
import dev.gosset.llm.quantize.QuantizationSettings;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The logits of a sequence have the same bits alone and among others, however its tokens come. */
@Tag("width")
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class CompanyTest {
    private static final int SEQUENCES = 16;

    private final ThreadTeam team = new ThreadTeam(2);

    @TempDir
    static Path temporary;

    /** Models by name: dense ones of every stored type, and quantized ones of every width. */
    private final Map<String, Path> directories = new LinkedHashMap<>();

    @BeforeAll
    void models() throws IOException {
        for (String name : TinyModels.ALL) {
            directories.put(name, TinyModels.directory(name));
        }
        Path text = Files.writeString(temporary.resolve("text.txt"), TinyModels.text(3, 600));
        for (int bits = 2; bits <= 4; bits++) {
            Path original = TinyModels.copy("llama", temporary.resolve("original" + bits));
            Path out = temporary.resolve("quantized" + bits);
            QuantizationPipeline.run(
                    original,
                    out,
                    new QuantizationSettings(
                            RoundingSettings.of(Codebook.ofBits(bits)), 0, new CalibrationText(text, 8, 32), null),
                    false,
                    team,
                    Progress.NONE);
            directories.put("quantized to " + bits + " bits", out);
        }
    }

    @AfterAll
    void close() {
        team.close();
    }

    List<StorageOptions> storages() {
        StorageOptions defaults = StorageOptions.defaults();
        return List.of(
                defaults,
                defaults.withByteHead(),
                defaults.withCache(Dtype.I8),
                defaults.withCache(Dtype.F32).withByteHead());
    }

    @ParameterizedTest
    @MethodSource("storages")
    void sameBits(StorageOptions storage) {
        long seed = System.nanoTime();
        System.out.println("CompanyTest.sameBits seed " + seed + ", " + storage);
        SplittableRandom random = new SplittableRandom(seed);
        directories.forEach((name, directory) -> {
            try (Model model = Model.open(directory, storage);
                    Workspace workspace = new Workspace(team);
                    KeyValuePool pool = model.transformer().newPool(4 * SEQUENCES)) {
                int vocabulary = model.config().vocabularySize();
                int[][] tokens = new int[SEQUENCES][];
                float[][] alone = new float[SEQUENCES][];
                for (int s = 0; s < SEQUENCES; s++) {
                    // Beyond a block here and there; some begin alike.
                    tokens[s] = random.ints(1 + random.nextInt(s % 4 == 0 ? 150 : 30), 3, vocabulary)
                            .toArray();
                    if (s % 4 == 3) {
                        System.arraycopy(
                                tokens[s - 1], 0, tokens[s], 0, Math.min(tokens[s].length, tokens[s - 1].length));
                    }
                    alone[s] = alone(model, storage.cache(), tokens[s], s % 2 == 0, workspace);
                }
                assertTogether(name, model, pool, tokens, alone, random, workspace);
                // Again, with full blocks that the pool still knows.
                assertTogether(name + ", known blocks", model, pool, tokens, alone, random, workspace);
            }
        });
    }

    /** The logits of all tokens, run at once or one by one. */
    private static float[] alone(Model model, Dtype dtype, int[] tokens, boolean whole, Workspace workspace) {
        try (KeyValueCache cache = new KeyValueCache(model.config(), tokens.length, dtype);
                Arena arena = Arena.ofShared()) {
            FloatMatrix logits =
                    FloatMatrix.allocate(arena, tokens.length, model.config().vocabularySize());
            cache.announce(tokens.length);
            int step = whole ? tokens.length : 1;
            for (int t = 0; t < tokens.length; t += step) {
                model.transformer()
                        .run(
                                List.of(new Transformer.Segment(cache, Arrays.copyOfRange(tokens, t, t + step), step)),
                                logits.rows(t, t + step),
                                workspace);
            }
            return logits.toArray();
        }
    }

    private static void assertTogether(
            String name,
            Model model,
            KeyValuePool pool,
            int[][] tokens,
            float[][] alone,
            SplittableRandom random,
            Workspace workspace) {
        int vocabulary = model.config().vocabularySize();
        List<KeyValueCache> caches = new ArrayList<>();
        for (int[] own : tokens) {
            caches.add(pool.reserve(own, own.length).orElseThrow());
        }
        while (true) {
            // Some rest, some give one token, some a piece, some all they have; in any order.
            List<Integer> order = new ArrayList<>();
            for (int s = 0; s < tokens.length; s++) {
                if (caches.get(s).length() < tokens[s].length && random.nextInt(4) > 0) {
                    order.add(random.nextInt(order.size() + 1), s);
                }
            }
            List<Transformer.Segment> segments = new ArrayList<>();
            for (int s : order) {
                int from = caches.get(s).length();
                int left = tokens[s].length - from;
                int count = switch (random.nextInt(3)) {
                    case 0 -> 1;
                    case 1 -> Math.min(left, 1 + random.nextInt(20));
                    default -> left;
                };
                int[] piece = Arrays.copyOfRange(tokens[s], from, from + count);
                segments.add(new Transformer.Segment(caches.get(s), piece, random.nextInt(count + 1)));
            }
            int rows = segments.stream().mapToInt(Transformer.Segment::wanted).sum();
            try (Arena arena = Arena.ofShared()) {
                FloatMatrix logits = FloatMatrix.allocate(arena, rows, vocabulary);
                model.transformer().run(segments, logits, workspace);
                float[] found = logits.toArray();
                int row = 0;
                for (int i = 0; i < segments.size(); i++) {
                    int s = order.get(i);
                    int wanted = segments.get(i).wanted();
                    int end = caches.get(s).length();
                    int from = (end - wanted) * vocabulary;
                    int at = row * vocabulary;
                    assertThat(Arrays.mismatch(
                                    found, at, at + wanted * vocabulary, alone[s], from, from + wanted * vocabulary))
                            .as("%s, sequence %d of %d tokens", name, s, tokens[s].length)
                            .isEqualTo(-1);
                    row += wanted;
                }
            }
            boolean done = true;
            for (int s = 0; s < tokens.length; s++) {
                done &= caches.get(s).length() == tokens[s].length;
            }
            if (done) {
                break;
            }
        }
        assertThat(pool.blocksInUse()).isPositive();
        caches.forEach(KeyValueCache::close);
        caches.forEach(KeyValueCache::close);
        assertThat(pool.blocksInUse()).isZero();
    }
}

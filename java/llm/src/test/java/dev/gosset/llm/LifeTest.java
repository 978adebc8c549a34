package dev.gosset.llm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gosset.llm.generate.GenerationOptions;
import dev.gosset.llm.generate.TextGenerator;
import dev.gosset.llm.sampling.Sampling;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.LongAdder;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Eight threads generate, give up and close the same models for {@code -Dgosset.test.life=SECONDS}, 6 by default. */
public class LifeTest {
    private static final int THREADS = 8;

    @TempDir
    Path temporary;

    /** On the backend that is tested. */
    protected LanguageModel open(Path directory) {
        return LanguageModel.open(directory);
    }

    private static final class SinkFailure extends RuntimeException {
        private static final long serialVersionUID = 1;
    }

    private final Map<String, LongAdder> outcomes = new ConcurrentHashMap<>();

    @Test
    void everyOutcomeIsOneOfTheDocumentedOnes() throws Exception {
        Path directory = TinyModels.copy("llama", temporary.resolve("model"));
        String expected = text(directory);
        long threadsBefore = threads();
        long end = System.nanoTime() + 1_000_000_000L * Integer.getInteger("gosset.test.life", 6);
        long seed = System.nanoTime();
        System.out.println("LifeTest seed " + seed);
        SplittableRandom random = new SplittableRandom(seed);
        long resident = 0;
        int rounds = 0;
        for (; System.nanoTime() < end || rounds < 20; rounds++) {
            round(directory, expected, random);
            if (rounds == 9) {
                resident = residentBytes();
            }
        }
        System.out.println("LifeTest rounds " + rounds + ", " + outcomes);
        assertThat(outcomes.keySet()).isSubsetOf("done", "closed", "cancelled", "sink");
        assertThat(outcomes.keySet()).contains("done", "closed");
        while (threads() > threadsBefore) {
            Thread.sleep(10);
        }
        if (Files.isReadable(Path.of("/proc/self/maps"))) {
            try (Stream<String> maps = Files.lines(Path.of("/proc/self/maps"))) {
                assertThat(maps.filter(l -> l.contains(directory.toString()))).isEmpty();
            }
            // What a round takes is some megabytes, so a leak of one in ten rounds would show.
            assertThat(residentBytes() - resident).isLessThan(256L << 20);
        }
    }

    private void round(Path directory, String expected, SplittableRandom random) throws InterruptedException {
        LanguageModel model = open(directory);
        List<Thread> threads = new ArrayList<>();
        for (int t = 0; t < THREADS; t++) {
            SplittableRandom own = random.split();
            threads.add(Thread.ofPlatform().start(() -> {
                for (int i = 0; i < 6; i++) {
                    count(outcome(model, expected, own));
                }
                if (own.nextInt(3) == 0) {
                    closeAndCount(model);
                }
            }));
        }
        Thread.sleep(random.nextInt(40));
        for (int i = 0; i < 3; i++) {
            threads.get(random.nextInt(THREADS)).interrupt();
            Thread.sleep(random.nextInt(5));
        }
        if (random.nextInt(4) > 0) {
            closeAndCount(model);
        }
        for (Thread thread : threads) {
            thread.join(30_000);
            assertThat(thread.isAlive()).isFalse();
        }
        closeAndCount(model);
    }

    private void count(String outcome) {
        outcomes.computeIfAbsent(outcome, o -> new LongAdder()).increment();
    }

    private void closeAndCount(LanguageModel model) {
        try {
            model.close();
        } catch (RuntimeException e) {
            count("closing: " + e);
        }
    }

    private static String outcome(LanguageModel model, String expected, SplittableRandom random) {
        int pieces = random.nextInt(12);
        int[] seen = {0};
        boolean gives = random.nextInt(3) == 0;
        try {
            TextGenerator.Result result = generate(model, piece -> {
                if (gives && seen[0]++ == pieces) {
                    throw new SinkFailure();
                }
            });
            return result.text().equals(expected) ? "done" : "other text: " + result.text();
        } catch (SinkFailure e) {
            return "sink";
        } catch (CancellationException e) {
            return Thread.interrupted() ? "cancelled" : "cancelled without an interrupt";
        } catch (IllegalStateException e) {
            return "the model is closed".equals(e.getMessage()) ? "closed" : e.toString();
        } catch (RuntimeException | Error e) {
            return e.toString();
        }
    }

    private static TextGenerator.Result generate(LanguageModel model, java.util.function.Consumer<String> sink) {
        GenerationOptions options = GenerationOptions.greedy(20).withSampling(Sampling.of(1, 0, 1, 4));
        return model.generate("w3 w4 w5", options, sink);
    }

    private String text(Path directory) {
        try (LanguageModel model = open(directory)) {
            return generate(model, piece -> {}).text();
        }
    }

    private static long threads() {
        return Thread.getAllStackTraces().keySet().stream()
                .filter(t -> t.getName().startsWith("gosset-"))
                .count();
    }

    private static long residentBytes() throws IOException {
        return Files.isReadable(Path.of("/proc/self/statm"))
                ? 4096
                        * Long.parseLong(
                                Files.readString(Path.of("/proc/self/statm")).split(" ")[1])
                : 0;
    }
}

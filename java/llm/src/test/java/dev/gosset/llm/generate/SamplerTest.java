package dev.gosset.llm.generate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.Comparator;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class SamplerTest {
    private static final int DRAWS = 200_000;

    @Test
    void temperatureZeroTakesTheFirstMaximum() {
        Sampler sampler = new Sampler(GenerationOptions.greedy(1));
        assertThat(sampler.next(new float[] {1, 5, 5, -2})).isEqualTo(1);
        assertThat(sampler.next(new float[] {-3, -7})).isZero();
    }

    /** Frequencies against probabilities computed by sorting everything. */
    @ParameterizedTest
    @CsvSource({"1, 0, 1", "0.5, 0, 1", "1, 5, 1", "1, 0, 0.8", "1.5, 7, 0.6", "1, 1000, 0.3", "0.7, 3, 1"})
    void drawsWithTheRightProbabilities(double temperature, int topK, double topP) {
        long seed = System.nanoTime();
        SplittableRandom random = new SplittableRandom(seed);
        float[] logits = new float[20];
        for (int i = 0; i < logits.length; i++) {
            logits[i] = (float) (random.nextDouble() * 5);
        }
        double[] expected = expected(logits, temperature, topK, topP);
        Sampler sampler = new Sampler(new GenerationOptions(1, temperature, topK, topP, seed));
        double[] counts = new double[logits.length];
        float[] before = logits.clone();
        for (int i = 0; i < DRAWS; i++) {
            counts[sampler.next(logits)]++;
        }
        assertThat(logits).isEqualTo(before);
        for (int i = 0; i < counts.length; i++) {
            double deviation = Math.sqrt(expected[i] * (1 - expected[i]) / DRAWS);
            assertThat(counts[i] / DRAWS)
                    .as("token %d, seed %d", i, seed)
                    .isCloseTo(expected[i], within(6 * deviation + 1e-12));
        }
    }

    private static double[] expected(float[] logits, double temperature, int topK, double topP) {
        int n = logits.length;
        Integer[] order = IntStream.range(0, n).boxed().toArray(Integer[]::new);
        Arrays.sort(order, Comparator.comparingDouble(i -> -logits[i]));
        int k = topK == 0 ? n : Math.min(topK, n);
        double[] p = new double[n];
        double sum = 0;
        for (int i = 0; i < k; i++) {
            p[order[i]] = Math.exp(logits[order[i]] / temperature);
            sum += p[order[i]];
        }
        double mass = 0;
        double kept = 0;
        for (int i = 0; i < n; i++) {
            if (mass >= topP * sum) {
                p[order[i]] = 0;
            }
            mass += p[order[i]];
            kept += p[order[i]];
        }
        for (int i = 0; i < n; i++) {
            p[i] /= kept;
        }
        return p;
    }

    @Test
    void theSameSeedDrawsTheSame() {
        float[] logits = new float[1000];
        SplittableRandom random = new SplittableRandom(5);
        for (int i = 0; i < logits.length; i++) {
            logits[i] = (float) random.nextGaussian();
        }
        GenerationOptions options = GenerationOptions.defaults().withSeed(9);
        Sampler a = new Sampler(options);
        Sampler b = new Sampler(options);
        Sampler other = new Sampler(options.withSeed(10));
        int[] first = IntStream.range(0, 100).map(i -> a.next(logits)).toArray();
        assertThat(IntStream.range(0, 100).map(i -> b.next(logits)).toArray()).isEqualTo(first);
        assertThat(IntStream.range(0, 100).map(i -> other.next(logits)).toArray())
                .isNotEqualTo(first);
    }

    @Test
    void refusesOptionsThatMakeNoSense() {
        GenerationOptions d = GenerationOptions.defaults();
        assertThatThrownBy(() -> d.withTemperature(-1))
                .hasMessageContaining("temperature")
                .hasMessageContaining("-1");
        assertThatThrownBy(() -> d.withTemperature(Double.NaN)).hasMessageContaining("temperature");
        assertThatThrownBy(() -> d.withTopP(0)).hasMessageContaining("top-p");
        assertThatThrownBy(() -> d.withTopK(-2)).hasMessageContaining("-2");
        assertThatThrownBy(() -> d.withMaxTokens(0)).hasMessageContaining("at least 1");
    }
}

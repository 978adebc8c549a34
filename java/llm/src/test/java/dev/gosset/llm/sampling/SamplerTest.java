package dev.gosset.llm.sampling;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.FormatException;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class SamplerTest {
    private static final int DRAWS = 200_000;

    @Test
    void temperatureZeroTakesTheFirstMaximum() {
        Sampler sampler = new Sampler(Sampling.greedy());
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
        Sampler sampler = new Sampler(Sampling.of(temperature, topK, topP, seed));
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

    /** Draws from what sorting everything keeps, over vocabularies flat and peaked: each first search ends at another threshold. */
    @ParameterizedTest
    @CsvSource({"0, 0.95", "0, 0.999999", "0, 1e-9", "40, 1", "40, 0.5", "900, 1", "5000, 0.999"})
    void drawsWhatSortingWouldDraw(int topK, double topP) {
        long seed = System.nanoTime();
        System.out.println("SamplerTest.drawsWhatSortingWouldDraw seed " + seed);
        SplittableRandom random = new SplittableRandom(seed);
        for (double spread : new double[] {0, 0.1, 1, 5, 30}) {
            float[] logits = new float[1000];
            for (int i = 0; i < logits.length; i++) {
                // some equal ones; no negative zeros, which a sort tells from the others
                logits[i] = (float) (i % 10 == 0 ? 0 : spread * random.nextGaussian()) + 0f;
            }
            Sampling options = Sampling.of(0.9, topK, topP, seed);
            Sampler sampler = new Sampler(options);
            SplittableRandom draws = new SplittableRandom(seed);
            for (int i = 0; i < 20; i++) {
                assertThat(sampler.next(logits)).isEqualTo(sorted(logits, options, draws));
            }
        }
    }

    private static int sorted(float[] logits, Sampling options, SplittableRandom draws) {
        int n = logits.length;
        Integer[] order = IntStream.range(0, n).boxed().toArray(Integer[]::new);
        Arrays.sort(order, Comparator.comparingDouble(i -> -logits[i]));
        int k = options.topK() == 0 ? n : Math.min(options.topK(), n);
        double max = logits[order[0]];
        double[] weights = new double[n];
        double sum = 0;
        for (int i = 0; i < n; i++) {
            weights[i] = Math.exp((logits[i] - max) / options.temperature());
            sum += weights[i];
        }
        double all = 0;
        for (int i = 0; i < k; i++) {
            all += weights[order[i]];
        }
        double least = options.topP() * (options.topK() == 0 ? sum : all);
        int kept = 0;
        double mass = 0;
        while (kept < k && (kept == 0 || mass < least)) {
            mass += weights[order[kept++]];
        }
        double u = draws.nextDouble() * mass;
        for (int i = 0; i < kept - 1; i++) {
            u -= weights[order[i]];
            if (u < 0) {
                return order[i];
            }
        }
        return order[kept - 1];
    }

    /** A broken model must not write a text: it says which token of the text has no probabilities. */
    @Test
    void logitsThatAreNoNumbersAreAnError() {
        float inf = Float.POSITIVE_INFINITY;
        for (Sampling sampling : List.of(
                Sampling.greedy(),
                Sampling.of(1, 0, 0.9, 1),
                Sampling.of(1, 2, 1, 1),
                Sampling.greedy().withRepetitionPenalty(2))) {
            for (float[] logits : new float[][] {
                {Float.NaN, Float.NaN, 1}, {1, 2, Float.NaN}, {Float.NaN, 5, 3}, {1, inf, 2}, {-inf, -inf, -inf}
            }) {
                Sampler sampler = new Sampler(sampling);
                assertThat(sampler.next(new float[] {1, 3, 2})).isBetween(0, 2);
                assertThatThrownBy(() -> sampler.next(logits))
                        .isInstanceOf(FormatException.class)
                        .hasMessageContaining("token 2 of the text");
            }
        }
        assertThat(new Sampler(Sampling.of(1, 0, 0.9, 1)).next(new float[] {-inf, 2, -inf}))
                .isEqualTo(1);
    }

    @Test
    void theSameSeedDrawsTheSame() {
        float[] logits = new float[1000];
        SplittableRandom random = new SplittableRandom(5);
        for (int i = 0; i < logits.length; i++) {
            logits[i] = (float) random.nextGaussian();
        }
        Sampling options = Sampling.defaults().withSeed(9);
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
        Sampling d = Sampling.defaults();
        assertThatThrownBy(() -> d.withTemperature(-1))
                .hasMessageContaining("temperature")
                .hasMessageContaining("-1");
        assertThatThrownBy(() -> d.withTemperature(Double.NaN)).hasMessageContaining("temperature");
        assertThatThrownBy(() -> d.withTopP(0)).hasMessageContaining("top-p");
        assertThatThrownBy(() -> d.withTopK(-2)).hasMessageContaining("-2");
        assertThatThrownBy(() -> d.withMinP(1.5)).hasMessageContaining("min-p").hasMessageContaining("1.5");
        assertThatThrownBy(() -> d.withRepetitionPenalty(0)).hasMessageContaining("repetition penalty");
        assertThatThrownBy(() -> d.withLogitBias(java.util.Map.of(-1, 1.0))).hasMessageContaining("-1");
    }
}

package dev.gosset.llm.sampling;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gosset.llm.io.Json;
import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Against the logits processors and warpers of transformers 5.18 (src/test/python/make_sampling_cases.py). */
final class TransformersSamplingTest {
    private static final int DRAWS = 20_000;

    private static JsonNode cases() throws IOException {
        try (InputStream in = TransformersSamplingTest.class.getResourceAsStream("/sampling/cases.json")) {
            return Json.MAPPER.readTree(in);
        }
    }

    private static float[] floats(JsonNode node) {
        float[] out = new float[node.size()];
        for (int i = 0; i < out.length; i++) {
            out[i] = (float) node.get(i).doubleValue();
        }
        return out;
    }

    private static int[] ints(JsonNode node) {
        int[] out = new int[node.size()];
        Arrays.setAll(out, i -> node.get(i).intValue());
        return out;
    }

    private static Sampling settings(JsonNode c) {
        JsonNode s = c.get("settings");
        Map<Integer, Double> bias = new HashMap<>();
        c.get("bias")
                .properties()
                .forEach(e -> bias.put(Integer.valueOf(e.getKey()), e.getValue().doubleValue()));
        return Sampling.of(
                        s.get("temperature").doubleValue(),
                        s.get("top_k").intValue(),
                        s.get("top_p").doubleValue(),
                        5)
                .withMinP(s.get("min_p").doubleValue())
                .withRepetitionPenalty(s.get("repetition_penalty").doubleValue())
                .withLogitBias(bias);
    }

    /** Bit by bit: float32 in the same order. */
    @Test
    void biasAndPenaltyGiveTheSameLogits() throws IOException {
        for (JsonNode c : cases()) {
            float[] logits = floats(c.get("logits"));
            new LogitRules(settings(c), ints(c.get("prompt"))).apply(logits);
            assertThat(logits).isEqualTo(floats(c.get("changed")));
        }
    }

    @Test
    void whatIsKeptIsDrawnWithTheSameProbabilities() throws IOException {
        for (JsonNode c : cases()) {
            float[] logits = floats(c.get("logits"));
            float[] before = logits.clone();
            int[] prompt = ints(c.get("prompt"));
            double[] counts = new double[logits.length];
            Sampling settings = settings(c);
            for (int i = 0; i < DRAWS; i++) {
                // Anew, since what is drawn is penalized from then on.
                counts[new Sampler(settings.withSeed(i * 0x9E3779B97F4A7C15L), prompt, null, -1).next(logits)]++;
            }
            assertThat(logits).isEqualTo(before);
            JsonNode kept = c.get("kept");
            for (int i = 0; i < counts.length; i++) {
                double p = kept.path(Integer.toString(i)).asDouble(0);
                assertThat(counts[i] / DRAWS)
                        .as("token %d of %s", i, c.get("settings"))
                        .isCloseTo(p, within(6 * Math.sqrt(p * (1 - p) / DRAWS) + (p > 0 ? 5.0 / DRAWS : 1e-12)));
            }
        }
    }

    @Test
    void logProbabilitiesAreOfTheModelsOwnLogits() throws IOException {
        for (JsonNode c : cases()) {
            float[] logits = floats(c.get("logits"));
            Sampler sampler = new Sampler(settings(c), ints(c.get("prompt")), null, 4);
            int token = sampler.next(logits);
            LogProbabilities found = sampler.logProbabilities();
            JsonNode expected = c.get("log_probabilities");
            assertThat(found.token()).isEqualTo(token);
            assertThat(found.logProbability()).isCloseTo(expected.get(token).doubleValue(), within(1e-6));
            assertThat(found.top()).hasSize(4);
            Integer[] order = new Integer[logits.length];
            Arrays.setAll(order, i -> i);
            Arrays.sort(order, (a, b) -> Float.compare(logits[b], logits[a]));
            for (int i = 0; i < 4; i++) {
                assertThat(found.top().get(i).token()).isEqualTo(order[i]);
                assertThat(found.top().get(i).logProbability())
                        .isCloseTo(expected.get(order[i]).doubleValue(), within(1e-6));
            }
        }
    }

    /** As OpenAI's interface defines them: on the generated text alone, once for each token and once for each time. */
    @Test
    void presenceAndFrequencyCountTheGeneratedText() {
        float[] logits = {3, 2.5f, 2, -5};
        Sampling greedy = Sampling.greedy();
        Sampler presence = new Sampler(greedy.withPresencePenalty(0.75), new int[] {1, 1, 2}, null, -1);
        assertThat(new int[] {presence.next(logits), presence.next(logits), presence.next(logits)})
                .containsExactly(0, 1, 0);
        Sampler frequency = new Sampler(greedy.withFrequencyPenalty(0.4), new int[] {1, 1, 2}, null, -1);
        int[] found = new int[6];
        double[] times = new double[4];
        for (int i = 0; i < found.length; i++) {
            int best = 0;
            for (int t = 1; t < 4; t++) {
                best = logits[t] - 0.4 * times[t] > logits[best] - 0.4 * times[best] ? t : best;
            }
            times[best]++;
            assertThat(frequency.next(logits)).as("token %d", i).isEqualTo(best);
        }
    }

    @Test
    void aMaskDecidesAndIsToldWhatCame() {
        int[] told = {-1};
        TokenMask mask = new TokenMask() {
            @Override
            public void mask(float[] logits) {
                for (int i = 0; i < logits.length; i++) {
                    if (i != told[0] + 1) {
                        logits[i] = Float.NEGATIVE_INFINITY;
                    }
                }
            }

            @Override
            public boolean allows(int token) {
                return token == told[0] + 1;
            }

            @Override
            public void accept(int token) {
                told[0] = token;
            }
        };
        Sampler sampler = new Sampler(Sampling.of(1.5, 0, 0.9, 3), new int[0], mask, 0);
        float[] logits = {9, -3, 4, 0};
        for (int i = 0; i < 4; i++) {
            assertThat(sampler.next(logits)).isEqualTo(i);
            assertThat(sampler.logProbabilities().top()).isEmpty();
        }
        assertThat(logits).containsExactly(9, -3, 4, 0);
    }
}

package dev.gosset.llm.device;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gosset.core.FormatException;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.rounding.RoundingSettings;
import dev.gosset.llm.Progress;
import dev.gosset.llm.SyntheticCheckpoint;
import dev.gosset.llm.TinyModels;
import dev.gosset.llm.calibration.CalibrationText;
import dev.gosset.llm.device.Decoder.Continuation;
import dev.gosset.llm.evaluate.Perplexity;
import dev.gosset.llm.generate.CpuModel;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.quantize.QuantizationPipeline;
import dev.gosset.llm.quantize.QuantizationSettings;
import dev.gosset.llm.sampling.Sampler;
import dev.gosset.llm.sampling.Sampling;
import dev.gosset.llm.session.Engine;
import dev.gosset.llm.session.Session;
import dev.gosset.llm.session.Token;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.CancellationException;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What every backend does alike, on small random models: each is compared with an {@link ExactModel}. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
public abstract class LoadedModelContract {
    @SuppressWarnings("UnusedVariable")
    private static final Iterable<String> MODELS = TinyModels.NAMES;

    private final ThreadTeam team = new ThreadTeam(2);

    @TempDir
    static Path temporary;

    private Path quantized;

    /** The backend's model; closed by the test. */
    protected abstract LoadedModel load(Model model, ThreadTeam team);

    /** The relative error of the linears that a model has on this backend. */
    protected abstract double relativeError(Model model);

    /** Whether {@link LoadedModel#logits} of this backend come by way of keys and values in float16. */
    protected abstract boolean halfCaches();

    private ExactModel exact(Path directory, Model model) {
        return new ExactModel(directory, team, relativeError(model), halfCaches());
    }

    @BeforeAll
    void quantize() throws IOException {
        Path original = TinyModels.copy("llama", temporary.resolve("original"));
        Path text = Files.writeString(temporary.resolve("text.txt"), TinyModels.text(3, 600));
        quantized = quantized(original, text, 2);
    }

    private Path quantized(Path original, Path text, int bits) {
        Path out = original.resolveSibling(original.getFileName() + "-" + bits);
        QuantizationPipeline.run(
                original,
                out,
                new QuantizationSettings(
                        RoundingSettings.of(Codebook.ofBits(bits)), 0, new CalibrationText(text, 8, 32), null),
                false,
                team,
                Progress.NONE);
        return out;
    }

    @AfterAll
    void closeTeam() {
        team.close();
    }

    private static int[] tokens(long seed, int count) {
        SplittableRandom random = new SplittableRandom(seed);
        return random.ints(count, 3, 90).toArray();
    }

    /** Sampled tokens of one sequence from a decoder of its own. */
    private static List<Integer> sample(
            LoadedModel model, int context, int[] prompt, Sampling sampling, int count, Set<Integer> end) {
        List<Integer> sampled = new ArrayList<>();
        try (Decoder decoder = model.decoder(1, context)) {
            decoder.append(0, prompt);
            decoder.decode(List.of(new Continuation(0, sampling, count)), end, (s, token) -> sampled.add(token));
            assertThat(decoder.length(0)).isEqualTo(prompt.length + sampled.size() - 1);
        }
        return sampled;
    }

    @ParameterizedTest
    @FieldSource("MODELS")
    void everyFamilyHasTheTransformersLogits(String name) {
        try (Model model = Model.open(TinyModels.directory(name));
                LoadedModel loaded = load(model, team);
                ExactModel exact = exact(TinyModels.directory(name), model)) {
            // Beyond every window, and more rows than one product of few rows.
            int[] tokens = tokens(5, 40);
            exact.assertLogits(ExactModel.logits(loaded, tokens, 0, tokens.length), tokens, 0);
            exact.assertLogits(ExactModel.logits(loaded, tokens, 17, 23), tokens, 17);
            // Not the first rows of the others: frequencies may change with the length.
            int[] few = Arrays.copyOf(tokens, 3);
            exact.assertLogits(ExactModel.logits(loaded, few, 0, 3), few, 0);
            int[] prompt = Arrays.copyOf(tokens, 19);
            exact.assertSampled(prompt, sample(loaded, 64, prompt, Sampling.greedy(), 4, Set.of()), Sampling.greedy());
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4})
    void quantizedModelsAndPublishedCheckpoints(int bits) throws IOException {
        Path text = temporary.resolve("text.txt");
        Path biased = TinyModels.copy("llama3", temporary.resolve("biased" + bits));
        Path published = new SyntheticCheckpoint(SyntheticCheckpoint.Shape.SMALL, bits, 8 + bits)
                .write(temporary.resolve("published" + bits));
        for (Path directory : List.of(quantized(biased, text, bits), published)) {
            try (Model model = Model.open(directory);
                    LoadedModel loaded = load(model, team);
                    ExactModel exact = exact(directory, model)) {
                int[] tokens = tokens(6, 21);
                exact.assertLogits(ExactModel.logits(loaded, tokens, 0, tokens.length), tokens, 0);
                int[] prompt = Arrays.copyOf(tokens, 5);
                exact.assertSampled(
                        prompt, sample(loaded, 16, prompt, Sampling.greedy(), 4, Set.of()), Sampling.greedy());
            }
        }
    }

    @Test
    void perplexity() {
        int[] tokens = tokens(7, 64);
        try (Model model = Model.open(quantized);
                LoadedModel loaded = load(model, team);
                ExactModel exact = exact(quantized, model)) {
            double expected = Perplexity.measure(exact.loaded(), tokens, 32, "tokens", Progress.NONE)
                    .perplexity();
            double found = Perplexity.measure(loaded, tokens, 32, "tokens", Progress.NONE)
                    .perplexity();
            assertThat(found / expected).isBetween(1 - exact.tolerance(), 1 + exact.tolerance());
        }
    }

    @Test
    void manySequencesGoOnAsEachAlone() {
        int[] lengths = {1, 7, 3, 18};
        List<Sampling> samplings = List.of(
                Sampling.greedy(),
                Sampling.of(0.9, 0, 1, 11),
                Sampling.of(1.3, 12, 0.9, 12),
                Sampling.of(0.7, 0, 0.8, 13));
        try (Model model = Model.open(quantized);
                LoadedModel loaded = load(model, team);
                ExactModel exact = exact(quantized, model);
                Decoder decoder = loaded.decoder(4, 32)) {
            int decided = 0;
            List<Continuation> continuations = new ArrayList<>();
            List<List<Integer>> together = new ArrayList<>();
            for (int s = 0; s < 4; s++) {
                decoder.append(s, tokens(20 + s, lengths[s]));
                continuations.add(new Continuation(s, samplings.get(s), 6 - s));
                together.add(new ArrayList<>());
            }
            decoder.decode(
                    continuations, Set.of(), (s, token) -> together.get(s).add(token));
            for (int s = 0; s < 4; s++) {
                assertThat(together.get(s))
                        .as("sequence %d", s)
                        .isEqualTo(sample(loaded, 32, tokens(20 + s, lengths[s]), samplings.get(s), 6 - s, Set.of()));
                decided += exact.assertSampled(tokens(20 + s, lengths[s]), together.get(s), samplings.get(s));
                assertThat(decoder.length(s)).isEqualTo(lengths[s] + 6 - s - 1);
            }
            // The comparison says something: rounding leaves most of the 18 tokens no choice.
            assertThat(decided).isGreaterThan(9);
        }
    }

    /** Samplers that need logits: penalties, min-p, log-probabilities and masks, side by side with plain ones. */
    @Test
    void samplersThatNeedLogitsDrawAsOnTheProcessor() {
        // Few tokens to draw from: few boundaries that rounding could cross.
        List<Sampling> samplings = List.of(
                Sampling.greedy().withRepetitionPenalty(1.7),
                Sampling.of(0.9, 3, 1, 11),
                Sampling.of(1.3, 12, 0.9, 12).withMinP(0.05).withFrequencyPenalty(0.3),
                Sampling.greedy().withLogitBias(java.util.Map.of(17, 50.0)));
        try (Model model = Model.open(quantized);
                LoadedModel loaded = load(model, team);
                CpuModel cpu = new CpuModel(model.transformer(), team)) {
            List<List<Integer>> expected = sampleByLogits(cpu, samplings, Set.of());
            assertThat(sampleByLogits(loaded, samplings, Set.of())).isEqualTo(expected);
            assertThat(expected.get(3)).containsOnly(17);
            assertThat(expected.get(0)).doesNotHaveDuplicates();
            // An end token, and one that the device's own draw would not have been.
            assertThat(sampleByLogits(loaded, samplings, Set.of(17)).get(3)).containsExactly(17);
        }
    }

    private static List<List<Integer>> sampleByLogits(LoadedModel model, List<Sampling> samplings, Set<Integer> end) {
        List<List<Integer>> sampled = new ArrayList<>();
        List<Continuation> continuations = new ArrayList<>();
        List<Sampler> samplers = new ArrayList<>();
        try (Decoder decoder = model.decoder(4, 32)) {
            for (int s = 0; s < 4; s++) {
                int[] prompt = tokens(60 + s, 3 + s);
                decoder.append(s, prompt);
                samplers.add(new Sampler(samplings.get(s), prompt, null, s == 1 ? 2 : -1));
                continuations.add(new Continuation(s, samplers.get(s), 5 + s));
                sampled.add(new ArrayList<>());
            }
            decoder.decode(continuations, end, (s, token) -> {
                assertThat(samplers.get(s).logProbabilities() != null).isEqualTo(s == 1);
                return sampled.get(s).add(token);
            });
            for (int s = 0; s < 4; s++) {
                assertThat(decoder.length(s)).isEqualTo(3 + s + sampled.get(s).size() - 1);
            }
        }
        return sampled;
    }

    /** A model that computes no numbers writes nothing. */
    @Test
    void logitsThatAreNoNumbersAreAnError() throws IOException {
        Path broken = TinyModels.copyWithoutNumbers("llama", temporary.resolve("broken"));
        int[] prompt = tokens(70, 4);
        try (Model model = Model.open(broken);
                LoadedModel loaded = load(model, team)) {
            for (Sampling sampling : List.of(
                    Sampling.greedy(),
                    Sampling.of(1, 0, 0.9, 3),
                    Sampling.greedy().withRepetitionPenalty(2))) {
                assertThatThrownBy(() -> sample(loaded, 16, prompt, sampling, 4, Set.of()))
                        .isInstanceOf(FormatException.class)
                        .hasMessageContaining("token 1 of the text");
            }
        }
    }

    /** More sessions than places, prompts that share a beginning, and one that is given up. */
    @Test
    void sessionsComeAndGo() {
        try (Model model = Model.open(quantized);
                LoadedModel loaded = load(model, team)) {
            Batch batch = loaded.batch(3, 48);
            try (Engine engine = new Engine(batch, model.config().vocabularySize())) {
                List<Session> sessions = new ArrayList<>();
                for (int s = 0; s < 8; s++) {
                    sessions.add(engine.admit(prompt(s), new Sampler(sampling(s)), 2 + 2 * s, Set.of()));
                }
                sessions.get(5).cancel();
                for (int s = 0; s < 8; s++) {
                    if (s == 5) {
                        assertThatThrownBy(sessions.get(s)::next).isInstanceOf(CancellationException.class);
                        continue;
                    }
                    List<Integer> tokens = new ArrayList<>();
                    for (Token token = sessions.get(s).next();
                            token != null;
                            token = sessions.get(s).next()) {
                        tokens.add(token.id());
                    }
                    assertThat(tokens)
                            .as("session %d", s)
                            .isEqualTo(sample(loaded, 48, prompt(s), sampling(s), 2 + 2 * s, Set.of()));
                }
            }
            assertThat(batch.inUse()).isZero();
        }
    }

    private static int[] prompt(int s) {
        return tokens(40 + s / 3, 3 + 4 * s);
    }

    private static Sampling sampling(int s) {
        return s % 2 == 0 ? Sampling.greedy() : Sampling.of(0.9, s == 3 ? 12 : 0, s == 7 ? 0.9 : 1, 60 + s);
    }

    @Test
    void aFullContextEndsASequence() {
        int[] prompt = tokens(31, 5);
        try (Model model = Model.open(quantized);
                LoadedModel loaded = load(model, team);
                Decoder decoder = loaded.decoder(1, 8)) {
            // The last token need not fit: it is not run.
            assertThat(sample(loaded, 8, prompt, Sampling.greedy(), 100, Set.of()))
                    .hasSize(4);
            decoder.append(0, prompt);
            assertThatThrownBy(() -> decoder.append(0, prompt))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("8");
        }
    }

    @Test
    void endTokensAndReadersEndASequence() {
        int[] prompt = tokens(32, 4);
        try (Model model = Model.open(quantized);
                LoadedModel loaded = load(model, team);
                Decoder decoder = loaded.decoder(2, 32)) {
            Sampling sampling = Sampling.of(1, 0, 1, 5);
            List<Integer> free = sample(loaded, 32, prompt, sampling, 8, Set.of());
            int end = free.get(3);
            int at = free.indexOf(end) + 1;
            assertThat(sample(loaded, 32, prompt, sampling, 8, Set.of(end, 1))).isEqualTo(free.subList(0, at));
            List<List<Integer>> sampled = List.of(new ArrayList<>(), new ArrayList<>());
            decoder.append(0, prompt);
            decoder.append(1, prompt);
            decoder.decode(
                    List.of(new Continuation(0, sampling, 8), new Continuation(1, sampling, 8)),
                    Set.of(),
                    (s, token) -> {
                        sampled.get(s).add(token);
                        return s == 1 || sampled.get(s).size() < 2;
                    });
            assertThat(sampled.get(0)).isEqualTo(free.subList(0, 2));
            assertThat(sampled.get(1)).isEqualTo(free);
            assertThat(decoder.length(0)).isEqualTo(prompt.length + 1);
        }
    }

    @Test
    void sequencesAreCutAndGoOn() {
        int[] tokens = tokens(33, 20);
        try (Model model = Model.open(quantized);
                LoadedModel loaded = load(model, team);
                Decoder decoder = loaded.decoder(1, 32)) {
            List<Integer> expected = sample(loaded, 32, tokens, Sampling.greedy(), 4, Set.of());
            decoder.append(0, Arrays.copyOf(tokens, 9));
            List<Integer> sampled = new ArrayList<>();
            Decoder.TokenReader reader = (s, token) -> sampled.add(token);
            decoder.decode(List.of(new Continuation(0, Sampling.greedy(), 5)), Set.of(), reader);
            assertThatThrownBy(
                            () -> decoder.decode(List.of(new Continuation(0, Sampling.greedy(), 1)), Set.of(), reader))
                    .isInstanceOf(IllegalStateException.class);
            decoder.truncate(0, 6);
            decoder.append(0, Arrays.copyOfRange(tokens, 6, 7));
            decoder.append(0, Arrays.copyOfRange(tokens, 7, 20));
            sampled.clear();
            decoder.decode(List.of(new Continuation(0, Sampling.greedy(), 4)), Set.of(), reader);
            assertThat(sampled).isEqualTo(expected);
            assertThatThrownBy(() -> decoder.append(0, new int[] {1 << 20}))
                    .isInstanceOf(IllegalArgumentException.class);
        }
    }
}

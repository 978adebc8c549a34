package dev.gosset.llm.device;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gosset.core.FormatException;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.rounding.RoundingSettings;
import dev.gosset.llm.Progress;
import dev.gosset.llm.SyntheticCheckpoint;
import dev.gosset.llm.TinyModels;
import dev.gosset.llm.calibration.CalibrationText;
import dev.gosset.llm.evaluate.Perplexity;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.quantize.QuantizationPipeline;
import dev.gosset.llm.quantize.QuantizationSettings;
import dev.gosset.llm.sampling.Sampler;
import dev.gosset.llm.sampling.Sampling;
import dev.gosset.llm.sampling.TokenMask;
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
                        RoundingSettings.reference(Codebook.ofBits(bits)), 0, new CalibrationText(text, 8, 32), null),
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

    /** Sampled tokens of one sequence from a batch of its own. */
    private static List<Integer> sample(
            LoadedModel model, int context, int[] prompt, Sampling sampling, int count, Set<Integer> end) {
        try (Engine engine = new Engine(model.batch(1, context), model.config().vocabularySize())) {
            return ids(engine.admit(prompt, new Sampler(sampling), count, end));
        }
    }

    private static List<Integer> ids(Session session) {
        return read(session).stream().map(Token::id).toList();
    }

    /** All tokens. */
    private static List<Token> read(Session session) {
        List<Token> tokens = new ArrayList<>();
        for (Token token = session.next(); token != null; token = session.next()) {
            tokens.add(token);
        }
        return tokens;
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
                Engine engine = new Engine(loaded.batch(4, 32), model.config().vocabularySize())) {
            List<Session> sessions = new ArrayList<>();
            for (int s = 0; s < 4; s++) {
                Sampler sampler = new Sampler(samplings.get(s));
                sessions.add(engine.admit(tokens(20 + s, lengths[s]), sampler, 6 - s, Set.of()));
            }
            int decided = 0;
            for (int s = 0; s < 4; s++) {
                List<Integer> together = ids(sessions.get(s));
                assertThat(together)
                        .as("sequence %d", s)
                        .hasSize(6 - s)
                        .isEqualTo(sample(loaded, 32, tokens(20 + s, lengths[s]), samplings.get(s), 6 - s, Set.of()));
                decided += exact.assertSampled(tokens(20 + s, lengths[s]), together, samplings.get(s));
            }
            // The comparison says something: rounding leaves most of the 18 tokens no choice.
            assertThat(decided).isGreaterThan(9);
        }
    }

    /**
     * The bits of a sequence's log-probabilities are the same alone and among up to 15 others that come and go, also where blocks of
     * keys are found that were computed before. Some tokens are drawn by the device, where it can.
     */
    @Test
    void companyChangesNothing() {
        long seed = System.nanoTime();
        System.out.println("LoadedModelContract.companyChangesNothing seed " + seed);
        SplittableRandom random = new SplittableRandom(seed);
        int count = 20;
        int[][] prompts = new int[count][];
        int[] limits = new int[count];
        for (int s = 0; s < count; s++) {
            prompts[s] = tokens(random.nextLong(), 1 + random.nextInt(s % 6 == 0 ? 150 : 20));
            limits[s] = 1 + random.nextInt(5);
            if (s % 6 == 1) {
                System.arraycopy(prompts[s - 1], 0, prompts[s], 0, Math.min(prompts[s].length, prompts[s - 1].length));
            }
        }
        try (Model model = Model.open(quantized);
                LoadedModel loaded = load(model, team)) {
            int vocabulary = model.config().vocabularySize();
            List<List<Token>> alone = new ArrayList<>();
            for (int s = 0; s < count; s++) {
                try (Engine engine = new Engine(loaded.batch(1, 160), vocabulary)) {
                    alone.add(read(engine.admit(prompts[s], sampler(s), limits[s], Set.of())));
                }
            }
            Batch batch = loaded.batch(16, 160);
            try (Engine engine = new Engine(batch, vocabulary)) {
                for (int round = 0; round < 2; round++) {
                    List<Session> sessions = new ArrayList<>();
                    for (int s = 0; s < count; s++) {
                        sessions.add(engine.admit(prompts[s], sampler(s), limits[s], Set.of()));
                        if (random.nextInt(3) == 0) {
                            engine.admit(prompts[random.nextInt(count)], sampler(s), 3, Set.of())
                                    .cancel();
                        }
                    }
                    for (int s = 0; s < count; s++) {
                        assertThat(read(sessions.get(s)))
                                .as("sequence %d of %d tokens, round %d", s, prompts[s].length, round)
                                .isEqualTo(alone.get(s));
                    }
                }
            }
            assertThat(batch.inUse()).isZero();
        }
    }

    private static Sampler sampler(int s) {
        return s % 3 == 0
                ? new Sampler(Sampling.of(0.9, 0, 1, s))
                : new Sampler(Sampling.of(1.1, 20, 0.9, s), new int[0], null, 5);
    }

    /** What a model cannot run ends the sequence that asks for it, and no other. */
    @Test
    void aFailingPromptIsItsOwnAffair() {
        int[] prompt = tokens(44, 7);
        try (Model model = Model.open(quantized);
                LoadedModel loaded = load(model, team);
                Batch batch = loaded.batch(2, 32)) {
            Batch.Sequence one =
                    batch.admit(prompt, new Sampler(Sampling.greedy()), 5).orElseThrow();
            List<Integer> tokens = new ArrayList<>();
            while (tokens.size() < 5) {
                int[] wrong = prompt.clone();
                wrong[3] = tokens.size() % 2 == 0 ? -1 : model.config().vocabularySize();
                assertThatThrownBy(() -> batch.admit(wrong, new Sampler(Sampling.greedy()), 5))
                        .isInstanceOf(IllegalArgumentException.class)
                        .hasMessageContaining(String.valueOf(wrong[3]));
                batch.step().forEach(d -> tokens.add(d.token()));
            }
            batch.release(one);
            batch.release(one);
            assertThat(batch.inUse()).isZero();
            assertThat(tokens).isEqualTo(sample(loaded, 32, prompt, Sampling.greedy(), 5, Set.of()));
        }
    }

    /** Samplers that need logits: penalties, min-p, log-probabilities and masks, side by side with plain ones. */
    @Test
    void samplersThatNeedLogitsDrawAsOnTheProcessor() {
        List<Sampling> samplings = List.of(
                Sampling.greedy().withRepetitionPenalty(1.7),
                Sampling.of(0.9, 3, 1, 11),
                Sampling.of(1.3, 12, 0.9, 12).withMinP(0.05).withFrequencyPenalty(0.3),
                Sampling.greedy().withLogitBias(java.util.Map.of(17, 50.0)));
        try (Model model = Model.open(quantized);
                LoadedModel loaded = load(model, team);
                ExactModel exact = exact(quantized, model)) {
            List<List<Integer>> sampled = sampleByLogits(loaded, samplings, Set.of());
            int decided = 0;
            for (int s = 0; s < 4; s++) {
                assertThat(sampled.get(s)).hasSize(5 + s);
                decided += exact.assertSampled(tokens(60 + s, 3 + s), sampled.get(s), samplings.get(s));
            }
            // The comparison says something: rounding leaves most of the 26 tokens no choice.
            assertThat(decided).isGreaterThan(13);
            assertThat(sampled.get(3)).containsOnly(17);
            assertThat(sampled.get(0)).doesNotHaveDuplicates();
            // An end token, and one that the device's own draw would not have been.
            assertThat(sampleByLogits(loaded, samplings, Set.of(17)).get(3)).containsExactly(17);
        }
    }

    private static List<List<Integer>> sampleByLogits(LoadedModel model, List<Sampling> samplings, Set<Integer> end) {
        List<List<Integer>> sampled = new ArrayList<>();
        try (Engine engine = new Engine(model.batch(4, 32), model.config().vocabularySize())) {
            List<Session> sessions = new ArrayList<>();
            for (int s = 0; s < 4; s++) {
                int[] prompt = tokens(60 + s, 3 + s);
                Sampler sampler = new Sampler(samplings.get(s), prompt, null, s == 1 ? 2 : -1);
                sessions.add(engine.admit(prompt, sampler, 5 + s, end));
            }
            for (int s = 0; s < 4; s++) {
                List<Token> tokens = read(sessions.get(s));
                for (Token token : tokens) {
                    assertThat(token.logProbabilities() != null).isEqualTo(s == 1);
                }
                sampled.add(tokens.stream().map(Token::id).toList());
            }
        }
        return sampled;
    }

    /** A model that computes no numbers writes nothing. */
    /** Also where the memory still has the prompt, and in pieces. */
    /** Behind each drawn token two come without a draw, and what is drawn then is drawn behind all of them. */
    @Test
    void whatComesWithoutADrawIsRunAsWell() {
        TokenMask mask = new TokenMask() {
            @Override
            public void mask(float[] logits) {}

            @Override
            public boolean allows(int token) {
                return true;
            }

            @Override
            public int[] forced(int token) {
                return token < 0 ? new int[] {41, 42} : new int[] {token, (token + 1) % 90, 7};
            }
        };
        try (Model model = Model.open(quantized);
                LoadedModel loaded = load(model, team);
                ExactModel exact = exact(quantized, model);
                Engine engine = new Engine(loaded.batch(2, 60), model.config().vocabularySize())) {
            int[] prompt = tokens(70, 9);
            Sampler sampler = new Sampler(Sampling.greedy(), prompt, mask, -1);
            Session alone = engine.admit(prompt, new Sampler(Sampling.greedy()), 5, Set.of());
            List<Integer> all = new ArrayList<>();
            try (Session session = engine.admit(prompt, sampler, 25, Set.of())) {
                for (Token token = session.next(); token != null; token = session.next()) {
                    all.add(token.id());
                }
            }
            alone.close();
            assertThat(all).hasSize(25).startsWith(41, 42);
            int decided = 0;
            for (int k = 2; k < all.size(); k += 3) {
                int[] before = Arrays.copyOf(prompt, prompt.length + k);
                for (int i = 0; i < k; i++) {
                    before[prompt.length + i] = all.get(i);
                }
                decided += exact.assertSampled(before, all.subList(k, k + 1), Sampling.greedy());
                if (k + 2 < all.size()) {
                    assertThat(all.subList(k + 1, k + 3)).containsExactly((all.get(k) + 1) % 90, 7);
                }
            }
            assertThat(decided).isGreaterThan(4);
        }
    }

    @Test
    void promptsTellHowLikelyTheyWere() {
        try (Model model = Model.open(TinyModels.directory("llama"));
                LoadedModel loaded = load(model, team);
                Engine engine = new Engine(loaded.batch(2, 160), model.config().vocabularySize())) {
            int[] prompt = new SplittableRandom(4).ints(130, 3, 90).toArray();
            double[] expected = new double[prompt.length];
            loaded.logits(prompt, 0, prompt.length - 1, (first, logits) -> {
                for (int i = 0; i < logits.rows(); i++) {
                    double sum = 0;
                    for (int t = 0; t < logits.cols(); t++) {
                        sum += Math.exp(logits.get(i, t));
                    }
                    expected[first + i + 1] = logits.get(i, prompt[first + i + 1]) - Math.log(sum);
                }
            });
            for (int round = 0; round < 2; round++) {
                Sampler sampler = new Sampler(Sampling.greedy(), prompt, null, 1, true);
                ids(engine.admit(prompt, sampler, 2, Set.of()));
                assertThat(sampler.promptLogProbabilities()).hasSize(prompt.length - 1);
                for (int i = 1; i < prompt.length; i++) {
                    var likely = sampler.promptLogProbabilities().get(i - 1);
                    assertThat(likely.token()).isEqualTo(prompt[i]);
                    assertThat(likely.logProbability()).isCloseTo(expected[i], within(2e-2));
                }
            }
        }
    }

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
                LoadedModel loaded = load(model, team)) {
            // The last token need not fit: it is not run.
            assertThat(sample(loaded, 8, prompt, Sampling.greedy(), 100, Set.of()))
                    .hasSize(4);
        }
    }

    @Test
    void endTokensAndReadersEndASequence() {
        int[] prompt = tokens(32, 4);
        try (Model model = Model.open(quantized);
                LoadedModel loaded = load(model, team);
                Engine engine = new Engine(loaded.batch(2, 32), model.config().vocabularySize())) {
            Sampling sampling = Sampling.of(1, 0, 1, 5);
            List<Integer> free = sample(loaded, 32, prompt, sampling, 8, Set.of());
            int end = free.get(3);
            int at = free.indexOf(end) + 1;
            assertThat(sample(loaded, 32, prompt, sampling, 8, Set.of(end, 1))).isEqualTo(free.subList(0, at));
            try (Session left = engine.admit(prompt, new Sampler(sampling), 8, Set.of());
                    Session right = engine.admit(prompt, new Sampler(sampling), 8, Set.of())) {
                assertThat(left.next().id()).isEqualTo(free.get(0));
                assertThat(left.next().id()).isEqualTo(free.get(1));
                left.cancel();
                assertThat(ids(right)).isEqualTo(free);
            }
        }
    }

    /** From any thread, at any time, twice: what is in progress ends, what comes later is told. */
    @Test
    void closing() {
        int[] prompt = tokens(34, 6);
        try (Model model = Model.open(quantized)) {
            LoadedModel loaded = load(model, team);
            Batch batch = loaded.batch(2, 32);
            assertThat(batch.admit(prompt, new Sampler(Sampling.greedy()), 20)).isPresent();
            batch.step();
            batch.close();
            batch.close();
            Batch other = loaded.batch(2, 4096);
            try (Engine engine = new Engine(other, model.config().vocabularySize())) {
                Session session = engine.admit(prompt, new Sampler(Sampling.greedy()), 4000, Set.of());
                session.next();
                engine.close();
                assertThatThrownBy(() -> read(session)).hasMessage("the model is closed");
            }
            loaded.close();
            loaded.close();
            assertThatThrownBy(() -> loaded.logits(prompt, 0, 6, (first, rows) -> {}))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessage("the model is closed");
        }
    }
}

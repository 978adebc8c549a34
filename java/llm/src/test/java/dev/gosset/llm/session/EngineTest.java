package dev.gosset.llm.session;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gosset.core.FormatException;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.TinyModels;
import dev.gosset.llm.device.Batch;
import dev.gosset.llm.generate.CpuModel;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.sampling.Sampler;
import dev.gosset.llm.sampling.Sampling;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Sessions on a batch whose steps the test lets go one by one, and on a model. */
@Timeout(60)
class EngineTest {
    private static final Sampler GREEDY = new Sampler(Sampling.greedy());

    private final ExecutorService others = Executors.newCachedThreadPool();

    @AfterEach
    void close() {
        others.shutdownNow();
    }

    /** Gives every sequence the numbers from 10 on, a step for each permit. */
    private static final class Steps implements Batch {
        final Semaphore permits = new Semaphore(0);
        final Semaphore done = new Semaphore(0);
        final List<Running> running = new ArrayList<>();
        volatile RuntimeException failing;
        volatile int failingSequence = -1;
        volatile boolean inStep;
        volatile boolean closed;
        int room = 2;

        final class Running implements Sequence {
            final int first;
            int next = 10;

            @Override
            public int cachedTokens() {
                return 0;
            }

            Running(int first) {
                this.first = first;
            }
        }

        @Override
        public int context() {
            return 100;
        }

        @Override
        public synchronized Optional<Sequence> admit(int[] prompt, Sampler sampler, int most) {
            if (running.size() == room) {
                return Optional.empty();
            }
            running.add(new Running(prompt[0]));
            return Optional.of(running.getLast());
        }

        @Override
        public List<Drawn> step() {
            inStep = true;
            try {
                permits.acquire();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
            inStep = false;
            done.release();
            if (failing != null) {
                throw failing;
            }
            synchronized (this) {
                return running.stream()
                        .map(r -> r.first == failingSequence
                                ? new Drawn(r, -1, null, new FormatException("no numbers"))
                                : new Drawn(r, r.next++, null, null))
                        .toList();
            }
        }

        @Override
        public synchronized void release(Sequence sequence) {
            running.remove((Running) sequence);
        }

        @Override
        public synchronized int inUse() {
            return running.size();
        }

        @Override
        public int capacity() {
            return room;
        }

        @Override
        public void close() {
            closed = true;
        }
    }

    private static Session session(Engine engine, int first, int limit, Integer... end) {
        return engine.admit(new int[] {first, 1}, GREEDY, limit, Set.of(end));
    }

    private static List<Integer> all(Session session) {
        List<Integer> tokens = new ArrayList<>();
        for (Token token = session.next(); token != null; token = session.next()) {
            tokens.add(token.id());
        }
        return tokens;
    }

    private static void await(java.util.function.BooleanSupplier condition) {
        while (!condition.getAsBoolean()) {
            Thread.onSpinWait();
        }
    }

    @Test
    void aTokenSaysWhenItWasDrawn() throws InterruptedException {
        Steps steps = new Steps();
        try (Engine engine = new Engine(steps, 100)) {
            Session session = session(engine, 0, 2);
            steps.permits.release();
            steps.done.acquire();
            // The first is offered before the next step begins.
            await(() -> steps.inStep);
            Thread.sleep(30);
            steps.permits.release();
            steps.done.acquire();
            Thread.sleep(30);
            // Both are there by now: read at once, they are as far apart as their steps.
            long read = System.nanoTime();
            assertThat(session.next()).isNotNull();
            long first = session.drawnAt();
            assertThat(session.next()).isNotNull();
            assertThat(session.drawnAt() - first).isGreaterThanOrEqualTo(30_000_000L);
            assertThat(first).isLessThan(read);
        }
    }

    @Test
    void sessionsEndByTokenLimitAndContext() {
        Steps steps = new Steps();
        try (Engine engine = new Engine(steps, 50)) {
            steps.permits.release(1000);
            assertThat(all(session(engine, 1, 3))).containsExactly(10, 11, 12);
            assertThat(all(session(engine, 1, 30, 12, 15))).containsExactly(10, 11, 12);
            assertThat(all(session(engine, 1, 1))).containsExactly(10);
            assertThat(all(session(engine, 1, 1000))).hasSize(99);
            assertThat(steps.inUse()).isZero();
        }
        assertThat(steps.closed).isTrue();
    }

    @Test
    void refusesWhatCannotRun() {
        try (Engine engine = new Engine(new Steps(), 50)) {
            for (int[] prompt : new int[][] {{}, new int[100], {1, 50}, {-1}}) {
                assertThatThrownBy(() -> engine.admit(prompt, GREEDY, 1, Set.of()))
                        .isInstanceOf(IllegalArgumentException.class);
            }
            assertThatThrownBy(() -> engine.admit(new int[] {1}, GREEDY, 0, Set.of()))
                    .isInstanceOf(IllegalArgumentException.class);
        }
    }

    @Test
    void whatDoesNotFitWaitsInOrder() {
        Steps steps = new Steps();
        try (Engine engine = new Engine(steps, 50)) {
            Session first = session(engine, 0, 90);
            await(() -> steps.inStep);
            List<Session> sessions = new ArrayList<>();
            for (int i = 1; i < 5; i++) {
                sessions.add(session(engine, i, 2));
            }
            // One fits beside the first, so at their ends nine steps have been.
            sessions.get(1).cancel();
            steps.permits.release(9);
            for (int i : new int[] {0, 2, 3}) {
                assertThat(all(sessions.get(i))).containsExactly(10, 11);
            }
            assertThatThrownBy(sessions.get(1)::next).isInstanceOf(CancellationException.class);
            first.cancel();
            steps.permits.release(1);
        }
    }

    /** Whoever asks for much does not keep others waiting. */
    @Test
    void ownersBeginInTurn() {
        Steps steps = new Steps();
        steps.room = 1;
        try (Engine engine = new Engine(steps, 50)) {
            Session running = session(engine, 0, 2);
            await(() -> steps.inStep);
            List<Session> greedy = new ArrayList<>();
            for (int i = 0; i < 3; i++) {
                greedy.add(engine.admit(new int[] {10 + i}, List.of(GREEDY), 1, Set.of(), "greedy")
                        .getFirst());
            }
            Session other = engine.admit(new int[] {20}, List.of(GREEDY), 1, Set.of(), "other")
                    .getFirst();
            assertThat(engine.load().waiting()).isEqualTo(4);
            assertThat(engine.load().waitingTokens()).isEqualTo(8);
            steps.permits.release(6);
            for (Session s : List.of(running, greedy.get(0), greedy.get(1), greedy.get(2), other)) {
                all(s);
            }
            assertThat(greedy.get(0).drawnAt()).isLessThan(other.drawnAt());
            assertThat(other.drawnAt()).isLessThan(greedy.get(1).drawnAt());
            assertThat(greedy.get(1).drawnAt()).isLessThan(greedy.get(2).drawnAt());
            await(() -> engine.load().running() == 0);
            assertThat(engine.load()).isEqualTo(new EngineLoad(0, 0, 0, 0, 1, 6, 6, 0));
        }
    }

    @Test
    void whatMayWaitIsBounded() throws Exception {
        Steps steps = new Steps();
        steps.room = 1;
        try (Engine engine = new Engine(steps, 50, 30)) {
            Session running = session(engine, 0, 2);
            await(() -> steps.inStep);
            Session waiting = session(engine, 1, 18);
            assertThatThrownBy(() -> session(engine, 2, 9))
                    .isInstanceOf(QueueFullException.class)
                    .hasMessage("11 tokens were asked for and 20 wait, more together than the 30 that may wait");
            Session last = session(engine, 2, 8);
            // None of several is started where not all may wait.
            assertThatThrownBy(() -> engine.admit(new int[] {3}, List.of(GREEDY, GREEDY), 1, Set.of(), "other"))
                    .isInstanceOf(QueueFullException.class);
            waiting.cancel();
            steps.permits.release(1);
            await(() -> engine.load().waiting() == 1);
            session(engine, 3, 18).cancel();
            steps.permits.release(1000);
            assertThat(all(running)).hasSize(2);
            assertThat(all(last)).hasSize(8);
        }
    }

    /** The others of one prompt begin when it is computed, or never will be. */
    @Test
    void sessionsOfOnePromptWaitForTheFirst() throws Exception {
        for (boolean cancelled : new boolean[] {false, true}) {
            Steps steps = new Steps();
            steps.room = 3;
            try (Engine engine = new Engine(steps, 50)) {
                List<Session> sessions =
                        engine.admit(new int[] {1, 2}, List.of(GREEDY, GREEDY, GREEDY), 4, Set.of(), "owner");
                await(() -> steps.inStep);
                assertThat(steps.inUse()).isEqualTo(1);
                if (cancelled) {
                    sessions.getFirst().cancel();
                }
                steps.permits.release(1);
                await(() -> steps.done.availablePermits() == 1 && steps.inStep);
                assertThat(steps.inUse()).isEqualTo(cancelled ? 2 : 3);
                steps.permits.release(100);
                for (Session session : cancelled ? sessions.subList(1, 3) : sessions) {
                    assertThat(all(session)).containsExactly(10, 11, 12, 13);
                }
            }
        }
    }

    @Test
    void aSessionThatNothingCanHoldFails() {
        Steps steps = new Steps();
        steps.room = 0;
        try (Engine engine = new Engine(steps, 50)) {
            assertThatThrownBy(session(engine, 1, 5)::next)
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("does not fit");
        }
    }

    @Test
    void cancellingTakesEffectWithinAStep() throws Exception {
        Steps steps = new Steps();
        try (Engine engine = new Engine(steps, 50)) {
            Session cancelled = session(engine, 1, 50);
            await(() -> steps.inStep);
            Session other = session(engine, 2, 50);
            steps.permits.release(3);
            await(() -> steps.done.availablePermits() == 3 && steps.inStep);
            assertThat(other.next().id()).isEqualTo(10);
            cancelled.cancel();
            cancelled.cancel();
            assertThatThrownBy(cancelled::next).isInstanceOf(CancellationException.class);
            // The step in progress, and no other.
            steps.permits.release(1);
            await(() -> steps.done.availablePermits() == 4 && steps.inStep);
            assertThat(steps.inUse()).isEqualTo(1);
            other.close();
            steps.permits.release(1);
            await(() -> steps.inUse() == 0);
        }
    }

    @Test
    void anInterruptCancels() throws Exception {
        Steps steps = new Steps();
        try (Engine engine = new Engine(steps, 50)) {
            Session session = session(engine, 1, 50);
            Future<Boolean> reader = others.submit(() -> {
                assertThatThrownBy(session::next).isInstanceOf(CancellationException.class);
                return Thread.currentThread().isInterrupted();
            });
            await(() -> steps.inStep);
            others.shutdownNow();
            assertThat(reader.get()).isTrue();
            steps.permits.release(1);
            await(() -> steps.inUse() == 0);
        }
    }

    @Test
    void aFailingDrawEndsOneSessionAndAFailingStepAll() {
        Steps steps = new Steps();
        try (Engine engine = new Engine(steps, 50)) {
            steps.failingSequence = 1;
            Session one = session(engine, 1, 50);
            Session other = session(engine, 2, 3);
            steps.permits.release(10);
            assertThatThrownBy(one::next).isInstanceOf(FormatException.class).hasMessage("no numbers");
            assertThat(all(other)).containsExactly(10, 11, 12);
            steps.permits.drainPermits();
            steps.failing = new ArithmeticException("broken");
            Session first = session(engine, 3, 5);
            Session second = session(engine, 4, 5);
            steps.permits.release(2);
            assertThatThrownBy(first::next).hasMessage("broken");
            assertThatThrownBy(second::next).hasMessage("broken");
            // The engine goes on.
            steps.failing = null;
            steps.permits.drainPermits();
            steps.permits.release(10);
            assertThat(all(session(engine, 5, 2))).containsExactly(10, 11);
        }
    }

    @Test
    void closingWaitsForTheStepAndEndsAll() throws Exception {
        Steps steps = new Steps();
        Engine engine = new Engine(steps, 50);
        List<Session> sessions = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            sessions.add(session(engine, i, 50));
        }
        await(() -> steps.inStep);
        CountDownLatch started = new CountDownLatch(2);
        List<Future<?>> closing = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            closing.add(others.submit(() -> {
                started.countDown();
                engine.close();
            }));
        }
        started.await();
        Thread.sleep(50);
        assertThat(closing.get(0).isDone() || closing.get(1).isDone() || steps.closed)
                .isFalse();
        steps.permits.release(1);
        for (Future<?> f : closing) {
            f.get(10, TimeUnit.SECONDS);
        }
        assertThat(steps.closed).isTrue();
        assertThat(steps.done.availablePermits()).isEqualTo(1);
        assertThat(steps.inUse()).isZero();
        for (Session session : sessions) {
            assertThatThrownBy(() -> all(session))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessage("the model is closed");
        }
        assertThatThrownBy(() -> session(engine, 1, 1))
                .isInstanceOf(IllegalStateException.class)
                .hasMessage("the model is closed");
        engine.close();
    }

    /** Prompts of all lengths, samplers of all kinds, from many threads: each as alone. And nothing is left in use. */
    @Test
    void sessionsOfAModelInAnyCompany() throws Exception {
        SplittableRandom random = new SplittableRandom(5);
        try (Model model = Model.open(TinyModels.directory("llama"));
                ThreadTeam team = new ThreadTeam(2);
                CpuModel cpu = new CpuModel(model.transformer(), team)) {
            List<int[]> prompts = new ArrayList<>();
            List<List<Integer>> alone = new ArrayList<>();
            int context = Math.min(256, model.config().maxPositions());
            Batch lone = cpu.batch(1, context);
            try (Engine engine = new Engine(lone, model.config().vocabularySize())) {
                for (int i = 0; i < 24; i++) {
                    int length = 1 + random.nextInt(i % 3 == 0 ? context - 1 : 20);
                    prompts.add(
                            i % 5 == 4
                                    ? prompts.get(i - 1)
                                    : random.ints(length, 3, 90).toArray());
                    alone.add(all(engine.admit(prompts.get(i), sampler(i), 1 + i, Set.of(2))));
                }
            }
            assertThat(lone.inUse()).isZero();
            Batch many = cpu.batch(16, context);
            try (Engine engine = new Engine(many, model.config().vocabularySize())) {
                List<Future<List<Integer>>> together = new ArrayList<>();
                for (int i = 0; i < 24; i++) {
                    int number = i;
                    together.add(others.submit(
                            () -> all(engine.admit(prompts.get(number), sampler(number), 1 + number, Set.of(2)))));
                }
                for (int i = 0; i < 24; i++) {
                    assertThat(get(together.get(i))).as("session %d", i).isEqualTo(alone.get(i));
                }
            }
            assertThat(many.inUse()).isZero();
        }
    }

    private static <T> T get(Future<T> future) throws InterruptedException {
        try {
            return future.get();
        } catch (ExecutionException e) {
            throw new AssertionError(e.getCause());
        }
    }

    private static Sampler sampler(int i) {
        return new Sampler(i % 2 == 0 ? Sampling.greedy() : Sampling.of(1.1, i % 4 == 1 ? 20 : 0, 0.95, i));
    }
}

package dev.gosset.llm.generate;

import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.cpu.KeyValueCache;
import dev.gosset.llm.cpu.KeyValuePool;
import dev.gosset.llm.cpu.Transformer;
import dev.gosset.llm.device.Batch;
import dev.gosset.llm.plan.ModelConfig;
import dev.gosset.llm.sampling.LogProbabilities;
import dev.gosset.llm.sampling.Sampler;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/** Sequences on the processor, over one pool of key-value blocks. */
final class CpuBatch implements Batch {
    /** Tokens of prompts in a step in which nothing else runs: so few that a step ends soon. */
    private static final int ALONE = 64;

    /** Tokens of prompts that go along with tokens of other sequences: as many as share the reading of a weight. */
    private static final int ALONG = 16;

    private final Transformer model;
    private final KeyValuePool pool;
    private final Workspace workspace;
    private final int sequences;
    private final int context;
    /** In the order of their admission. */
    private final List<Running> running = new ArrayList<>();
    /** {@link #cost} of the steps since a prompt last went along: prompts get about half of the time. */
    private double drawing;

    /** A sequence: a prompt of which the cache holds a part, then one drawn token after the other. */
    private final class Running implements Sequence {
        final KeyValueCache cache;
        final int[] prompt;
        final Sampler sampler;
        final int cached;
        final float[] logits = new float[model.config().vocabularySize()];
        /** Drawn, or to be run with what was drawn, and not run yet. */
        int[] next = {};

        RuntimeException failure;

        Running(KeyValueCache cache, int[] prompt, Sampler sampler) {
            this.cache = cache;
            this.prompt = prompt;
            this.sampler = sampler;
            this.cached = cache.length();
        }

        @Override
        public int cachedTokens() {
            return cached;
        }

        int left() {
            return prompt.length - cache.length();
        }

        Transformer.Segment next(int count) {
            int from = cache.length();
            int wanted = sampler.readsPrompt() ? count : count == left() ? 1 : 0;
            return new Transformer.Segment(cache, Arrays.copyOfRange(prompt, from, from + count), wanted);
        }

        /** The next tokens that were drawn or come with them. */
        Transformer.Segment nextDrawn() {
            int[] now = Arrays.copyOf(next, Math.min(next.length, ALONG));
            next = Arrays.copyOfRange(next, now.length, next.length);
            return new Transformer.Segment(cache, now, next.length == 0 ? 1 : 0);
        }

        List<Drawn> drawn() {
            if (failure != null) {
                return List.of(new Drawn(this, -1, null, failure));
            }
            LogProbabilities likely = sampler.logProbabilities();
            return Arrays.stream(next)
                    .mapToObj(token -> new Drawn(this, token, likely, null))
                    .toList();
        }
    }

    /**
     * @param sequences the most at a time
     * @param context the most tokens of each
     * @param blocks of the pool
     */
    CpuBatch(Transformer model, ThreadTeam team, int sequences, int context, int blocks) {
        this.model = model;
        this.sequences = sequences;
        this.context = context;
        this.pool = model.newPool(blocks);
        this.workspace = new Workspace(team);
    }

    @Override
    public int context() {
        return context;
    }

    @Override
    public Optional<Sequence> admit(int[] prompt, Sampler sampler, int most) {
        ModelConfig.requireTokens(prompt, model.config().vocabularySize());
        if (running.size() == sequences) {
            return Optional.empty();
        }
        // Nothing was computed of what a cache still has, so there would be no logits.
        int[] known = sampler.readsPrompt() ? new int[0] : prompt;
        return pool.reserve(known, prompt.length + most - 1).map(cache -> {
            cache.announce(prompt.length);
            Running r = new Running(cache, prompt.clone(), sampler);
            running.add(r);
            return r;
        });
    }

    @Override
    public List<Drawn> step() {
        List<Transformer.Segment> segments = new ArrayList<>();
        List<Row> rows = new ArrayList<>();
        for (Running r : running) {
            if (r.left() <= 0 && r.failure == null) {
                segments.add(r.nextDrawn());
                if (r.next.length == 0) {
                    rows.add(new Row(r, 0));
                }
            }
        }
        int tokens = segments.stream().mapToInt(s -> s.tokens().length).sum();
        drawing += cost(tokens);
        int budget = segments.isEmpty() ? ALONE : drawing < cost(ALONG) ? 0 : ALONG;
        for (Running r : running) {
            int count = Math.min(budget, r.left());
            if (count > 0) {
                segments.add(r.next(count));
                int from = r.cache.length() + 1;
                for (int next = from;
                        r.sampler.readsPrompt() && next < from + count && next < r.prompt.length;
                        next++) {
                    rows.add(new Row(r, next));
                }
                if (count == r.left()) {
                    rows.add(new Row(r, 0));
                }
                budget -= count;
                drawing = 0;
            }
        }
        try (Workspace.Frame frame = workspace.frame()) {
            FloatMatrix logits = frame.matrix(rows.size(), model.config().vocabularySize());
            model.run(segments, logits, workspace);
            workspace.team().run(rows.size(), i -> rows.get(i).take(logits.row(i)));
        }
        return rows.stream()
                .filter(Row::draws)
                .flatMap(row -> row.of().drawn().stream())
                .toList();
    }

    /**
     * What the logits of a row are for.
     *
     * @param next the number of the prompt's token that follows, or 0 where it is to be drawn
     */
    private record Row(Running of, int next) {
        boolean draws() {
            return next == 0;
        }

        void take(MemorySegment logits) {
            if (draws()) {
                draw(of, logits);
            } else {
                of.sampler.readPrompt(next, of.prompt[next], logits.toArray(ValueLayout.JAVA_FLOAT));
            }
        }
    }

    /** About what a step of so many tokens takes, in steps of one. */
    private static double cost(int tokens) {
        return 0.6 + 0.4 * tokens;
    }

    private static void draw(Running r, MemorySegment logits) {
        MemorySegment.copy(logits, ValueLayout.JAVA_FLOAT, 0, r.logits, 0, r.logits.length);
        try {
            int first = r.sampler.next(r.logits);
            int[] following = r.sampler.following();
            r.next = new int[1 + following.length];
            r.next[0] = first;
            System.arraycopy(following, 0, r.next, 1, following.length);
        } catch (RuntimeException e) {
            // It is this sequence's alone.
            r.failure = e;
        }
    }

    @Override
    public void release(Sequence sequence) {
        running.remove((Running) sequence);
        ((Running) sequence).cache.close();
    }

    @Override
    public int inUse() {
        return pool.blocksInUse();
    }

    @Override
    public int capacity() {
        return pool.blocks();
    }

    @Override
    public void close() {
        workspace.close();
        pool.close();
    }
}

package dev.gosset.llm.generate;

import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.cpu.KeyValueCache;
import dev.gosset.llm.cpu.Transformer;
import dev.gosset.llm.device.Decoder;
import dev.gosset.llm.sampling.Sampler;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;

/**
 * Sequences on the processor: a {@link KeyValueCache} and the last logits of each. In a step they share the reading of the
 * weights.
 */
final class CpuDecoder implements Decoder {
    /** Prompt tokens run at a time, so that memory stays bounded. */
    private static final int PREFILL = 512;

    private final Transformer model;
    private final Workspace workspace;
    private final Arena arena = Arena.ofShared();
    private final List<KeyValueCache> caches = new ArrayList<>();
    private final FloatMatrix logits;
    private final boolean[] fresh;
    private final float[] scores;
    private final int context;

    CpuDecoder(Transformer model, ThreadTeam team, int sequences, int context) {
        if (sequences < 1) {
            throw new IllegalArgumentException("a decoder has at least 1 sequence, found " + sequences);
        }
        this.model = model;
        this.context = context;
        this.workspace = new Workspace(team);
        this.logits = FloatMatrix.allocate(arena, sequences, model.config().vocabularySize());
        this.fresh = new boolean[sequences];
        this.scores = new float[model.config().vocabularySize()];
        for (int i = 0; i < sequences; i++) {
            caches.add(model.newCache(context));
        }
    }

    @Override
    public int sequences() {
        return caches.size();
    }

    @Override
    public int context() {
        return context;
    }

    @Override
    public int length(int sequence) {
        return caches.get(sequence).length();
    }

    @Override
    public void truncate(int sequence, int length) {
        caches.get(sequence).truncate(length);
        fresh[sequence] = false;
    }

    @Override
    public void append(int sequence, int[] tokens) {
        caches.get(sequence).announce(length(sequence) + tokens.length);
        for (int from = 0; from < tokens.length; from += PREFILL) {
            int to = Math.min(tokens.length, from + PREFILL);
            FloatMatrix wanted = to == tokens.length ? logits.rows(sequence, sequence + 1) : logits.rows(0, 0);
            Transformer.Segment piece =
                    new Transformer.Segment(caches.get(sequence), Arrays.copyOfRange(tokens, from, to), wanted.rows());
            model.run(List.of(piece), wanted, workspace);
        }
        fresh[sequence] |= tokens.length > 0;
    }

    @Override
    public void decode(List<Continuation> continuations, Set<Integer> endTokens, TokenReader reader) {
        List<Running> running = new ArrayList<>();
        for (Continuation c : continuations) {
            if (!fresh[c.sequence()]) {
                throw new IllegalStateException("sequence " + c.sequence() + " has no new token to go on from");
            }
            running.add(new Running(c));
        }
        while (!running.isEmpty()) {
            running.removeIf(r -> !sample(r, endTokens, reader));
            step(running);
        }
    }

    /** A sequence that is being sampled. */
    private static final class Running {
        final int sequence;
        final Sampler sampler;
        int left;
        int token;

        Running(Continuation c) {
            sequence = c.sequence();
            left = c.maxTokens();
            sampler = c.sampler();
        }
    }

    /** Samples one token; false where the sequence has come to its end. */
    private boolean sample(Running r, Set<Integer> endTokens, TokenReader reader) {
        fresh[r.sequence] = false;
        MemorySegment.copy(logits.row(r.sequence), ValueLayout.JAVA_FLOAT, 0, scores, 0, scores.length);
        r.token = r.sampler.next(scores);
        r.left--;
        boolean wanted = reader.read(r.sequence, r.token);
        return wanted && r.left > 0 && !endTokens.contains(r.token) && length(r.sequence) < context;
    }

    /** Runs the sampled tokens. */
    private void step(List<Running> running) {
        if (running.size() < 2) {
            running.forEach(r -> append(r.sequence, new int[] {r.token}));
            return;
        }
        List<Transformer.Segment> segments = running.stream()
                .map(r -> new Transformer.Segment(caches.get(r.sequence), new int[] {r.token}, 1))
                .toList();
        try (Workspace.Frame frame = workspace.frame()) {
            FloatMatrix rows = frame.matrix(segments.size(), logits.cols());
            model.run(segments, rows, workspace);
            for (int i = 0; i < segments.size(); i++) {
                logits.row(running.get(i).sequence).copyFrom(rows.row(i));
                fresh[running.get(i).sequence] = true;
            }
        }
    }

    @Override
    public void close() {
        caches.forEach(KeyValueCache::close);
        workspace.close();
        arena.close();
    }
}

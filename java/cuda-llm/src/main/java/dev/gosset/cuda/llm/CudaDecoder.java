package dev.gosset.cuda.llm;

import dev.gosset.core.memory.Construction;
import dev.gosset.cuda.CudaContext;
import dev.gosset.cuda.CudaEvent;
import dev.gosset.cuda.CudaGraph;
import dev.gosset.cuda.CudaStream;
import dev.gosset.cuda.DecoderKernels;
import dev.gosset.cuda.DeviceBuffer;
import dev.gosset.cuda.PinnedBuffer;
import dev.gosset.cuda.Resources;
import dev.gosset.llm.device.Decoder;
import dev.gosset.llm.sampling.Sampler;
import dev.gosset.llm.sampling.Sampling;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/**
 * Sequences on the device. A prompt but for its last token goes through {@link Prefill}; from there on every step is one
 * launch of a recorded graph that runs all sequences, draws their next tokens and advances them on the device. The host is
 * at most one step behind: it reads a step's tokens while the next one runs.
 */
final class CudaDecoder implements Decoder {
    private static final int MOST_END_TOKENS = 64;

    private final CudaModel model;
    private final CudaStream stream;
    private final int context;
    private final Resources owned = new Resources();
    private final CudaCache cache;
    private final DecodeStep step;
    private final DeviceBuffer endTokens;
    private final PinnedBuffer staged;
    private final PinnedBuffer[] read = new PinnedBuffer[2];
    private final CudaEvent[] reached = new CudaEvent[2];

    /** The tokens of each sequence, of which the first {@link #ran} are in the cache. */
    private final int[] lengths;

    private final int[] ran;
    private final int[] pending;
    private final boolean[] fresh;

    /** What last drew for each sequence, and the length from which it draws: its first random number belongs there. */
    private final Sampler[] samplers;

    private final int[] firsts;
    private CudaGraph graph;
    private int graphEndTokens;

    CudaDecoder(CudaModel model, CudaStream stream, int sequences, int context) {
        this.model = model;
        this.stream = stream;
        this.context = context;
        this.lengths = new int[sequences];
        this.ran = new int[sequences];
        this.pending = new int[sequences];
        this.fresh = new boolean[sequences];
        this.samplers = new Sampler[sequences];
        this.firsts = new int[sequences];
        CudaContext device = stream.context();
        try (Construction construction = new Construction(this::close)) {
            cache = owned.own(
                    new CudaCache(model.weights(), stream, sequences, context, c -> model.reserve(sequences, c)));
            step = owned.own(new DecodeStep(model.weights(), stream, cache));
            endTokens = owned.own(device.allocate(4L * MOST_END_TOKENS, "end tokens"));
            staged = owned.own(device.pinned(
                    8L * sequences + (long) DecoderKernels.Sampling.BYTES * sequences + 4L * MOST_END_TOKENS));
            for (int i = 0; i < 2; i++) {
                read[i] = owned.own(device.pinned(8L * sequences));
                reached[i] = owned.own(device.event());
            }
            construction.done();
        }
    }

    @Override
    public int sequences() {
        return lengths.length;
    }

    @Override
    public int context() {
        return context;
    }

    @Override
    public int length(int sequence) {
        return lengths[sequence];
    }

    @Override
    public void truncate(int sequence, int length) {
        if (length < 0 || length > lengths[sequence]) {
            throw new IllegalArgumentException(
                    "a sequence of " + lengths[sequence] + " tokens cannot be cut to " + length);
        }
        lengths[sequence] = length;
        ran[sequence] = Math.min(ran[sequence], length);
        fresh[sequence] = false;
    }

    @Override
    public void append(int sequence, int[] tokens) {
        if (tokens.length > context - lengths[sequence]) {
            throw new IllegalArgumentException(
                    tokens.length + " tokens do not fit a context of " + context + " that holds " + lengths[sequence]);
        }
        model.requireTokens(tokens);
        if (tokens.length == 0) {
            return;
        }
        // The token that has not run yet, if there is one, goes in front; the new last one waits for the next step.
        int waiting = lengths[sequence] - ran[sequence];
        int[] run = new int[waiting + tokens.length - 1];
        if (waiting > 0) {
            run[0] = pending[sequence];
        }
        System.arraycopy(tokens, 0, run, waiting, tokens.length - 1);
        model.prefill(cache, sequence, ran[sequence], run, lengths[sequence] + tokens.length);
        ran[sequence] += run.length;
        lengths[sequence] += tokens.length;
        pending[sequence] = tokens[tokens.length - 1];
        fresh[sequence] = true;
    }

    @Override
    public void decode(List<Continuation> continuations, Set<Integer> end, TokenReader reader) {
        for (Continuation c : continuations) {
            if (!fresh[c.sequence()]) {
                throw new IllegalStateException("sequence " + c.sequence() + " has no new token to go on from");
            }
        }
        if (end.size() > MOST_END_TOKENS) {
            throw new IllegalArgumentException(
                    "at most " + MOST_END_TOKENS + " end tokens are possible, found " + end.size());
        }
        boolean logits = continuations.stream().anyMatch(c -> c.sampler().needsLogits());
        // Where the processor draws, the processor also sees the end.
        Set<Integer> seen = logits ? Set.of() : end;
        synchronized (model) {
            record(seen.size());
            start(continuations, seen);
            try {
                if (logits) {
                    runByLogits(continuations, end, reader);
                } else {
                    run(continuations, reader);
                }
            } finally {
                // A step may still be running for rows that the reader has stopped.
                stream.synchronize();
            }
        }
    }

    /** Brings tokens, positions, settings and end tokens to the device. */
    private void start(List<Continuation> continuations, Set<Integer> end) {
        int rows = sequences();
        MemorySegment host = staged.segment();
        MemorySegment settings = host.asSlice(8L * rows, (long) DecoderKernels.Sampling.BYTES * rows);
        MemorySegment ends = host.asSlice(8L * rows + settings.byteSize());
        for (int r = 0; r < rows; r++) {
            host.setAtIndex(ValueLayout.JAVA_INT, r, 0);
            host.setAtIndex(ValueLayout.JAVA_INT, (long) rows + r, -1);
            new DecoderKernels.Sampling(0, 0, 1, 0, 0, 1).write(settings, r);
        }
        for (Continuation c : continuations) {
            int r = c.sequence();
            int last = lengths[r] - 1;
            host.setAtIndex(ValueLayout.JAVA_INT, r, pending[r]);
            host.setAtIndex(ValueLayout.JAVA_INT, (long) rows + r, last);
            int limit = limit(c);
            if (samplers[r] != c.sampler()) {
                samplers[r] = c.sampler();
                firsts[r] = last;
            }
            Sampling s = c.sampler().settings();
            new DecoderKernels.Sampling(s.temperature(), s.topK(), s.topP(), s.seed(), firsts[r], limit)
                    .write(settings, r);
        }
        int at = 0;
        for (int token : end) {
            ends.setAtIndex(ValueLayout.JAVA_INT, at++, token);
        }
        step.state().copyFrom(host.asSlice(0, 8L * rows), 0, stream);
        step.settings().copyFrom(settings, 0, stream);
        if (at > 0) {
            endTokens.copyFrom(ends.asSlice(0, 4L * at), 0, stream);
        }
    }

    /** The most tokens that a sequence comes to; the last sampled one is not run and may stand one beyond the context. */
    private int limit(Continuation c) {
        return (int) Math.min(context + 1L, (long) lengths[c.sequence()] + c.maxTokens());
    }

    /** Records the step, once for each number of end tokens. */
    private void record(int endCount) {
        if (graph == null || graphEndTokens != endCount) {
            closeGraph();
            // One step in which all rows rest: kernels are loaded, and what is too long is found, outside of the
            // recording.
            step.state().fill(0xff, stream);
            step.queue(endCount == 0 ? null : endTokens, endCount);
            graph = stream.record(() -> step.queue(endCount == 0 ? null : endTokens, endCount));
            graphEndTokens = endCount;
        }
    }

    private void run(List<Continuation> continuations, TokenReader reader) {
        int rows = sequences();
        boolean[] active = new boolean[rows];
        int steps = 0;
        for (Continuation c : continuations) {
            active[c.sequence()] = true;
            steps = Math.max(steps, limit(c) - lengths[c.sequence()]);
        }
        launch(0);
        for (int i = 0; i < steps; i++) {
            if (i + 1 < steps) {
                launch(i + 1);
            }
            reached[i % 2].synchronize();
            MemorySegment seen = read[i % 2].segment();
            boolean any = false;
            for (Continuation c : continuations) {
                int r = c.sequence();
                if (!active[r]) {
                    continue;
                }
                ran[r] = lengths[r];
                fresh[r] = false;
                boolean goesOn = seen.getAtIndex(ValueLayout.JAVA_INT, (long) rows + r) >= 0;
                int token = seen.getAtIndex(ValueLayout.JAVA_INT, r);
                if (token < 0) {
                    throw Sampler.noNumbers(i + 1L);
                }
                active[r] = reader.read(r, token) && goesOn;
                if (active[r]) {
                    lengths[r]++;
                    any = true;
                }
            }
            if (!any) {
                return;
            }
        }
    }

    /**
     * Steps whose tokens the processor draws from the logits, for samplers that need them: the device's own draw is
     * overwritten before the next step.
     */
    private void runByLogits(List<Continuation> continuations, Set<Integer> end, TokenReader reader) {
        int vocabulary = model.config().vocabularySize();
        float[] logits = new float[vocabulary];
        List<Continuation> running = new ArrayList<>(continuations);
        try (PinnedBuffer host = stream.context().pinned(4L * sequences() * vocabulary)) {
            while (!running.isEmpty()) {
                launch(0);
                step.logits().copyTo(host.segment(), 0, stream);
                stream.synchronize();
                MemorySegment state = staged.segment().asSlice(0, 8L * sequences());
                state.copyFrom(read[0].segment().asSlice(0, state.byteSize()));
                for (Continuation c : List.copyOf(running)) {
                    int r = c.sequence();
                    ran[r] = lengths[r];
                    fresh[r] = false;
                    MemorySegment.copy(
                            host.segment(), ValueLayout.JAVA_FLOAT, 4L * r * vocabulary, logits, 0, vocabulary);
                    int token = c.sampler().next(logits);
                    boolean full = state.getAtIndex(ValueLayout.JAVA_INT, (long) sequences() + r) < 0;
                    if (reader.read(r, token) && !full && !end.contains(token)) {
                        lengths[r]++;
                        state.setAtIndex(ValueLayout.JAVA_INT, r, token);
                    } else {
                        running.remove(c);
                        state.setAtIndex(ValueLayout.JAVA_INT, (long) sequences() + r, -1);
                    }
                }
                step.state().copyFrom(state, 0, stream);
            }
        }
    }

    /** Queues a step and the way of its tokens to the host. */
    private void launch(int i) {
        graph.launch(stream);
        step.state().copyTo(read[i % 2].segment(), 0, stream);
        reached[i % 2].record(stream);
    }

    private void closeGraph() {
        if (graph != null) {
            graph.close();
            graph = null;
        }
    }

    @Override
    public void close() {
        // Everything is freed also where the stream, in which a prompt may still be running, has failed.
        try (owned;
                CudaGraph recorded = graph) {
            graph = null;
            stream.synchronize();
        }
    }
}

package dev.gosset.cuda.llm;

import dev.gosset.core.memory.Construction;
import dev.gosset.cuda.CudaContext;
import dev.gosset.cuda.CudaEvent;
import dev.gosset.cuda.CudaGraph;
import dev.gosset.cuda.CudaStream;
import dev.gosset.cuda.DecoderKernels;
import dev.gosset.cuda.DecoderKernels.CacheShape;
import dev.gosset.cuda.PinnedBuffer;
import dev.gosset.cuda.Resources;
import dev.gosset.llm.cache.BlockTable;
import dev.gosset.llm.device.Batch;
import dev.gosset.llm.plan.ModelConfig;
import dev.gosset.llm.sampling.Sampler;
import dev.gosset.llm.sampling.Sampling;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Queue;

/**
 * Sequences on the device, over one {@link CudaPool}. A prompt but for its last token goes through {@link Prefill}, cut at multiples of
 * the pool's unit and nowhere else; from there on a sequence has a row in {@link DecodeStep}, one launch of the graph that was recorded for
 * as many rows. The table of rows lies in device memory, so that sequences come and go without recording again. While they are the
 * same ones, tokens and positions stay there too, and the host is one step behind: it reads a step's tokens while the next one runs.
 *
 * <p>What others may share are the blocks of whole pieces of prompts: those of the last piece, which is shorter, and of drawn tokens have
 * other bits than a longer prompt would give them.
 */
final class CudaBatch implements Batch {
    /**
     * About what a piece of a prompt costs, in steps: bringing the weights to F16 as much as four, and its tokens as much as one for every 48.
     * Counted, not measured.
     */
    private static final int PIECE_STEPS = 4;

    private static final int TOKENS_OF_A_STEP = 48;

    private final CudaModel model;
    private final CudaStream stream;
    private final int context;
    private final Resources owned = new Resources();
    private final CudaPool pool;
    private final Prefill prefill;
    private final DecodeStep step;
    private final PinnedBuffer staged;
    private final PinnedBuffer[] read = new PinnedBuffer[2];
    private final CudaEvent[] reached = new CudaEvent[2];
    /** By their numbers of rows. */
    private final CudaGraph[] graphs;

    private final Running[] places;
    /** In the order of their admission. */
    private final List<Running> running = new ArrayList<>();

    /** A step that was launched and not read. */
    private Flight flight;

    private int turn;
    /** Steps since a piece of a prompt last ran. */
    private int steps;

    private boolean closed;

    /** A sequence: a prompt of which the pool holds a part, then one drawn token after the other. */
    private static final class Running implements Sequence {
        final int place;
        final BlockTable table;
        final int[] prompt;
        final Sampler sampler;
        final int most;
        final int cached;
        int drawn;
        /** What the next step runs. */
        int token;
        /** What was told and runs behind it, a step for each. */
        final Queue<Integer> following = new ArrayDeque<>();

        RuntimeException failure;
        boolean released;

        Running(int place, BlockTable table, int[] prompt, Sampler sampler, int most) {
            this.place = place;
            this.table = table;
            this.prompt = prompt;
            this.sampler = sampler;
            this.most = most;
            this.token = prompt[prompt.length - 1];
            this.cached = table.length();
        }

        @Override
        public int cachedTokens() {
            return cached;
        }

        /** Tokens of the prompt that prefill has still to run. */
        int left() {
            return drawn > 0 ? 0 : prompt.length - 1 - table.length();
        }

        boolean draws() {
            return left() == 0 && failure == null && (drawn < most || !following.isEmpty());
        }
    }

    /** Whose rows a step has, and where its tokens come to. */
    private record Flight(List<Running> rows, int turn) {}

    /**
     * @param shape of the pool; its sequences are the most at a time
     * @param context the most tokens of a sequence
     * @param piece positions of a piece of a prompt
     */
    CudaBatch(CudaModel model, CudaStream stream, CacheShape shape, int context, int piece) {
        this.model = model;
        this.stream = stream;
        this.context = context;
        int most = shape.sequences();
        this.places = new Running[most];
        this.graphs = new CudaGraph[most + 1];
        CudaContext device = stream.context();
        try (Construction construction = new Construction(owned::close)) {
            pool = owned.own(new CudaPool(model.weights(), stream, shape, piece));
            step = owned.own(new DecodeStep(model.weights(), stream, pool));
            prefill = owned.own(new Prefill(model.weights(), stream, piece, shape.capacity()));
            staged = owned.own(device.pinned((DecodeStep.STATE_BYTES + DecoderKernels.Sampling.BYTES) * most));
            for (int i = 0; i < 2; i++) {
                read[i] = owned.own(device.pinned(8L * most));
                reached[i] = owned.own(device.event());
            }
            construction.done();
        }
    }

    @Override
    public int context() {
        return context;
    }

    @Override
    public Optional<Sequence> admit(int[] prompt, Sampler sampler, int most) {
        if (prompt.length < 1 || most < 1 || prompt.length + most - 1L > context) {
            throw new IllegalArgumentException("a prompt of " + prompt.length + " tokens and " + most
                    + " drawn ones do not fit a context of " + context);
        }
        ModelConfig.requireTokens(prompt, model.config().vocabularySize());
        synchronized (model) {
            requireOpen();
            int place = Arrays.asList(places).indexOf(null);
            if (place < 0) {
                return Optional.empty();
            }
            Optional<BlockTable> table = pool.book().reserve(prompt, prompt.length + most - 1);
            if (table.isPresent() && sampler.readsPrompt()) {
                readPrompt(prompt, sampler, table.get());
            }
            return table.map(t -> {
                Running r = new Running(place, t, prompt.clone(), sampler, most);
                pool.place(place, t);
                places[place] = r;
                running.add(r);
                return r;
            });
        }
    }

    /** Runs the prompt once more by itself: steps keep the logits of drawn tokens only. */
    private void readPrompt(int[] prompt, Sampler sampler, BlockTable table) {
        try {
            model.logits(prompt, 0, prompt.length - 1, (first, logits) -> {
                for (int i = 0; i < logits.rows(); i++) {
                    int next = first + i + 1;
                    sampler.readPrompt(next, prompt[next], logits.row(i).toArray(ValueLayout.JAVA_FLOAT));
                }
            });
        } catch (RuntimeException e) {
            table.close();
            throw e;
        }
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException("the model is closed");
        }
    }

    @Override
    public List<Drawn> step() {
        synchronized (model) {
            requireOpen();
            Flight now = flight;
            flight = null;
            if (now == null) {
                List<Running> rows = running.stream().filter(Running::draws).toList();
                runPiece(rows.isEmpty());
                rows = running.stream().filter(Running::draws).toList();
                if (rows.isEmpty()) {
                    // So that whoever waits for the end of a step, or gives its prompt up, does not wait for several.
                    stream.synchronize();
                    return List.of();
                }
                begin(rows);
                now = launch(rows);
            }
            if (goesOnAlike(now)) {
                flight = launch(now.rows());
            }
            return read(now);
        }
    }

    /** Runs the next piece of the first prompt that is not through, if it is time for one. */
    private void runPiece(boolean alone) {
        for (Running r : running) {
            if (r.left() > 0) {
                int unit = prefill.rows();
                int from = r.table.length();
                int count = Math.min(r.left(), unit);
                if (!alone && steps < PIECE_STEPS + count / TOKENS_OF_A_STEP) {
                    return;
                }
                steps = 0;
                prefill.run(pool, r.place, from, r.prompt, from, count, r.prompt.length);
                int[] tokens = Arrays.copyOfRange(r.prompt, from, from + count);
                if (count == unit) {
                    r.table.advance(tokens);
                } else {
                    r.table.advanceAlone(tokens);
                }
                return;
            }
        }
    }

    /** Brings rows to the device: where there was no step of the same sequences before. */
    private void begin(List<Running> rows) {
        record(rows.size());
        int most = step.most();
        MemorySegment state = staged.segment().asSlice(0, DecodeStep.STATE_BYTES * most);
        MemorySegment settings = staged.segment().asSlice(DecodeStep.STATE_BYTES * most);
        for (int i = 0; i < rows.size(); i++) {
            Running r = rows.get(i);
            state.setAtIndex(ValueLayout.JAVA_INT, i, r.token);
            state.setAtIndex(ValueLayout.JAVA_INT, (long) most + i, r.table.length());
            state.setAtIndex(ValueLayout.JAVA_INT, 2L * most + i, r.place);
            int limit = r.prompt.length + r.most;
            Sampling s = r.sampler.settings();
            new DecoderKernels.Sampling(s.temperature(), s.topK(), s.topP(), s.seed(), r.prompt.length - 1, limit)
                    .write(settings, i);
        }
        step.state().copyFrom(state, 0, stream);
        step.settings().copyFrom(settings.asSlice(0, (long) DecoderKernels.Sampling.BYTES * rows.size()), 0, stream);
    }

    /** Records the step of so many rows, once. */
    private void record(int rows) {
        if (graphs[rows] == null) {
            // One step in which all rows rest: kernels are loaded, and what is too long is found, outside of the
            // recording.
            step.state().fill(0xff, stream);
            step.queue(rows);
            graphs[rows] = owned.own(stream.record(() -> step.queue(rows)));
        }
    }

    /** Queues a step and the way of its tokens to the host. */
    private Flight launch(List<Running> rows) {
        graphs[rows.size()].launch(stream);
        step.state().copyTo(read[turn].segment(), 0, stream);
        reached[turn].record(stream);
        Flight launched = new Flight(rows, turn);
        turn = 1 - turn;
        steps++;
        return launched;
    }

    /** Whether the step after this one has the same rows, and the device draws all of their tokens. */
    private boolean goesOnAlike(Flight now) {
        if (running.size() != now.rows().size()) {
            return false;
        }
        for (int i = 0; i < running.size(); i++) {
            Running r = running.get(i);
            if (r != now.rows().get(i) || r.sampler.needsLogits() || r.drawn + 1 >= r.most) {
                return false;
            }
        }
        return true;
    }

    private List<Drawn> read(Flight now) {
        reached[now.turn()].synchronize();
        MemorySegment tokens = read[now.turn()].segment();
        List<Drawn> drawn = new ArrayList<>();
        for (int i = 0; i < now.rows().size(); i++) {
            Running r = now.rows().get(i);
            if (r.released || r.failure != null) {
                continue;
            }
            r.table.advanceAlone(r.token);
            if (!r.following.isEmpty()) {
                r.token = r.following.remove();
                continue;
            }
            int token = tokens.getAtIndex(ValueLayout.JAVA_INT, i);
            try {
                if (r.sampler.needsLogits()) {
                    token = r.sampler.next(logits(i));
                } else if (token < 0) {
                    throw Sampler.noNumbers(r.drawn + 1L);
                }
                r.token = token;
                r.drawn++;
                drawn.add(new Drawn(r, token, r.sampler.logProbabilities(), null));
                if (r.sampler.needsLogits()) {
                    for (int next : r.sampler.following()) {
                        r.following.add(next);
                        r.drawn++;
                        drawn.add(new Drawn(r, next, null, null));
                    }
                }
            } catch (RuntimeException e) {
                // It is this sequence's alone.
                r.failure = e;
                drawn.add(new Drawn(r, -1, null, e));
            }
        }
        return drawn;
    }

    /** The logits of a row of the last step, which nothing was launched after. */
    private float[] logits(int row) {
        float[] logits = new float[model.config().vocabularySize()];
        long bytes = 4L * logits.length;
        try (PinnedBuffer host = stream.context().pinned(bytes)) {
            step.logits().copyTo(host.segment(), row * bytes, stream);
            stream.synchronize();
            MemorySegment.copy(host.segment(), ValueLayout.JAVA_FLOAT, 0, logits, 0, logits.length);
        }
        return logits;
    }

    @Override
    public void release(Sequence sequence) {
        synchronized (model) {
            Running r = (Running) sequence;
            if (!r.released) {
                // A step of it may still be running: what takes its blocks is queued behind.
                r.released = true;
                r.table.close();
                running.remove(r);
                places[r.place] = null;
            }
        }
    }

    @Override
    public int inUse() {
        synchronized (model) {
            return pool.book().blocksInUse();
        }
    }

    @Override
    public int capacity() {
        return pool.book().blocks();
    }

    @Override
    public void close() {
        synchronized (model) {
            if (closed) {
                return;
            }
            closed = true;
            model.forget(this);
            // Everything is freed also where the stream, in which a step may still be running, has failed.
            try (owned) {
                stream.synchronize();
            }
        }
    }
}

package dev.gosset.llm.generate;

import com.sun.management.OperatingSystemMXBean;
import dev.gosset.core.GossetException;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.cpu.KeyValuePool;
import dev.gosset.llm.cpu.Transformer;
import dev.gosset.llm.device.Batch;
import dev.gosset.llm.device.Device;
import dev.gosset.llm.device.LoadedModel;
import dev.gosset.llm.plan.ModelConfig;
import java.lang.management.ManagementFactory;

/** A model on the processor: a {@link Transformer}, the threads that run it and the memory they work in. */
public final class CpuModel implements LoadedModel {
    /** Rows of logits held at a time: vocabularies are large. */
    private static final int LOGIT_ROWS = 128;

    private final Transformer transformer;
    private final ThreadTeam team;
    private final Workspace workspace;
    private boolean closed;

    /**
     * @param team stays the caller's
     */
    public CpuModel(Transformer transformer, ThreadTeam team) {
        this.transformer = transformer;
        this.team = team;
        this.workspace = new Workspace(team);
    }

    @Override
    public ModelConfig config() {
        return transformer.config();
    }

    @Override
    public Device device() {
        return Device.CPU;
    }

    @Override
    public ThreadTeam team() {
        return team;
    }

    @Override
    public long peakDeviceBytes() {
        return 0;
    }

    /** By itself for as many sequences as a quarter of the machine's memory holds, and at least one. */
    @Override
    public Batch batch(int sequences, int context, long cacheBytes) {
        int one = KeyValuePool.blocksFor(context);
        long blockBytes = KeyValuePool.blockBytes(config(), transformer.cacheDtype());
        if (cacheBytes > 0 && cacheBytes / blockBytes < one) {
            throw new GossetException("the memory for keys and values has " + cacheBytes + " bytes, expected at least "
                    + one * blockBytes + " for one sequence of " + context + " tokens");
        }
        long quarter = ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getTotalMemorySize() / 4;
        long room = (cacheBytes > 0 ? cacheBytes : quarter) / blockBytes;
        int blocks = (int) Math.clamp(room, one, Math.multiplyExact(sequences, (long) one));
        return new CpuBatch(transformer, team, sequences, context, blocks);
    }

    @Override
    public synchronized void logits(int[] tokens, int from, int to, LogitsReader reader) {
        if (closed) {
            throw new IllegalStateException("the model is closed");
        }
        try (Workspace.Frame frame = workspace.frame()) {
            FloatMatrix hidden = frame.matrix(tokens.length, config().hiddenSize());
            FloatMatrix logits = frame.matrix(Math.min(LOGIT_ROWS, to - from), config().vocabularySize());
            transformer.hidden(tokens, hidden, workspace);
            for (int first = from; first < to; first += LOGIT_ROWS) {
                int rows = Math.min(LOGIT_ROWS, to - first);
                transformer.logits(hidden.rows(first, first + rows), logits.rows(0, rows), workspace);
                reader.read(first, logits.rows(0, rows));
            }
        }
    }

    @Override
    public synchronized void close() {
        closed = true;
        workspace.close();
    }
}

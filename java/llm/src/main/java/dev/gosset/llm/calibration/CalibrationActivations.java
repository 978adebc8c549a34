package dev.gosset.llm.calibration;

import dev.gosset.core.GossetException;
import dev.gosset.core.memory.CrashSafeFile;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.cpu.ActivationTap;
import dev.gosset.llm.cpu.Transformer;
import dev.gosset.llm.cpu.TransformerBlock;
import dev.gosset.llm.device.DeviceQuantizer;
import dev.gosset.llm.device.DeviceQuantizer.Accumulator;
import dev.gosset.llm.plan.LinearGroup;
import java.io.Closeable;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * The hidden states of the calibration sequences, carried through the unquantized model block by block. Up to 1 GiB lies
 * in memory; more is mapped from a file without a name that vanishes with the process, so memory stays bounded. Not
 * thread-safe; closing frees it.
 */
public final class CalibrationActivations implements AutoCloseable {
    private static final long IN_MEMORY = 1L << 30;

    private final Arena arena = Arena.ofShared();
    private final FloatMatrix[] hidden;

    /**
     * Embeds the sequences.
     *
     * @param directory where the file goes if one is needed
     */
    public CalibrationActivations(Transformer model, List<int[]> sequences, Path directory) {
        this(model, sequences, directory, IN_MEMORY);
    }

    /**
     * The same with another limit.
     *
     * @param inMemory the most bytes that lie in memory
     */
    public CalibrationActivations(Transformer model, List<int[]> sequences, Path directory, long inMemory) {
        int width = model.config().hiddenSize();
        long bytes = 0;
        for (int[] sequence : sequences) {
            bytes += 4L * sequence.length * width;
        }
        try {
            MemorySegment memory = bytes <= inMemory ? arena.allocate(bytes, 64) : mapped(directory, bytes);
            hidden = new FloatMatrix[sequences.size()];
            long offset = 0;
            for (int s = 0; s < hidden.length; s++) {
                int tokens = sequences.get(s).length;
                hidden[s] = new FloatMatrix(memory.asSlice(offset, 4L * tokens * width), tokens, width);
                offset += 4L * tokens * width;
                model.embed(sequences.get(s), hidden[s]);
            }
        } catch (Throwable e) {
            arena.close();
            throw e;
        }
    }

    private MemorySegment mapped(Path directory, long bytes) {
        Path file = directory.resolve("activations.tmp");
        try (FileChannel channel = FileChannel.open(
                        file, StandardOpenOption.CREATE_NEW, StandardOpenOption.READ, StandardOpenOption.WRITE);
                // The map outlives the name.
                Closeable last = () -> Files.deleteIfExists(file)) {
            // Every page gets its place on the disk now: a full disk under a map of holes would end the process.
            ByteBuffer zeros = ByteBuffer.allocateDirect(1 << 20);
            for (long at = 0; at < bytes; ) {
                at += channel.write(zeros.clear().limit((int) Math.min(zeros.capacity(), bytes - at)), at);
            }
            return channel.map(FileChannel.MapMode.READ_WRITE, 0, bytes, arena);
        } catch (IOException e) {
            throw new GossetException(
                    file + ": the " + bytes + " bytes of the activations cannot be written: " + CrashSafeFile.reason(e),
                    e);
        }
    }

    /**
     * Runs one block over every sequence: the hidden states become its outputs, and each accumulator sees the inputs that
     * it is of.
     *
     * @param accumulators by {@link LinearGroup#hessian}; groups without one are not looked at
     * @param afterSequence called after each sequence
     */
    public void advance(
            TransformerBlock block,
            Map<String, Accumulator> accumulators,
            Workspace workspace,
            Runnable afterSequence) {
        ActivationTap tap = (group, input) -> {
            Accumulator accumulator = accumulators.get(group.hessian());
            if (accumulator != null) {
                accumulator.add(workspace.team(), input);
            }
        };
        for (FloatMatrix sequence : hidden) {
            block.forward(sequence, tap, workspace);
            afterSequence.run();
        }
    }

    /** {@link #advance(TransformerBlock, Map, Workspace, Runnable)} on a device. */
    public void advance(
            DeviceQuantizer.CalibrationBlock block, Map<String, Accumulator> accumulators, Runnable afterSequence) {
        for (FloatMatrix sequence : hidden) {
            block.forward(sequence, accumulators);
            afterSequence.run();
        }
    }

    /**
     * Runs one block over every sequence and keeps both what it got and what it made of that.
     *
     * @param outputs of the same sequences: overwritten by the block's outputs
     */
    public void advanceInto(
            CalibrationActivations outputs, TransformerBlock block, Workspace workspace, Runnable afterSequence) {
        for (int s = 0; s < hidden.length; s++) {
            outputs.hidden[s].data().copyFrom(hidden[s].data());
            block.forward(outputs.hidden[s], (group, input) -> {}, workspace);
            afterSequence.run();
        }
    }

    /** The number of sequences. */
    public int count() {
        return hidden.length;
    }

    /** The hidden states of a sequence, tokens x hidden size. */
    public FloatMatrix sequence(int index) {
        return hidden[index];
    }

    /** The most tokens of a sequence. */
    public int longest() {
        return Arrays.stream(hidden).mapToInt(FloatMatrix::rows).max().orElse(0);
    }

    @Override
    public void close() {
        arena.close();
    }
}

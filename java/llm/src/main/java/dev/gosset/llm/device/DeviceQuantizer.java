package dev.gosset.llm.device;

import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.rounding.Hessian;
import dev.gosset.core.rounding.LinearQuantizer;
import dev.gosset.core.rounding.LossHessian;
import dev.gosset.core.rounding.QuantizationResult;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.plan.LinearGroup;
import java.lang.foreign.Arena;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Hessians and rounding of linears on a device, or on the processor. One thread at a time; closing frees what it holds
 * there, accumulators excepted, which are closed before.
 */
public interface DeviceQuantizer extends AutoCloseable {
    /** The sums of one Hessian, as {@link dev.gosset.core.rounding.HessianAccumulator} forms them. */
    interface Accumulator extends AutoCloseable {
        /**
         * Adds activations.
         *
         * @param x tokens x n
         */
        void add(ThreadTeam team, FloatMatrix x);

        /** How many activations were added. */
        long tokens();

        /** The moments of all that was added. */
        Hessian hessian(Arena arena);

        @Override
        void close();
    }

    /** A block of the unquantized model on the device. */
    interface CalibrationBlock extends AutoCloseable {
        /**
         * Runs the block over one whole sequence.
         *
         * @param hidden tokens x hidden size; replaced by the block's output
         * @param sums of this quantizer's making, by {@link LinearGroup#hessian}: each sees the inputs that it is of; groups without one are not
         *     looked at
         */
        void forward(FloatMatrix hidden, Map<String, Accumulator> sums);

        @Override
        void close();
    }

    /**
     * Copies a block of the unquantized model to the device, for calibration.
     *
     * @param longest the most tokens of a sequence
     * @return empty where the processor has to run it
     */
    default Optional<CalibrationBlock> block(Model model, int layer, int longest) {
        return Optional.empty();
    }

    /** The device, for reports. */
    String device();

    /** Empty sums for a linear of {@code n} inputs. */
    Accumulator accumulator(int n);

    /**
     * As {@link LinearQuantizer#quantize(String, List, Hessian, LossHessian, long, Arena)}, up to ties of the search in float32.
     *
     * @param sides null for one side, which is all that other devices than the processor know
     */
    QuantizationResult quantize(
            String name, List<LinearQuantizer.Part> parts, Hessian hessian, LossHessian sides, long seed, Arena arena);

    /** The most bytes of device memory that were held at a time. */
    long peakBytes();

    @Override
    void close();
}

package dev.gosset.cuda.llm;

import dev.gosset.core.kernel.Kernels;
import dev.gosset.core.memory.DoubleMatrix;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.rounding.Hessian;
import dev.gosset.core.rounding.LinearQuantizer;
import dev.gosset.core.rounding.LossHessian;
import dev.gosset.core.rounding.QuantizationResult;
import dev.gosset.core.rounding.RoundingSettings;
import dev.gosset.core.rounding.StackRounding;
import dev.gosset.cuda.CudaContext;
import dev.gosset.cuda.CudaHessian;
import dev.gosset.cuda.CudaStackRounding;
import dev.gosset.cuda.DeviceMemory;
import dev.gosset.llm.device.DeviceQuantizer;
import dev.gosset.llm.model.Model;
import java.lang.foreign.Arena;
import java.util.List;
import java.util.Optional;

/**
 * Hessians and rounding on one device. Sums of squares are float64, as on the processor; rounding is float32. What asks for
 * float64, or needs it because float32 finds no Cholesky factor, is rounded on the processor.
 */
final class CudaQuantizer implements DeviceQuantizer {
    private final CudaContext context;
    private final LinearQuantizer quantizer;

    CudaQuantizer(int index, RoundingSettings settings, ThreadTeam team) {
        context = CudaContext.open(index);
        StackRounding processor = StackRounding.onProcessor(
                Kernels.selected().encode(), Kernels.selected().transform(), team);
        quantizer = new LinearQuantizer(
                settings,
                new CudaStackRounding(context, processor),
                Kernels.selected().transform(),
                team);
    }

    @Override
    public String device() {
        return "cuda:" + context.device().index() + " " + context.device().name();
    }

    @Override
    public Accumulator accumulator(int n) {
        return new Sums(new CudaHessian(context, n));
    }

    @Override
    public Optional<CalibrationBlock> block(Model model, int layer, int longest) {
        return CudaCalibrationBlock.runs(model)
                ? Optional.of(new CudaCalibrationBlock(context, model, layer, longest))
                : Optional.empty();
    }

    /** Sums on the device; closing twice is closing once. */
    static final class Sums implements Accumulator {
        private final CudaHessian sums;

        Sums(CudaHessian sums) {
            this.sums = sums;
        }

        /** Adds rows x n floats that lie on the device, complete. */
        void add(DeviceMemory x, int rows) {
            sums.add(x, rows);
        }

        @Override
        public void add(ThreadTeam team, FloatMatrix x) {
            sums.add(x);
        }

        @Override
        public long tokens() {
            return sums.tokens();
        }

        @Override
        public Hessian hessian(Arena result) {
            try (Arena arena = Arena.ofConfined()) {
                DoubleMatrix squares = DoubleMatrix.allocate(arena, sums.n(), sums.n());
                double[] columns = new double[sums.n()];
                sums.readLower(squares);
                sums.readColumns(columns);
                return Hessian.ofSums(squares, columns, sums.tokens(), result);
            }
        }

        @Override
        public void close() {
            sums.close();
        }
    }

    @Override
    public QuantizationResult quantize(
            String name, List<LinearQuantizer.Part> parts, Hessian hessian, LossHessian sides, long seed, Arena arena) {
        if (sides != null) {
            throw new IllegalArgumentException(name + ": two-sided Hessians are for the processor only");
        }
        return quantizer.quantize(name, parts, hessian, seed, arena);
    }

    @Override
    public long peakBytes() {
        return context.peakBytes();
    }

    @Override
    public void close() {
        context.close();
    }
}

package dev.gosset.llm.quantize;

import dev.gosset.core.kernel.Kernels;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.rounding.Hessian;
import dev.gosset.core.rounding.HessianAccumulator;
import dev.gosset.core.rounding.LinearQuantizer;
import dev.gosset.core.rounding.LossHessian;
import dev.gosset.core.rounding.QuantizationResult;
import dev.gosset.core.rounding.RoundingSettings;
import dev.gosset.llm.device.DeviceQuantizer;
import java.lang.foreign.Arena;
import java.util.List;

/** Hessians and rounding on the processor. */
final class CpuQuantizer implements DeviceQuantizer {
    private final LinearQuantizer quantizer;

    CpuQuantizer(RoundingSettings settings, ThreadTeam team) {
        quantizer = new LinearQuantizer(
                settings, Kernels.selected().encode(), Kernels.selected().transform(), team);
    }

    @Override
    public String device() {
        return "cpu";
    }

    @Override
    public Accumulator accumulator(int n) {
        return sums(n);
    }

    /** Empty sums in memory of their own. */
    static Accumulator sums(int n) {
        return new Sums(n);
    }

    private static final class Sums implements Accumulator {
        private final Arena arena = Arena.ofShared();
        private final HessianAccumulator sums;

        Sums(int n) {
            sums = new HessianAccumulator(n, arena);
        }

        @Override
        public void add(ThreadTeam team, FloatMatrix x) {
            sums.add(team, x);
        }

        @Override
        public long tokens() {
            return sums.tokens();
        }

        @Override
        public Hessian hessian(Arena result) {
            return sums.hessian(result);
        }

        @Override
        public void close() {
            if (arena.scope().isAlive()) {
                arena.close();
            }
        }
    }

    @Override
    public QuantizationResult quantize(
            String name, List<LinearQuantizer.Part> parts, Hessian hessian, LossHessian sides, long seed, Arena arena) {
        return quantizer.quantize(name, parts, hessian, sides, seed, arena);
    }

    @Override
    public long peakBytes() {
        return 0;
    }

    @Override
    public void close() {}
}

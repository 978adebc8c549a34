package dev.gosset.llm.quantize;

import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.rounding.Hessian;
import dev.gosset.core.rounding.LinearQuantizer;
import dev.gosset.core.rounding.LossHessian;
import dev.gosset.core.rounding.QuantizationResult;
import dev.gosset.llm.device.DeviceQuantizer;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.quantize.QuantizationReport.LinearReport;
import java.lang.foreign.Arena;
import java.util.List;

/** A group of linears, quantized, in memory of its own. Filled by one thread, then read by one. */
final class GroupResult implements AutoCloseable {
    private final Arena arena = Arena.ofShared();
    private LinearGroup group;
    private long tokens;
    private QuantizationResult result;
    private boolean sided;
    private double seconds;

    void quantize(
            DeviceQuantizer quantizer,
            LinearGroup group,
            List<LinearQuantizer.Part> parts,
            Hessian hessian,
            LossHessian sides,
            long seed) {
        long started = System.nanoTime();
        this.group = group;
        tokens = hessian.tokens();
        sided = sides != null;
        result = quantizer.quantize(group.name(), parts, hessian, sides, seed, arena);
        seconds = (System.nanoTime() - started) / 1e9;
    }

    QuantizedLinear linear() {
        return result.linear();
    }

    LinearReport report() {
        return new LinearReport(
                group.name(),
                linear().rows(),
                linear().cols(),
                linear().codes().codebook().name(),
                result.proxyError(),
                result.frobeniusError(),
                result.float64Retried(),
                tokens,
                group.reach() != LinearGroup.Reach.EVERY_TOKEN && tokens < group.inputs(),
                sided ? result.expectedLoss() : null,
                seconds);
    }

    @Override
    public void close() {
        arena.close();
    }
}

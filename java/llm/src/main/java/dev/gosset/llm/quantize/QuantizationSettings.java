package dev.gosset.llm.quantize;

import dev.gosset.core.rounding.RoundingSettings;
import dev.gosset.llm.calibration.CalibrationText;
import java.nio.file.Path;

/**
 * What decides the result of a quantization, besides the model.
 *
 * @param rounding how each linear is rounded
 * @param seed of the sign vectors
 * @param calibration the text that makes the Hessians; null where they are given
 * @param hessians a directory of Hessians; null where there is a calibration text
 * @param twoSided whether the whole model's loss says how the outputs of each linear matter too, where that promises a smaller loss;
 *     needs a calibration text, the last sequences of which judge. The processor alone does it
 * @param finetuning in the course of it; null for none
 */
public record QuantizationSettings(
        RoundingSettings rounding,
        long seed,
        CalibrationText calibration,
        Path hessians,
        boolean twoSided,
        Finetuning finetuning) {
    public QuantizationSettings {
        if ((calibration == null) == (hessians == null)) {
            throw new IllegalArgumentException("exactly one of calibration text and Hessians is needed");
        }
        if (calibration == null && finetuning != null && finetuning.text() == null) {
            throw new IllegalArgumentException("fine-tuning needs a text of its own where Hessians are given");
        }
        if (twoSided && calibration == null) {
            throw new IllegalArgumentException("two-sided Hessians need a calibration text, found given Hessians");
        }
        if (twoSided && (rounding.rescale() || rounding.greedyPasses() > 0)) {
            throw new IllegalArgumentException("two-sided Hessians know neither greedy passes nor rescaling");
        }
    }

    /** One-sided. */
    public QuantizationSettings(
            RoundingSettings rounding, long seed, CalibrationText calibration, Path hessians, Finetuning finetuning) {
        this(rounding, seed, calibration, hessians, false, finetuning);
    }

    /** Without fine-tuning. */
    public QuantizationSettings(RoundingSettings rounding, long seed, CalibrationText calibration, Path hessians) {
        this(rounding, seed, calibration, hessians, null);
    }

    /** The same with Hessians of both sides. */
    public QuantizationSettings withTwoSides() {
        return new QuantizationSettings(rounding, seed, calibration, hessians, true, finetuning);
    }

    /** The same with other sign vectors. */
    public QuantizationSettings withSeed(long other) {
        return new QuantizationSettings(rounding, other, calibration, hessians, twoSided, finetuning);
    }
}

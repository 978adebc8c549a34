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
 * @param finetuning in the course of it; null for none
 */
public record QuantizationSettings(
        RoundingSettings rounding, long seed, CalibrationText calibration, Path hessians, Finetuning finetuning) {
    public QuantizationSettings {
        if ((calibration == null) == (hessians == null)) {
            throw new IllegalArgumentException("exactly one of calibration text and Hessians is needed");
        }
        if (calibration == null && finetuning != null && finetuning.text() == null) {
            throw new IllegalArgumentException("fine-tuning needs a text of its own where Hessians are given");
        }
    }

    /** Without fine-tuning. */
    public QuantizationSettings(RoundingSettings rounding, long seed, CalibrationText calibration, Path hessians) {
        this(rounding, seed, calibration, hessians, null);
    }
}

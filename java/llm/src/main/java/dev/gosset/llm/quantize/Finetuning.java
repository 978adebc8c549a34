package dev.gosset.llm.quantize;

import dev.gosset.llm.calibration.CalibrationText;
import dev.gosset.llm.finetune.TuningSettings;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Fine-tuning in the course of a quantization.
 *
 * @param text whose sequences tune; null for those that follow the calibration's
 * @param sequences how many where {@code text} is null; at least 2, for the last quarter validates
 * @param block how blocks are tuned while they are rounded
 * @param model how the whole model is tuned then; null where it is not
 */
public record Finetuning(CalibrationText text, int sequences, TuningSettings block, TuningSettings model) {
    public Finetuning {
        if (text == null && sequences < 2) {
            throw new IllegalArgumentException(
                    "fine-tuning needs at least 2 sequences, one to tune on and one to validate, found " + sequences);
        }
    }

    /** What decides its result, by name. */
    Map<String, Object> fields() {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("finetune", model == null ? "block" : "full");
        add(fields, "block_", block);
        if (model != null) {
            add(fields, "model_", model);
        }
        return fields;
    }

    private static void add(Map<String, Object> fields, String prefix, TuningSettings settings) {
        settings.fields().forEach((name, value) -> fields.put(prefix + name, value));
    }
}

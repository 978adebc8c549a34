package dev.gosset.llm.finetune;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * How long and how far parameters are tuned. Rates rise over the first steps and fall to 0 along a cosine.
 *
 * @param epochs passes over the training sequences
 * @param batch sequences of a step
 * @param factorRate Adam's step for sign vectors, as a part of the value
 * @param weightRate Adam's step for norms, as a part of the value, and for matrices, as a part of their root mean square
 * @param seed of the order of the sequences
 */
public record TuningSettings(int epochs, int batch, double factorRate, double weightRate, long seed) {
    /** What tuning a whole model takes where nothing else is said. */
    public static final TuningSettings MODEL = new TuningSettings(2, 2, 2e-3, 4e-4, 0);

    /** What tuning within a block takes where nothing else is said. */
    public static final TuningSettings BLOCK = new TuningSettings(1, 1, 2e-3, 2e-3, 0);

    public TuningSettings {
        if (epochs < 0 || batch < 1 || !(factorRate >= 0 && factorRate < 1) || !(weightRate >= 0 && weightRate < 1)) {
            throw new IllegalArgumentException(
                    "fine-tuning takes 0 epochs or more, batches of 1 or more and rates from 0 to 1, found " + epochs
                            + ", " + batch + ", " + factorRate + " and " + weightRate);
        }
    }

    /** What decides the result, by name. */
    public Map<String, Object> fields() {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("epochs", epochs);
        fields.put("batch", batch);
        fields.put("factor_rate", factorRate);
        fields.put("weight_rate", weightRate);
        fields.put("seed", seed);
        return fields;
    }

    /** The same with another seed. */
    public TuningSettings withSeed(long other) {
        return new TuningSettings(epochs, batch, factorRate, weightRate, other);
    }

    /** The part of the rate that step {@code step} of {@code steps} has, both from 0. */
    double schedule(int step, int steps) {
        int rise = Math.min(8, steps / 4);
        if (step < rise) {
            return (step + 1.0) / (rise + 1);
        }
        return 0.5 * (1 + Math.cos(Math.PI * (step - rise) / Math.max(1, steps - rise)));
    }

    /** How many of so many sequences, the last ones, validate: a quarter, and not more than are needed to tell states apart. */
    public static int validating(int sequences) {
        return Math.clamp(sequences / 4, 1, 32);
    }
}

package dev.gosset.llm.model;

/**
 * How the frequencies of the rotary position embedding are stretched beyond the trained context. Pair i of a head of
 * dimension d turns by {@code position * f_i} with {@code f_i = theta^(-2 i / d)} before scaling.
 */
public sealed interface RotaryScaling {
    /** The scaled frequency for an unscaled one, both in radians per position. */
    double scale(double frequency);

    /** No scaling ({@code rope_type: default}). */
    record None() implements RotaryScaling {
        @Override
        public double scale(double frequency) {
            return frequency;
        }
    }

    /** All frequencies divided by one factor ({@code rope_type: linear}). */
    record Linear(double factor) implements RotaryScaling {
        @Override
        public double scale(double frequency) {
            return frequency / factor;
        }
    }

    /**
     * The scaling of Llama 3.1 and later ({@code rope_type: llama3}): waves longer than {@code originalPositions /
     * lowFactor} are slowed by {@code factor}, those shorter than {@code originalPositions / highFactor} are kept, those
     * between are blended linearly in positions per wave.
     */
    record Llama3(double factor, double lowFactor, double highFactor, int originalPositions) implements RotaryScaling {
        @Override
        public double scale(double frequency) {
            double wave = 2 * Math.PI / frequency;
            if (wave > originalPositions / lowFactor) {
                return frequency / factor;
            }
            if (wave < originalPositions / highFactor) {
                return frequency;
            }
            double smooth = (originalPositions / wave - lowFactor) / (highFactor - lowFactor);
            return (1 - smooth) * frequency / factor + smooth * frequency;
        }
    }
}

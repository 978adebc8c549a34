package dev.gosset.llm.plan;

import java.util.List;

/**
 * How the rotary position embedding is stretched beyond the trained context. Pair i of a head of dimension d turns by
 * {@code position * f_i}, before scaling {@code f_i = theta^(-2 i / d)}. The formulas and the defaults of their settings are
 * those of transformers 5.18; the names of the records are values of {@code rope_type}.
 */
public sealed interface RotaryScaling {
    /**
     * The frequencies of the pairs, in radians per position.
     *
     * @param theta the base
     * @param dim the dimension d of a head
     * @param length tokens of the sequence; counts only beyond {@link #fixedLength}
     */
    double[] frequencies(double theta, int dim, int length);

    /** What queries and keys are multiplied by when they are turned: attention becomes sharper by its square. */
    default double attentionFactor() {
        return 1;
    }

    /** Sequences up to this length are all turned by the same frequencies. */
    default int fixedLength() {
        return Integer.MAX_VALUE;
    }

    /** The longest sequence that the scaling is meant for, where the model was made for {@code positions}. */
    default double longest(int positions) {
        return positions;
    }

    private static double[] unscaled(double theta, int dim) {
        double[] frequencies = new double[dim / 2];
        for (int i = 0; i < frequencies.length; i++) {
            frequencies[i] = Math.pow(theta, -2.0 * i / dim);
        }
        return frequencies;
    }

    /** No scaling ({@code default}). */
    record None() implements RotaryScaling {
        @Override
        public double[] frequencies(double theta, int dim, int length) {
            return unscaled(theta, dim);
        }
    }

    /** All frequencies divided by one factor ({@code linear}). */
    record Linear(double factor) implements RotaryScaling {
        @Override
        public double[] frequencies(double theta, int dim, int length) {
            double[] f = unscaled(theta, dim);
            for (int i = 0; i < f.length; i++) {
                f[i] /= factor;
            }
            return f;
        }

        @Override
        public double longest(int positions) {
            return factor * positions;
        }
    }

    /** The first {@code share} of the pairs divided by one factor, the others not turned at all ({@code proportional}). */
    record Proportional(double factor, double share) implements RotaryScaling {
        @Override
        public double[] frequencies(double theta, int dim, int length) {
            double[] f = unscaled(theta, dim);
            int turned = (int) Math.floor(share * dim / 2);
            for (int i = 0; i < f.length; i++) {
                f[i] = i < turned ? f[i] / factor : 0;
            }
            return f;
        }
    }

    /**
     * A base that grows with the sequence once that is longer than the trained context ({@code dynamic}): {@code theta
     * (factor length / originalPositions - factor + 1)^(d / (d - 2))}.
     */
    record Dynamic(double factor, int originalPositions) implements RotaryScaling {
        @Override
        public double[] frequencies(double theta, int dim, int length) {
            double stretch = factor * Math.max(length, originalPositions) / originalPositions - (factor - 1);
            // A head of one pair turns by 1 whatever the base.
            return unscaled(dim == 2 ? theta : theta * Math.pow(stretch, dim / (dim - 2.0)), dim);
        }

        @Override
        public int fixedLength() {
            return originalPositions;
        }

        @Override
        public double longest(int positions) {
            return factor * positions;
        }
    }

    /**
     * Pairs that turn often within the trained context keep their frequency, those that turn seldom are slowed by {@code
     * factor}, with a linear ramp between ({@code yarn}, arXiv 2309.00071).
     *
     * @param fast turns within the trained context from which on a pair is kept
     * @param slow turns up to which it is slowed in full
     * @param truncate whether the ramp begins and ends at whole pairs
     */
    record Yarn(
            double factor, int originalPositions, double attentionFactor, double fast, double slow, boolean truncate)
            implements RotaryScaling {
        @Override
        public double[] frequencies(double theta, int dim, int length) {
            double low = pair(fast, theta, dim);
            double high = pair(slow, theta, dim);
            if (truncate) {
                low = Math.floor(low);
                high = Math.ceil(high);
            }
            low = Math.max(low, 0);
            high = Math.min(high, dim - 1);
            if (low == high) {
                high += 0.001;
            }
            double[] f = unscaled(theta, dim);
            for (int i = 0; i < f.length; i++) {
                double slowed = Math.clamp((i - low) / (high - low), 0.0, 1.0);
                f[i] = f[i] / factor * slowed + f[i] * (1 - slowed);
            }
            return f;
        }

        /** The pair, as a fraction, that makes so many turns within the trained context. */
        private double pair(double turns, double theta, int dim) {
            return dim * Math.log(originalPositions / (turns * 2 * Math.PI)) / (2 * Math.log(theta));
        }

        @Override
        public double longest(int positions) {
            return factor * originalPositions;
        }
    }

    /**
     * Each frequency divided by a factor of its own, of one list for sequences up to the trained context and of another for
     * longer ones ({@code longrope}, in older files {@code su}).
     *
     * @param shortFactors d / 2 factors
     * @param longFactors as many
     */
    record LongRope(List<Double> shortFactors, List<Double> longFactors, int originalPositions, double attentionFactor)
            implements RotaryScaling {
        public LongRope {
            shortFactors = List.copyOf(shortFactors);
            longFactors = List.copyOf(longFactors);
        }

        @Override
        public double[] frequencies(double theta, int dim, int length) {
            List<Double> factors = length > originalPositions ? longFactors : shortFactors;
            double[] f = unscaled(theta, dim);
            for (int i = 0; i < f.length; i++) {
                f[i] /= factors.get(i);
            }
            return f;
        }

        @Override
        public int fixedLength() {
            return originalPositions;
        }
    }

    /**
     * The scaling of Llama 3.1 and later ({@code llama3}): waves longer than {@code originalPositions / lowFactor} are slowed
     * by {@code factor}, those shorter than {@code originalPositions / highFactor} are kept, those between are blended
     * linearly in positions per wave.
     */
    record Llama3(double factor, double lowFactor, double highFactor, int originalPositions) implements RotaryScaling {
        @Override
        public double[] frequencies(double theta, int dim, int length) {
            double[] f = unscaled(theta, dim);
            for (int i = 0; i < f.length; i++) {
                f[i] = scale(f[i]);
            }
            return f;
        }

        private double scale(double frequency) {
            double wave = 2 * Math.PI / frequency;
            if (wave > originalPositions / lowFactor) {
                return frequency / factor;
            }
            if (wave < originalPositions / highFactor || lowFactor == highFactor) {
                return frequency;
            }
            double smooth = (originalPositions / wave - lowFactor) / (highFactor - lowFactor);
            return (1 - smooth) * frequency / factor + smooth * frequency;
        }
    }
}

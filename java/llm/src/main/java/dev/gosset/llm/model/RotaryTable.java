package dev.gosset.llm.model;

import java.util.Arrays;

/**
 * Cosines and sines of the rotary embedding for positions from 0 on, computed as far as they were asked for. Thread-safe.
 */
public final class RotaryTable {
    /** Entry {@code position * half + i} belongs to pair i of a head at a position. */
    public record Angles(float[] cos, float[] sin) {}

    private final float[] frequencies;
    private volatile Angles angles = new Angles(new float[0], new float[0]);

    public RotaryTable(ModelConfig config) {
        frequencies = new float[config.headDim() / 2];
        for (int i = 0; i < frequencies.length; i++) {
            frequencies[i] =
                    (float) config.rotaryScaling().scale(Math.pow(config.rotaryTheta(), -2.0 * i / config.headDim()));
        }
    }

    /** Half the dimension of a head: the entries of one position. */
    public int half() {
        return frequencies.length;
    }

    /** Angles of at least the positions 0 .. positions-1. */
    public Angles upTo(int positions) {
        Angles a = angles;
        return a.cos.length >= positions * frequencies.length ? a : extend(positions);
    }

    private synchronized Angles extend(int positions) {
        int half = frequencies.length;
        int known = angles.cos.length / half;
        int wanted = Math.max(positions, Math.min(2 * known, Integer.MAX_VALUE / half));
        if (known >= positions) {
            return angles;
        }
        float[] cos = Arrays.copyOf(angles.cos, Math.multiplyExact(wanted, half));
        float[] sin = Arrays.copyOf(angles.sin, wanted * half);
        for (int p = known; p < wanted; p++) {
            for (int i = 0; i < half; i++) {
                // The reference forms the angle in float32, so that is what models were trained with.
                float angle = p * frequencies[i];
                cos[p * half + i] = (float) Math.cos(angle);
                sin[p * half + i] = (float) Math.sin(angle);
            }
        }
        angles = new Angles(cos, sin);
        return angles;
    }
}

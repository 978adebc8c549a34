package dev.gosset.core.methods;

/** The uniform numbers of stochastic rounding: one in [0, 1) for each weight, the same whenever it is asked for. */
@FunctionalInterface
public interface Noise {
    /** Ordinary rounding, ties up. */
    Noise NEAREST = index -> 0.5;

    /**
     * @param index of the weight, row by row
     */
    double at(long index);

    /** Of a seed: word {@code index} of SplitMix64. */
    static Noise of(long seed) {
        return index -> {
            long z = seed + (index + 1) * 0x9e3779b97f4a7c15L;
            z = (z ^ (z >>> 30)) * 0xbf58476d1ce4e5b9L;
            z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
            return ((z ^ (z >>> 31)) >>> 11) * 0x1p-53;
        };
    }
}

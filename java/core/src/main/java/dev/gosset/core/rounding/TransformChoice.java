package dev.gosset.core.rounding;

import dev.gosset.core.UnsupportedModelException;
import dev.gosset.core.hadamard.HadamardTransform;
import java.util.List;
import java.util.Locale;

/** Which transform makes a side of a linear incoherent, by its length. */
public enum TransformChoice {
    /** A Hadamard matrix where there is one, else a Hartley matrix: every length has one of them. */
    AUTO,
    /** A Hadamard matrix; not every length has one. */
    HADAMARD,
    /** A Hartley matrix of the odd part. */
    HARTLEY,
    /** The Fourier transform of pairs behind random phases; of even lengths. */
    FOURIER;

    /**
     * The transform of a length.
     *
     * @throws IllegalArgumentException where there is none
     */
    public HadamardTransform of(int n) {
        return this == AUTO ? HadamardTransform.of(n) : HadamardTransform.of(n, HadamardTransform.Kind.valueOf(name()));
    }

    /**
     * Refuses a linear that this transform does not know.
     *
     * @param name of the linear
     * @param rows outputs of its parts
     * @param n inputs
     * @throws UnsupportedModelException with the name, the sizes and what is missing
     */
    public void require(String name, List<Integer> rows, int n) {
        int m = rows.stream().mapToInt(Integer::intValue).sum();
        try {
            of(n);
            of(m);
            if (this == FOURIER && rows.stream().anyMatch(r -> r % 2 != 0)) {
                throw new IllegalArgumentException(
                        "a Fourier transform of pairs needs parts of even lengths, found " + rows);
            }
        } catch (IllegalArgumentException e) {
            throw new UnsupportedModelException("linear " + name + " is " + m + " x " + n + ", but the transform "
                    + this + " does not take it: " + e.getMessage());
        }
    }

    /** As the command line names it. */
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}

package dev.gosset.core.codebook;

/**
 * A vector quantizer of groups of eight weights: the E8P codebook of QuIP# (2 bits per weight) alone or with a residual
 * codebook (3 and 4 bits), and two older ones of the first checkpoints. Pure mathematics, immutable, thread-safe.
 *
 * <p>A <em>code</em> is an unsigned 32-bit number in an {@code int}: the 16-bit E8P code for {@link E8p}; {@code (c0 <<
 * 16) | c1} for the residual codebooks, where the value is {@code q0 + q1 / residualScale}; 16 bits for {@link D4} and 32
 * bits for {@link HalfInteger}. Kernels that know only the E8P codebooks must tell them by their class, not by their bits.
 *
 * <p>Source: spec/quip-sharp.md, section 4.
 */
public sealed interface Codebook permits E8p, E8pResidual, D4, HalfInteger {
    /** Weights per code. */
    int DIMENSION = 8;

    /** The names that {@link #named} knows, for messages. */
    String KNOWN = "E8P12, E8P12RVQ3B, E8P12RVQ4B, D4, HI4B1C";

    /**
     * The published name: {@code E8P12}, {@code E8P12RVQ3B}, {@code E8P12RVQ4B}, {@code D4} or {@code HI4B1C}; for a
     * residual codebook with another residual scale than the usual one followed by a colon and that scale.
     */
    String name();

    /** The published {@code codebook_id}. */
    int id();

    /** The published {@code codebook_version}. */
    int version();

    /** Bits per weight: 2, 3 or 4. {@link D4} and {@link HalfInteger} have the bits of an E8P codebook and other codes. */
    int bits();

    /** The scale that minimizes the squared error on standard normal weights: weights are divided by RMS / scale. */
    double optimalScale();

    /** The scale used by default when quantizing a model: 0.9 for 2 bits, {@link #optimalScale()} otherwise. */
    double defaultScale();

    /** How much larger the residual is made before its own codebook sees it; 1 where there is no residual codebook. */
    double residualScale();

    /** A Euclidean norm that no point exceeds, close to that of the longest. */
    double largestNorm();

    /** Writes the eight values of {@code code} to {@code out[offset..offset+7]}. */
    void decode(int code, double[] out, int offset);

    /**
     * The code of the point nearest to {@code x[offset..offset+7]}, evaluated in float64: the scalar oracle. Residual
     * codebooks choose greedily, first the E8P point, then the residual.
     */
    int nearest(double[] x, int offset);

    /** The codebook of a bit rate. */
    static Codebook ofBits(int bits) {
        return switch (bits) {
            case 2 -> E8p.INSTANCE;
            case 3 -> E8pResidual.RVQ3B;
            case 4 -> E8pResidual.RVQ4B;
            default -> throw new IllegalArgumentException("bits must be 2, 3 or 4, found " + bits);
        };
    }

    /**
     * The codebook with a published name, or an error that lists the known ones. A residual codebook's name may be followed
     * by a colon and its residual scale, see {@link E8pResidual#withResidualScale}.
     */
    static Codebook named(String name) {
        return switch (name) {
            case "E8P12" -> E8p.INSTANCE;
            case "E8P12RVQ3B" -> E8pResidual.RVQ3B;
            case "E8P12RVQ4B" -> E8pResidual.RVQ4B;
            case "D4" -> D4.INSTANCE;
            case "HI4B1C" -> HalfInteger.INSTANCE;
            default -> withResidualScale(name);
        };
    }

    private static Codebook withResidualScale(String name) {
        int colon = name.indexOf(':');
        try {
            if (colon > 0 && named(name.substring(0, colon)) instanceof E8pResidual residual) {
                return residual.withResidualScale(Double.parseDouble(name.substring(colon + 1)));
            }
        } catch (NumberFormatException e) {
            throw new IllegalArgumentException("the residual scale of codebook '" + name + "' is not a number", e);
        }
        throw new IllegalArgumentException("unknown codebook '" + name + "': known are " + KNOWN);
    }
}

package dev.gosset.core.codebook;

/**
 * E8P with a residual codebook: 3 bits (E8P + {@link E81b}) or 4 bits (E8P + E8P). The value of the code {@code (c0 << 16)
 * | c1} is {@code q0 + q1 / residualScale}, with q0 the E8P point of c0 and q1 the residual point of c1.
 *
 * <p>Immutable, thread-safe. Source: spec/quip-sharp.md, sections 4.4 and 4.5.
 */
public final class E8pResidual implements Codebook {
    /** 3 bits: c1 is 8 bits, a point of {@link E81b}; residual scale 2.04. */
    public static final E8pResidual RVQ3B = new E8pResidual("E8P12RVQ3B", 18, 0, 3, 0.98, 2.04);

    /** 4 bits: c1 is 16 bits, a point of {@link E8p}; residual scale 3.45. */
    public static final E8pResidual RVQ4B = new E8pResidual("E8P12RVQ4B", 17, 1, 4, 1.03, 3.45);

    private final String name;
    private final int id;
    private final int version;
    private final int bits;
    private final double optimalScale;
    private final double residualScale;

    private E8pResidual(String name, int id, int version, int bits, double optimalScale, double residualScale) {
        this.name = name;
        this.id = id;
        this.version = version;
        this.bits = bits;
        this.optimalScale = optimalScale;
        this.residualScale = residualScale;
    }

    /**
     * This codebook with another residual scale, as {@code resid_scale_override} of published checkpoints asks for. Its
     * {@link #name} has the scale behind a colon, {@code E8P12RVQ4B:3.6}, unless it is the usual one.
     *
     * @throws IllegalArgumentException if the scale is not a finite number above 0
     */
    public E8pResidual withResidualScale(double scale) {
        if (!(scale > 0 && scale < Double.POSITIVE_INFINITY)) {
            throw new IllegalArgumentException("a residual scale must be a number above 0, found " + scale);
        }
        E8pResidual usual = bits == 3 ? RVQ3B : RVQ4B;
        return scale == usual.residualScale
                ? usual
                : new E8pResidual(usual.name + ":" + scale, id, version, bits, optimalScale, scale);
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public int id() {
        return id;
    }

    @Override
    public int version() {
        return version;
    }

    @Override
    public int bits() {
        return bits;
    }

    @Override
    public double optimalScale() {
        return optimalScale;
    }

    @Override
    public double defaultScale() {
        return optimalScale;
    }

    @Override
    public double residualScale() {
        return residualScale;
    }

    @Override
    public double largestNorm() {
        return E8p.INSTANCE.largestNorm() + (bits == 3 ? 2 : E8p.INSTANCE.largestNorm()) / residualScale;
    }

    /** {@inheritDoc} The value is {@code q0 + q1 / residualScale}, in double arithmetic. */
    @Override
    public void decode(int code, double[] out, int offset) {
        double[] residual = new double[DIMENSION];
        decodeResidual(code, residual, 0);
        E8p.INSTANCE.decode(code >>> 16, out, offset);
        for (int c = 0; c < DIMENSION; c++) {
            out[offset + c] += residual[c] / residualScale;
        }
    }

    /** {@inheritDoc} That is {@code q0 = E8P(x)}, then {@code q1} nearest to {@code (x - q0) * residualScale}. */
    @Override
    public int nearest(double[] x, int offset) {
        double[] residual = new double[DIMENSION];
        int c0 = E8p.INSTANCE.nearest(x, offset);
        E8p.INSTANCE.decode(c0, residual, 0);
        for (int c = 0; c < DIMENSION; c++) {
            residual[c] = (x[offset + c] - residual[c]) * residualScale;
        }
        return c0 << 16 | (bits == 3 ? E81b.nearest(residual, 0) : E8p.INSTANCE.nearest(residual, 0));
    }

    /** Writes the residual point q1 of {@code code}, before the division, to {@code out[offset..offset+7]}. */
    public void decodeResidual(int code, double[] out, int offset) {
        if (bits == 3) {
            E81b.decode(code, out, offset);
        } else {
            E8p.INSTANCE.decode(code, out, offset);
        }
    }
}

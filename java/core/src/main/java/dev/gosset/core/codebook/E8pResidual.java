package dev.gosset.core.codebook;

/**
 * E8P with a residual codebook: 3 bits (E8P + 256 points of E8) or 4 bits (E8P + E8P). Source: spec/quip-sharp.md,
 * sections 4.4 and 4.5.
 */
public final class E8pResidual implements Codebook {
    public static final E8pResidual RVQ3B = new E8pResidual("E8P12RVQ3B", 18, 0, 3, 0.98, 2.04);
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
    public void decode(int code, double[] out, int offset) {
        throw new UnsupportedOperationException("residual decode: being written");
    }

    @Override
    public int nearest(double[] x, int offset) {
        throw new UnsupportedOperationException("residual nearest: being written");
    }
}

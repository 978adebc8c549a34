package dev.gosset.core.codebook;

/** The E8P codebook, 2 bits per weight (E8P12, version 1). Source: spec/quip-sharp.md, sections 4.1 to 4.3. */
public final class E8p implements Codebook {
    public static final E8p INSTANCE = new E8p();

    private E8p() {}

    @Override
    public String name() {
        return "E8P12";
    }

    @Override
    public int id() {
        return 7;
    }

    @Override
    public int version() {
        return 1;
    }

    @Override
    public int bits() {
        return 2;
    }

    @Override
    public double optimalScale() {
        return 1.03;
    }

    @Override
    public double defaultScale() {
        return 0.9;
    }

    @Override
    public double residualScale() {
        return 1;
    }

    @Override
    public void decode(int code, double[] out, int offset) {
        throw new UnsupportedOperationException("E8P decode: being written");
    }

    @Override
    public int nearest(double[] x, int offset) {
        throw new UnsupportedOperationException("E8P nearest: being written");
    }
}

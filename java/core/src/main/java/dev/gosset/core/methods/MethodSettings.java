package dev.gosset.core.methods;

/**
 * How a matrix is rounded by a method of QuIP.
 *
 * @param clampFirst whether a weight beyond the grid counts as lying on its end, as in the published program, so that what clipping does
 *     to it is not fed back
 */
public record MethodSettings(ScalarMethod method, Processing processing, Grid grid, boolean clampFirst) {
    /**
     * The grid of each row where nothing is made incoherent, and one for the matrix where that is.
     *
     * @param asPublished the published program's width of the grid, and its clamping; else clipping is fed back and the width is our best
     */
    public static MethodSettings of(ScalarMethod method, Processing processing, int bits, boolean asPublished) {
        Grid grid = processing.isIncoherent()
                ? new Grid.PerMatrix(bits, asPublished ? Grid.PerMatrix.PUBLISHED_RHO : Grid.PerMatrix.bestRho(bits))
                : new Grid.PerRow(bits);
        return new MethodSettings(method, processing, grid, asPublished);
    }

    /** Hadamard processing, and LDLQ in blocks of the points' dimension. */
    public static MethodSettings of(PointSet set, double scale) {
        return new MethodSettings(
                new ScalarMethod.Ldlq(false), Processing.named("hadamard"), new Grid.Points(set, scale), false);
    }

    /**
     * The same with another width of the grid.
     *
     * @throws IllegalArgumentException where the grid is of each row, or the width no number above 0
     */
    public MethodSettings withRho(double rho) {
        if (!(grid instanceof Grid.PerMatrix levels)) {
            throw new IllegalArgumentException("the grid of each row has the width of its weights, found rho " + rho);
        }
        return new MethodSettings(method, processing, new Grid.PerMatrix(levels.bits(), rho), clampFirst);
    }
}

package dev.gosset.core.rounding;

import dev.gosset.core.FormatException;
import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.kernel.EncodeKernel;
import dev.gosset.core.kernel.TransformKernel;
import dev.gosset.core.memory.DoubleMatrix;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Quantizes one linear, or several stacked ones that read the same input: from weights and a Hessian to a {@link
 * QuantizedLinear}.
 *
 * <ol>
 *   <li>each part is divided by its own RMS, and the parts are stacked;
 *   <li>weights and Hessian are made incoherent ({@link Incoherence}), after the optional rescaling of columns;
 *   <li>{@code Wscale = RMS(Wr) / scale}, and {@code Wr / Wscale} is rounded by {@link Ldlq};
 *   <li>stored are the codes, SU, {@code SV = float16(signs * Wscale)}, and for each part its RMS in float16. A single
 *       part has scale 1 and {@code SV = float16(float16(signs * Wscale) * RMS)}, as published checkpoints have it.
 * </ol>
 *
 * <p>Where float32 was asked for and the Hessian has no Cholesky factor in it, or NaN came out, everything is done again
 * in float64 and the result says so.
 *
 * <p><b>Rescaling</b> divides x by s before SU; {@link QuantizedLinear} has no such vector, so SU becomes real-valued:
 * {@code SU_j = float16(sign_j * c / s_j)}, with c a power of two near the geometric mean of s so that float16 keeps its
 * precision, and SV is divided by c. The map is the same but for the rounding of SU, 2^-11 of each column at most.
 *
 * <p>A part that is all zero gets scale 0 (as a single part, SV 0), so its outputs are exactly 0.
 *
 * <p>The same weights, Hessian, settings, seed and name give the same bits whatever the number of threads, on processors
 * of one kind (see {@link dev.gosset.core.blas.Blas}). Not synchronized: one call at a time, since a team runs one job at
 * a time. Memory beside arguments and result, in float32: about 3 m n + 2 n^2 floats, with rescaling as much; in float64
 * twice that. Source: spec/quip-sharp.md, sections 1.4, 1.5, 2 and 3.
 */
public final class LinearQuantizer {
    private static final ValueLayout.OfShort HALF = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final ValueLayout.OfDouble DOUBLE = ValueLayout.JAVA_DOUBLE_UNALIGNED;
    /** The smallest number that float16 holds with all its digits. */
    private static final double SMALLEST_HALF = 0x1p-14;

    private static final double LARGEST_HALF = 65504;

    private final RoundingSettings settings;
    private final StackRounding rounding;
    private final TransformKernel transform;
    private final ThreadTeam team;

    /**
     * One of the stacked linears.
     *
     * @param name the linear's own name, such as {@code q_proj}
     * @param weights its weights, outputs x inputs; read by the calling thread only
     */
    public record Part(String name, FloatMatrix weights) {}

    public LinearQuantizer(RoundingSettings settings, EncodeKernel encode, TransformKernel transform, ThreadTeam team) {
        this(settings, new CpuStackRounding(encode, transform, team), transform, team);
    }

    /**
     * Quantizes with the float32 part done elsewhere, such as on a device.
     *
     * @param transform and
     * @param team for what is left to the processor: rescaled weights, and float64 where float32 does not do
     */
    public LinearQuantizer(
            RoundingSettings settings, StackRounding rounding, TransformKernel transform, ThreadTeam team) {
        this.settings = settings;
        this.rounding = rounding;
        this.transform = transform;
        this.team = team;
    }

    /**
     * Quantizes with sign vectors drawn by {@link Incoherence#draw}.
     *
     * @param name what the stack is called in its model: with the seed, the key of the sign vectors; and named in errors
     * @param parts the stack from the top down, all with as many inputs as the Hessian
     * @param arena owns the result
     * @throws FormatException where weights or Hessian hold what cannot be quantized; the message names the part
     * @throws NotPositiveDefiniteException where even float64 finds no Cholesky factor
     */
    public QuantizationResult quantize(String name, List<Part> parts, Hessian hessian, long seed, Arena arena) {
        int m = parts.stream().mapToInt(p -> p.weights.rows()).sum();
        Incoherence incoherence = Incoherence.draw(seed, name, m, hessian.n());
        return quantize(name, parts, regularized(hessian), incoherence, arena);
    }

    /** Quantizes with given sign vectors. */
    public QuantizationResult quantize(
            String name, List<Part> parts, Hessian hessian, Incoherence incoherence, Arena arena) {
        return quantize(name, parts, regularized(hessian), incoherence, arena);
    }

    /**
     * Quantizes with given sign vectors and a Hessian that is used as it is: {@link RoundingSettings#sigma} is not added.
     *
     * @param regularized n x n, symmetric positive definite; not changed; read by the calling thread only
     */
    public QuantizationResult quantize(
            String name, List<Part> parts, FloatMatrix regularized, Incoherence incoherence, Arena arena) {
        return quantize(name, parts, new GivenHessian(regularized), incoherence, arena);
    }

    // ---------------------------------------------------------------------------------------------- the Hessian

    /** A fresh copy of the regularized Hessian, in either precision. */
    private sealed interface HessianSource {
        int n();

        FloatMatrix floats(Arena arena);

        DoubleMatrix doubles(Arena arena);
    }

    private record GivenHessian(FloatMatrix h) implements HessianSource {
        @Override
        public int n() {
            return h.cols();
        }

        @Override
        public FloatMatrix floats(Arena arena) {
            return h.copy(arena);
        }

        @Override
        public DoubleMatrix doubles(Arena arena) {
            return widen(h, arena);
        }
    }

    private record MeasuredHessian(Hessian hessian, double sigma) implements HessianSource {
        @Override
        public int n() {
            return hessian.n();
        }

        @Override
        public FloatMatrix floats(Arena arena) {
            return hessian.regularized(sigma, arena);
        }

        @Override
        public DoubleMatrix doubles(Arena arena) {
            return hessian.regularizedDouble(sigma, arena);
        }
    }

    private HessianSource regularized(Hessian hessian) {
        return new MeasuredHessian(hessian, settings.sigma());
    }

    // ------------------------------------------------------------------------------------------------ the steps

    /** What either precision finds. */
    private record Rounded(CodeMatrix codes, double weightScale, double proxy, double frobenius, FloatMatrix scale) {
        boolean isFinite() {
            return Double.isFinite(weightScale) && Double.isFinite(proxy) && Double.isFinite(frobenius);
        }
    }

    private QuantizationResult quantize(
            String name, List<Part> parts, HessianSource hessian, Incoherence incoherence, Arena arena) {
        int n = hessian.n();
        int m = 0;
        if (parts.isEmpty()) {
            throw new IllegalArgumentException(name + ": there are no parts to quantize");
        }
        float[] rms = new float[parts.size()];
        for (int i = 0; i < rms.length; i++) {
            Part part = parts.get(i);
            if (part.weights.cols() != n || part.weights.rows() == 0) {
                throw new IllegalArgumentException(name + ": part " + part.name + " is " + part.weights.rows() + " x "
                        + part.weights.cols() + ", the Hessian has " + n + " inputs");
            }
            rms[i] = rms(name, part);
            m += part.weights.rows();
        }
        if (incoherence.m() != m || incoherence.n() != n) {
            throw new IllegalArgumentException(name + ": the stack is " + m + " x " + n + ", the sign vectors are for "
                    + incoherence.m() + " x " + incoherence.n());
        }
        try (Arena work = Arena.ofShared()) {
            Rounded rounded = null;
            if (settings.precision() == RoundingSettings.Precision.FLOAT32) {
                rounded = tryFloat32(parts, rms, hessian, incoherence, work);
            }
            boolean retried = rounded == null && settings.precision() == RoundingSettings.Precision.FLOAT32;
            if (rounded == null) {
                try {
                    rounded = float64(parts, rms, hessian, incoherence, work);
                } catch (NotPositiveDefiniteException e) {
                    throw new NotPositiveDefiniteException(name + ": " + e.getMessage());
                }
            }
            if (!rounded.isFinite()) {
                throw new FormatException(name + ": rounding gave a proxy error of " + rounded.proxy
                        + " and a weight scale of " + rounded.weightScale + "; is the Hessian finite?");
            }
            return store(name, parts, rms, incoherence, rounded, retried, arena);
        }
    }

    /** The result in float32, or null where float32 does not do. */
    private Rounded tryFloat32(
            List<Part> parts, float[] rms, HessianSource hessian, Incoherence incoherence, Arena work) {
        try {
            Rounded rounded = float32(parts, rms, hessian, incoherence, work);
            return rounded.isFinite() ? rounded : null;
        } catch (NotPositiveDefiniteException e) {
            return null;
        }
    }

    private Rounded float32(
            List<Part> parts, float[] rms, HessianSource hessian, Incoherence incoherence, Arena result) {
        int m = incoherence.m();
        int n = incoherence.n();
        CodeMatrix codes = CodeMatrix.allocate(result, settings.codebook(), m, n);
        try (Arena work = Arena.ofShared()) {
            FloatMatrix w = FloatMatrix.allocate(work, m, n);
            stack(parts, rms, w);
            FloatMatrix h = hessian.floats(work);
            FloatMatrix scale = settings.rescale() ? ColumnScale.apply(w, h, result) : null;
            FloatMatrix e = scale == null ? null : FloatMatrix.allocate(work, m, n);
            StackRounding.Outcome outcome = rounding.round(settings, incoherence, w, h, codes, e);
            double weightScale = outcome.weightScale();
            double frobenius = outcome.frobeniusError();
            if (scale != null) {
                // The rescaling is not orthogonal: back to the original columns, where E is diag-scaled again.
                incoherence.weightsBack(transform, team, e);
                for (int i = 0; i < m; i++) {
                    for (int j = 0; j < n; j++) {
                        e.set(i, j, (float) (e.get(i, j) * weightScale / scale.get(0, j)));
                    }
                }
                stack(parts, rms, w);
                frobenius = ratio(ProxyLoss.squaredNorm(e), ProxyLoss.squaredNorm(w));
            }
            return new Rounded(codes, weightScale, outcome.proxyError(), frobenius, scale);
        }
    }

    private Rounded float64(
            List<Part> parts, float[] rms, HessianSource hessian, Incoherence incoherence, Arena result) {
        int m = incoherence.m();
        int n = incoherence.n();
        CodeMatrix codes = CodeMatrix.allocate(result, settings.codebook(), m, n);
        try (Arena work = Arena.ofShared()) {
            DoubleMatrix w = DoubleMatrix.allocate(work, m, n);
            stack(parts, rms, w);
            DoubleMatrix h = hessian.doubles(work);
            FloatMatrix scale = settings.rescale() ? ColumnScale.apply(w, h, result) : null;
            incoherence.hessian(team, h);
            incoherence.weights(team, w);
            double weightScale = Math.sqrt(ProxyLoss.squaredNorm(w) / ((double) m * n)) / settings.scale();
            scaleBy(w, weightScale > 0 ? 1 / weightScale : 1);
            DoubleMatrix e = DoubleMatrix.allocate(work, m, n);
            Ldlq.round(team, w, h, settings.greedyPasses(), codes, e);
            double proxy = ratio(ProxyLoss.trace(team, e, h), ProxyLoss.trace(team, w, h));
            double frobenius;
            if (scale == null) {
                frobenius = ratio(ProxyLoss.squaredNorm(e), ProxyLoss.squaredNorm(w));
            } else {
                incoherence.weightsBack(team, e);
                for (int i = 0; i < m; i++) {
                    for (int j = 0; j < n; j++) {
                        e.set(i, j, e.get(i, j) * weightScale / scale.get(0, j));
                    }
                }
                stack(parts, rms, w);
                frobenius = ratio(ProxyLoss.squaredNorm(e), ProxyLoss.squaredNorm(w));
            }
            return new Rounded(codes, weightScale, proxy, frobenius, scale);
        }
    }

    private static double ratio(double error, double whole) {
        return whole == 0 ? 0 : error / whole;
    }

    private static float rms(String name, Part part) {
        FloatMatrix w = part.weights;
        double sum = 0;
        for (int i = 0; i < w.rows(); i++) {
            MemorySegment row = w.row(i);
            double rowSum = 0;
            for (int j = 0; j < w.cols(); j++) {
                double v = row.getAtIndex(FLOAT, j);
                rowSum += v * v;
            }
            if (!Double.isFinite(rowSum)) {
                for (int j = 0; j < w.cols(); j++) {
                    if (!Float.isFinite(w.get(i, j))) {
                        throw new FormatException(name + ": weight (" + i + ", " + j + ") of part " + part.name + " is "
                                + w.get(i, j) + ", expected a finite number");
                    }
                }
            }
            sum += rowSum;
        }
        return (float) Math.sqrt(sum / ((double) w.rows() * w.cols()));
    }

    /** The parts, each divided by its RMS, one below the other; a part of zeros stays one. */
    private static void stack(List<Part> parts, float[] rms, FloatMatrix out) {
        long at = 0;
        for (int p = 0; p < rms.length; p++) {
            FloatMatrix w = parts.get(p).weights;
            float divisor = rms[p] > 0 ? rms[p] : 1;
            long count = (long) w.rows() * w.cols();
            for (long i = 0; i < count; i++) {
                out.data().setAtIndex(FLOAT, at + i, w.data().getAtIndex(FLOAT, i) / divisor);
            }
            at += count;
        }
    }

    private static void stack(List<Part> parts, float[] rms, DoubleMatrix out) {
        long at = 0;
        for (int p = 0; p < rms.length; p++) {
            FloatMatrix w = parts.get(p).weights;
            double divisor = rms[p] > 0 ? rms[p] : 1;
            long count = (long) w.rows() * w.cols();
            for (long i = 0; i < count; i++) {
                out.data().setAtIndex(DOUBLE, at + i, w.data().getAtIndex(FLOAT, i) / divisor);
            }
            at += count;
        }
    }

    private static void scaleBy(DoubleMatrix w, double factor) {
        long count = (long) w.rows() * w.cols();
        for (long i = 0; i < count; i++) {
            w.data().setAtIndex(DOUBLE, i, w.data().getAtIndex(DOUBLE, i) * factor);
        }
    }

    private static DoubleMatrix widen(FloatMatrix a, Arena arena) {
        DoubleMatrix d = DoubleMatrix.allocate(arena, a.rows(), a.cols());
        long count = (long) a.rows() * a.cols();
        for (long i = 0; i < count; i++) {
            d.data().setAtIndex(DOUBLE, i, a.data().getAtIndex(FLOAT, i));
        }
        return d;
    }

    // --------------------------------------------------------------------------------------------- the stored form

    private QuantizationResult store(
            String name,
            List<Part> parts,
            float[] rms,
            Incoherence incoherence,
            Rounded rounded,
            boolean retried,
            Arena arena) {
        int m = incoherence.m();
        int n = incoherence.n();
        CodeMatrix codes = CodeMatrix.allocate(arena, settings.codebook(), m, n);
        codes.data().copyFrom(rounded.codes.data());

        MemorySegment su = arena.allocate(2L * n, 64);
        double inputScale = rounded.scale == null ? 1 : powerOfTwoNear(rounded.scale);
        for (int j = 0; j < n; j++) {
            double value = rounded.scale == null ? 1 : inputScale / rounded.scale.get(0, j);
            su.set(HALF, 2L * j, half(name + ": SU[" + j + "]", incoherence.su(j) * value));
        }

        double weightScale = rounded.weightScale / inputScale;
        boolean single = parts.size() == 1;
        double shift = shift(rms, single ? weightScale : 1);
        MemorySegment sv = arena.allocate(2L * m, 64);
        for (int i = 0; i < m; i++) {
            double value = weightScale / (single ? 1 : shift);
            short stored = half(name + ": SV[" + i + "]", incoherence.sv(i) * value);
            if (single) {
                stored = half(name + ": SV[" + i + "]", Float.float16ToFloat(stored) * (double) rms[0] * shift);
            }
            sv.set(HALF, 2L * i, stored);
        }
        List<QuantizedLinear.Part> stored = new ArrayList<>();
        for (int p = 0; p < rms.length; p++) {
            Part part = parts.get(p);
            double scale = single ? 1 / shift : rms[p] * shift;
            float rounding = Float.float16ToFloat(half(name + ": the scale of part " + part.name, scale));
            stored.add(new QuantizedLinear.Part(part.name, part.weights.rows(), rounding));
        }
        Optional<FloatMatrix> columnScale = Optional.ofNullable(rounded.scale).map(s -> s.copy(arena));
        return new QuantizationResult(
                new QuantizedLinear(codes, su, sv, stored),
                rounded.proxy,
                rounded.frobenius,
                rounded.weightScale,
                retried,
                columnScale);
    }

    /**
     * A power of two by which the scales that hold the RMS are multiplied, and the others divided, so that float16 keeps
     * its precision: 1 for all weights but extreme ones.
     */
    private static double shift(float[] rms, double factor) {
        double smallest = Double.POSITIVE_INFINITY;
        double largest = 0;
        for (float r : rms) {
            smallest = r > 0 ? Math.min(smallest, r * factor) : smallest;
            largest = Math.max(largest, r * factor);
        }
        int exponent = 0;
        if (largest > 0 && smallest < SMALLEST_HALF) {
            exponent = -14 - Math.getExponent(smallest);
        }
        if (largest > LARGEST_HALF || exponent > 0) {
            exponent = Math.min(exponent, 14 - Math.getExponent(largest));
        }
        return Math.scalb(1.0, exponent);
    }

    /** The power of two nearest to the geometric mean of s. */
    private static double powerOfTwoNear(FloatMatrix s) {
        double sum = 0;
        for (int j = 0; j < s.cols(); j++) {
            sum += Math.log(s.get(0, j));
        }
        return Math.scalb(1.0, (int) Math.rint(sum / s.cols() / Math.log(2)));
    }

    /** float16, which must hold the number: neither infinite nor a zero that was none. */
    private static short half(String what, double value) {
        short h = Float.floatToFloat16((float) value);
        float back = Float.float16ToFloat(h);
        if (!Float.isFinite(back) || back == 0 && value != 0) {
            throw new FormatException(what + " would be " + value + ", which float16 does not hold");
        }
        return h;
    }
}

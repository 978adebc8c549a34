package dev.gosset.core.rounding;

import dev.gosset.core.FormatException;
import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.kernel.contract.EncodeKernel;
import dev.gosset.core.kernel.contract.TransformKernel;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.Matrix;
import dev.gosset.core.memory.Precision;
import dev.gosset.core.parallel.ThreadTeam;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.BiFunction;

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
        return quantize(name, parts, hessian, null, seed, arena);
    }

    /**
     * As {@link #quantize(String, List, Hessian, long, Arena)}, by both sides where they promise a smaller loss; on the processor.
     *
     * @param sides what the loss says about the stack; null for one side
     */
    public QuantizationResult quantize(
            String name, List<Part> parts, Hessian hessian, LossHessian sides, long seed, Arena arena) {
        if (sides != null && (settings.rescale() || settings.greedyPasses() > 0)) {
            throw new IllegalArgumentException(name + ": rescaling and greedy passes know one side only");
        }
        settings.transform()
                .require(name, parts.stream().map(p -> p.weights.rows()).toList(), hessian.n());
        int m = parts.stream().mapToInt(p -> p.weights.rows()).sum();
        Incoherence incoherence = Incoherence.draw(settings.transform(), seed, name, m, hessian.n());
        return quantize(name, parts, regularized(hessian), sides, incoherence, arena);
    }

    /** Quantizes with given sign vectors. */
    public QuantizationResult quantize(
            String name, List<Part> parts, Hessian hessian, Incoherence incoherence, Arena arena) {
        return quantize(name, parts, regularized(hessian), null, incoherence, arena);
    }

    /**
     * Quantizes with given sign vectors and a Hessian that is used as it is: {@link RoundingSettings#sigma} is not added.
     *
     * @param regularized n x n, symmetric positive definite; not changed; read by the calling thread only
     */
    public QuantizationResult quantize(
            String name, List<Part> parts, FloatMatrix regularized, Incoherence incoherence, Arena arena) {
        return quantize(
                name,
                parts,
                new HessianSource(regularized.cols(), (precision, work) -> copy(regularized, precision, work)),
                null,
                incoherence,
                arena);
    }

    /** A fresh copy of the regularized Hessian, in either precision. */
    private record HessianSource(int n, BiFunction<Precision, Arena, Matrix> copy) {}

    private HessianSource regularized(Hessian hessian) {
        return new HessianSource(
                hessian.n(), (precision, work) -> hessian.regularized(settings.sigma(), precision, work));
    }

    // ------------------------------------------------------------------------------------------------ the steps

    /** What either precision finds. */
    private record Rounded(
            CodeMatrix codes, double weightScale, double proxy, double frobenius, double expected, FloatMatrix scale) {
        boolean isFinite() {
            return Double.isFinite(weightScale) && Double.isFinite(proxy) && Double.isFinite(frobenius);
        }
    }

    private QuantizationResult quantize(
            String name,
            List<Part> parts,
            HessianSource hessian,
            LossHessian sides,
            Incoherence incoherence,
            Arena arena) {
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
            boolean single = settings.precision() == Precision.FLOAT32;
            if (single) {
                rounded = tryFloat32(parts, rms, hessian, sides, incoherence, work);
            }
            boolean retried = single && rounded == null;
            if (rounded == null) {
                try {
                    rounded = round(Precision.FLOAT64, parts, rms, hessian, sides, incoherence, work);
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
            List<Part> parts,
            float[] rms,
            HessianSource hessian,
            LossHessian sides,
            Incoherence incoherence,
            Arena work) {
        try {
            Rounded rounded = round(Precision.FLOAT32, parts, rms, hessian, sides, incoherence, work);
            return rounded.isFinite() ? rounded : null;
        } catch (NotPositiveDefiniteException e) {
            return null;
        }
    }

    private Rounded round(
            Precision precision,
            List<Part> parts,
            float[] rms,
            HessianSource hessian,
            LossHessian sides,
            Incoherence incoherence,
            Arena result) {
        int m = incoherence.m();
        int n = incoherence.n();
        CodeMatrix codes = CodeMatrix.allocate(result, settings.codebook(), m, n);
        try (Arena work = Arena.ofShared()) {
            Matrix w = precision.allocate(work, m, n);
            stack(parts, rms, w);
            Matrix h = hessian.copy.apply(precision, work);
            FloatMatrix scale = settings.rescale() ? ColumnScale.apply(w, h, result) : null;
            Matrix e = scale == null ? null : precision.allocate(work, m, n);
            StackRounding.Outcome outcome;
            double expected = Double.NaN;
            if (precision == Precision.FLOAT32 && sides == null) {
                outcome =
                        rounding.round(settings, incoherence, (FloatMatrix) w, (FloatMatrix) h, codes, (FloatMatrix) e);
            } else {
                CpuStackRounding cpu =
                        precision == Precision.FLOAT64 ? CpuStackRounding.oracle(team) : (CpuStackRounding) rounding;
                CpuStackRounding.Sides copies = sides == null ? null : copy(sides, parts, rms, precision, work);
                CpuStackRounding.OfSides found = cpu.roundAny(settings, incoherence, w, h, copies, codes, e);
                outcome = found.outcome();
                expected = found.expected();
            }
            double weightScale = outcome.weightScale();
            double frobenius = outcome.frobeniusError();
            if (scale != null) {
                // The rescaling is not orthogonal: back to the original columns, where E is diag-scaled again.
                incoherence.weightsBack(
                        precision == Precision.FLOAT32
                                ? new Incoherence.FloatRows(transform)
                                : new Incoherence.DoubleRows(),
                        team,
                        e);
                for (int i = 0; i < m; i++) {
                    for (int j = 0; j < n; j++) {
                        e.put(i, j, e.at(i, j) * weightScale / scale.get(0, j));
                    }
                }
                stack(parts, rms, w);
                double squares = ProxyLoss.squaredNorm(w);
                frobenius = squares == 0 ? 0 : ProxyLoss.squaredNorm(e) / squares;
            }
            return new Rounded(codes, weightScale, outcome.proxyError(), frobenius, expected, scale);
        }
    }

    /** The sides of the stack with each part divided by its RMS, whose gradients are multiplied by it. */
    private CpuStackRounding.Sides copy(
            LossHessian sides, List<Part> parts, float[] rms, Precision precision, Arena work) {
        double[] scale = new double[sides.outputs().n()];
        int row = 0;
        for (int p = 0; p < rms.length; p++) {
            int end = row + parts.get(p).weights.rows();
            Arrays.fill(scale, row, end, rms[p]);
            row = end;
        }
        Matrix gradients = copy(sides.heldGradients(), precision, work);
        for (int t = 0; t < gradients.rows(); t++) {
            for (int i = 0; i < scale.length; i++) {
                gradients.put(t, i, gradients.at(t, i) * scale[i]);
            }
        }
        return new CpuStackRounding.Sides(
                sides.inputs().regularized(settings.sigma(), precision, work),
                sides.outputs(scale, precision, work),
                copy(sides.heldInputs(), precision, work),
                gradients);
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
    private static void stack(List<Part> parts, float[] rms, Matrix out) {
        int row = 0;
        for (int p = 0; p < rms.length; p++) {
            FloatMatrix w = parts.get(p).weights;
            // A quotient of float32 numbers, rounded to float64 and then to float32, is that of float32 division.
            double divisor = rms[p] > 0 ? rms[p] : 1;
            for (int i = 0; i < w.rows(); i++, row++) {
                for (int j = 0; j < w.cols(); j++) {
                    out.put(row, j, w.get(i, j) / divisor);
                }
            }
        }
    }

    private static Matrix copy(FloatMatrix a, Precision precision, Arena arena) {
        Matrix c = precision.allocate(arena, a.rows(), a.cols());
        for (int i = 0; i < a.rows(); i++) {
            for (int j = 0; j < a.cols(); j++) {
                c.put(i, j, a.get(i, j));
            }
        }
        return c;
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
                new QuantizedLinear(codes, su, sv, stored, incoherence.inputTransform(), incoherence.outputTransform()),
                rounded.proxy,
                rounded.frobenius,
                rounded.weightScale,
                retried,
                rounded.expected,
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

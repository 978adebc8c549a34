package dev.gosset.core;

import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.hadamard.HadamardTransform;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * One quantized linear, {@code y = diag(part scales) D(SV)^T U_m Q U_n^T D(SU) x}: the unit of storage, of inference
 * and of test. Q are the codes at unit scale; the weight scale lies in SV. D(SU) is diag(SU), but where U is a Fourier transform it
 * multiplies pairs as complex numbers ({@link HadamardTransform#multiply}), and likewise D(SV). Several linears that read the same input
 * may be stacked (q, k, v or up, gate); each is then a {@link Part}.
 *
 * <p>An immutable value with views into native memory: whoever opened the memory closes it. Source: spec/quip-sharp.md,
 * sections 3, 5 and 6.
 *
 * @param codes the m x n codes
 * @param su n float16 values, little-endian: the input sign vector, real-valued after tuning
 * @param sv m float16 values, little-endian: the output sign vector times the weight scale
 * @param parts the stacked linears from the top down; their rows add up to m, and are even where the outputs have a Fourier transform
 * @param inputs U_n
 * @param outputs U_m
 */
public record QuantizedLinear(
        CodeMatrix codes,
        MemorySegment su,
        MemorySegment sv,
        List<Part> parts,
        HadamardTransform inputs,
        HadamardTransform outputs) {
    /**
     * One of the stacked linears.
     *
     * @param name the linear's own name, such as {@code q_proj}
     * @param rows its number of outputs
     * @param scale a factor of its outputs. float16 holds it exactly, except in linears read from old checkpoints,
     *     whose weight scale is a number of its own and part of this one
     */
    public record Part(String name, int rows, float scale) {}

    public QuantizedLinear {
        parts = List.copyOf(parts);
        int rows = parts.stream().mapToInt(Part::rows).sum();
        if (rows != codes.rows() || su.byteSize() != 2L * codes.cols() || sv.byteSize() != 2L * codes.rows()) {
            throw new IllegalArgumentException(
                    "a quantized linear of " + codes.rows() + " x " + codes.cols() + " has SU of " + su.byteSize()
                            + " bytes, SV of " + sv.byteSize() + " bytes and parts of " + rows + " rows");
        }
        if (inputs.n() != codes.cols()
                || outputs.n() != codes.rows()
                || outputs.kind() == HadamardTransform.Kind.FOURIER
                        && parts.stream().anyMatch(p -> p.rows % 2 != 0)) {
            throw new IllegalArgumentException("a quantized linear of " + codes.rows() + " x " + codes.cols()
                    + " with the parts " + parts + " has the " + inputs + " and the " + outputs);
        }
    }

    /** With the transforms that its lengths have by default. */
    public QuantizedLinear(CodeMatrix codes, MemorySegment su, MemorySegment sv, List<Part> parts) {
        this(codes, su, sv, parts, HadamardTransform.of(codes.cols()), HadamardTransform.of(codes.rows()));
    }

    public int rows() {
        return codes.rows();
    }

    public int cols() {
        return codes.cols();
    }

    /** Stored size of codes, sign vectors and part scales. */
    public long bytes() {
        return codes.data().byteSize() + su.byteSize() + sv.byteSize() + 2L * parts.size();
    }
}

package dev.gosset.llm.weights;

import dev.gosset.core.FormatException;
import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.UnsupportedModelException;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.codebook.QidxsLayout;
import dev.gosset.core.hadamard.HadamardTransform;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.LazyMemory;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.io.Safetensors;
import dev.gosset.llm.plan.LinearGroup;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * The tensors of one linear of a published QuIP# checkpoint, checked against the configuration and each other; the codes
 * are still packed. Source: spec/quip-sharp.md, sections 4.6, 4.7, 5 and 6.
 *
 * @param name the linear's name, such as {@code model.layers.0.self_attn.qkv_proj}
 * @param codebook the codebook of its codes
 * @param layout how {@code qidxs} holds them
 * @param rows m
 * @param cols n
 * @param qidxs the packed codes
 * @param su n input signs, real-valued after tuning
 * @param sv m output signs, with the weight scale in them where the checkpoint is of 2024
 * @param parts the stacked linears from the top down; their scales are the products of {@code fuse_scales} and {@code
 *     Wscale}
 * @param inputScale n numbers by which the inputs are divided first, {@code scaleWH}
 * @param inputIndices the n inputs' places among the activations, {@code ocs_dupe_inds}
 * @param bias m numbers that are added before the parts' fuse scales
 * @param biasScales the fuse scales
 */
public record PublishedLinear(
        String name,
        Codebook codebook,
        QidxsLayout layout,
        int rows,
        int cols,
        Tensor qidxs,
        Tensor su,
        Tensor sv,
        List<QuantizedLinear.Part> parts,
        Optional<Tensor> inputScale,
        Optional<Tensor> inputIndices,
        Optional<Tensor> bias,
        List<Float> biasScales) {
    private static final ValueLayout.OfShort HALF = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /** Rows that one task unpacks. */
    private static final int ROWS = 16 * QidxsLayout.ROWS;

    public PublishedLinear {
        parts = List.copyOf(parts);
        biasScales = List.copyOf(biasScales);
    }

    /**
     * Finds and checks the tensors of a group.
     *
     * @throws FormatException where one is missing, or its type, shape or values are not what they must be
     * @throws UnsupportedModelException where the linear has low-rank parts
     */
    static PublishedLinear of(Safetensors tensors, QuipParams params, LinearGroup group) {
        String name = group.name();
        Tensor qidxs = tensors.get(name + ".Qidxs");
        Tensor su = tensors.get(name + ".SU");
        Tensor sv = tensors.get(name + ".SV");
        Codebook codebook = params.codebook();
        tensors.find(name + ".codebook_id").ifPresent(id -> requireId(id, codebook));
        for (String lowRank : List.of(".A", ".B")) {
            if (tensors.find(name + lowRank).filter(t -> t.elements() > 0).isPresent()) {
                throw new UnsupportedModelException(
                        tensors.get(name + lowRank) + " is a low-rank part beside the codes, which is not supported");
            }
        }
        Optional<Tensor> indices = params.splitOutliers() ? tensors.find(name + ".ocs_dupe_inds") : Optional.empty();
        indices.ifPresent(t -> requireIndices(t, group.inputs()));
        int m = group.outputs();
        int n = indices.map(t -> t.dim(0)).orElse(group.inputs());
        QidxsLayout layout = QidxsLayout.of(
                        codebook, params.version(), qidxs.dtype().name())
                .orElseThrow(() -> new FormatException(qidxs + " is " + qidxs.dtype() + ", expected "
                        + expectedTypes(codebook, params.version()) + " of " + codebook.name() + " version "
                        + params.version()));
        if (!layout.holds(m, n)) {
            throw new FormatException(tensors.source() + ": linear " + name + " is " + m + " x " + n + ", expected "
                    + layout.constraint() + " for " + codebook.name() + " codes in " + layout.dtype());
        }
        for (int size : new int[] {m, n}) {
            if (HadamardTransform.of(size).kind() != HadamardTransform.Kind.HADAMARD) {
                throw new FormatException(tensors.source() + ": linear " + name + " is " + m + " x " + n
                        + ", but QuIP# checkpoints have no Hadamard transform of length " + size);
            }
        }
        su.requireShape(n);
        sv.requireShape(m);
        List<Long> shape = layout.shape(codebook, m, n);
        qidxs.requireShape(shape.get(0), shape.get(1));
        requireNumbers(su);
        requireNumbers(sv);
        List<LinearGroup.Part> expected = group.parts();
        List<Float> fuse = fuseScales(tensors, name, expected.size());
        float weightScale =
                tensors.find(name + ".Wscale").map(t -> (float) scalar(t)).orElse(1f);
        List<QuantizedLinear.Part> parts = new ArrayList<>();
        for (int i = 0; i < expected.size(); i++) {
            LinearGroup.Part part = expected.get(i);
            // Exact for two float16 numbers.
            parts.add(new QuantizedLinear.Part(part.shortName(), part.rows(), fuse.get(i) * weightScale));
        }
        Optional<Tensor> inputScale =
                params.rescaled() ? Optional.of(tensors.get(name + ".scaleWH")) : Optional.empty();
        inputScale.ifPresent(t -> {
            for (float s : t.requireShape(n).requireFinite().toFloatArray()) {
                if (s == 0) {
                    throw new FormatException(t + " has a 0, expected numbers to divide by");
                }
            }
        });
        Optional<Tensor> bias =
                tensors.find(name + ".bias").map(t -> t.requireShape(m).requireFinite());
        return new PublishedLinear(name, codebook, layout, m, n, qidxs, su, sv, parts, inputScale, indices, bias, fuse);
    }

    private static String expectedTypes(Codebook codebook, int version) {
        List<String> types = new ArrayList<>();
        for (QidxsLayout layout : QidxsLayout.values()) {
            if (QidxsLayout.of(codebook, version, layout.dtype())
                    .filter(l -> l == layout)
                    .isPresent()) {
                types.add(layout.dtype());
            }
        }
        return String.join(" or ", types);
    }

    private static void requireId(Tensor id, Codebook codebook) {
        double found = scalar(id);
        if (found != codebook.id()) {
            throw new FormatException(id + " is "
                    + (found == Math.rint(found) ? String.valueOf((long) found) : String.valueOf(found))
                    + ", expected " + codebook.id() + ", the id of " + codebook.name() + " that config.json names");
        }
    }

    private static double scalar(Tensor tensor) {
        double value = tensor.scalar();
        if (!Double.isFinite(value)) {
            throw new FormatException(tensor + " is " + value + ", expected a finite number");
        }
        return value;
    }

    private static void requireIndices(Tensor indices, int inputs) {
        if (indices.shape().size() != 1) {
            throw new FormatException(indices + " has the shape " + indices.shape() + ", expected one dimension");
        }
        int[] values = integers(indices);
        for (int i = 0; i < values.length; i++) {
            if (values[i] < 0 || values[i] >= inputs) {
                throw new FormatException(
                        indices + " has " + values[i] + " at " + i + ", expected 0 to " + (inputs - 1));
            }
        }
    }

    /** The elements of a tensor of integers; what does not fit an int becomes -1. */
    public static int[] integers(Tensor tensor) {
        return Arrays.stream(numbers(tensor))
                .mapToInt(v -> v == (int) v ? (int) v : -1)
                .toArray();
    }

    private static double[] numbers(Tensor tensor) {
        int size = tensor.dtype().bytes();
        double[] out = new double[Math.toIntExact(tensor.elements())];
        for (int i = 0; i < out.length; i++) {
            out[i] = new Tensor(
                            tensor.name(),
                            tensor.dtype(),
                            List.of(),
                            tensor.data().asSlice((long) i * size, size),
                            tensor.source())
                    .scalar();
        }
        return out;
    }

    private static List<Float> fuseScales(Safetensors tensors, String name, int parts) {
        List<Float> scales = new ArrayList<>();
        // A linear that stands alone usually has none.
        if (parts == 1 && !tensors.has(name + ".fuse_scales")) {
            scales.add(1f);
        } else {
            Tensor tensor =
                    tensors.get(name + ".fuse_scales").requireShape(parts).requireFinite();
            for (float s : tensor.toFloatArray()) {
                scales.add(s);
            }
        }
        return scales;
    }

    private static void requireNumbers(Tensor vector) {
        if (vector.dtype().isFloating()) {
            vector.requireFinite();
        }
        if (vector.dtype() == Dtype.BOOL) {
            throw new FormatException(vector + " is BOOL, expected numbers");
        }
    }

    /** Whether a quantized linear of Gosset's own is all there is to this one. */
    public boolean isPlain() {
        return inputScale.isEmpty() && inputIndices.isEmpty() && bias.isEmpty();
    }

    /**
     * The linear with its codes unpacked, without what stands before and after it: {@link #inputScale}, {@link
     * #inputIndices} and {@link #bias}. The mapped pages of the packed codes are given back to the system, which keeps
     * them cached as long as it has nothing better to do with the memory.
     *
     * @param team unpacks; the result does not depend on it
     * @param arena owns the codes, and is open to the team's threads
     * @throws FormatException where SU or SV has numbers that float16 does not hold
     */
    public QuantizedLinear unpack(ThreadTeam team, Arena arena) {
        CodeMatrix codes = new CodeMatrix(
                codebook, rows, cols, LazyMemory.allocate(arena, CodeMatrix.bytes(codebook, rows, cols)));
        team.run(
                Math.ceilDiv(rows, ROWS),
                i -> layout.unpack(qidxs.data(), codes, i * ROWS, Math.min(rows, (i + 1) * ROWS)));
        if (qidxs.data().isMapped()) {
            qidxs.data().unload();
        }
        return new QuantizedLinear(codes, suHalves(arena), svHalves(arena), parts);
    }

    /** SU in float16: the stored bytes where they are that already. A {@link FormatException} where that is not exact. */
    public MemorySegment suHalves(Arena arena) {
        return halves(su, arena);
    }

    /** SV in float16: the stored bytes where they are that already. A {@link FormatException} where that is not exact. */
    public MemorySegment svHalves(Arena arena) {
        return halves(sv, arena);
    }

    /** The tensor as float16: its own bytes, or exactly the same numbers. */
    private static MemorySegment halves(Tensor tensor, Arena arena) {
        if (tensor.dtype() == Dtype.F16) {
            return tensor.data();
        }
        double[] values = numbers(tensor);
        MemorySegment halves = arena.allocate(2L * values.length, 64);
        for (int i = 0; i < values.length; i++) {
            short half = Float.floatToFloat16((float) values[i]);
            if (Float.float16ToFloat(half) != values[i]) {
                throw new FormatException(tensor + " of " + tensor.dtype() + " has " + values[i] + " at " + i
                        + ", expected a number that float16 holds");
            }
            halves.setAtIndex(HALF, i, half);
        }
        return halves;
    }

    /** The bias as it is added to the parts' outputs, or null. */
    float[] scaledBias() {
        if (bias.isEmpty()) {
            return null;
        }
        float[] values = bias.get().toFloatArray();
        int row = 0;
        for (int p = 0; p < parts.size(); p++) {
            for (int end = row + parts.get(p).rows(); row < end; row++) {
                values[row] *= biasScales.get(p);
            }
        }
        return values;
    }
}

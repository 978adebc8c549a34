package dev.gosset.core.memory;

import dev.gosset.core.FormatException;
import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.hadamard.HadamardTransform;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Quantized linears as rows of a weight file. One named {@code L}, of m outputs and n inputs in p parts, is six rows:
 *
 * <table>
 * <caption>Rows of a quantized linear</caption>
 * <tr><th>name</th><th>role</th><th>dtype</th><th>shape</th></tr>
 * <tr><td>{@code L.codes}</td><td>{@code codes}</td><td>{@link Dtype#ofCodes the codebook's layout}</td><td>[m, n]</td></tr>
 * <tr><td>{@code L.su}</td><td>{@code su}</td><td>F16</td><td>[n]</td></tr>
 * <tr><td>{@code L.sv}</td><td>{@code sv}</td><td>F16</td><td>[m]</td></tr>
 * <tr><td>{@code L.part_names}</td><td>{@code part_names}</td><td>U8</td><td>UTF-8 text, one name per line</td></tr>
 * <tr><td>{@code L.part_rows}</td><td>{@code part_rows}</td><td>I32</td><td>[p], which add up to m</td></tr>
 * <tr><td>{@code L.part_scales}</td><td>{@code part_scales}</td><td>F16, or F32 where F16 does not hold them
 * all</td><td>[p]</td></tr>
 * </table>
 *
 * <p>Where the inputs have another transform than their number has by default, {@code L.su} is {@code L.su_hartley}, alike, or {@code
 * L.su_fourier}, F16 [n / 2, 2]; and {@code L.sv} likewise: so a reader that knows no such linear misses a row.
 */
public final class QuantizedLinears {
    /** Role of the codes; a row {@code L.codes} of this role stands for a quantized linear named {@code L}. */
    public static final String CODES = "codes";
    /** Role of the input sign vector. */
    public static final String SU = "su";
    /** Role of the output sign vector. */
    public static final String SV = "sv";
    /** Role of the parts' names. */
    public static final String PART_NAMES = "part_names";
    /** Role of the parts' numbers of outputs. */
    public static final String PART_ROWS = "part_rows";
    /** Role of the parts' scales. */
    public static final String PART_SCALES = "part_scales";

    /** What the roles of sign vectors end with where the transform is another than the default. */
    private static final String HARTLEY = "_hartley";

    private static final String FOURIER = "_fourier";

    /** All roles of the rows of a quantized linear. */
    public static final List<String> ROLES = List.of(
            CODES, SU, SU + HARTLEY, SU + FOURIER, SV, SV + HARTLEY, SV + FOURIER, PART_NAMES, PART_ROWS, PART_SCALES);

    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private QuantizedLinears() {}

    /**
     * Appends a linear to a weight file.
     *
     * @throws IllegalArgumentException if a part's name is empty or has a line break, or if its scale is not finite
     */
    public static void write(WeightFileWriter writer, String name, QuantizedLinear linear) {
        List<QuantizedLinear.Part> parts = linear.parts();
        ByteBuffer rows = ByteBuffer.allocate(4 * parts.size()).order(ByteOrder.LITTLE_ENDIAN);
        boolean halves =
                parts.stream().allMatch(p -> Float.float16ToFloat(Float.floatToFloat16(p.scale())) == p.scale());
        Dtype scaleType = halves ? Dtype.F16 : Dtype.F32;
        ByteBuffer scales =
                ByteBuffer.allocate(scaleType.bytes() * parts.size()).order(ByteOrder.LITTLE_ENDIAN);
        StringBuilder names = new StringBuilder();
        for (QuantizedLinear.Part part : parts) {
            if (part.name().isEmpty()
                    || part.name().indexOf('\n') >= 0
                    || part.rows() < 1
                    || !Float.isFinite(part.scale())) {
                throw new IllegalArgumentException(
                        "linear " + Quoted.of(name) + " has the part " + Quoted.of(part.name())
                                + " of " + part.rows() + " rows with the scale " + part.scale()
                                + ", expected a name of one line, a row and a finite scale");
            }
            rows.putInt(part.rows());
            if (halves) {
                scales.putShort(Float.floatToFloat16(part.scale()));
            } else {
                scales.putFloat(part.scale());
            }
            names.append(names.isEmpty() ? "" : "\n").append(part.name());
        }
        byte[] text = names.toString().getBytes(StandardCharsets.UTF_8);
        CodeMatrix codes = linear.codes();
        long m = linear.rows();
        long n = linear.cols();
        long p = parts.size();
        Optional<Codebook> none = Optional.empty();
        Optional<Codebook> codebook = Optional.of(codes.codebook());
        writer.add(name + "." + CODES, CODES, Dtype.ofCodes(codes.codebook()), List.of(m, n), codebook, codes.data());
        writeFactors(writer, name, inputRole(linear), linear.inputs(), linear.su());
        writeFactors(writer, name, outputRole(linear), linear.outputs(), linear.sv());
        writer.add(
                name + "." + PART_NAMES,
                PART_NAMES,
                Dtype.U8,
                List.of((long) text.length),
                none,
                MemorySegment.ofArray(text));
        writer.add(name + "." + PART_ROWS, PART_ROWS, Dtype.I32, List.of(p), none, MemorySegment.ofArray(rows.array()));
        writer.add(
                name + "." + PART_SCALES,
                PART_SCALES,
                scaleType,
                List.of(p),
                none,
                MemorySegment.ofArray(scales.array()));
    }

    /** The role of the row with SU of such a linear. */
    public static String inputRole(QuantizedLinear linear) {
        return SU + ending(linear.inputs());
    }

    /** The role of the row with SV of such a linear. */
    public static String outputRole(QuantizedLinear linear) {
        return SV + ending(linear.outputs());
    }

    private static void writeFactors(
            WeightFileWriter writer, String name, String role, HadamardTransform transform, MemorySegment factors) {
        writer.add(name + "." + role, role, Dtype.F16, shape(transform), Optional.empty(), factors);
    }

    private static String ending(HadamardTransform transform) {
        return switch (transform.kind()) {
            case FOURIER -> FOURIER;
            case HARTLEY -> transform.isDefault() ? "" : HARTLEY;
            case HADAMARD -> "";
        };
    }

    private static List<Long> shape(HadamardTransform transform) {
        long n = transform.n();
        return transform.kind() == HadamardTransform.Kind.FOURIER ? List.of(n / 2, 2L) : List.of(n);
    }

    /** The transform of a side: by the row that there is. */
    private static HadamardTransform transform(WeightFile file, String name, String side, int n) {
        String fourier = name + "." + side + FOURIER;
        if (file.find(fourier).isPresent()) {
            if (n % 2 != 0) {
                throw new FormatException(file.tensor(fourier) + " is of " + n + " numbers, expected an even number");
            }
            return HadamardTransform.of(n, HadamardTransform.Kind.FOURIER);
        }
        return file.find(name + "." + side + HARTLEY).isPresent()
                ? HadamardTransform.of(n, HadamardTransform.Kind.HARTLEY)
                : HadamardTransform.of(n);
    }

    private static Tensor factors(WeightFile file, String name, String side, HadamardTransform transform) {
        return row(file, name, side + ending(transform), Dtype.F16)
                .requireShape(
                        shape(transform).stream().mapToLong(Long::longValue).toArray());
    }

    /** Names of all quantized linears of a file, in its order. */
    public static List<String> names(WeightFile file) {
        String suffix = "." + CODES;
        return file.weights().stream()
                .filter(w -> w.role().equals(CODES) && w.name().endsWith(suffix))
                .map(w -> w.name().substring(0, w.name().length() - suffix.length()))
                .toList();
    }

    /**
     * The linear of that name: codes and sign vectors are views into the file's map. Small rows are checked against their
     * checksums, see {@link WeightFile#tensor}; the codes are not read.
     *
     * @throws FormatException if a row is missing, is damaged or does not fit the others
     */
    public static QuantizedLinear read(WeightFile file, String name) {
        WeightFile.Weight codes = file.get(name + "." + CODES);
        Codebook codebook = codes.codebook()
                .orElseThrow(() -> new FormatException(
                        codes.tensor() + " is " + codes.tensor().dtype() + ", expected codes of a codebook"));
        int m = codes.tensor().dim(0);
        int n = codes.tensor().dim(1);
        HadamardTransform inputs = transform(file, name, SU, n);
        HadamardTransform outputs = transform(file, name, SV, m);
        Tensor su = factors(file, name, SU, inputs);
        Tensor sv = factors(file, name, SV, outputs);
        Tensor names = row(file, name, PART_NAMES, Dtype.U8);
        List<String> lines = lines(names);
        Tensor rows = row(file, name, PART_ROWS, Dtype.I32).requireShape(lines.size());
        Tensor scales = file.tensor(name + "." + PART_SCALES);
        if (scales.dtype() != Dtype.F16 && scales.dtype() != Dtype.F32) {
            throw new FormatException(scales + " is " + scales.dtype() + ", expected F16 or F32");
        }
        scales.requireShape(lines.size()).requireFinite();
        float[] scale = scales.toFloatArray();
        List<QuantizedLinear.Part> parts = new ArrayList<>();
        long sum = 0;
        for (int i = 0; i < scale.length; i++) {
            int count = rows.data().getAtIndex(INT, i);
            sum += count;
            if (count < 1 || lines.get(i).isEmpty()) {
                throw new FormatException(rows + " has the part " + Quoted.of(lines.get(i)) + " of " + count
                        + " rows, expected a name and at least 1 row");
            }
            parts.add(new QuantizedLinear.Part(lines.get(i), count, scale[i]));
        }
        if (sum != m) {
            throw new FormatException(rows + " adds up to " + sum + " rows, expected the " + m + " of the codes");
        }
        if (outputs.kind() == HadamardTransform.Kind.FOURIER && parts.stream().anyMatch(part -> part.rows() % 2 != 0)) {
            throw new FormatException(
                    rows + " has " + parts + ", expected even numbers of rows behind a Fourier transform");
        }
        return new QuantizedLinear(
                new CodeMatrix(codebook, m, n, codes.tensor().data()), su.data(), sv.data(), parts, inputs, outputs);
    }

    private static Tensor row(WeightFile file, String name, String role, Dtype dtype) {
        Tensor tensor = file.tensor(name + "." + role);
        if (tensor.dtype() != dtype) {
            throw new FormatException(tensor + " is " + tensor.dtype() + ", expected " + dtype);
        }
        return tensor;
    }

    private static List<String> lines(Tensor names) {
        try {
            String text = StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(names.data().asByteBuffer())
                    .toString();
            return List.of(text.split("\n", -1));
        } catch (CharacterCodingException e) {
            throw new FormatException(names + " has malformed UTF-8, expected names on lines", e);
        }
    }
}

package dev.gosset.core.memory;

import dev.gosset.core.FormatException;
import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
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
        writer.add(name + "." + SU, SU, Dtype.F16, List.of(n), none, linear.su());
        writer.add(name + "." + SV, SV, Dtype.F16, List.of(m), none, linear.sv());
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
        Tensor su = row(file, name, SU, Dtype.F16).requireShape(n);
        Tensor sv = row(file, name, SV, Dtype.F16).requireShape(m);
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
        return new QuantizedLinear(new CodeMatrix(codebook, m, n, codes.tensor().data()), su.data(), sv.data(), parts);
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

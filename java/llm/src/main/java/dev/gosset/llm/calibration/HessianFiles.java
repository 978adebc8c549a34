package dev.gosset.llm.calibration;

import dev.gosset.core.FormatException;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.ReadableFile;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.rounding.Hessian;
import dev.gosset.llm.io.Safetensors;
import dev.gosset.llm.io.SafetensorsWriter;
import dev.gosset.llm.plan.LinearGroup;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * A directory of Hessians, one file {@code LAYER_TAG.safetensors} for each input of linears, TAG one of qkv, o, up, down where
 * a block is the usual one:
 * {@code flatH} F32 [n (n + 1) / 2], the centred covariance's lower triangle row by row; {@code mu} F32 [n], the mean;
 * {@code n} and {@code ct} I64 scalars, the size and the number of tokens. The content is that of the reference's files
 * (spec/quip-sharp.md, section 2). Immutable, thread-safe.
 *
 * @param directory the directory
 */
public record HessianFiles(Path directory) {
    /** The file of the Hessian of one group. */
    public Path file(LinearGroup group) {
        return directory.resolve(group.hessian() + ".safetensors");
    }

    /** Writes one Hessian, whole or not at all. */
    public void write(LinearGroup group, Hessian hessian) {
        List<SafetensorsWriter.Declaration> tensors = List.of(
                new SafetensorsWriter.Declaration("flatH", Dtype.F32, List.of(Hessian.triangle(hessian.n()))),
                new SafetensorsWriter.Declaration("mu", Dtype.F32, List.of((long) hessian.n())),
                new SafetensorsWriter.Declaration("n", Dtype.I64, List.of(1L)),
                new SafetensorsWriter.Declaration("ct", Dtype.I64, List.of(1L)));
        try (Arena arena = Arena.ofConfined();
                SafetensorsWriter writer = SafetensorsWriter.create(file(group), tensors, Map.of())) {
            writer.write("flatH", hessian.lowerTriangle());
            writer.write("mu", hessian.mu());
            writer.write("n", arena.allocateFrom(ValueLayout.JAVA_LONG, hessian.n()));
            writer.write("ct", arena.allocateFrom(ValueLayout.JAVA_LONG, hessian.tokens()));
            writer.commit();
        }
    }

    /**
     * Reads one Hessian.
     *
     * @param arena owns the returned memory
     * @throws FormatException where the file is missing, damaged, of another size, not finite or no matrix of moments
     */
    public Hessian read(LinearGroup group, Arena arena) {
        int n = group.inputs();
        Path file = file(group);
        ReadableFile.require(file, "a Hessian; `gosset hessian` writes one for every group of linears");
        try (Arena mapping = Arena.ofConfined()) {
            Safetensors tensors = Safetensors.open(file, mapping);
            long found = number(tensors.get("n"));
            if (found != n) {
                throw new FormatException(file + ": is a Hessian of n = " + found + ", the model's " + group.name()
                        + " has " + n + " inputs");
            }
            long tokens = number(tensors.get("ct"));
            if (tokens < (group.reach() == LinearGroup.Reach.EVERY_TOKEN ? 1 : 0)) {
                throw new FormatException(tensors.get("ct") + " is " + tokens + ", expected a number of tokens");
            }
            return new Hessian(
                            n,
                            floats(tensors.get("flatH"), Hessian.triangle(n), arena),
                            floats(tensors.get("mu"), n, arena),
                            tokens)
                    .requireMoments(file + ": Hessian");
        }
    }

    private static long number(Tensor tensor) {
        if (tensor.dtype() != Dtype.I64 || tensor.elements() != 1) {
            throw new FormatException(
                    tensor + " is " + tensor.dtype() + " " + tensor.shape() + ", expected one I64 number");
        }
        return tensor.data().get(ValueLayout.JAVA_LONG_UNALIGNED, 0);
    }

    private static MemorySegment floats(Tensor tensor, long count, Arena arena) {
        tensor.requireShape(count).requireFinite();
        MemorySegment out = arena.allocate(4 * count, 64);
        tensor.toFloats(out);
        return out;
    }
}

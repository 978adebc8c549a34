package dev.gosset.core.kernel;

import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.blas.Blas;
import dev.gosset.core.blas.Operand;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.hadamard.HadamardTransform;
import dev.gosset.core.kernel.contract.MatvecKernel;
import dev.gosset.core.kernel.contract.PreparedMatrix;
import dev.gosset.core.kernel.contract.TransformKernel;
import dev.gosset.core.kernel.memory.OpenMemory;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * {@code y = diag(part scales) D(SV)^T U_m Q U_n^T D(SU) x} in float32 for a batch of rows x. Rows are multiplied
 * straight from the codes, in the form that the kernel prepared, each with the bits it would have alone; or, where there are
 * many and that does not matter, as that form says by tiles of Q that are decoded into scratch and handed to BLAS. The tiles depend on the shapes alone, so a result does not depend on the number
 * of threads. Source: spec/quip-sharp.md, section 6.
 *
 * <p>Thread-safe; holds views of the linear and, in the arena it was made with, the sign vectors as float32.
 */
public final class QuantizedProduct {
    /** Rows of x that share the decoding of each code. */
    private static final int BATCH = 16;

    /** Codes of one task of a product with few rows. */
    private static final int TASK_CODES = 1 << 16;

    /** Rows of x that one task transforms. */
    private static final int TRANSFORM_ROWS = 4;

    private static final ValueLayout.OfShort HALF = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final QuantizedLinear linear;
    private final CodeMatrix codes;
    private final TransformKernel transforms;
    private final MatvecKernel matvecs;
    private final PreparedMatrix prepared;
    private final HadamardTransform inTransform;
    private final HadamardTransform outTransform;
    /** The codes, or, where products do not read them, anything of the prepared ones' arena. */
    private final MemorySegment read;

    private final FloatMatrix su;
    private final FloatMatrix sv;

    /**
     * @param arena owns the float32 copies of SU and SV, and the repacked codes where the products want them
     * @param team repacks; stays the caller's
     */
    public QuantizedProduct(
            QuantizedLinear linear, TransformKernel transforms, MatvecKernel matvecs, Arena arena, ThreadTeam team) {
        this.linear = linear;
        this.codes = linear.codes();
        this.transforms = transforms;
        this.matvecs = matvecs;
        this.prepared = matvecs.prepare(codes, arena, team);
        this.inTransform = linear.inputs();
        this.outTransform = linear.outputs();
        this.su = FloatMatrix.allocate(arena, 1, linear.cols());
        this.read = readsCodes() ? codes.data() : su.data();
        this.sv = FloatMatrix.allocate(arena, 1, linear.rows());
        for (int j = 0; j < linear.cols(); j++) {
            su.set(0, j, Float.float16ToFloat(linear.su().getAtIndex(HALF, j)));
        }
        int i = 0;
        for (QuantizedLinear.Part part : linear.parts()) {
            for (int end = i + part.rows(); i < end; i++) {
                sv.set(0, i, Float.float16ToFloat(linear.sv().getAtIndex(HALF, i)) * part.scale());
            }
        }
    }

    /** A product that is made ready on this thread alone. */
    public QuantizedProduct(QuantizedLinear linear, TransformKernel transforms, MatvecKernel matvecs, Arena arena) {
        this(linear, transforms, matvecs, arena, new ThreadTeam(1));
    }

    /** m, the number of outputs. */
    public int rows() {
        return codes.rows();
    }

    /** n, the number of inputs. */
    public int cols() {
        return codes.cols();
    }

    /**
     * Whether products read the codes of {@link #linear}. Where they do not, because the kernel repacked all it needs, the
     * memory of the codes may be freed once this object is made.
     */
    public boolean readsCodes() {
        return prepared.bytes() == 0 || prepared.mostInputs() < Integer.MAX_VALUE;
    }

    /**
     * The root mean square of the errors of y to expect at most, as a part of that of y, the factors SV and the part scales left aside:
     * those of the product and of both transforms. A norm and not a largest element: the transform behind the product
     * spreads the errors of rows that have them in common.
     */
    public double relativeError() {
        return Math.hypot(
                prepared.relativeError(),
                Math.hypot(transforms.relativeError(inTransform), transforms.relativeError(outTransform)));
    }

    /** The linear this multiplies with. */
    public QuantizedLinear linear() {
        return linear;
    }

    /**
     * Writes y. Each of its rows has the same bits whatever the other rows are.
     *
     * @param x t x n, left alone
     * @param y t x m, every element written
     */
    public void apply(FloatMatrix x, FloatMatrix y, Workspace workspace) {
        check(x, y);
        OpenMemory.during(x.data(), y.data(), su.data(), read, () -> multiply(x, y, workspace));
    }

    private void multiply(FloatMatrix x, FloatMatrix y, Workspace workspace) {
        int batch = Math.min(x.rows(), BATCH);
        for (int from = 0; from < x.rows(); from += batch) {
            int count = Math.min(batch, x.rows() - from);
            if (count == 1) {
                multiplyOne(x, y, from, workspace);
            } else {
                multiplyBatch(x, y, from, count, workspace);
            }
        }
        transformOutputs(y, workspace);
    }

    /** {@link #apply} by BLAS where there are so many rows that this is faster, which changes the last bits. */
    public void applyMany(FloatMatrix x, FloatMatrix y, Workspace workspace) {
        if (x.rows() <= prepared.mostInputs()) {
            apply(x, y, workspace);
            return;
        }
        check(x, y);
        OpenMemory.during(x.data(), y.data(), su.data(), read, () -> {
            try (Workspace.Frame frame = workspace.frame()) {
                multiplyDecoded(x, y, frame, workspace);
            }
            transformOutputs(y, workspace);
        });
    }

    private void check(FloatMatrix x, FloatMatrix y) {
        if (x.cols() != cols() || y.cols() != rows() || y.rows() != x.rows()) {
            throw new IllegalArgumentException("a quantized linear of " + rows() + " x " + cols() + " cannot take "
                    + x.rows() + " x " + x.cols() + " to " + y.rows() + " x " + y.cols());
        }
    }

    private void multiplyOne(FloatMatrix x, FloatMatrix y, int t, Workspace workspace) {
        try (Workspace.Frame frame = workspace.frame()) {
            MemorySegment row = frame.bytes(rowBytes());
            transformInput(x, t, row, frame.bytes(transforms.scratchBytes(inTransform)));
            prepared.multiplyOne(row, y.data().asSlice(4L * t * rows()), tile(), true, workspace);
        }
    }

    private void multiplyBatch(FloatMatrix x, FloatMatrix y, int first, int count, Workspace workspace) {
        try (Workspace.Frame frame = workspace.frame()) {
            MemorySegment inputs = frame.bytes(prepared.inputBytes() * count);
            long transformBytes = (transforms.scratchBytes(inTransform) + 63) & -64L;
            long rowBytes = rowBytes();
            workspace.run(count, transformBytes + rowBytes, (t, scratch) -> {
                MemorySegment row = scratch.asSlice(transformBytes, rowBytes);
                transformInput(x, first + t, row, scratch.asSlice(0, transformBytes));
                prepared.prepareInput(row, inputs, prepared.inputBytes() * t);
            });
            int tile = tile();
            MemorySegment out = y.data().asSlice(4L * first * rows());
            workspace.run(Math.ceilDiv(rows(), tile), prepared.scratchBytes(count, tile), (i, scratch) -> {
                int from = i * tile;
                prepared.multiply(inputs, count, out, 4L * rows(), from, Math.min(rows(), from + tile), scratch);
            });
        }
    }

    /** Bytes of a transformed row, padded to whole groups. */
    private long rowBytes() {
        return 4L * Codebook.DIMENSION * codes.groups();
    }

    /** Rows of one task. */
    private int tile() {
        int step = prepared.rowStep();
        return Math.ceilDiv(Math.max(TASK_CODES / codes.groups(), 16), step) * step;
    }

    private void multiplyDecoded(FloatMatrix x, FloatMatrix y, Workspace.Frame frame, Workspace workspace) {
        int padded = Codebook.DIMENSION * codes.groups();
        FloatMatrix in = frame.matrix(x.rows(), padded);
        long transformBytes = transforms.scratchBytes(inTransform);
        workspace.run(Math.ceilDiv(x.rows(), TRANSFORM_ROWS), transformBytes, (task, scratch) -> {
            int from = task * TRANSFORM_ROWS;
            int to = Math.min(x.rows(), from + TRANSFORM_ROWS);
            for (int t = from; t < to; t++) {
                transformInput(x, t, in.row(t), scratch);
            }
        });
        int tile = rows() >= 2048 ? 256 : 128;
        workspace.run(
                Math.ceilDiv(rows(), tile),
                4L * tile * padded,
                (i, decoded) -> multiplyTile(in, y, i * tile, Math.min(rows(), (i + 1) * tile), decoded));
    }

    /** Row t of U^T D(SU) x, followed by zeros up to a multiple of eight columns. */
    private void transformInput(FloatMatrix x, int t, MemorySegment row, MemorySegment scratch) {
        int n = cols();
        for (long at = 4L * n; at < row.byteSize(); at += 4) {
            row.set(ValueLayout.JAVA_FLOAT_UNALIGNED, at, 0);
        }
        transforms.applyToProduct(inTransform, true, x.row(t), su.data(), row, 1, scratch);
    }

    private void multiplyTile(FloatMatrix in, FloatMatrix y, int from, int to, MemorySegment decoded) {
        int padded = in.cols();
        MemorySegment tile = decoded.asSlice(0, 4L * (to - from) * padded);
        matvecs.decode(codes, from, to, tile);
        // Where n is not a multiple of eight the last columns of the tile are noise, finite, times zero.
        Operand out = Operand.of(y).block(0, from, in.rows(), to - from);
        Blas.gemm(1, Operand.of(in), Operand.floats(tile, to - from, padded).transpose(), 0, out);
    }

    private void transformOutputs(FloatMatrix y, Workspace workspace) {
        int m = rows();
        workspace.run(
                Math.ceilDiv(y.rows(), TRANSFORM_ROWS), transforms.scratchBytes(outTransform), (task, scratch) -> {
                    int from = task * TRANSFORM_ROWS;
                    int to = Math.min(y.rows(), from + TRANSFORM_ROWS);
                    transforms.applyThenMultiply(
                            outTransform,
                            false,
                            y.data().asSlice(4L * from * m, 4L * (to - from) * m),
                            sv.data(),
                            to - from,
                            scratch);
                });
    }
}

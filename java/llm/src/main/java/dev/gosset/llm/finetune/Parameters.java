package dev.gosset.llm.finetune;

import dev.gosset.core.kernel.dense.VectorGradients;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.WeightFile;
import dev.gosset.core.memory.WeightFileWriter;
import dev.gosset.core.parallel.ThreadTeam;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Tensors that are tuned together, with gradients, Adam's moments and the best state so far, in memory of their own until closed.
 *
 * <p>Vectors that scale something are tuned by their relative change u, {@code value = start (1 + u)}: one step size then fits all
 * of them. What is stored as float16 is rounded to it in every forward pass, so that each loss is that of the model as it would be
 * stored; the steps themselves add up in float32. Not thread-safe.
 */
final class Parameters implements AutoCloseable {
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT;
    /** Elements of one task. */
    private static final int TILE = 1 << 14;

    /** One tensor. */
    static final class Parameter {
        private final String name;
        private final FloatMatrix value;
        private final FloatMatrix start;
        private final FloatMatrix latent;
        private final FloatMatrix gradient;
        private final FloatMatrix first;
        private final FloatMatrix second;
        private final FloatMatrix best;
        private final double rate;
        private final Stored stored;
        private final boolean valueIsLatent;

        private Parameter(String name, FloatMatrix value, FloatMatrix start, double rate, Stored stored, Arena arena) {
            this.name = name;
            this.value = value;
            this.start = start;
            this.rate = rate;
            this.stored = stored;
            int rows = value.rows();
            int cols = value.cols();
            valueIsLatent = rate == 0 || stored == Stored.AS_IT_IS && start == null;
            latent = valueIsLatent ? value : FloatMatrix.allocate(arena, rows, cols);
            if (rate == 0) {
                gradient = null;
                first = null;
                second = null;
                best = null;
            } else {
                gradient = FloatMatrix.allocate(arena, rows, cols);
                first = FloatMatrix.allocate(arena, rows, cols);
                second = FloatMatrix.allocate(arena, rows, cols);
                best = FloatMatrix.allocate(arena, rows, cols);
                if (start == null && !valueIsLatent) {
                    latent.data().copyFrom(value.data());
                }
                best.data().copyFrom(latent.data());
            }
        }

        String name() {
            return name;
        }

        /** What the forward pass uses. */
        FloatMatrix value() {
            return value;
        }

        /** Where the backward pass adds; null where the tensor is not tuned. */
        FloatMatrix gradient() {
            return gradient;
        }

        boolean isTuned() {
            return gradient != null;
        }

        private Map<String, FloatMatrix> state() {
            Map<String, FloatMatrix> state = new LinkedHashMap<>();
            state.put("", latent);
            state.put(".m", first);
            state.put(".v", second);
            state.put(".best", best);
            return state;
        }

        /** The value in float16, little-endian. */
        byte[] halves() {
            return Parameters.halves(value);
        }

        private long count() {
            return (long) value.rows() * value.cols();
        }
    }

    /** A tensor in float16, little-endian. */
    static byte[] halves(FloatMatrix value) {
        long count = (long) value.rows() * value.cols();
        ByteBuffer bytes = ByteBuffer.allocate(Math.toIntExact(2 * count)).order(ByteOrder.LITTLE_ENDIAN);
        for (long i = 0; i < count; i++) {
            bytes.putShort(Float.floatToFloat16(value.data().getAtIndex(FLOAT, i)));
        }
        return bytes.array();
    }

    /** What a tensor is rounded to. */
    enum Stored {
        AS_IT_IS,
        FLOAT16
    }

    private final Arena arena = Arena.ofShared();
    private final List<Parameter> all = new ArrayList<>();
    private int steps;

    /**
     * A vector tuned by its relative change.
     *
     * @param rate Adam's step; 0 keeps it as it is
     */
    Parameter factors(String name, float[] start, double rate, Stored stored) {
        FloatMatrix value = FloatMatrix.copyOf(arena, 1, start.length, start);
        Parameter p =
                new Parameter(name, value, FloatMatrix.copyOf(arena, 1, start.length, start), rate, stored, arena);
        all.add(p);
        return p;
    }

    /**
     * A tensor tuned by its absolute change.
     *
     * @param value where it starts; changed by tuning
     * @param rate Adam's step; 0 keeps it as it is
     */
    Parameter weights(String name, FloatMatrix value, double rate, Stored stored) {
        Parameter p = new Parameter(name, value, null, rate, stored, arena);
        all.add(p);
        return p;
    }

    /** A vector in memory of this set, tuned by its absolute change. */
    Parameter vector(String name, float[] start, double rate, Stored stored) {
        return weights(name, FloatMatrix.copyOf(arena, 1, start.length, start), rate, stored);
    }

    List<Parameter> all() {
        return List.copyOf(all);
    }

    Parameter get(String name) {
        return all.stream().filter(p -> p.name.equals(name)).findFirst().orElseThrow();
    }

    private interface Range {
        void accept(Parameter p, long from, int count);
    }

    private void forTuned(ThreadTeam team, Range work) {
        for (Parameter p : all) {
            if (p.isTuned()) {
                long count = p.count();
                team.run(
                        Math.toIntExact(Math.ceilDiv(count, TILE)),
                        i -> work.accept(p, (long) i * TILE, (int) Math.min(TILE, count - (long) i * TILE)));
            }
        }
    }

    void zeroGradients(ThreadTeam team) {
        forTuned(
                team,
                (p, from, n) -> p.gradient.data().asSlice(4 * from, 4L * n).fill((byte) 0));
    }

    /** Whether every gradient is a finite number. */
    boolean gradientsAreFinite() {
        for (Parameter p : all) {
            if (p.isTuned()) {
                MemorySegment g = p.gradient.data();
                long count = p.count();
                for (long i = 0; i < count; i++) {
                    if (!Float.isFinite(g.getAtIndex(FLOAT, i))) {
                        return false;
                    }
                }
            }
        }
        return true;
    }

    /** One step of Adam with every rate times {@code factor}. */
    void step(ThreadTeam team, double factor, Adam adam) {
        steps++;
        double firstCorrection = 1 - Math.pow(adam.beta1(), steps);
        float root = (float) Math.sqrt(1 / (1 - Math.pow(adam.beta2(), steps)));
        forTuned(
                team,
                (p, from, n) -> VectorGradients.adam(
                        p.gradient.data(),
                        p.start == null ? null : p.start.data(),
                        p.first.data(),
                        p.second.data(),
                        p.latent.data(),
                        4 * from,
                        n,
                        new VectorGradients.AdamStep(
                                (float) adam.beta1(),
                                (float) adam.beta2(),
                                (float) (p.rate * factor / firstCorrection),
                                root,
                                (float) adam.epsilon())));
        refresh(team);
    }

    /** Adam's numbers. */
    record Adam(double beta1, double beta2, double epsilon) {}

    /** Values from what Adam moves. */
    private void refresh(ThreadTeam team) {
        forTuned(team, (p, from, n) -> {
            if (p.valueIsLatent) {
                return;
            }
            MemorySegment latent = p.latent.data();
            MemorySegment value = p.value.data();
            for (long i = from; i < from + n; i++) {
                float x = latent.getAtIndex(FLOAT, i);
                if (p.start != null) {
                    float s = p.start.data().getAtIndex(FLOAT, i);
                    x = Math.fma(s, x, s);
                }
                if (p.stored == Stored.FLOAT16) {
                    x = Float.float16ToFloat(Float.floatToFloat16(x));
                }
                value.setAtIndex(FLOAT, i, x);
            }
        });
    }

    /** The state is the best so far. */
    void keep() {
        for (Parameter p : all) {
            if (p.isTuned()) {
                p.best.data().copyFrom(p.latent.data());
            }
        }
    }

    /** Back to the best state. */
    void restore(ThreadTeam team) {
        for (Parameter p : all) {
            if (p.isTuned()) {
                p.latent.data().copyFrom(p.best.data());
            }
        }
        refresh(team);
    }

    /** Writes what a run needs to go on: what Adam moves, its moments, and the best state. */
    void write(WeightFileWriter writer) {
        for (Parameter p : all) {
            if (p.isTuned()) {
                p.state()
                        .forEach((kind, matrix) -> writer.add(
                                p.name + kind,
                                "state",
                                Dtype.F32,
                                List.of((long) matrix.rows(), (long) matrix.cols()),
                                Optional.empty(),
                                matrix.data()));
            }
        }
    }

    /**
     * Takes up what {@link #write} wrote.
     *
     * @param steps that were taken
     */
    void read(WeightFile file, int steps, ThreadTeam team) {
        this.steps = steps;
        for (Parameter p : all) {
            if (p.isTuned()) {
                p.state()
                        .forEach((kind, matrix) -> file.get(p.name + kind)
                                .requireIntact()
                                .tensor()
                                .requireShape(matrix.rows(), matrix.cols())
                                .toFloats(matrix.data()));
            }
        }
        refresh(team);
    }

    /** Rounds everything to what it is stored as: what training starts from. */
    void round(ThreadTeam team) {
        refresh(team);
        keep();
    }

    @Override
    public void close() {
        arena.close();
    }
}

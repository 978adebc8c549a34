package dev.gosset.core.kernel.memory;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import java.util.List;
import jdk.incubator.vector.Vector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorOperators.Associative;
import jdk.incubator.vector.VectorOperators.Binary;
import jdk.incubator.vector.VectorOperators.Ternary;
import jdk.incubator.vector.VectorOperators.Unary;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/**
 * The operations of the Vector API that kernels use, each used once before any kernel runs.
 *
 * <p>The API makes the code of an operation, and the vectors of a species, at first use and keeps it. C2 leaves the path of a first
 * use out of compiled code where it has seen none, and one that comes after all is a trap. C2 adds up the traps of a method and of
 * all methods inlined in it, each time they are inlined, and a kernel inlines the look-up of an operation a hundred times: with
 * more than 100 ({@code -XX:PerMethodTrapLimit}) it leaves no path out any more, and vectors that would be handed to a call on
 * such a path are kept on the heap. Before this class that befell the 2-bit product in one JVM of nine: see bench/LOG.md.
 *
 * <p>Links against jdk.incubator.vector: {@link NativeMemory} touches this class only where the module is there.
 */
public final class VectorOperations {
    /**
     * What kernels do with vectors of one type of elements.
     *
     * @param byNumber operations on a vector and one number, as shifts; the API has them apart
     */
    public record Operations(
            Class<?> element,
            List<Unary> unary,
            List<Binary> binary,
            List<Binary> byNumber,
            List<Ternary> ternary,
            List<Associative> reductions) {}

    public static final List<Operations> USED = List.of(
            new Operations(
                    byte.class,
                    List.of(VectorOperators.BIT_COUNT),
                    List.of(
                            VectorOperators.ADD,
                            VectorOperators.SUB,
                            VectorOperators.AND,
                            VectorOperators.OR,
                            VectorOperators.XOR,
                            VectorOperators.SUSUB),
                    List.of(),
                    List.of(),
                    List.of()),
            new Operations(
                    short.class,
                    List.of(),
                    List.of(VectorOperators.ADD, VectorOperators.SUB, VectorOperators.AND, VectorOperators.XOR),
                    List.of(),
                    List.of(),
                    List.of()),
            new Operations(
                    int.class,
                    List.of(),
                    List.of(
                            VectorOperators.ADD,
                            VectorOperators.SUB,
                            VectorOperators.MUL,
                            VectorOperators.MIN,
                            VectorOperators.MAX,
                            VectorOperators.AND,
                            VectorOperators.OR,
                            VectorOperators.XOR,
                            VectorOperators.LSHL,
                            VectorOperators.LSHR),
                    List.of(VectorOperators.LSHL, VectorOperators.LSHR, VectorOperators.ASHR),
                    List.of(),
                    List.of()),
            new Operations(long.class, List.of(), List.of(), List.of(VectorOperators.ROL), List.of(), List.of()),
            new Operations(
                    float.class,
                    List.of(VectorOperators.NEG, VectorOperators.SQRT),
                    List.of(
                            VectorOperators.ADD,
                            VectorOperators.SUB,
                            VectorOperators.MUL,
                            VectorOperators.DIV,
                            VectorOperators.MIN,
                            VectorOperators.MAX),
                    List.of(),
                    List.of(VectorOperators.FMA),
                    List.of(VectorOperators.MAX)));

    private VectorOperations() {}

    /** Uses each operation once, and each type of elements as each other in every shape up to the preferred one. */
    static void useAll() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment ones = arena.allocate(64, 64).fill((byte) 1);
            int bits = VectorShape.preferredShape().vectorBitSize();
            for (Operations operations : USED) {
                use(load(VectorSpecies.ofPreferred(operations.element()), ones), operations);
                for (VectorShape shape : VectorShape.values()) {
                    if (shape.vectorBitSize() <= bits) {
                        Vector<?> vector = load(shape.withLanes(operations.element()), ones);
                        for (Operations other : USED) {
                            vector.reinterpretShape(shape.withLanes(other.element()), 0);
                        }
                    }
                }
            }
        }
    }

    private static <E> Vector<E> load(VectorSpecies<E> species, MemorySegment ones) {
        return species.fromMemorySegment(ones, 0, ByteOrder.nativeOrder());
    }

    private static <E> void use(Vector<E> vector, Operations operations) {
        for (Unary operator : operations.unary()) {
            vector.lanewise(operator);
        }
        for (Binary operator : operations.binary()) {
            vector.lanewise(operator, vector);
        }
        for (Binary operator : operations.byNumber()) {
            vector.lanewise(operator, 1);
        }
        for (Ternary operator : operations.ternary()) {
            vector.lanewise(operator, vector, vector);
        }
        for (Associative operator : operations.reductions()) {
            vector.reduceLanesToLong(operator);
        }
    }
}

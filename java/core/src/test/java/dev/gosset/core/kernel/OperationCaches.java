package dev.gosset.core.kernel;

import dev.gosset.core.kernel.memory.VectorOperations;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeSet;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.LongVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators.Operator;

/**
 * What the Vector API keeps of each operation that has been used in this JVM: package-private fields of JDK 25, which the tests
 * open to themselves.
 */
final class OperationCaches {
    private static final Map<Class<?>, Class<?>> VECTORS = Map.of(
            byte.class, ByteVector.class,
            short.class, ShortVector.class,
            int.class, IntVector.class,
            long.class, LongVector.class,
            float.class, FloatVector.class);

    private OperationCaches() {}

    /** The operations that have been used here and are missing in {@link VectorOperations#USED}. */
    static TreeSet<String> unexpected() {
        TreeSet<String> found = new TreeSet<>();
        try {
            for (VectorOperations.Operations used : VectorOperations.USED) {
                check(used, "UN_IMPL", used.unary(), found);
                check(used, "BIN_IMPL", used.binary(), found);
                check(used, "BIN_INT_IMPL", used.byNumber(), found);
                check(used, "TERN_IMPL", used.ternary(), found);
                check(used, "REDUCE_IMPL", used.reductions(), found);
            }
        } catch (ReflectiveOperationException e) {
            throw new AssertionError("this JDK's Vector API is not that of JDK 25", e);
        }
        return found;
    }

    private static void check(
            VectorOperations.Operations used, String name, List<? extends Operator> expected, TreeSet<String> found)
            throws ReflectiveOperationException {
        Class<?> vector = VECTORS.get(used.element());
        Field field;
        try {
            field = vector.getDeclaredField(name);
        } catch (NoSuchFieldException e) {
            return; // floats have no shifts
        }
        field.setAccessible(true);
        Object cache = field.get(null);
        Field entries = cache.getClass().getDeclaredField("cache");
        entries.setAccessible(true);
        Object[] operations = (Object[]) entries.get(cache);
        Method code = Class.forName("jdk.incubator.vector.VectorOperators$OperatorImpl")
                .getDeclaredMethod("opCodeRaw");
        code.setAccessible(true);
        TreeSet<Integer> codes = new TreeSet<>();
        for (Operator operator : expected) {
            codes.add((Integer) code.invoke(operator));
        }
        for (int i = 0; i < operations.length; i++) {
            if (operations[i] != null && !codes.contains(i)) {
                found.add(String.format(Locale.ROOT, "%s %s %d", vector.getSimpleName(), name, i));
            }
        }
    }
}

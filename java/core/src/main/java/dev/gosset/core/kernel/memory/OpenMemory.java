package dev.gosset.core.kernel.memory;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;

/**
 * Keeps arenas open while a product reads and writes their memory at bare addresses: whoever closes one meanwhile, on any thread,
 * gets an {@link IllegalStateException}, where otherwise the JVM would die.
 *
 * <p>Java has one public way to hold a segment's arena: a call of native code holds those of its arguments until it returns. So the
 * work runs inside of a call of C's {@code bsearch}, as the comparison of a search among one element. It takes two pointers; the
 * others are handed over behind its own arguments, where a C function does not look. About 70 ns.
 */
public final class OpenMemory {
    private static final MethodHandle BSEARCH;
    private static final MemorySegment COMPARISON;
    private static final ThreadLocal<OpenMemory> OWN = ThreadLocal.withInitial(OpenMemory::new);

    static {
        Linker linker = Linker.nativeLinker();
        BSEARCH = linker.downcallHandle(
                linker.defaultLookup().findOrThrow("bsearch"),
                FunctionDescriptor.of(
                        ValueLayout.ADDRESS,
                        ValueLayout.ADDRESS,
                        ValueLayout.ADDRESS,
                        ValueLayout.JAVA_LONG,
                        ValueLayout.JAVA_LONG,
                        ValueLayout.ADDRESS,
                        ValueLayout.ADDRESS,
                        ValueLayout.ADDRESS));
        try {
            COMPARISON = linker.upcallStub(
                    MethodHandles.lookup()
                            .findStatic(
                                    OpenMemory.class,
                                    "compare",
                                    MethodType.methodType(int.class, MemorySegment.class, MemorySegment.class)),
                    FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.ADDRESS),
                    Arena.global());
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    private Runnable work;
    private Throwable failure;

    private OpenMemory() {}

    /**
     * Runs work on this thread while the arenas of four segments stay open.
     *
     * @throws IllegalStateException where one is closed already
     * @throws WrongThreadException where one belongs to another thread
     * @throws IllegalArgumentException where one lies on the heap
     */
    public static void during(MemorySegment a, MemorySegment b, MemorySegment c, MemorySegment d, Runnable work) {
        OpenMemory own = OWN.get();
        Runnable outer = own.work;
        own.work = work;
        try {
            MemorySegment ignored = (MemorySegment) BSEARCH.invokeExact(a, b, 1L, 1L, COMPARISON, c, d);
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new IllegalStateException(e);
        } finally {
            own.work = outer;
        }
        Throwable thrown = own.failure;
        own.failure = null;
        switch (thrown) {
            case null -> {}
            case RuntimeException e -> throw e;
            default -> throw (Error) thrown;
        }
    }

    /** Nothing may be thrown from here: native code has called it. */
    @SuppressWarnings({"UnusedMethod", "UnusedVariable"})
    private static int compare(MemorySegment key, MemorySegment element) {
        OpenMemory own = OWN.get();
        try {
            own.work.run();
        } catch (Throwable e) {
            own.failure = e;
        }
        return 0;
    }
}

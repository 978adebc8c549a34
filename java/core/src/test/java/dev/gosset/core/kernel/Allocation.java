package dev.gosset.core.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import java.lang.management.ManagementFactory;

/** Asserts that a kernel allocates nothing once it is compiled. */
public final class Allocation {
    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    private static final int CALLS = 50;

    private Allocation() {}

    /** Repeats the call until {@value #CALLS} of them in a row have allocated nothing; fails after 20 seconds. */
    public static void assertNone(String what, Runnable call) {
        long deadline = System.nanoTime() + 20_000_000_000L;
        long bytes;
        do {
            long before = THREADS.getCurrentThreadAllocatedBytes();
            for (int i = 0; i < CALLS; i++) {
                call.run();
            }
            bytes = THREADS.getCurrentThreadAllocatedBytes() - before;
        } while (bytes > 0 && System.nanoTime() < deadline);
        assertThat(bytes).as("bytes allocated by %d calls of %s", CALLS, what).isZero();
        assertThat(OperationCaches.unexpected())
                .as("operations that VectorOperations does not use in advance")
                .isEmpty();
    }
}

package dev.gosset.cuda;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;

/**
 * What the tests of this module run on. The kernels' emulation, built by make and g++ and chosen for this JVM (without a
 * compiler the tests are skipped), or built beforehand and named by {@code -Dgosset.test.emulation=FOLDER}. With {@code
 * -Dgosset.test.device=cuda} the first real device, and then the tests that need the emulation's switches are skipped.
 */
public final class Emulation {
    /** {@link DeviceLinear#relativeError} of whole models, prompts included. */
    public static final double RELATIVE_ERROR = DeviceLinear.MANY_ROWS_ERROR;

    /** From java/ modules, and from bench. */
    private static final Path NATIVE = Path.of(Files.isDirectory(Path.of("../native")) ? "../native" : "../../native");

    private static final String PREBUILT = System.getProperty("gosset.test.emulation");
    private static final boolean ON_DEVICE = "cuda".equals(System.getProperty("gosset.test.device"));
    private static String missing;
    private static boolean built;
    private static boolean loaded;

    private Emulation() {}

    /** A device or the emulation is there from here on, or the test is skipped; a device that was asked for must be there. */
    public static synchronized void require() {
        if (ON_DEVICE) {
            CudaLibrary.require();
            return;
        }
        requireBuilt();
        if (!loaded) {
            CudaLibrary.useEmulation(library(), folder().resolve("libgosset_cublas_standin.so"));
            loaded = true;
        }
    }

    /** Builds the emulation for another JVM to choose, or skips the test where that is not possible. */
    public static synchronized void requireBuilt() {
        if (!built && missing == null) {
            missing = PREBUILT == null ? build() : null;
            built = missing == null;
        }
        Assumptions.assumeTrue(missing == null, missing);
    }

    /** For tests of what only the emulation can pretend. */
    public static void requireNoDevice() {
        requireSwitches();
        require();
    }

    private static void requireSwitches() {
        Assumptions.assumeFalse(ON_DEVICE, "needs a switch of the emulation, runs on a device");
    }

    public static Path library() {
        return folder().resolve("libgosset_emulation.so");
    }

    private static Path folder() {
        return PREBUILT == null ? NATIVE.resolve("target") : Path.of(PREBUILT);
    }

    private static String build() {
        try {
            Path log = Files.createTempFile("gosset-native", ".log");
            Process make = new ProcessBuilder("make", "-s", "-C", NATIVE.toString(), "emulation")
                    .redirectErrorStream(true)
                    .redirectOutput(log.toFile())
                    .start();
            if (!make.waitFor(5, TimeUnit.MINUTES)) {
                make.destroyForcibly();
                throw new AssertionError("building the emulation takes more than five minutes");
            }
            String output = Files.readString(log);
            if (make.exitValue() == 0) {
                return null;
            }
            if (output.contains("g++: No such file") || output.contains("g++: not found")) {
                return "no g++: the CUDA backend is not tested";
            }
            throw new AssertionError("make -C native emulation failed:\n" + output);
        } catch (IOException e) {
            return "no make: the CUDA backend is not tested (" + e.getMessage() + ")";
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    /** Objects of the emulated runtime that are alive; a device's leaks are for compute-sanitizer to count. */
    public static long live() {
        return ON_DEVICE ? 0 : (long) call("gosset_emulation_live", FunctionDescriptor.of(ValueLayout.JAVA_LONG));
    }

    /** The size of the emulated device's memory. */
    public static void memoryBytes(long bytes) {
        call("gosset_emulation_memory_bytes", FunctionDescriptor.ofVoid(ValueLayout.JAVA_LONG), bytes);
    }

    /** The most shared memory of one block; 0 for what a large device has. */
    public static void sharedBytes(int bytes) {
        call("gosset_emulation_shared_bytes", FunctionDescriptor.ofVoid(ValueLayout.JAVA_INT), bytes);
    }

    /** In which order the threads of a block run, see native/emulation. */
    public static void order(int order) {
        call("gosset_emulation_order", FunctionDescriptor.ofVoid(ValueLayout.JAVA_INT), order);
    }

    /** The major number of the compute capability. */
    public static void capability(int major) {
        call("gosset_emulation_capability", FunctionDescriptor.ofVoid(ValueLayout.JAVA_INT), major);
    }

    /** How many devices are pretended from here on. */
    public static void devices(int count) {
        call("gosset_emulation_devices", FunctionDescriptor.ofVoid(ValueLayout.JAVA_INT), count);
        CudaLibrary.recount();
    }

    /** A switch of the emulation; on a device the test that needs it is skipped. */
    private static Object call(String name, FunctionDescriptor type, Object... arguments) {
        requireSwitches();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment symbol = SymbolLookup.libraryLookup(library().toAbsolutePath(), arena)
                    .findOrThrow(name);
            MethodHandle handle = Linker.nativeLinker().downcallHandle(symbol, type);
            return handle.invokeWithArguments(arguments);
        } catch (Throwable e) {
            throw new AssertionError(name, e);
        }
    }
}

package dev.gosset.cuda;

import dev.gosset.bindings.CuBlas;
import dev.gosset.bindings.GossetCuda;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Gosset's CUDA library and cuBLAS: where they are, whether they run here, and if not, why, in one sentence.
 *
 * <p>The library is looked for at the system property {@value #PROPERTY}, in the environment's {@code
 * GOSSET_CUDA_LIBRARY}, and as {@code libgosset_cuda.so} on {@code java.library.path}; cuBLAS 13 or 12 at {@value
 * #CUBLAS_PROPERTY}, in {@code LD_LIBRARY_PATH}, {@code CUDA_HOME}, {@code /usr/local/cuda*} and where the system's loader
 * finds it. Looking happens once. Thread-safe.
 */
public final class CudaLibrary {
    /** Names the file of Gosset's CUDA library. */
    public static final String PROPERTY = "gosset.cuda.library";

    /** Names the file of cuBLAS. */
    public static final String CUBLAS_PROPERTY = "gosset.cublas.library";

    private static final String FILE = "libgosset_cuda.so";

    private record State(boolean usable, String sentence, int devices) {}

    private static State state;
    private static String cublas;

    private CudaLibrary() {}

    /** Whether there is a device that this program can use. Never throws. */
    public static boolean isUsable() {
        return state().usable;
    }

    /** One sentence for a person: the devices that are used, or why there is none. Never throws. */
    public static String description() {
        return state().sentence;
    }

    /**
     * For whoever was told to use a device.
     *
     * @throws CudaException with {@link #description()} where there is none
     */
    public static void require() {
        State s = state();
        if (!s.usable) {
            throw new CudaException(GossetCuda.GOSSET_NO_DEVICE(), 0, s.sentence);
        }
    }

    /** How many devices can be used. Never throws. */
    public static int count() {
        return state().devices;
    }

    static int devices() {
        require();
        return state().devices;
    }

    private static synchronized State state() {
        if (state == null) {
            state = find();
        }
        return state;
    }

    private static State find() {
        List<String> tried = new ArrayList<>();
        for (Path candidate : candidates()) {
            if (Files.isRegularFile(candidate)) {
                return open(candidate, "cuda");
            }
            tried.add(candidate.toString());
        }
        return new State(
                false,
                "no CUDA: " + FILE + " was not found"
                        + (tried.isEmpty() ? "" : " as " + String.join(" or ", tried))
                        + "; `make native` builds it, -D" + PROPERTY + " names it",
                0);
    }

    private static List<Path> candidates() {
        String named = System.getProperty(PROPERTY, System.getenv("GOSSET_CUDA_LIBRARY"));
        if (named != null) {
            return List.of(Path.of(named));
        }
        List<Path> paths = new ArrayList<>();
        for (String directory : System.getProperty("java.library.path", "").split(":")) {
            Path file = Path.of(directory.isEmpty() ? "." : directory, FILE);
            if (!directory.isEmpty() && Files.isRegularFile(file)) {
                paths.add(file);
            }
        }
        return paths;
    }

    /** Loads a library that must be of the given backend: the emulation is for tests and nothing else accepts it. */
    private static State open(Path file, String backend) {
        try {
            System.load(file.toAbsolutePath().toString());
        } catch (UnsatisfiedLinkError e) {
            return new State(false, "no CUDA: " + file + " cannot be loaded: " + e.getMessage(), 0);
        }
        try {
            int abi = GossetCuda.gosset_abi_version();
            if (abi != GossetCuda.GOSSET_ABI_VERSION()) {
                return new State(
                        false,
                        "no CUDA: " + file + " has version " + abi + " of the interface, this program needs "
                                + GossetCuda.GOSSET_ABI_VERSION(),
                        0);
            }
            String found = GossetCuda.gosset_backend().getString(0);
            if (!found.equals(backend)) {
                return new State(false, "no CUDA: " + file + " is the " + found + " and not a device", 0);
            }
            return counted();
        } catch (LinkageError e) {
            return new State(false, "no CUDA: " + file + " is not Gosset's CUDA library: " + e.getMessage(), 0);
        }
    }

    private static State counted() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment count = arena.allocate(ValueLayout.JAVA_INT);
            if (GossetCuda.gosset_device_count(count) != GossetCuda.GOSSET_OK()) {
                return new State(
                        false, "no CUDA: " + GossetCuda.gosset_last_error().getString(0), 0);
            }
            int devices = count.get(ValueLayout.JAVA_INT, 0);
            return new State(true, describe(devices), devices);
        }
    }

    private static String describe(int devices) {
        List<String> names = new ArrayList<>();
        for (int i = 0; i < devices; i++) {
            names.add(CudaDevice.read(i).toString());
        }
        return String.join("; ", names);
    }

    /** Loads cuBLAS once. */
    static synchronized void requireCublas() {
        if (cublas != null) {
            return;
        }
        String named = System.getProperty(CUBLAS_PROPERTY);
        CublasSearch search = CublasSearch.here();
        Path file = named != null ? Path.of(named) : search.find().orElse(null);
        if (file == null || !Files.isRegularFile(file)) {
            throw new CudaException(
                    0,
                    0,
                    "cuBLAS was not found: " + (named != null ? "there is no " + named : search.places()) + "; -D"
                            + CUBLAS_PROPERTY + " names the file");
        }
        try {
            System.load(file.toAbsolutePath().toString());
        } catch (UnsatisfiedLinkError e) {
            throw new CudaException(0, 0, "cuBLAS at " + file + " cannot be loaded: " + e.getMessage());
        }
        cublas = file.toString();
    }

    /** Tests only: the emulation and the stand-in for cuBLAS, before anything else has been looked for. */
    static synchronized void useEmulation(Path library, Path standIn) {
        if (state != null) {
            throw new IllegalStateException("a library has been chosen already: " + state.sentence);
        }
        state = open(library, "emulation");
        System.load(standIn.toAbsolutePath().toString());
        cublas = standIn.toString();
    }

    /** Tests only: counts the devices of the library that was chosen again. */
    static synchronized void recount() {
        state = counted();
    }

    /** Tests only: what {@link #description()} would say of this file, without choosing it. */
    static String probe(Path library) {
        return open(library, "cuda").sentence;
    }

    /** Turns a status of the library into an exception. */
    static void check(int status) {
        if (status != GossetCuda.GOSSET_OK()) {
            throw new CudaException(
                    status,
                    GossetCuda.gosset_last_native_code(),
                    GossetCuda.gosset_last_error().getString(0));
        }
    }

    static void checkCublas(int status, String operation) {
        if (status != CuBlas.CUBLAS_STATUS_SUCCESS()) {
            throw new CudaException(
                    0,
                    status,
                    operation + ": cuBLAS status " + status + ", "
                            + CuBlas.cublasGetStatusString(status).getString(0));
        }
    }
}

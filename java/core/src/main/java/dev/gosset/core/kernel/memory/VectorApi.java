package dev.gosset.core.kernel.memory;

/** The module jdk.incubator.vector, without which no class that links against it may be touched. */
public final class VectorApi {
    /** What the JVM's command line must have for it. */
    public static final String FLAG = "--add-modules jdk.incubator.vector";

    private VectorApi() {}

    /** Whether the module is loaded in this JVM. */
    public static boolean isPresent() {
        return ModuleLayer.boot().findModule("jdk.incubator.vector").isPresent();
    }
}

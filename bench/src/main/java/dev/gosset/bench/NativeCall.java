package dev.gosset.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;

/** Binding C functions of libraries that are opened by path. */
final class NativeCall {
    private static final Linker LINKER = Linker.nativeLinker();

    private NativeCall() {}

    /** A library, open until the JVM ends. */
    static SymbolLookup library(Path path) {
        return SymbolLookup.libraryLookup(path, Arena.global());
    }

    static MethodHandle bind(
            SymbolLookup library, String name, FunctionDescriptor descriptor, Linker.Option... options) {
        return LINKER.downcallHandle(
                library.find(name).orElseThrow(() -> new IllegalStateException("no function " + name)),
                descriptor,
                options);
    }

    /** A native call declares no exception of its own. */
    static AssertionError unexpected(Throwable t) {
        if (t instanceof RuntimeException refused) {
            throw refused;
        }
        if (t instanceof Error error) {
            throw error;
        }
        return new AssertionError("a native call cannot throw " + t, t);
    }
}

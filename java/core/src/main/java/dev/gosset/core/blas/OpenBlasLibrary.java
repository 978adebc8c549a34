package dev.gosset.core.blas;

import dev.gosset.core.GossetException;
import dev.gosset.core.library.LibraryFiles;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.lang.module.ModuleFinder;
import java.lang.module.ModuleReader;
import java.lang.module.ModuleReference;
import java.net.URI;
import java.net.URL;
import java.net.URLConnection;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.stream.Stream;

/**
 * Finds the OpenBLAS of this platform: first inside the {@code org.bytedeco:openblas} jar on the class path, whose
 * library is copied once to a cache directory of the user, then among the system's libraries. Never throws while the
 * class is initialized: {@link #FAILURE} holds the reason.
 */
final class OpenBlasLibrary {
    /** Where the functions are; null exactly where {@link #FAILURE} is not. */
    static final SymbolLookup LOOKUP;
    /** The file or the library name that was loaded, in words. */
    static final String ORIGIN;
    /** Why there is no OpenBLAS; null where there is one. */
    static final GossetException FAILURE;

    static {
        SymbolLookup lookup = null;
        String origin = "none";
        GossetException failure = null;
        try {
            Loaded loaded = find();
            lookup = loaded.lookup;
            origin = loaded.origin;
        } catch (GossetException e) {
            failure = e;
        }
        LOOKUP = lookup;
        ORIGIN = origin;
        FAILURE = failure;
    }

    private OpenBlasLibrary() {}

    private record Loaded(SymbolLookup lookup, String origin) {}

    /** A platform as bytedeco names its directories, and the files of its library in the order in which to load them. */
    record Platform(String directory, List<String> dependencies, String library, List<String> systemNames) {
        static Platform of(String osName, String osArch) {
            String os = osName.toLowerCase(Locale.ROOT);
            String arch = switch (osArch.toLowerCase(Locale.ROOT)) {
                case "amd64", "x86_64", "x64" -> "x86_64";
                case "aarch64", "arm64" -> "arm64";
                case "ppc64le" -> "ppc64le";
                case "riscv64" -> "riscv64";
                default -> osArch;
            };
            if (os.startsWith("windows")) {
                return new Platform(
                        "windows-" + arch,
                        List.of("libwinpthread-1.dll", "libgcc_s_seh-1.dll", "libquadmath-0.dll", "libgfortran-5.dll"),
                        "libopenblas.dll",
                        List.of("libopenblas", "openblas"));
            }
            if (os.startsWith("mac")) {
                return new Platform(
                        "macosx-" + arch,
                        List.of("libgcc_s.1.1.dylib", "libgcc_s.1.dylib", "libquadmath.0.dylib", "libgfortran.5.dylib"),
                        "libopenblas.0.dylib",
                        List.of("libopenblas.0.dylib", "libopenblas.dylib"));
            }
            return new Platform(
                    "linux-" + arch,
                    List.of("libgcc_s.so.1", "libquadmath.so.0", "libgfortran.so.5"),
                    "libopenblas.so.0",
                    List.of("libopenblas.so.0", "libopenblas.so"));
        }
    }

    private static Loaded find() {
        Platform platform = Platform.of(System.getProperty("os.name"), System.getProperty("os.arch"));
        String resource = "org/bytedeco/openblas/" + platform.directory + "/" + platform.library;
        List<String> tried = new ArrayList<>();
        try {
            if (resource(resource) != null) {
                return fromJar(platform);
            }
            tried.add(resource
                    + " is neither on the class path nor on the module path (add org.bytedeco:openblas with classifier "
                    + platform.directory + ")");
        } catch (IOException | IllegalArgumentException | UnsatisfiedLinkError e) {
            tried.add(resource + " could not be used (" + e.getMessage() + ")");
        }
        for (String name : platform.systemNames) {
            try {
                return new Loaded(SymbolLookup.libraryLookup(name, Arena.global()), name + " of the system");
            } catch (IllegalArgumentException e) {
                tried.add("the system has no " + name);
            }
        }
        throw new GossetException("no OpenBLAS for " + platform.directory + ": " + String.join("; ", tried));
    }

    private static Loaded fromJar(Platform platform) throws IOException {
        Path directory = extract(platform);
        for (String dependency : platform.dependencies) {
            Path file = directory.resolve(dependency);
            if (Files.isRegularFile(file)) {
                System.load(file.toString());
            }
        }
        Path library = directory.resolve(platform.library);
        return new Loaded(SymbolLookup.libraryLookup(library, Arena.global()), library.toString());
    }

    /** The directory that holds the platform's files, after copying those which are not there yet. */
    private static Path extract(Platform platform) throws IOException {
        Map<String, URL> files = new LinkedHashMap<>();
        List<String> names = new ArrayList<>(platform.dependencies);
        names.add(platform.library);
        for (String name : names) {
            URL url = resource("org/bytedeco/openblas/" + platform.directory + "/" + name);
            if (url != null) {
                files.put(name, url);
            }
        }
        return LibraryFiles.extract("openblas-" + version() + "-" + platform.directory, files);
    }

    private static String version() throws IOException {
        URL url = resource("META-INF/maven/org.bytedeco/openblas/pom.properties");
        if (url == null) {
            return "unknown";
        }
        Properties properties = new Properties();
        URLConnection connection = url.openConnection();
        connection.setUseCaches(false);
        try (InputStream in = connection.getInputStream()) {
            properties.load(in);
        }
        return properties.getProperty("version", "unknown");
    }

    /**
     * On the class path, or else on the module path: a program of modules does not require OpenBLAS's, whose name is another one on each
     * platform, so its loader does not see it.
     */
    private static URL resource(String name) throws IOException {
        URL found = OpenBlasLibrary.class.getClassLoader().getResource(name);
        String modules = System.getProperty("jdk.module.path");
        if (found != null || modules == null) {
            return found;
        }
        Path[] path = Stream.of(modules.split(File.pathSeparator)).map(Path::of).toArray(Path[]::new);
        for (ModuleReference module : ModuleFinder.of(path).findAll()) {
            if (module.descriptor().name().startsWith("org.bytedeco.openblas")) {
                try (ModuleReader reader = module.open()) {
                    Optional<URI> uri = reader.find(name);
                    if (uri.isPresent()) {
                        return uri.get().toURL();
                    }
                }
            }
        }
        return null;
    }
}

package dev.gosset.cuda;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Where cuBLAS may be. Versions 13 and 12 have the functions of {@code bindings/cublas.includes} with the same signatures
 * and constants; 13 is preferred wherever it is found.
 *
 * @param environment what {@link System#getenv()} says
 * @param libraryPath the value of {@code java.library.path}
 * @param roots folders in which toolkits are installed as {@code cuda} and {@code cuda-*}
 */
record CublasSearch(Map<String, String> environment, String libraryPath, List<Path> roots) {
    private static final List<String> FILES = List.of("libcublas.so.13", "libcublas.so.12");
    private static final List<String> FOLDERS =
            List.of("lib64", "targets/x86_64-linux/lib", "targets/sbsa-linux/lib", "lib");

    static CublasSearch here() {
        return new CublasSearch(
                System.getenv(),
                System.getProperty("java.library.path", ""),
                List.of(Path.of("/usr/local"), Path.of("/opt")));
    }

    /** The file, first of the newer version: in the folders, then wherever the system's own loader finds it. */
    Optional<Path> find() {
        for (String file : FILES) {
            for (Path folder : folders()) {
                if (Files.isRegularFile(folder.resolve(file))) {
                    return Optional.of(folder.resolve(file));
                }
            }
            Optional<Path> known = knownToTheLoader(file);
            if (known.isPresent()) {
                return known;
            }
        }
        return Optional.empty();
    }

    /** The folders, first that of {@code CUDA_HOME}; those that do not exist are left out. */
    List<Path> folders() {
        List<Path> toolkits = new ArrayList<>();
        for (String variable : List.of("CUDA_HOME", "CUDA_PATH")) {
            if (!environment.getOrDefault(variable, "").isEmpty()) {
                toolkits.add(Path.of(environment.get(variable)));
            }
        }
        for (Path root : roots) {
            toolkits.add(root.resolve("cuda"));
            toolkits.addAll(numbered(root));
        }
        List<Path> folders = new ArrayList<>();
        for (String path : List.of(environment.getOrDefault("LD_LIBRARY_PATH", ""), libraryPath)) {
            for (String folder : path.split(":")) {
                if (!folder.isEmpty()) {
                    folders.add(Path.of(folder));
                }
            }
        }
        for (Path toolkit : toolkits) {
            FOLDERS.forEach(folder -> folders.add(toolkit.resolve(folder)));
        }
        return folders.stream().filter(Files::isDirectory).distinct().toList();
    }

    /** Toolkits named cuda-12.8 and the like, the last name first. */
    private static List<Path> numbered(Path root) {
        List<Path> found = new ArrayList<>();
        if (Files.isDirectory(root)) {
            try (Stream<Path> entries = Files.list(root)) {
                entries.filter(e -> e.getFileName().toString().startsWith("cuda-"))
                        .sorted(Collections.reverseOrder())
                        .forEach(found::add);
            } catch (IOException e) {
                // A folder that may not be read holds nothing for us.
                return List.of();
            }
        }
        return found;
    }

    /** The file that the system's loader (its cache and standard folders) opens under this name. */
    private static Optional<Path> knownToTheLoader(String name) {
        try {
            // Stays open: the same file is loaded for good right after.
            SymbolLookup.libraryLookup(name, Arena.global());
        } catch (IllegalArgumentException e) {
            return Optional.empty();
        }
        try (Stream<String> maps = Files.lines(Path.of("/proc/self/maps"))) {
            return maps.filter(line -> line.contains("/" + name))
                    .map(line -> Path.of(line.substring(line.indexOf('/'))))
                    .filter(Files::isRegularFile)
                    .findFirst();
        } catch (IOException e) {
            return Optional.empty();
        }
    }

    /** For a message: what was looked for and where. */
    String places() {
        return String.join(" and ", FILES) + " in " + folders() + " and by the system's loader";
    }
}

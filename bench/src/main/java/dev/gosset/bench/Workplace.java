package dev.gosset.bench;

import java.nio.file.Files;
import java.nio.file.Path;

/** Where the benchmarks find and leave files: everything under one directory, {@code bench/}. */
final class Workplace {
    private Workplace() {}

    /** The directory bench/: property {@code gosset.bench.home}, else below or at the working directory. */
    static Path home() {
        String property = System.getProperty("gosset.bench.home");
        if (property != null) {
            return Path.of(property).toAbsolutePath();
        }
        Path here = Path.of("").toAbsolutePath();
        return Files.isDirectory(here.resolve("bench/src")) ? here.resolve("bench") : here;
    }

    /** What was built here by `make bench-native`. */
    static Path peerLibrary() {
        return home().resolve("target/native/libgosset_peer.so");
    }

    /** What `make bench-peers` has fetched. */
    static Path peers() {
        return home().resolve(".peers");
    }

    /** Random models, made on first use, kept beside the peers. */
    static Path models() {
        return peers().resolve("models");
    }

    static Path results() {
        return home().resolve("results");
    }
}

package dev.gosset.fuzz;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.SplittableRandom;
import java.util.stream.Stream;

/**
 * What Jazzer calls: {@code --target_class=dev.gosset.fuzz.FuzzTarget --target_args=READER}. Every input is read as it is,
 * and chooses a change of itself or of a file of the corpus by the {@link Form}. Files that fail are written to the directory
 * {@code gosset.fuzz.findings}, from where they go to the corpus, {@code gosset.fuzz.corpus}.
 */
public final class FuzzTarget {
    private static final int LONGEST = 1 << 18;
    private static Reader reader;
    private static Property property;
    private static final List<byte[]> CORPUS = new ArrayList<>();
    private static long executions;
    private static long accepted;
    private static long unconfirmed;
    private static double mostPerByte;
    private static long mostAllocated;
    private static double longest;

    private FuzzTarget() {}

    /** Called once. */
    public static void fuzzerInitialize(String[] arguments) throws IOException {
        reader = Reader.of(arguments[0]);
        property = new Property(reader);
        try (Stream<Path> files = Files.list(Path.of(System.getProperty("gosset.fuzz.corpus"), reader.key()))) {
            for (Path file : files.sorted().toList()) {
                CORPUS.add(Files.readAllBytes(file));
            }
        }
        Runtime.getRuntime().addShutdownHook(new Thread(FuzzTarget::end));
    }

    /** Called for every input. */
    public static void fuzzerTestOneInput(byte[] input) {
        check(input);
        SplittableRandom random = new SplittableRandom(Arrays.hashCode(input));
        byte[] base = random.nextBoolean() ? input : CORPUS.get(random.nextInt(CORPUS.size()));
        byte[] changed = reader.form().vary(base, random);
        if (changed.length <= LONGEST) {
            check(changed);
        }
    }

    private static void check(byte[] file) {
        Property.Outcome outcome;
        try {
            outcome = property.check(file);
        } catch (Property.Exceeded e) {
            // Jazzer's own hooks allocate and take time: only what a machine without them finds counts.
            Path saved = save(file);
            if (exceedsAlone(saved)) {
                throw e;
            }
            remove(saved);
            unconfirmed++;
            return;
        } catch (AssertionError e) {
            save(file);
            throw e;
        }
        executions++;
        accepted += outcome.accepted() ? 1 : 0;
        mostAllocated = Math.max(mostAllocated, outcome.allocated());
        mostPerByte =
                Math.max(mostPerByte, (double) (outcome.allocated() - Property.CONSTANT) / Math.max(1, file.length));
        longest = Math.max(longest, outcome.seconds());
    }

    /** Reads one file without Jazzer: {@code READER FILE}. */
    public static void main(String[] arguments) throws IOException {
        try (Property alone = new Property(Reader.of(arguments[0]))) {
            alone.check(Files.readAllBytes(Path.of(arguments[1])));
        }
    }

    private static boolean exceedsAlone(Path file) {
        try {
            return new ProcessBuilder(
                                    Path.of(System.getProperty("java.home"), "bin", "java")
                                            .toString(),
                                    "--add-modules=jdk.incubator.vector",
                                    "--enable-native-access=ALL-UNNAMED",
                                    "-XX:+UseSerialGC",
                                    "-Xmx1g",
                                    "-Xss1m",
                                    "-cp",
                                    System.getProperty("java.class.path"),
                                    FuzzTarget.class.getName(),
                                    reader.key(),
                                    file.toString())
                            .inheritIO()
                            .start()
                            .waitFor()
                    != 0;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            throw new IllegalStateException("interrupted while " + file + " was read again", e);
        }
    }

    private static void remove(Path file) {
        try {
            Files.delete(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Path save(byte[] file) {
        String name = String.format(Locale.ROOT, "failed-%08x", Arrays.hashCode(file));
        Path directory = Path.of(System.getProperty("gosset.fuzz.findings", "."), reader.key());
        try {
            Files.createDirectories(directory);
            Files.write(directory.resolve(name), file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        System.err.println("gosset-fuzz: the file that failed is " + directory.resolve(name));
        return directory.resolve(name);
    }

    private static void end() {
        System.err.printf(
                Locale.ROOT,
                "gosset-fuzz: %s: %d files, %d accepted, at most %d bytes allocated, %.0f per byte, %.3f s, %d over a bound with Jazzer only%n",
                reader.key(),
                executions,
                accepted,
                mostAllocated,
                mostPerByte,
                longest,
                unconfirmed);
        try {
            property.close();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}

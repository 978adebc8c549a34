package dev.gosset.core.kernel.tables;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.sun.management.ThreadMXBean;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.kernel.HiddenFeatures;
import dev.gosset.core.kernel.TableMatvecContract;
import dev.gosset.core.kernel.contract.PreparedMatrix;
import dev.gosset.core.kernel.oracle.ScalarMatvec;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.VectorOperators;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The products by words need no instruction that a processor with AVX-512 F and BW lacks: in a JVM that does not know of
 * those C2 compiles them all the same, boxing nothing. The compression of bytes shows that it really does not know.
 */
class WithoutVbmiTest {
    @TempDir
    Path folder;

    /** Run in a child JVM: prints whether its kernels box vectors once they are compiled, and whether they are right. */
    public static final class Child {
        private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

        private Child() {}

        public static void main(String[] args) {
            System.out.println("hidden " + (args.length > 0 ? hide() : "nothing"));
            System.out.println("bytes " + boxes(Child::compressBytes, args.length > 0 ? 5 : 30));
            for (int bits = 2; bits <= 4; bits++) {
                for (int count : new int[] {1, 2}) {
                    System.out.println("words " + bits + " " + count + " " + run(TableMatvec.words(), bits, count));
                }
            }
        }

        /** AVX-512 VBMI2. Permutations of bytes would not do here: without VBMI, C2 puts them together from VPSHUFB. */
        private static String hide() {
            try {
                return HiddenFeatures.hide(HiddenFeatures.NOT_ON_SKYLAKE) > 0 ? "features" : "nothing";
            } catch (IllegalStateException e) {
                return "nothing: " + e.getMessage();
            }
        }

        private static void compressBytes() {
            byte[] bytes = new byte[64];
            for (int i = 0; i < 1000; i++) {
                bytes[i & 63]++;
                ByteVector v = ByteVector.fromArray(ByteVector.SPECIES_512, bytes, 0);
                v.compress(v.compare(VectorOperators.LT, (byte) i)).intoArray(bytes, 0);
            }
        }

        /**
         * A run allocates some small objects; vectors that are boxed in a loop are 10 KB and more.
         *
         * @param seconds after which what still allocates does so for good
         */
        private static String boxes(Runnable run, int seconds) {
            long least = Long.MAX_VALUE;
            for (long end = System.nanoTime() + seconds * 1_000_000_000L; least > 4096 && System.nanoTime() < end; ) {
                long before = THREADS.getCurrentThreadAllocatedBytes();
                run.run();
                least = Math.min(least, THREADS.getCurrentThreadAllocatedBytes() - before);
            }
            return least > 4096 ? "boxes" : "compiled";
        }

        private static String run(TableMatvec kernel, int bits, int count) {
            try (Arena arena = Arena.ofConfined()) {
                SplittableRandom random = new SplittableRandom(count);
                CodeMatrix codes = TableMatvecContract.randomCodes(arena, random, bits, 128, 1000);
                MemorySegment x = TableMatvecContract.inputs(arena, random, codes, count, 1);
                PreparedMatrix matrix = kernel.prepare(codes, arena);
                MemorySegment inputs = arena.allocate(matrix.inputBytes() * count);
                MemorySegment y = arena.allocate(512L * count);
                MemorySegment scratch = arena.allocate(matrix.scratchBytes(count, 128));
                long row = 32L * codes.groups();
                Runnable product = () -> {
                    for (int t = 0; t < count; t++) {
                        matrix.prepareInput(x.asSlice(row * t, row), inputs, matrix.inputBytes() * t);
                    }
                    matrix.multiply(inputs, count, y, 512, 0, 128, scratch);
                };
                String boxes = boxes(product, 30);
                MemorySegment oracle = arena.allocate(512);
                new ScalarMatvec().matvec(codes, x.asSlice(0, row), oracle, 0, 128);
                double squared = 0;
                double squaredError = 0;
                for (int i = 0; i < 128; i++) {
                    double expected = oracle.getAtIndex(ValueLayout.JAVA_FLOAT, i);
                    squared += expected * expected;
                    squaredError += Math.pow(y.getAtIndex(ValueLayout.JAVA_FLOAT, i) - expected, 2);
                }
                return boxes + (squaredError < 1e-6 * squared ? " right" : " wrong");
            }
        }
    }

    @Test
    void wordsAreCompiledWhereBytesAreNot() throws Exception {
        assumeTrue(TableMatvec.bytesObstacle() == null, String.valueOf(TableMatvec.bytesObstacle()));
        List<String> words = List.of(
                "words 2 1 compiled right",
                "words 2 2 compiled right",
                "words 3 1 compiled right",
                "words 3 2 compiled right",
                "words 4 1 compiled right",
                "words 4 2 compiled right");
        assumeTrue(Runtime.version().feature() == 25, "written for HotSpot 25, found " + Runtime.version());
        assertThat(child()).startsWith("hidden nothing", "bytes compiled").endsWith(words.toArray(String[]::new));
        List<String> hidden = child("hide");
        assumeTrue(!hidden.getFirst().startsWith("hidden nothing:"), hidden.getFirst());
        assertThat(hidden).startsWith("hidden features", "bytes boxes").endsWith(words.toArray(String[]::new));
    }

    private List<String> child(String... arguments) throws Exception {
        Path out = folder.resolve("out");
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), "--add-modules=jdk.incubator.vector"));
        command.addAll(List.of("--enable-native-access=ALL-UNNAMED", "-XX:CompileCommand=quiet"));
        for (String kernels : List.of("WordSums", "TableLookups", "ProductTables")) {
            String methods = "dev.gosset.core.kernel.tables." + kernels + "::*";
            command.add("-XX:CompileCommand=CompileThresholdScaling," + methods + ",0.01");
            command.add("-XX:CompileCommand=BackgroundCompilation," + methods + ",false");
        }
        command.add(Child.class.getName());
        command.addAll(List.of(arguments));
        int exit = new ProcessBuilder(command)
                .redirectOutput(out.toFile())
                .redirectErrorStream(true)
                .start()
                .waitFor();
        List<String> lines = Files.readAllLines(out).stream()
                .filter(l -> !l.startsWith("WARNING"))
                .toList();
        assertThat(exit).as(lines.toString()).isZero();
        return lines;
    }
}

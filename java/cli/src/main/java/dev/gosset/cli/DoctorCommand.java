package dev.gosset.cli;

import dev.gosset.core.GossetException;
import dev.gosset.core.blas.Blas;
import dev.gosset.core.kernel.Kernels;
import dev.gosset.llm.device.DeviceBackend;
import dev.gosset.llm.tokenizer.Tokenizer;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.function.Supplier;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** {@code gosset doctor}: what this machine and JVM offer, and what of it is used. */
@Command(
        name = "doctor",
        description = "Shows the JVM, the SIMD width, the chosen kernels and why, libraries and memory.")
final class DoctorCommand implements Runnable {
    @Mixin
    private CommonOptions common;

    @Override
    public void run() {
        Map<String, String> facts = new LinkedHashMap<>();
        Runtime runtime = Runtime.getRuntime();
        facts.put(
                "jvm",
                System.getProperty("java.vm.name") + " " + System.getProperty("java.vm.version") + " ("
                        + System.getProperty("java.home") + ")");
        facts.put(
                "system",
                System.getProperty("os.name") + " " + System.getProperty("os.arch") + ", "
                        + runtime.availableProcessors() + " processors" + processor());
        facts.put("simd", tried(DoctorCommand::simd));
        facts.put("kernels", tried(() -> String.join("; ", Kernels.selection())));
        facts.put("models", tried(() -> {
            Kernels.requireVectorApi("running a model");
            return "run, quantized too, on the vector kernels";
        }));
        facts.put("blas", tried(Blas::description));
        facts.put("tokenizers", tried(Tokenizer::library));
        for (DeviceBackend backend : DeviceBackend.all()) {
            facts.put(backend.name(), backend.description());
        }
        facts.put("memory", memory());
        facts.put("flags", String.join(" ", ManagementFactory.getRuntimeMXBean().getInputArguments()));
        if (common.json) {
            common.printJson(facts);
        } else {
            facts.forEach((name, value) -> System.out.printf(Locale.ROOT, "%-11s %s%n", name, value));
        }
    }

    private static String tried(Supplier<String> fact) {
        try {
            return fact.get();
        } catch (GossetException | LinkageError e) {
            return "not usable: " + e.getMessage();
        }
    }

    /** A class of its own, so that doctor runs where the Vector API is missing. */
    private static String simd() {
        return SimdWidth.description();
    }

    private static final class SimdWidth {
        static String description() {
            var species = jdk.incubator.vector.FloatVector.SPECIES_PREFERRED;
            return species.vectorBitSize() + " bits, " + species.length() + " floats";
        }
    }

    private static String processor() {
        Path cpu = Path.of("/proc/cpuinfo");
        try {
            if (!Files.isReadable(cpu)) {
                return "";
            }
            String text = Files.readString(cpu);
            String model = text.lines()
                    .filter(l -> l.startsWith("model name"))
                    .map(l -> l.substring(l.indexOf(':') + 1).strip())
                    .findFirst()
                    .orElse("unnamed processor");
            StringBuilder features = new StringBuilder();
            for (String feature : new String[] {"avx2", "avx512f", "avx512vbmi", "avx512_vnni"}) {
                if (text.contains(" " + feature + " ") || text.contains(" " + feature + "\n")) {
                    features.append(' ').append(feature);
                }
            }
            return ", " + model + (features.isEmpty() ? "" : ":" + features);
        } catch (IOException e) {
            return ", /proc/cpuinfo not readable: " + e.getMessage();
        }
    }

    private static String memory() {
        String heap = "heap up to " + Sizes.bytes(Runtime.getRuntime().maxMemory());
        if (ManagementFactory.getOperatingSystemMXBean() instanceof com.sun.management.OperatingSystemMXBean os) {
            return String.format(
                    Locale.ROOT,
                    "%s of %s free, %s",
                    Sizes.bytes(os.getFreeMemorySize()),
                    Sizes.bytes(os.getTotalMemorySize()),
                    heap);
        }
        return heap;
    }
}

package dev.gosset.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What a run must say of itself for its numbers to mean anything. */
final class Machine {
    private Machine() {}

    static Map<String, Object> describe() throws IOException {
        Map<String, Object> facts = new LinkedHashMap<>();
        facts.put("commit", commit());
        facts.put("jvm", System.getProperty("java.vm.name") + " " + System.getProperty("java.vm.version"));
        facts.put(
                "system",
                System.getProperty("os.name") + " " + System.getProperty("os.arch") + ", "
                        + Runtime.getRuntime().availableProcessors() + " processors");
        Path info = Path.of("/proc/cpuinfo");
        if (Files.isReadable(info)) {
            String text = Files.readString(info);
            for (String key : new String[] {"model name", "cpu family", "model", "cpu MHz"}) {
                facts.put("cpu " + key.replace("cpu ", ""), field(text, key));
            }
            StringBuilder features = new StringBuilder();
            List<String> flags = List.of(field(text, "flags").split(" "));
            for (String flag : new String[] {"avx2", "avx512f", "avx512vbmi", "avx512_vnni", "avx512_bitalg", "gfni"}) {
                if (flags.contains(flag)) {
                    features.append(features.isEmpty() ? "" : " ").append(flag);
                }
            }
            facts.put("cpu features", features.toString());
        }
        facts.put("load at the start", load());
        facts.put("C peer", CPeer.isPresent() ? (CPeer.hasVnni() ? "AVX-512 VNNI" : "plain") : CPeer.ABSENT);
        facts.put("llama.cpp peer", Ggml.isPresent() ? Ggml.variant() : Ggml.ABSENT);
        return facts;
    }

    /** Processes that run or wait, over 1, 5 and 15 minutes; where the system says. */
    static String load() throws IOException {
        Path load = Path.of("/proc/loadavg");
        return Files.isReadable(load) ? Files.readString(load).strip() : "unknown";
    }

    private static String field(String text, String key) {
        return text.lines()
                .filter(l -> l.matches(key + "\\s*:.*"))
                .map(l -> l.substring(l.indexOf(':') + 1).strip())
                .findFirst()
                .orElse("");
    }

    private static String commit() {
        try {
            Child.Result head = Child.run(List.of("git", "rev-parse", "--short=12", "HEAD"));
            Child.Result changes = Child.run(List.of("git", "status", "--porcelain", "--untracked-files=no"));
            return head.status() != 0
                    ? "unknown"
                    : head.output().strip() + (changes.output().isBlank() ? "" : " with changes");
        } catch (IOException e) {
            return "unknown: " + e.getMessage();
        }
    }
}

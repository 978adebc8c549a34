package dev.gosset.bench;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gosset.llm.io.Json;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** The peer of quantizing a layer: the same algorithm in PyTorch, src/peers/ldlq_torch.py, on one thread. */
final class Quantization {
    static final String TORCH = "PyTorch";

    private Quantization() {}

    /** The interpreter: variable {@code GOSSET_BENCH_PYTHON}, else python3. */
    private static String python() {
        String variable = System.getenv("GOSSET_BENCH_PYTHON");
        return variable == null || variable.isBlank() ? "python3" : variable;
    }

    /** Adds PyTorch's time to the entry of a layer. */
    static void addPeer(Entry entry, int rows, int cols, int passes) {
        String absent =
                "no PyTorch in " + (System.getenv("GOSSET_BENCH_PYTHON") == null ? "python3" : "$GOSSET_BENCH_PYTHON");
        try {
            if (Child.run(List.of(python(), "-c", "import torch"), 120).status() != 0) {
                entry.absent().put(TORCH, absent);
                return;
            }
            System.err.println("bench: quantize, PyTorch ...");
            List<String> command = new ArrayList<>(List.of(
                    python(),
                    Workplace.home().resolve("src/peers/ldlq_torch.py").toString()));
            for (int argument : new int[] {rows, cols, passes}) {
                command.add(Integer.toString(argument));
            }
            Child.Result result = Child.run(Child.pinned(1, command), 900);
            if (result.status() != 0) {
                entry.absent()
                        .put(TORCH, "its program failed: " + result.output().strip());
                return;
            }
            JsonNode json = Json.MAPPER.readTree(result.output());
            double nanos = json.get("seconds").asDouble() * 1e9 / ((double) rows * cols);
            entry.nanos().put(TORCH, new Race.Timing(nanos, nanos, nanos));
            entry.notes()
                    .add("PyTorch " + json.get("torch").asText() + ": parts measured once, the greedy pass times "
                            + passes + ": " + json.get("parts"));
        } catch (IOException e) {
            entry.absent().put(TORCH, absent + ": " + e.getMessage());
        }
    }
}

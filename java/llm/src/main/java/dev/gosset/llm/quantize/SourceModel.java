package dev.gosset.llm.quantize;

import dev.gosset.core.FormatException;
import dev.gosset.core.memory.Checksum;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.Progress;
import dev.gosset.llm.calibration.CalibrationText;
import dev.gosset.llm.cpu.StorageOptions;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.plan.ModelConfig;
import dev.gosset.llm.plan.ModelPlan;
import dev.gosset.llm.tokenizer.Tokenizer;
import dev.gosset.llm.weights.ModelDirectory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.CRC32C;

/** The original model of a quantization, its tensors told apart: linears to quantize, and the others to keep. */
final class SourceModel implements AutoCloseable {
    private final Model model;
    /** What {@link #check} found. */
    private String checksum;

    private SourceModel(Model model) {
        this.model = model;
    }

    static SourceModel open(Path directory, ThreadTeam team) {
        ModelDirectory.Kind kind = ModelDirectory.open(directory).kind();
        if (kind != ModelDirectory.Kind.ORIGINAL) {
            throw new FormatException(
                    directory + ": is already quantized (" + kind + "), expected an original model with full weights");
        }
        return new SourceModel(Model.open(directory, StorageOptions.defaults(), team));
    }

    Model model() {
        return model;
    }

    ModelConfig config() {
        return model.config();
    }

    ModelPlan plan() {
        return model.plan();
    }

    /** The weights of one linear. */
    Tensor weight(LinearGroup group, LinearGroup.Part part) {
        return model.weights().weight(group, part);
    }

    /** A tensor that is kept as it is, and what it is for. */
    record Kept(Tensor tensor, String role) {}

    /** Everything but the linears, in model order. */
    List<Kept> kept() {
        return plan().tensors().stream()
                .map(t -> new Kept(model.weights().tensor(t), t.role()))
                .toList();
    }

    /**
     * Reads every tensor once: fails where one holds NaN or infinity, and returns a checksum that tells this model from
     * another. A second call returns it at once.
     */
    String check(ThreadTeam team, Progress progress) {
        if (checksum != null) {
            return checksum;
        }
        List<Tensor> tensors = new ArrayList<>();
        kept().forEach(k -> tensors.add(k.tensor()));
        plan().groups().forEach(group -> group.parts().forEach(part -> tensors.add(weight(group, part))));
        progress.start("checking weights", tensors.size());
        long[] sums = new long[tensors.size()];
        for (int first = 0; first < sums.length; first += team.threads()) {
            int from = first;
            int count = Math.min(team.threads(), sums.length - first);
            team.run(
                    count,
                    i -> sums[from + i] =
                            Checksum.of(tensors.get(from + i).requireFinite().data()));
            for (int i = 0; i < count; i++) {
                progress.step("");
            }
        }
        progress.end();
        checksum = checksum(tensors, sums);
        return checksum;
    }

    /** One checksum of names, types, shapes and contents, whose own checksums are {@code sums}. */
    static String checksum(List<Tensor> tensors, long[] sums) {
        CRC32C all = new CRC32C();
        for (int i = 0; i < sums.length; i++) {
            Tensor t = tensors.get(i);
            String line = t.name() + " " + t.dtype() + " " + t.shape() + " " + sums[i] + "\n";
            all.update(line.getBytes(StandardCharsets.UTF_8));
        }
        return Checksum.text(all.getValue());
    }

    /**
     * The sequences of a text. The tokenizer, which goes into the result, is opened in any case.
     *
     * @param text null for none
     * @param out of the run; what the model writes itself is kept beside it
     */
    List<int[]> sequences(CalibrationText text, Path tokenizer, Path out, ThreadTeam team, Progress progress) {
        try (Tokenizer words = Tokenizer.open(tokenizer)) {
            return text == null
                    ? List.of()
                    : text.tokenize(
                            model.transformer(),
                            () -> check(team, progress),
                            words,
                            out.toAbsolutePath().getParent(),
                            team,
                            progress);
        }
    }

    @Override
    public void close() {
        model.close();
    }
}

package dev.gosset.llm.quantize;

import dev.gosset.core.FormatException;
import dev.gosset.core.memory.Checksum;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.Progress;
import dev.gosset.llm.model.LinearGroup;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.model.ModelConfig;
import dev.gosset.llm.model.ModelDirectory;
import dev.gosset.llm.model.StorageOptions;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.zip.CRC32C;

/** The original model of a quantization, its tensors told apart: linears to quantize, and the others to keep. */
final class SourceModel implements AutoCloseable {
    private final Model model;

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

    /** The weights of one linear. */
    Tensor weight(int layer, LinearGroup.Part part) {
        return model.weights().tensor(part.weight(layer));
    }

    /** A tensor that is kept as it is, and what it is for. */
    record Kept(Tensor tensor, String role) {}

    /** Everything but the linears, in model order. */
    List<Kept> kept() {
        List<Kept> kept = new ArrayList<>();
        add(kept, "model.embed_tokens.weight", "embedding");
        for (int layer = 0; layer < config().layers(); layer++) {
            String block = "model.layers." + layer + ".";
            add(kept, block + "input_layernorm.weight", "norm");
            add(kept, block + "post_attention_layernorm.weight", "norm");
            add(kept, block + "self_attn.q_norm.weight", "norm");
            add(kept, block + "self_attn.k_norm.weight", "norm");
            for (LinearGroup group : LinearGroup.values()) {
                if (group.hasBias(config())) {
                    for (LinearGroup.Part part : group.parts(config())) {
                        add(kept, part.bias(layer), "bias");
                    }
                }
            }
        }
        add(kept, "model.norm.weight", "norm");
        if (!config().tiedEmbeddings()) {
            add(kept, "lm_head.weight", "head");
        }
        return kept;
    }

    private void add(List<Kept> kept, String name, String role) {
        Optional<Tensor> tensor = model.weights().find(name);
        tensor.ifPresent(t -> kept.add(new Kept(t, role)));
    }

    /**
     * Reads every tensor once: fails where one holds NaN or infinity, and returns a checksum that tells this model from
     * another.
     */
    String check(ThreadTeam team, Progress progress) {
        List<Tensor> tensors = new ArrayList<>();
        kept().forEach(k -> tensors.add(k.tensor()));
        for (int layer = 0; layer < config().layers(); layer++) {
            for (LinearGroup group : LinearGroup.values()) {
                for (LinearGroup.Part part : group.parts(config())) {
                    tensors.add(weight(layer, part));
                }
            }
        }
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
        CRC32C all = new CRC32C();
        for (int i = 0; i < sums.length; i++) {
            Tensor t = tensors.get(i);
            String line = t.name() + " " + t.dtype() + " " + t.shape() + " " + sums[i] + "\n";
            all.update(line.getBytes(java.nio.charset.StandardCharsets.UTF_8));
        }
        return Checksum.text(all.getValue());
    }

    @Override
    public void close() {
        model.close();
    }
}

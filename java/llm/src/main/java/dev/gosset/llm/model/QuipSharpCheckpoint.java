package dev.gosset.llm.model;

import dev.gosset.core.FormatException;
import dev.gosset.core.codebook.QidxsLayout;
import dev.gosset.llm.io.JsonFile;
import dev.gosset.llm.io.Safetensors;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;

/**
 * A published QuIP# checkpoint, opened and checked but not unpacked: safetensors files with the linears of every block as
 * packed codes, and {@code quip_params} in config.json. Where {@code model.safetensors.index.json} lies in the directory
 * it alone says which shards belong to the model.
 *
 * <p>Immutable and thread-safe; the tensors are views that live as long as the arena.
 */
public final class QuipSharpCheckpoint {
    private final QuipParams params;
    private final Safetensors tensors;
    private final List<Map<LinearGroup, PublishedLinear>> linears;

    private QuipSharpCheckpoint(
            QuipParams params, Safetensors tensors, List<Map<LinearGroup, PublishedLinear>> linears) {
        this.params = params;
        this.tensors = tensors;
        this.linears = linears;
    }

    /**
     * Opens a checkpoint and checks every linear.
     *
     * @param arena owns the memory maps
     * @throws FormatException where anything is missing or malformed
     * @throws dev.gosset.core.UnsupportedModelException where the checkpoint was made in a way that Gosset does not know
     */
    public static QuipSharpCheckpoint open(Path directory, ModelConfig config, Arena arena) {
        QuipParams params = QuipParams.read(JsonFile.read(directory.resolve("config.json")));
        Safetensors tensors = Safetensors.open(directory, arena);
        List<Map<LinearGroup, PublishedLinear>> linears = new ArrayList<>();
        QidxsLayout layout = null;
        for (int layer = 0; layer < config.layers(); layer++) {
            Map<LinearGroup, PublishedLinear> block = new EnumMap<>(LinearGroup.class);
            for (LinearGroup group : LinearGroup.values()) {
                PublishedLinear linear = PublishedLinear.of(tensors, params, config, layer, group);
                if (layout != null && linear.layout() != layout) {
                    throw new FormatException(linear.qidxs() + " is "
                            + linear.layout().dtype() + ", expected " + layout.dtype() + " as in the linears before");
                }
                layout = linear.layout();
                block.put(group, linear);
            }
            linears.add(block);
        }
        return new QuipSharpCheckpoint(params, tensors, linears);
    }

    /** What config.json says about the codes. */
    public QuipParams params() {
        return params;
    }

    /** Every tensor of the checkpoint. */
    public Safetensors tensors() {
        return tensors;
    }

    /** How all codes are laid out. */
    public QidxsLayout layout() {
        return linears.getFirst().get(LinearGroup.O).layout();
    }

    /** A linear, checked. */
    public PublishedLinear linear(int layer, LinearGroup group) {
        return linears.get(layer).get(group);
    }
}

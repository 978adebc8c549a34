package dev.gosset.llm.weights;

import dev.gosset.core.FormatException;
import dev.gosset.core.codebook.QidxsLayout;
import dev.gosset.llm.io.JsonFile;
import dev.gosset.llm.io.Safetensors;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.plan.ModelPlan;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.LinkedHashMap;
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
    private final Map<LinearGroup, PublishedLinear> linears;

    private QuipSharpCheckpoint(QuipParams params, Safetensors tensors, Map<LinearGroup, PublishedLinear> linears) {
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
    public static QuipSharpCheckpoint open(Path directory, ModelPlan plan, Arena arena) {
        QuipParams params = QuipParams.read(JsonFile.read(directory.resolve("config.json")));
        Safetensors tensors = Safetensors.open(directory, arena);
        Map<LinearGroup, PublishedLinear> linears = new LinkedHashMap<>();
        QidxsLayout layout = null;
        for (LinearGroup group : plan.groups()) {
            PublishedLinear linear = PublishedLinear.of(tensors, params, group);
            if (layout != null && linear.layout() != layout) {
                throw new FormatException(linear.qidxs() + " is "
                        + linear.layout().dtype() + ", expected " + layout.dtype() + " as in the linears before");
            }
            layout = linear.layout();
            linears.put(group, linear);
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
        return linears.values().iterator().next().layout();
    }

    /** A linear, checked. */
    public PublishedLinear linear(LinearGroup group) {
        return linears.get(group);
    }
}

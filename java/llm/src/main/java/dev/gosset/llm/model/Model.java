package dev.gosset.llm.model;

import dev.gosset.core.kernel.Kernels;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.cpu.Preparation;
import dev.gosset.llm.cpu.StorageOptions;
import dev.gosset.llm.cpu.Transformer;
import dev.gosset.llm.plan.ModelConfig;
import dev.gosset.llm.plan.ModelPlan;
import dev.gosset.llm.weights.ModelDirectory;
import dev.gosset.llm.weights.WeightSource;
import java.lang.foreign.Arena;
import java.nio.file.Path;

/**
 * A model opened from a directory, ready to run, with the one arena that owns its memory maps. Thread-safe until closed;
 * close it when no pass runs any more.
 */
public final class Model implements AutoCloseable {
    private final ModelDirectory directory;
    private final Arena arena = Arena.ofShared();
    private final ThreadTeam team;
    private final WeightSource weights;
    private final ModelPlan plan;
    private final StorageOptions storage;
    private Transformer transformer;

    private Model(ModelDirectory directory, StorageOptions storage, ThreadTeam team) {
        this.directory = directory;
        this.storage = storage;
        this.team = team;
        this.plan = directory.config().plan();
        try {
            this.weights = directory.weights(arena, team);
        } catch (RuntimeException e) {
            arena.close();
            throw e;
        }
    }

    /**
     * Opens an original model, a Gosset model or a published QuIP# checkpoint, with one thread for every processor.
     *
     * @throws dev.gosset.core.FormatException where the directory holds something it must not
     * @throws dev.gosset.core.UnsupportedModelException where it holds a model that Gosset does not know
     * @throws dev.gosset.core.GossetException where the JVM was started without the Vector API
     */
    public static Model open(Path path) {
        return open(path, StorageOptions.defaults());
    }

    /** As {@link #open(Path)}, with the head and the key-value caches kept as {@code storage} says. */
    public static Model open(Path path, StorageOptions storage) {
        try (ThreadTeam team = ThreadTeam.ofProcessors()) {
            return open(path, storage, team);
        }
    }

    /**
     * As {@link #open(Path, StorageOptions)}, on the threads of a team and no others.
     *
     * @param team stays the caller's
     */
    public static Model open(Path path, StorageOptions storage, ThreadTeam team) {
        return open(path, storage, team, Kernels.selected());
    }

    /**
     * As {@link #open(Path, StorageOptions, ThreadTeam)}, with other kernels for quantized linears than this JVM's: the reference that
     * their rounding is measured against.
     */
    public static Model open(Path path, StorageOptions storage, ThreadTeam team, Kernels kernels) {
        Kernels.requireVectorApi("running a model");
        Model model = new Model(ModelDirectory.open(path), storage, team);
        try {
            model.prepare(kernels);
            return model;
        } catch (RuntimeException e) {
            model.close();
            throw e;
        }
    }

    /**
     * Opens the stored weights alone, for a device that copies them: nothing is prepared for the processor, and what only
     * {@link Transformer#over} checks is checked when {@link #transformer} is first called.
     *
     * @param storage for {@link #transformer}
     * @param team does what is to be done when weights are asked for; stays the caller's
     * @throws dev.gosset.core.FormatException where the directory holds something it must not
     * @throws dev.gosset.core.UnsupportedModelException where it holds a model that Gosset does not know
     */
    public static Model openStored(Path path, StorageOptions storage, ThreadTeam team) {
        return new Model(ModelDirectory.open(path), storage, team);
    }

    /** {@link #openStored(Path, StorageOptions, ThreadTeam)} with the default storage. */
    public static Model openStored(Path path, ThreadTeam team) {
        return openStored(path, StorageOptions.defaults(), team);
    }

    private void prepare(Kernels kernels) {
        transformer = Transformer.over(config(), weights, storage, new Preparation(kernels, arena, team));
    }

    public ModelDirectory directory() {
        return directory;
    }

    public ModelConfig config() {
        return directory.config();
    }

    /** What the model computes. */
    public ModelPlan plan() {
        return plan;
    }

    /** The model ready to run on the processor. */
    public synchronized Transformer transformer() {
        if (transformer == null) {
            Kernels.requireVectorApi("running a model");
            prepare(Kernels.selected());
        }
        return transformer;
    }

    /** The stored weights: what a quantizer reads. */
    public WeightSource weights() {
        return weights;
    }

    @Override
    public void close() {
        arena.close();
    }
}

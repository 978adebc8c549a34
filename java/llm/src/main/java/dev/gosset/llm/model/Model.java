package dev.gosset.llm.model;

import dev.gosset.core.kernel.Kernels;
import java.lang.foreign.Arena;
import java.nio.file.Path;

/**
 * A model opened from a directory, ready to run, with the one arena that owns its memory maps. Thread-safe until closed;
 * close it when no pass runs any more.
 */
public final class Model implements AutoCloseable {
    private final ModelDirectory directory;
    private final Arena arena = Arena.ofShared();
    private final WeightSource weights;
    private final StorageOptions storage;
    private Transformer transformer;

    private Model(ModelDirectory directory, StorageOptions storage, boolean prepare) {
        this.directory = directory;
        this.storage = storage;
        try {
            this.weights = directory.weights(arena);
            this.transformer = prepare ? Transformer.over(directory.config(), weights, storage, arena) : null;
        } catch (RuntimeException e) {
            arena.close();
            throw e;
        }
    }

    /**
     * Opens an original model, a Gosset model or a published QuIP# checkpoint.
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
        Kernels.requireVectorApi("running a model");
        return new Model(ModelDirectory.open(path), storage, true);
    }

    /**
     * Opens the stored weights alone, for a device that copies them: nothing is prepared for the processor, and what only
     * {@link Transformer#over} checks is checked when {@link #transformer} is first called.
     *
     * @throws dev.gosset.core.FormatException where the directory holds something it must not
     * @throws dev.gosset.core.UnsupportedModelException where it holds a model that Gosset does not know
     */
    public static Model openStored(Path path) {
        return openStored(path, StorageOptions.defaults());
    }

    /** As {@link #openStored(Path)}, with {@code storage} for {@link #transformer}. */
    public static Model openStored(Path path, StorageOptions storage) {
        return new Model(ModelDirectory.open(path), storage, false);
    }

    public ModelDirectory directory() {
        return directory;
    }

    public ModelConfig config() {
        return directory.config();
    }

    /** The model ready to run on the processor. */
    public synchronized Transformer transformer() {
        if (transformer == null) {
            Kernels.requireVectorApi("running a model");
            transformer = Transformer.over(config(), weights, storage, arena);
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

package dev.gosset.llm.quantize;

import dev.gosset.core.memory.Closing;
import dev.gosset.core.memory.Construction;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.calibration.CalibrationActivations;
import dev.gosset.llm.model.Model;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The hidden states of the sequences that tune before and behind one block of the original model, carried through it block by block.
 * Not thread-safe.
 */
final class TuningActivations implements AutoCloseable {
    private final Model model;
    private final List<CalibrationActivations> both = new ArrayList<>();

    TuningActivations(Model model, List<int[]> sequences, Path directory) {
        this.model = model;
        try (Construction construction = new Construction(this::close)) {
            for (int i = 0; i < 2; i++) {
                both.add(new CalibrationActivations(model.transformer(), sequences, directory));
            }
            construction.done();
        }
    }

    /** On to a block, the next or the first: what it got and what it makes of that. */
    void advance(int layer, Workspace workspace, Runnable afterSequence) {
        if (layer > 0) {
            both.add(both.removeFirst());
        }
        inputs().advanceInto(targets(), model.transformer().block(layer), workspace, afterSequence);
    }

    CalibrationActivations inputs() {
        return both.getFirst();
    }

    CalibrationActivations targets() {
        return both.getLast();
    }

    @Override
    public void close() {
        Closing.all(both);
    }
}

package dev.gosset.llm.finetune;

import dev.gosset.core.FormatException;
import dev.gosset.core.memory.WeightFile;
import dev.gosset.core.memory.WeightFileWriter;
import dev.gosset.core.parallel.ThreadTeam;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * The loop of Adam: validation before the first step and after each epoch, the best state
 * kept, so that none is ever worse than the first. A step whose loss or gradient is not finite is left out and halves the rate; the
 * fifth ends the run. With a file the state is kept after each epoch, whole or not at all, and a run begun again goes on from there
 * to the same bits. Source: spec/fine-tuning.md, section 6.
 */
final class AdamLoop {
    private static final Parameters.Adam ADAM = new Parameters.Adam(0.9, 0.95, 1e-8);
    /** Validations without improvement that end a run. */
    private static final int PATIENCE = 3;

    private static final int MOST_SKIPPED = 5;

    private final Parameters parameters;
    private final Work work;
    private final TuningSettings settings;
    private final ThreadTeam team;
    private int epoch;
    private int steps;
    private int skipped;
    private int stale;
    private double factor = 1;
    private double before;
    private double best;

    /** What is tuned. */
    interface Work {
        /** Adds the gradients of a step; returns its mean loss. */
        double train(int[] sequences);

        /** The mean loss of the validation sequences. */
        double validate();

        /** Called after every step, left out or not. */
        void stepped(double loss, double validated);
    }

    AdamLoop(Parameters parameters, Work work, TuningSettings settings, ThreadTeam team) {
        this.parameters = parameters;
        this.work = work;
        this.settings = settings;
        this.team = team;
    }

    /** Steps of an epoch. */
    static int stepsOf(int sequences, TuningSettings settings) {
        return Math.ceilDiv(sequences, settings.batch());
    }

    /**
     * @param sequences how many train
     * @param name in messages
     * @param state where the state is kept; null for nowhere
     */
    TuningReport run(int sequences, String name, Path state) {
        long started = System.nanoTime();
        int all = settings.epochs() * stepsOf(sequences, settings);
        if (state != null && Files.exists(state)) {
            read(state);
            for (int i = 0; i < epoch * stepsOf(sequences, settings); i++) {
                work.stepped(best, best);
            }
        } else {
            parameters.round(team);
            before = work.validate();
            best = before;
            if (!Double.isFinite(before)) {
                throw new FormatException(name + ": the loss before fine-tuning is " + before
                        + ", expected a finite number: is the quantized model whole?");
            }
        }
        while (epoch < settings.epochs() && stale < PATIENCE && skipped < MOST_SKIPPED) {
            int[] order = shuffled(sequences);
            for (int first = 0; first < sequences && skipped < MOST_SKIPPED; first += settings.batch()) {
                int[] batch = Arrays.copyOfRange(order, first, Math.min(sequences, first + settings.batch()));
                parameters.zeroGradients(team);
                double loss = work.train(batch);
                if (Double.isFinite(loss) && parameters.gradientsAreFinite()) {
                    parameters.step(team, factor * settings.schedule(steps, all), ADAM);
                    steps++;
                } else {
                    skipped++;
                    factor /= 2;
                }
                work.stepped(loss, best);
            }
            epoch++;
            double loss = skipped < MOST_SKIPPED ? work.validate() : Double.NaN;
            if (loss < best) {
                best = loss;
                stale = 0;
                parameters.keep();
            } else {
                stale++;
            }
            if (state != null) {
                write(state);
            }
        }
        parameters.restore(team);
        return new TuningReport(before, best, steps, skipped, (System.nanoTime() - started) / 1e9);
    }

    private int[] shuffled(int count) {
        SplittableRandom random = new SplittableRandom(settings.seed() * 1_000_003L + epoch);
        int[] order = new int[count];
        for (int i = 0; i < count; i++) {
            int j = random.nextInt(i + 1);
            order[i] = order[j];
            order[j] = i;
        }
        return order;
    }

    private void write(Path file) {
        Map<String, String> numbers = new LinkedHashMap<>();
        numbers.put("epoch", Integer.toString(epoch));
        numbers.put("steps", Integer.toString(steps));
        numbers.put("skipped", Integer.toString(skipped));
        numbers.put("stale", Integer.toString(stale));
        numbers.put("factor", Double.toHexString(factor));
        numbers.put("before", Double.toHexString(before));
        numbers.put("best", Double.toHexString(best));
        try (WeightFileWriter writer = WeightFileWriter.create(file, numbers)) {
            parameters.write(writer);
            writer.commit();
        }
    }

    private void read(Path file) {
        try (Arena arena = Arena.ofShared()) {
            WeightFile stored = WeightFile.open(file, arena);
            Map<String, String> numbers = stored.metadata();
            epoch = Integer.parseInt(numbers.get("epoch"));
            steps = Integer.parseInt(numbers.get("steps"));
            skipped = Integer.parseInt(numbers.get("skipped"));
            stale = Integer.parseInt(numbers.get("stale"));
            factor = Double.parseDouble(numbers.get("factor"));
            before = Double.parseDouble(numbers.get("before"));
            best = Double.parseDouble(numbers.get("best"));
            parameters.read(stored, steps, team);
        } catch (NumberFormatException | NullPointerException e) {
            throw new FormatException(file + ": is not the state of a fine-tuning: " + e.getMessage(), e);
        }
    }
}

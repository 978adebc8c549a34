package dev.gosset.cli;

import dev.gosset.core.DeviceException;
import dev.gosset.core.UnsupportedModelException;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.cpu.StorageOptions;
import dev.gosset.llm.device.Batch;
import dev.gosset.llm.device.Device;
import dev.gosset.llm.device.DeviceBackend;
import dev.gosset.llm.device.LoadedModel;
import dev.gosset.llm.generate.CpuModel;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.model.ModelSummary;
import dev.gosset.llm.plan.ModelConfig;
import dev.gosset.llm.sampling.Sampler;
import dev.gosset.llm.sampling.Sampling;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/**
 * A whole model on the processor and on every device of this program: prefill, and decoding of 1, 4 and 16 sequences side by
 * side, each beside what the memory's bandwidth would allow.
 */
final class ModelBenchmark {
    private static final int[] BATCHES = {1, 4, 16};
    private static final int SHORT_PROMPT = 16;
    private static final int LONG_PROMPT = 512;
    private static final int TOKENS = 32;
    /** Steps that may pass until the last of many sequences has begun. */
    private static final int BEGINNING = 128;

    private final Device asked;
    private final Model model;
    private final ThreadTeam team;
    private final StorageOptions storage;
    private final ModelConfig config;
    /** Bytes of all linears, as stored. */
    private final double linearBytes;

    private final double headBytes;

    /**
     * One measurement, or why there is none.
     *
     * @param device where it ran
     * @param what {@code prefill} or {@code decode}
     * @param batch sequences side by side
     * @param rate tokens a second, of all sequences together
     * @param bytesPerToken that decoding must read: linears, head, and keys and values at the mean position, over the batch;
     *     NaN for prefill
     * @param ofBandwidth the part of the rate that reading them at the measured bandwidth would allow; NaN for prefill
     * @param peakBytes of the device's own memory, 0 on the processor
     * @param reason why nothing was measured, or null
     */
    record Figure(
            String device,
            String what,
            int batch,
            double rate,
            double bytesPerToken,
            double ofBandwidth,
            long peakBytes,
            String reason) {
        static Figure missing(String device, String reason) {
            return new Figure(device, "model", 0, Double.NaN, Double.NaN, Double.NaN, 0, reason);
        }

        Map<String, Object> fields() {
            Map<String, Object> fields = new LinkedHashMap<>();
            fields.put("device", device);
            if (reason != null) {
                fields.put("not_measured", reason);
                return fields;
            }
            fields.put("what", what);
            fields.put("batch", batch);
            fields.put("tokens_per_second", rate);
            if (!Double.isNaN(bytesPerToken)) {
                fields.put("bytes_per_token", bytesPerToken);
                fields.put("of_bandwidth", ofBandwidth);
            }
            fields.put("peak_device_bytes", peakBytes);
            return fields;
        }

        String line() {
            if (reason != null) {
                return String.format(Locale.ROOT, "%-8s  not measured: %s", device, reason);
            }
            return String.format(
                    Locale.ROOT,
                    "%-8s  %-8s %5d  %10.1f tokens/s  %s%s",
                    device,
                    what,
                    batch,
                    rate,
                    Double.isNaN(bytesPerToken)
                            ? ""
                            : String.format(
                                    Locale.ROOT,
                                    "%.2f MB/token, %.0f%% of bandwidth",
                                    bytesPerToken / 1e6,
                                    100 * ofBandwidth),
                    peakBytes == 0 ? "" : ", peak " + Sizes.bytes(peakBytes));
        }
    }

    /**
     * @param device which device of its kind is measured, and must be there; the first of each kind where it is the processor
     */
    ModelBenchmark(Model model, ThreadTeam team, Device device, StorageOptions storage) {
        this.asked = device;
        this.model = model;
        this.team = team;
        this.storage = storage;
        this.config = model.config();
        if (config.maxPositions() < SHORT_PROMPT + TOKENS) {
            throw new UnsupportedModelException(model.directory().path() + ": has " + config.maxPositions()
                    + " positions, measuring needs at least " + (SHORT_PROMPT + TOKENS));
        }
        ModelSummary summary = ModelSummary.of(model.directory().path());
        linearBytes = summary.linearWeights() * summary.linearBitsPerWeight() / 8;
        String head = config.tiedEmbeddings() ? "model.embed_tokens.weight" : "lm_head.weight";
        headBytes = summary.entries().stream()
                .filter(e -> e.name().equals(head))
                .mapToLong(ModelSummary.Entry::bytes)
                .sum();
    }

    /**
     * Measures everywhere.
     *
     * @param cpuBandwidth bytes a second that the processor's threads read from memory
     */
    List<Figure> measure(double cpuBandwidth) {
        if (!asked.isCpu()) {
            DeviceBackend.require(asked);
        }
        List<Figure> figures = new ArrayList<>();
        try (LoadedModel cpu = new CpuModel(model.transformer(), team)) {
            figures.addAll(measure(cpu, "cpu", cpuBandwidth));
        }
        for (DeviceBackend backend : DeviceBackend.all()) {
            if (!backend.isUsable()) {
                figures.add(Figure.missing(backend.name(), backend.description()));
                continue;
            }
            int index = backend.name().equals(asked.kind()) ? asked.index() : 0;
            String device = new Device(backend.name(), index).toString();
            double bandwidth = backend.copyBandwidth(index);
            try (LoadedModel loaded = backend.load(model, index, storage, team)) {
                figures.addAll(measure(loaded, device, bandwidth));
            } catch (DeviceException | UnsupportedModelException e) {
                figures.add(Figure.missing(device, e.getMessage()));
            }
        }
        return figures;
    }

    private List<Figure> measure(LoadedModel loaded, String device, double bandwidth) {
        List<Figure> figures = new ArrayList<>();
        double head = storage.byteHead() ? (double) config.vocabularySize() * config.hiddenSize() : headBytes;
        double cacheBytes = 2.0 * storage.cache().bytes();
        int prompt = Math.min(LONG_PROMPT, config.maxPositions() - 1);
        double prefill = prefillRate(loaded, prompt);
        figures.add(new Figure(device, "prefill", 1, prefill, Double.NaN, Double.NaN, loaded.peakDeviceBytes(), null));
        for (int batch : BATCHES) {
            double rate = decodeRate(loaded, batch);
            // Keys and values of every position so far.
            double cache = cacheBytes * config.layers() * config.keyValueSize() * (SHORT_PROMPT + TOKENS / 2);
            // The processor runs the sequences one after the other and reads the weights for each.
            int shared = loaded.device().isCpu() ? 1 : batch;
            double bytes = (linearBytes + head) / shared + cache;
            figures.add(new Figure(
                    device, "decode", batch, rate, bytes, rate * bytes / bandwidth, loaded.peakDeviceBytes(), null));
        }
        return figures;
    }

    private int[] prompt(int length, int seed) {
        int[] tokens = new int[length];
        for (int i = 0; i < length; i++) {
            tokens[i] = (int) ((i + 31L * seed + 1) * 7919 % config.vocabularySize());
        }
        return tokens;
    }

    /** Tokens of a prompt a second, to the first sampled token; the faster of two. */
    private double prefillRate(LoadedModel loaded, int length) {
        double best = 0;
        try (Batch batch = loaded.batch(1, length)) {
            for (int round = 0; round < 2; round++) {
                long start = System.nanoTime();
                Batch.Sequence sequence = admit(batch, prompt(length, round), 1);
                while (batch.step().isEmpty()) {
                    // Pieces of the prompt.
                }
                best = Math.max(best, 1e9 * length / (System.nanoTime() - start));
                batch.release(sequence);
            }
        }
        return best;
    }

    private static Batch.Sequence admit(Batch batch, int[] prompt, int most) {
        return batch.admit(prompt, new Sampler(Sampling.greedy()), most)
                .orElseThrow(
                        () -> new DeviceException("there is no memory for the keys and values of so many sequences"));
    }

    /** Sampled tokens a second, all sequences together, once all have begun; the faster of two. */
    private double decodeRate(LoadedModel loaded, int sequences) {
        double best = 0;
        int context = SHORT_PROMPT + BEGINNING + TOKENS;
        for (int round = 0; round < 2; round++) {
            try (Batch batch = loaded.batch(sequences, context)) {
                Set<Batch.Sequence> waiting = new HashSet<>();
                for (int s = 0; s < sequences; s++) {
                    waiting.add(admit(batch, prompt(SHORT_PROMPT, s), context - SHORT_PROMPT));
                }
                while (!waiting.isEmpty()) {
                    batch.step().forEach(d -> waiting.remove(d.sequence()));
                }
                long start = System.nanoTime();
                int tokens = 0;
                for (int i = 0; i < TOKENS; i++) {
                    tokens += batch.step().size();
                }
                best = Math.max(best, 1e9 * tokens / (System.nanoTime() - start));
            }
        }
        return best;
    }
}

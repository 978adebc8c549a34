package dev.gosset.llm.quantize;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.core.blas.Blas;
import dev.gosset.core.kernel.Kernels;
import dev.gosset.core.memory.Checksum;
import dev.gosset.core.rounding.Hessian;
import dev.gosset.core.rounding.RoundingSettings;
import dev.gosset.core.rounding.TransformChoice;
import dev.gosset.llm.device.Device;
import dev.gosset.llm.plan.ModelConfig;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.zip.CRC32C;

/**
 * Everything that decides the bytes of a quantization, by name: settings, checksums of all that was read, and what computed.
 * Two runs of equal records give the same bytes, and only such two may share finished blocks. Immutable.
 *
 * @param fields texts, numbers, and maps of texts for what there are several of
 */
record RunRecord(Map<String, Object> fields) {
    private static final String HESSIANS = "hessians_crc32c";
    private static final String FILES = "files_crc32c";
    private static final String COMPUTED_WITH = "computed_with";

    /**
     * @param model checksum of the weights
     * @param files what is copied
     * @param sequences the calibration tokens, where Hessians are not given
     * @param tuning those that tune, where there is fine-tuning
     * @param hessians checksums of the Hessians by file, where they are
     * @param device the kind of device that computes
     */
    static RunRecord of(
            QuantizationSettings settings,
            ModelConfig config,
            String model,
            CopiedFiles files,
            List<int[]> sequences,
            List<int[]> tuning,
            Map<String, String> hessians,
            Device device) {
        RoundingSettings rounding = settings.rounding();
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("model_crc32c", model);
        fields.put("codebook", rounding.codebook().name());
        fields.put("scale", rounding.scale());
        if (rounding.beam() > 0) {
            fields.put("beam", rounding.beam());
        }
        fields.put("greedy_passes", rounding.greedyPasses());
        fields.put("sigma", rounding.sigma());
        fields.put("rescale", rounding.rescale());
        fields.put("precision", rounding.precision().name());
        if (rounding.transform() != TransformChoice.AUTO) {
            fields.put("transform", rounding.transform().toString());
        }
        if (settings.twoSided()) {
            fields.put("hessian", "two-sided");
        }
        fields.put("seed", settings.seed());
        if (settings.hessians() == null) {
            fields.put("calibration_sequences", sequences.size());
            fields.put("calibration_context", settings.calibration().contextFor(config));
            fields.put("calibration_tokens_crc32c", checksum(sequences));
        } else {
            fields.put(HESSIANS, hessians);
        }
        if (settings.finetuning() != null) {
            fields.putAll(settings.finetuning().fields());
            fields.put("tuning_sequences", tuning.size());
            fields.put("tuning_context", tuning.getFirst().length);
            fields.put("tuning_tokens_crc32c", checksum(tuning));
        }
        if (!device.isCpu()) {
            fields.put("device", device.kind());
        }
        fields.put(FILES, files.checksums());
        fields.put(COMPUTED_WITH, computedWith());
        return new RunRecord(fields);
    }

    /** What computes, in one order whatever the process. */
    static Map<String, String> computedWith() {
        Map<String, String> computedWith = new LinkedHashMap<>();
        computedWith.put("kernels", Kernels.description());
        computedWith.put("blas", Blas.build());
        return computedWith;
    }

    /** The checksum of tokens. */
    static String checksum(List<int[]> sequences) {
        CRC32C crc = new CRC32C();
        for (int[] sequence : sequences) {
            ByteBuffer bytes = ByteBuffer.allocate(4 * sequence.length);
            bytes.asIntBuffer().put(sequence);
            crc.update(bytes);
        }
        return Checksum.text(crc.getValue());
    }

    /** The checksum of a Hessian. */
    static String checksum(Hessian hessian) {
        byte[] tokens = ByteBuffer.allocate(8).putLong(hessian.tokens()).array();
        return Checksum.text(Checksum.of(hessian.lowerTriangle(), hessian.mu(), MemorySegment.ofArray(tokens)));
    }

    /** The checksum of the Hessian in a file, by its name. */
    String hessian(String file) {
        return ((Map<?, ?>) fields.get(HESSIANS)).get(file).toString();
    }

    /** The single values, which stand in the weight file too. */
    Map<String, String> texts() {
        Map<String, String> texts = new LinkedHashMap<>();
        fields.forEach((name, value) -> {
            if (!(value instanceof Map)) {
                texts.put(name, value.toString());
            }
        });
        return texts;
    }

    byte[] toJson() {
        try {
            return QuantizationReport.JSON.writeValueAsBytes(fields);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("a record does not convert to JSON", e);
        }
    }

    /** What differs first between another run, as {@link #toJson} wrote it, and this one; empty where nothing does. */
    Optional<String> differenceTo(JsonNode other) {
        return difference("", other, QuantizationReport.JSON.valueToTree(fields));
    }

    /** As {@link #differenceTo}, but without what computed: for results that are finished. */
    Optional<String> inputDifferenceTo(JsonNode other) {
        Map<String, Object> inputs = new LinkedHashMap<>(fields);
        inputs.remove(COMPUTED_WITH);
        JsonNode found = other.deepCopy();
        if (found instanceof ObjectNode o) {
            o.remove(COMPUTED_WITH);
        }
        return difference("", found, QuantizationReport.JSON.valueToTree(inputs));
    }

    private static Optional<String> difference(String prefix, JsonNode found, JsonNode wanted) {
        Set<String> keys = new LinkedHashSet<>();
        wanted.fieldNames().forEachRemaining(keys::add);
        found.fieldNames().forEachRemaining(keys::add);
        for (String key : keys) {
            JsonNode was = found.path(key);
            JsonNode is = wanted.path(key);
            if (was.isObject() && is.isObject()) {
                Optional<String> inside = difference(prefix + key + ".", was, is);
                if (inside.isPresent()) {
                    return inside;
                }
                continue;
            }
            // Through text, so that 1 and 1L are the same number.
            if (!was.toString().equals(is.toString())) {
                return Optional.of(prefix + key + " = " + text(was) + ", this one has " + text(is));
            }
        }
        return Optional.empty();
    }

    private static String text(JsonNode value) {
        return value.isMissingNode() ? "nothing" : value.isObject() ? "several values" : value.toString();
    }
}

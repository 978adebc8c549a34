package dev.gosset.llm.quantize;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.gosset.llm.finetune.TuningReport;
import java.util.List;
import java.util.Map;

/**
 * What a quantization did.
 *
 * @param settings what decided the result, by name
 * @param linears one entry for every stack of linears, in model order
 * @param weights the number of quantized weights
 * @param bitsPerWeight of the quantized linears, sign vectors and scales included
 * @param meanProxyError mean of the linears' proxy errors
 * @param meanFrobeniusError mean of the linears' Frobenius errors
 * @param bytes size of the whole weight file
 * @param seconds wall time of the run; of this run alone where it was resumed
 * @param devices the devices that were used; empty for the processor
 * @param tuning what every run of fine-tuning did, in their order; empty without it
 */
public record QuantizationReport(
        Map<String, Object> settings,
        List<LinearReport> linears,
        long weights,
        double bitsPerWeight,
        double meanProxyError,
        double meanFrobeniusError,
        long bytes,
        double seconds,
        List<DeviceReport> devices,
        List<TunedReport> tuning) {
    public QuantizationReport {
        // Reports of the time before there were devices, or fine-tuning.
        devices = devices == null ? List.of() : List.copyOf(devices);
        tuning = tuning == null ? List.of() : List.copyOf(tuning);
    }

    /**
     * A run of fine-tuning.
     *
     * @param name what was tuned: a block after the rounding of a stack of linears, by the stack's name, or {@code model}
     * @param result its losses are the squared error of the block's output as a part of what the block changes, or the model's
     *     divergence from the original in nats per token
     */
    public record TunedReport(String name, TuningReport result) {}

    /** What lies beside a finished block. */
    record BlockReport(List<LinearReport> linears, List<TunedReport> tuning) {}

    /**
     * A device.
     *
     * @param name number and name
     * @param peakBytes the most bytes of its memory that the run held at a time
     */
    public record DeviceReport(String name, long peakBytes) {}

    /**
     * One stack of linears.
     *
     * @param name its name in the model, such as {@code model.layers.0.self_attn.qkv_proj}
     * @param rows outputs
     * @param cols inputs
     * @param codebook the codebook's name
     * @param proxyError {@code tr((What - W) H (What - W)^T) / tr(W H W^T)}
     * @param frobeniusError {@code |What - W|^2 / |W|^2}
     * @param float64 whether float32 failed and float64 was used
     * @param tokens of calibration that its Hessian is of
     * @param filledUp whether that Hessian was filled up with what others saw, as a router chose it for fewer tokens than it has
     *     inputs
     * @param expectedLoss with two-sided Hessians: what they were expected to leave of the loss of held-out tokens, as a part of what one
     *     side leaves. Where it is not below 1 the stack was rounded by one side. Else null
     * @param seconds time for this stack
     */
    public record LinearReport(
            String name,
            int rows,
            int cols,
            String codebook,
            double proxyError,
            double frobeniusError,
            boolean float64,
            long tokens,
            boolean filledUp,
            @JsonInclude(JsonInclude.Include.NON_NULL) Double expectedLoss,
            double seconds) {
        /** Whether it was rounded by the Hessians of both sides. */
        public boolean twoSided() {
            return expectedLoss != null && expectedLoss < 1;
        }
    }

    /** Names in snake case, as everywhere in our JSON. */
    static final ObjectMapper JSON = JsonMapper.builder()
            .enable(SerializationFeature.INDENT_OUTPUT)
            .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
            .build();

    /** The same of a model that was tuned as a whole. */
    QuantizationReport tuned(List<TunedReport> runs, long fileBytes, double allSeconds) {
        return new QuantizationReport(
                settings,
                linears,
                weights,
                bitsPerWeight,
                meanProxyError,
                meanFrobeniusError,
                fileBytes,
                allSeconds,
                devices,
                runs);
    }

    /** This report as a JSON object, UTF-8. */
    public byte[] toJson() {
        return bytes(this);
    }

    /** A value of ours as JSON, UTF-8. */
    static byte[] bytes(Object value) {
        try {
            return JSON.writeValueAsBytes(value);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("a report does not convert to JSON", e);
        }
    }
}

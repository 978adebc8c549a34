package dev.gosset.llm.convert;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.UnsupportedModelException;
import dev.gosset.core.codebook.QidxsLayout;
import dev.gosset.core.memory.QuantizedLinears;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.memory.WeightFileWriter;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.Progress;
import dev.gosset.llm.io.Json;
import dev.gosset.llm.io.Safetensors;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.plan.ModelPlan;
import dev.gosset.llm.plan.TensorPlan;
import dev.gosset.llm.weights.GossetWeights;
import dev.gosset.llm.weights.ModelDirectory;
import dev.gosset.llm.weights.OriginalWeights;
import dev.gosset.llm.weights.PublishedLinear;
import dev.gosset.llm.weights.QuipParams;
import dev.gosset.llm.weights.QuipSharpCheckpoint;
import dev.gosset.llm.weights.WeightSource;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * A published checkpoint to a Gosset model. What {@link QuipSharpExport} would not make again from the rows of a quantized
 * linear is kept beside them under its own name, with the role {@value #PUBLISHED}; the parameters of the checkpoint go to
 * the metadata of the weight file. docs/formats.md describes both.
 */
final class GossetImport {
    /** The role of tensors that only the way back reads. */
    static final String PUBLISHED = "published";

    /** Metadata: {@code quip_params} as it was. */
    static final String PARAMS = "quip_sharp.params";

    /** Metadata: the element type of the packed codes. */
    static final String QIDXS = "quip_sharp.qidxs";

    /** Metadata: names, on lines, of the tensors that the checkpoint did without. */
    static final String WITHOUT = "quip_sharp.without";

    private final ModelDirectory directory;
    private final ThreadTeam team;
    private final QuipSharpCheckpoint checkpoint;

    /** What the checkpoint has and the linears do not account for, by the linear's name. */
    private final Map<String, List<Tensor>> published = new LinkedHashMap<>();

    private final List<String> without = new ArrayList<>();
    private final Set<String> seen = new HashSet<>();

    private GossetImport(ModelDirectory directory, ThreadTeam team, QuipSharpCheckpoint checkpoint) {
        this.directory = directory;
        this.team = team;
        this.checkpoint = checkpoint;
    }

    static ModelConversion.Written write(ModelDirectory directory, Path out, ThreadTeam team, Progress progress) {
        try (Arena arena = Arena.ofShared()) {
            QuipSharpCheckpoint checkpoint = QuipSharpCheckpoint.open(
                    directory.path(), directory.config().plan(), arena);
            return new GossetImport(directory, team, checkpoint).write(out, progress);
        }
    }

    private ModelConversion.Written write(Path out, Progress progress) {
        ModelPlan plan = directory.config().plan();
        ObjectNode json = (ObjectNode) Json.readObject(directory.path().resolve("config.json"));
        JsonNode params = json.remove(QuipParams.KEY);
        Safetensors tensors = checkpoint.tensors();
        WeightSource weights = new OriginalWeights(tensors);
        plan.groups().forEach(group -> compare(checkpoint.linear(group)));
        plan.tensors().forEach(weights::tensor);
        Map<String, String> metadata = new LinkedHashMap<>();
        metadata.put(PARAMS, params.toString());
        metadata.put(QIDXS, checkpoint.layout().dtype());
        if (!without.isEmpty()) {
            metadata.put(WITHOUT, String.join("\n", without));
        }
        int count = 0;
        progress.start("converting", plan.groups().size());
        try (WeightFileWriter writer = WeightFileWriter.create(out.resolve(GossetWeights.FILE), metadata)) {
            for (TensorPlan kept : plan.tensors()) {
                add(writer, tensors.get(kept.name()), kept.role());
                seen.add(kept.name());
                count++;
            }
            for (Tensor tensor : tensors.tensors()) {
                if (!seen.contains(tensor.name())) {
                    add(writer, tensor, "other");
                    count++;
                }
            }
            for (LinearGroup group : plan.groups()) {
                PublishedLinear linear = checkpoint.linear(group);
                try (Arena scratch = Arena.ofShared()) {
                    QuantizedLinear quantized = linear.unpack(team, scratch);
                    QuantizedLinears.write(writer, linear.name(), quantized);
                    for (Tensor tensor : published.get(linear.name())) {
                        add(writer, tensor, PUBLISHED);
                    }
                    keepCodesWithTwins(writer, linear, quantized, scratch);
                }
                progress.step(linear.name());
            }
            writer.commit();
        }
        progress.end();
        ObjectNode quantization = json.putObject("quantization_config");
        quantization.put("quant_method", "gosset");
        quantization.put("format_version", 1);
        quantization.put("bits", checkpoint.params().codebook().bits());
        quantization.put("codebook", checkpoint.params().codebook().name());
        return new ModelConversion.Written(json, count, 0);
    }

    /** Finds the tensors of a linear that the way back would not make again. */
    private void compare(PublishedLinear linear) {
        if (!linear.isPlain()) {
            Tensor tensor = linear.inputScale()
                    .or(linear::inputIndices)
                    .or(linear::bias)
                    .orElseThrow();
            throw new UnsupportedModelException(
                    tensor + " has no place in a Gosset model; the checkpoint runs as it is");
        }
        Map<String, Tensor> stored = new LinkedHashMap<>();
        for (Tensor tensor : checkpoint.tensors().tensors()) {
            if (tensor.name().startsWith(linear.name() + ".")) {
                stored.put(tensor.name().substring(linear.name().length() + 1), tensor);
                seen.add(tensor.name());
            }
        }
        stored.remove(PublishedTensors.QIDXS);
        List<Tensor> different = new ArrayList<>();
        try (Arena arena = Arena.ofConfined()) {
            Map<String, PublishedTensors.Published> made = PublishedTensors.small(
                    linear.codebook(), linear.suHalves(arena), linear.svHalves(arena), linear.parts());
            made.forEach((name, tensor) -> {
                if (!stored.containsKey(name)) {
                    without.add(linear.name() + "." + name);
                }
            });
            stored.forEach((name, tensor) -> {
                PublishedTensors.Published other = made.get(name);
                boolean same = other != null
                        && other.dtype() == tensor.dtype()
                        && other.shape().equals(tensor.shape())
                        && other.data().mismatch(tensor.data()) == -1;
                if (!same) {
                    different.add(tensor);
                }
            });
        }
        published.put(linear.name(), different);
    }

    /** Two codes of E8P version 0 may stand for one point; where the other one was used, the packed codes are kept too. */
    private void keepCodesWithTwins(
            WeightFileWriter writer, PublishedLinear linear, QuantizedLinear quantized, Arena scratch) {
        // The others are one to one.
        if (linear.layout() == QidxsLayout.E8P_VERSION_0 || linear.layout() == QidxsLayout.BYTES) {
            Tensor qidxs = linear.qidxs();
            if (PublishedTensors.pack(quantized, linear.layout(), team, scratch).mismatch(qidxs.data()) != -1) {
                add(writer, qidxs, PUBLISHED);
            }
        }
    }

    private static void add(WeightFileWriter writer, Tensor tensor, String role) {
        writer.add(tensor.name(), role, tensor.dtype(), tensor.shape(), Optional.empty(), tensor.data());
    }
}

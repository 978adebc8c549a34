package dev.gosset.llm.convert;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.core.FormatException;
import dev.gosset.core.GossetException;
import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.UnsupportedModelException;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.codebook.QidxsLayout;
import dev.gosset.core.hadamard.HadamardTransform;
import dev.gosset.core.memory.CrashSafeFile;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.QuantizedLinears;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.memory.WeightFile;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.Progress;
import dev.gosset.llm.io.Json;
import dev.gosset.llm.io.Safetensors;
import dev.gosset.llm.io.SafetensorsWriter;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.plan.ModelPlan;
import dev.gosset.llm.weights.GossetWeights;
import dev.gosset.llm.weights.ModelDirectory;
import dev.gosset.llm.weights.QuipParams;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/**
 * A Gosset model to a published checkpoint: {@code model.safetensors}, or shards of at most 5 GB and their index. A model that
 * came from a checkpoint gets its tensors and parameters back as they were, see {@link GossetImport}; of any other the
 * tensors besides the linears become float16, as the format has it. Source: spec/quip-sharp.md, section 5.
 */
final class QuipSharpExport {
    /** The most bytes of tensors in one file, as in transformers. */
    private static final long LARGEST_SHARD = 5_000_000_000L;

    private static final int BLOCK = 1 << 16;
    private static final ValueLayout.OfShort HALF = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /** One tensor of the checkpoint: what is known up front, and how its bytes get to the file. */
    private record Item(SafetensorsWriter.Declaration declaration, Source source) {
        long bytes() {
            return declaration.dtype().size(declaration.shape()).orElseThrow();
        }
    }

    @FunctionalInterface
    private interface Source {
        void write(SafetensorsWriter writer, String name);
    }

    private final ModelDirectory directory;
    private final WeightFile file;
    private final GossetWeights weights;
    private final ThreadTeam team;
    private final Progress progress;
    private final boolean returning;
    private final Set<String> without;
    private final List<Item> items = new ArrayList<>();
    private QidxsLayout layout;
    private Codebook codebook;
    private long rounded;

    private QuipSharpExport(ModelDirectory directory, WeightFile file, ThreadTeam team, Progress progress) {
        this.directory = directory;
        this.file = file;
        this.weights = new GossetWeights(file);
        this.team = team;
        this.progress = progress;
        this.returning = file.metadata().containsKey(GossetImport.PARAMS);
        this.without = Set.copyOf(
                List.of(file.metadata().getOrDefault(GossetImport.WITHOUT, "").split("\n")));
    }

    static ModelConversion.Written write(ModelDirectory directory, Path out, ThreadTeam team, Progress progress) {
        return write(directory, out, team, progress, LARGEST_SHARD);
    }

    /** The same with another limit of shards, for tests. */
    static ModelConversion.Written write(
            ModelDirectory directory, Path out, ThreadTeam team, Progress progress, long largestShard) {
        try (Arena arena = Arena.ofShared()) {
            WeightFile file = WeightFile.open(directory.path().resolve(GossetWeights.FILE), arena);
            return new QuipSharpExport(directory, file, team, progress).write(out, largestShard);
        } catch (IOException e) {
            throw new GossetException(out + ": cannot be written: " + CrashSafeFile.reason(e), e);
        }
    }

    private ModelConversion.Written write(Path out, long largestShard) throws IOException {
        ModelPlan plan = directory.config().plan();
        plan.groups().stream()
                .filter(g -> g.reach() != LinearGroup.Reach.EVERY_TOKEN)
                .findFirst()
                .ifPresent(g -> {
                    throw new UnsupportedModelException(file.source() + ": linear " + g.name()
                            + " is an expert's, for which published QuIP# checkpoints have no names");
                });
        plan.tensors().forEach(weights::tensor);
        plan.groups().forEach(this::addLinear);
        int others = addOthers();
        progress.start("converting", items.size());
        writeShards(out, largestShard);
        progress.end();
        return new ModelConversion.Written(config(), others, rounded);
    }

    private void addLinear(LinearGroup group) {
        String name = group.name();
        if (group.biased()) {
            throw new UnsupportedModelException(file.source() + ": linear " + name
                    + " has a bias, which the stacked linears of published QuIP# checkpoints do not have");
        }
        QuantizedLinear linear = weights.codes(group)
                .orElseThrow(() -> new FormatException(file.source() + ": linear " + name
                        + " is not quantized, expected every linear of a published QuIP# checkpoint to be"));
        if (codebook == null) {
            codebook = linear.codes().codebook();
            layout = layout();
        } else if (!codebook.name().equals(linear.codes().codebook().name())) {
            throw new UnsupportedModelException(file.source() + ": linear " + name + " has the codebook "
                    + linear.codes().codebook().name() + ", expected " + codebook.name()
                    + " as before: a published QuIP# checkpoint has one for all");
        }
        requireHeld(name, linear);
        Map<String, Tensor> kept = new LinkedHashMap<>();
        for (WeightFile.Weight weight : file.weights()) {
            if (weight.role().equals(GossetImport.PUBLISHED) && weight.name().startsWith(name + ".")) {
                kept.put(weight.name(), weight.requireIntact().tensor());
            }
        }
        String qidxs = name + "." + PublishedTensors.QIDXS;
        if (!kept.containsKey(qidxs)) {
            add(qidxs, PublishedTensors.dtype(layout), PublishedTensors.shape(linear, layout), (writer, to) -> {
                try (Arena scratch = Arena.ofShared()) {
                    writer.write(to, packed(name, linear, scratch));
                }
                linear.codes().data().unload();
            });
        }
        Map<String, PublishedTensors.Published> small =
                PublishedTensors.small(codebook, linear.su(), linear.sv(), linear.parts());
        small.forEach((suffix, tensor) -> {
            String full = name + "." + suffix;
            if (!kept.containsKey(full) && !without.contains(full)) {
                add(full, tensor.dtype(), tensor.shape(), (writer, to) -> writer.write(to, tensor.data()));
            }
        });
        boolean scaled = small.containsKey(PublishedTensors.WSCALE)
                || kept.containsKey(name + "." + PublishedTensors.WSCALE)
                || kept.containsKey(name + "." + PublishedTensors.FUSE_SCALES);
        if (!scaled) {
            throw new UnsupportedModelException(file.source() + ": linear " + name
                    + " has part scales that float16 does not hold, as a published QuIP# checkpoint must");
        }
        kept.forEach(this::addAsItIs);
    }

    private MemorySegment packed(String name, QuantizedLinear linear, Arena scratch) {
        try {
            return PublishedTensors.pack(linear, layout, team, scratch);
        } catch (IllegalArgumentException e) {
            // A code that the checkpoint's codebook version does not have.
            throw new FormatException(file.source() + ": linear " + name + ": " + e.getMessage(), e);
        }
    }

    private QidxsLayout layout() {
        if (!returning) {
            return PublishedTensors.layout(codebook);
        }
        QuipParams params = params();
        String dtype = file.metadata().getOrDefault(GossetImport.QIDXS, "");
        return QidxsLayout.of(codebook, params.version(), dtype)
                .filter(l -> params.codebook().name().equals(codebook.name()))
                .orElseThrow(() -> new FormatException(file.source() + ": has the metadata " + GossetImport.QIDXS
                        + " '" + dtype + "' and " + GossetImport.PARAMS + " of "
                        + params.codebook().name()
                        + " version " + params.version() + ", expected those of its codebook " + codebook.name()));
    }

    private void requireHeld(String name, QuantizedLinear linear) {
        int m = linear.rows();
        int n = linear.cols();
        for (HadamardTransform transform : List.of(linear.inputs(), linear.outputs())) {
            if (!transform.isDefault()) {
                throw new UnsupportedModelException(file.source() + ": linear " + name
                        + " has another transform than published QuIP# checkpoints, found the " + transform);
            }
        }
        if (!layout.holds(m, n)) {
            throw new UnsupportedModelException(file.source() + ": linear " + name + " is " + m + " x " + n
                    + ", expected " + layout.constraint() + " for a published QuIP# checkpoint");
        }
        for (HadamardTransform transform : List.of(linear.outputs(), linear.inputs())) {
            if (transform.kind() != HadamardTransform.Kind.HADAMARD) {
                throw new UnsupportedModelException(file.source() + ": linear " + name + " is " + m + " x " + n
                        + ", but published QuIP# checkpoints have no transform of length " + transform.n());
            }
        }
    }

    private int addOthers() {
        List<String> linears = QuantizedLinears.names(file);
        Set<String> rows = new java.util.HashSet<>();
        for (String linear : linears) {
            for (String role : QuantizedLinears.ROLES) {
                rows.add(linear + "." + role);
            }
        }
        int others = 0;
        for (WeightFile.Weight weight : file.weights()) {
            if (rows.contains(weight.name()) || weight.role().equals(GossetImport.PUBLISHED)) {
                continue;
            }
            others++;
            Tensor tensor = weight.requireIntact().tensor();
            if (returning || tensor.dtype() == Dtype.F16 || !tensor.dtype().isFloating()) {
                addAsItIs(tensor.name(), tensor);
            } else {
                add(tensor.name(), Dtype.F16, tensor.shape(), (writer, to) -> writeHalves(tensor, writer, to));
            }
        }
        return others;
    }

    private void addAsItIs(String name, Tensor tensor) {
        add(name, tensor.dtype(), tensor.shape(), (writer, to) -> writer.write(to, tensor.data()));
    }

    private void add(String name, Dtype dtype, List<Long> shape, Source source) {
        items.add(new Item(new SafetensorsWriter.Declaration(name, dtype, shape), source));
    }

    /** Rounds a tensor to float16, counting what is not exact. */
    private void writeHalves(Tensor tensor, SafetensorsWriter writer, String name) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment floats = arena.allocate(4L * BLOCK, 64);
            MemorySegment halves = arena.allocate(2L * BLOCK, 64);
            for (long at = 0; at < tensor.elements(); at += BLOCK) {
                int n = (int) Math.min(BLOCK, tensor.elements() - at);
                tensor.toFloats(at, n, floats);
                for (int i = 0; i < n; i++) {
                    float value = floats.getAtIndex(ValueLayout.JAVA_FLOAT, i);
                    short half = Float.floatToFloat16(value);
                    float back = Float.float16ToFloat(half);
                    if (!Float.isFinite(back)) {
                        throw new UnsupportedModelException(tensor + " has " + value + " at element " + (at + i)
                                + ", which float16 does not hold, as a published QuIP# checkpoint must");
                    }
                    rounded += back == value ? 0 : 1;
                    halves.setAtIndex(HALF, i, half);
                }
                writer.write(name, halves.asSlice(0, 2L * n));
            }
        }
    }

    private void writeShards(Path out, long largestShard) throws IOException {
        List<List<Item>> shards = new ArrayList<>();
        long room = 0;
        long total = 0;
        for (Item item : items) {
            if (shards.isEmpty() || item.bytes() > room) {
                shards.add(new ArrayList<>());
                room = largestShard;
            }
            shards.getLast().add(item);
            room -= item.bytes();
            total += item.bytes();
        }
        ObjectNode index = Json.MAPPER.createObjectNode();
        index.putObject("metadata").put("total_size", total);
        ObjectNode map = index.putObject("weight_map");
        for (int s = 0; s < shards.size(); s++) {
            String name = shards.size() == 1
                    ? Safetensors.SINGLE_FILE
                    : String.format(Locale.ROOT, "model-%05d-of-%05d.safetensors", s + 1, shards.size());
            List<SafetensorsWriter.Declaration> declarations =
                    shards.get(s).stream().map(Item::declaration).toList();
            try (SafetensorsWriter writer =
                    SafetensorsWriter.create(out.resolve(name), declarations, Map.of("format", "pt"))) {
                for (Item item : shards.get(s)) {
                    item.source().write(writer, item.declaration().name());
                    map.put(item.declaration().name(), name);
                    progress.step(item.declaration().name());
                }
                writer.commit();
            }
        }
        if (shards.size() > 1) {
            ModelConversion.write(out.resolve(Safetensors.INDEX_FILE), index);
        }
    }

    /** {@code quip_params} of the checkpoint that the model came from. */
    private QuipParams params() {
        ObjectNode config = Json.MAPPER.createObjectNode();
        config.set(QuipParams.KEY, storedParams());
        return QuipParams.read(dev.gosset.llm.io.JsonFile.parse(file.source().toString(), config.toString()));
    }

    private JsonNode storedParams() {
        String text = file.metadata().get(GossetImport.PARAMS);
        try {
            return Json.MAPPER.readTree(text);
        } catch (JsonProcessingException e) {
            throw new FormatException(
                    file.source() + ": the metadata " + GossetImport.PARAMS + " is not JSON: " + e.getOriginalMessage(),
                    e);
        }
    }

    private ObjectNode config() {
        ObjectNode config = (ObjectNode) Json.readObject(directory.path().resolve("config.json"));
        config.remove("quantization_config");
        if (returning) {
            config.set(QuipParams.KEY, storedParams());
            return config;
        }
        config.set(QuipParams.KEY, PublishedTensors.params(codebook));
        config.put("torch_dtype", "float16");
        if (config.has("dtype")) {
            config.put("dtype", "float16");
        }
        addOldRotaryKeys(config);
        return config;
    }

    /** The reference implementation runs on transformers 4, which does not know {@code rope_parameters}. */
    private static void addOldRotaryKeys(ObjectNode config) {
        if (!(config.get("rope_parameters") instanceof ObjectNode parameters)) {
            return;
        }
        if (!config.has("rope_theta") && parameters.has("rope_theta")) {
            config.set("rope_theta", parameters.get("rope_theta"));
        }
        String type = parameters.path("rope_type").asText("default");
        if (!config.has("rope_scaling") && !type.equals("default")) {
            ObjectNode scaling = parameters.deepCopy();
            scaling.remove("rope_theta");
            scaling.put("type", type);
            config.set("rope_scaling", scaling);
        }
    }
}

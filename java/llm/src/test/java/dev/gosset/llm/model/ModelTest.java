package dev.gosset.llm.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.core.FormatException;
import dev.gosset.core.UnsupportedModelException;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.TinyModels;
import dev.gosset.llm.cpu.ActivationTap;
import dev.gosset.llm.cpu.KeyValueCache;
import dev.gosset.llm.cpu.Linear;
import dev.gosset.llm.cpu.StorageOptions;
import dev.gosset.llm.cpu.Transformer;
import dev.gosset.llm.cpu.TransformerBlock;
import dev.gosset.llm.io.Json;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.plan.ModelConfig;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ModelTest {
    private final ThreadTeam team = new ThreadTeam(1);
    private final Workspace workspace = new Workspace(team);
    private final Arena arena = Arena.ofConfined();

    @AfterEach
    void close() {
        arena.close();
        workspace.close();
        team.close();
    }

    private static Path copy(String model, Path directory) throws IOException {
        try (Stream<Path> files = Files.list(TinyModels.directory(model))) {
            for (Path file : files.toList()) {
                Files.copy(file, directory.resolve(file.getFileName().toString()));
            }
        }
        return directory;
    }

    private static void change(Path directory, String key, String value) throws IOException {
        Path file = directory.resolve("config.json");
        ObjectNode json = (ObjectNode) Json.readObject(file);
        json.set(key, Json.MAPPER.readTree(value));
        Files.writeString(file, json.toString());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "llama | vocab_size | 101 | 'model.embed_tokens.weight' has the shape [100, 32], expected [101, 32]",
                "llama | intermediate_size | 80 | 'model.layers.0.mlp.up_proj.weight' has the shape [72, 32], expected [80, 32]",
                "llama | num_hidden_layers | 3 | has no tensor model.layers.2.input_layernorm.weight",
                "llama | attention_bias | true | has no tensor model.layers.0.self_attn.q_proj.bias",
                "llama | head_dim | 16 | 'model.layers.0.self_attn.q_proj.weight' has the shape [32, 32], expected [64, 32]",
                "qwen3 | architectures | [\"Qwen2ForCausalLM\"] | has no tensor model.layers.0.self_attn.q_proj.bias",
                "qwen3 | head_dim | 8 | 'model.layers.0.self_attn.q_norm.weight' has the shape [16], expected [8]",
            })
    void checksEveryTensorAgainstTheConfiguration(
            String model, String key, String value, String message, @TempDir Path directory) throws IOException {
        change(copy(model, directory), key, value);
        assertThatExceptionOfType(FormatException.class)
                .isThrownBy(() -> Model.open(directory))
                .withMessageContaining(directory.toString())
                .withMessageContaining(message.replace("'", "").strip().split(" has ")[0])
                .withMessageContaining(
                        message.substring(message.indexOf("has ")).strip());
    }

    @Test
    void refusesWhatIsNoModel(@TempDir Path directory) throws IOException {
        assertThatExceptionOfType(FormatException.class)
                .isThrownBy(() -> Model.open(directory.resolve("absent")))
                .withMessageContaining("no such file, expected the directory of a model");
        assertThatExceptionOfType(FormatException.class)
                .isThrownBy(() -> Model.open(directory))
                .withMessageContaining("config.json: no such file");
        copy("llama", directory);
        change(directory, "quantization_config", "{\"quant_method\": \"awq\"}");
        assertThatExceptionOfType(UnsupportedModelException.class)
                .isThrownBy(() -> Model.open(directory))
                .withMessageContaining("found the quant_method 'awq', known are gosset");
        change(directory, "quantization_config", "{\"quant_method\": \"gosset\"}");
        assertThatExceptionOfType(FormatException.class)
                .isThrownBy(() -> Model.open(directory))
                .withMessageContaining("weights.arrow: no such file");
    }

    @Test
    void tapSeesTheInputOfEveryGroup() {
        try (Model model = Model.open(TinyModels.directory("qwen3"))) {
            ModelConfig config = model.config();
            Transformer transformer = model.transformer();
            FloatMatrix hidden = FloatMatrix.allocate(arena, 5, config.hiddenSize());
            transformer.embed(new int[] {1, 2, 3, 4, 5}, hidden);
            List<LinearGroup> seen = new ArrayList<>();
            Map<LinearGroup, FloatMatrix> inputs = new HashMap<>();
            transformer
                    .block(0)
                    .forward(
                            hidden,
                            (group, input) -> {
                                seen.add(group);
                                inputs.put(group, input.copy(arena));
                            },
                            workspace);
            assertThat(seen).containsExactlyElementsOf(model.plan().block(0).groups());
            for (LinearGroup group : seen) {
                FloatMatrix input = inputs.get(group);
                assertThat(input.rows()).isEqualTo(5);
                assertThat(input.cols()).isEqualTo(group.inputs());
                for (float v : input.toArray()) {
                    assertThat(v).isFinite();
                }
            }
        }
    }

    @Test
    void aBlockAloneIsThatBlockOfTheModel() {
        try (Model model = Model.open(TinyModels.directory("llama3"))) {
            Transformer transformer = model.transformer();
            int[] tokens = {5, 9, 100, 3, 77, 20};
            int width = model.config().hiddenSize();
            FloatMatrix whole = FloatMatrix.allocate(arena, tokens.length, width);
            transformer.hidden(tokens, whole, workspace);
            FloatMatrix stepwise = FloatMatrix.allocate(arena, tokens.length, width);
            transformer.embed(tokens, stepwise);
            for (TransformerBlock block : transformer.blocks()) {
                block.forward(stepwise, ActivationTap.NONE, workspace);
            }
            assertThat(stepwise.data().mismatch(whole.data())).isEqualTo(-1);
        }
    }

    @Test
    void anotherLinearTakesTheGroupsPlace() {
        try (Model model = Model.open(TinyModels.directory("llama"))) {
            Transformer transformer = model.transformer();
            int width = model.config().hiddenSize();
            Linear zero = new Linear() {
                @Override
                public int inputs() {
                    return 72;
                }

                @Override
                public int outputs() {
                    return width;
                }

                @Override
                public double relativeError() {
                    return 0;
                }

                @Override
                public void forward(FloatMatrix x, FloatMatrix y, Workspace w) {
                    y.data().fill((byte) 0);
                }
            };
            TransformerBlock block = transformer.block(1);
            TransformerBlock mute = block.with(block.plan().groups().getLast(), zero);
            FloatMatrix a = FloatMatrix.allocate(arena, 3, width);
            transformer.embed(new int[] {1, 2, 3}, a);
            FloatMatrix b = a.copy(arena);
            block.forward(a, ActivationTap.NONE, workspace);
            mute.forward(b, ActivationTap.NONE, workspace);
            assertThat(a.data().mismatch(b.data())).isNotEqualTo(-1);
            FloatMatrix c = FloatMatrix.allocate(arena, 3, width);
            transformer.with(mute).hidden(new int[] {1, 2, 3}, c, workspace);
            FloatMatrix d = FloatMatrix.allocate(arena, 3, width);
            transformer.embed(new int[] {1, 2, 3}, d);
            transformer.block(0).forward(d, ActivationTap.NONE, workspace);
            mute.forward(d, ActivationTap.NONE, workspace);
            assertThat(c.data().mismatch(d.data())).isEqualTo(-1);
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> block.with(block.plan().groups().getFirst(), zero));
        }
    }

    @Test
    void refusesTokensAndSequencesThatDoNotFit() {
        try (Model model = Model.open(TinyModels.directory("llama"));
                KeyValueCache cache = new KeyValueCache(model.config(), 4)) {
            FloatMatrix logits = FloatMatrix.allocate(arena, 1, model.config().vocabularySize());
            Transformer transformer = model.transformer();
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> transformer.run(
                            List.of(new Transformer.Segment(cache, new int[] {100}, logits.rows())), logits, workspace))
                    .withMessageContaining("token 0 is 100, expected an id from 0 to 99");
            transformer.run(
                    List.of(new Transformer.Segment(cache, new int[] {1, 2, 3}, logits.rows())), logits, workspace);
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> transformer.run(
                            List.of(new Transformer.Segment(cache, new int[] {1, 2}, logits.rows())),
                            logits,
                            workspace))
                    .withMessageContaining("2 tokens do not fit a cache of 4 that holds 3");
            assertThatIllegalArgumentException().isThrownBy(() -> cache.truncate(4));
        }
    }

    /** Half a step of the rounding in every weight, times the normalized hidden state, bounds the difference. */
    @ParameterizedTest
    @ValueSource(strings = {"llama", "llama3"})
    void aByteHeadDiffersByHalfAStepAtMost(String name) {
        StorageOptions bytes = StorageOptions.defaults().withByteHead();
        try (Model stored = Model.open(TinyModels.directory(name));
                Model rounded = Model.open(TinyModels.directory(name), bytes)) {
            ModelConfig config = stored.config();
            FloatMatrix hidden = FloatMatrix.allocate(arena, 4, config.hiddenSize());
            stored.transformer().hidden(new int[] {1, 2, 3, 4}, hidden, workspace);
            FloatMatrix exact = FloatMatrix.allocate(arena, 4, config.vocabularySize());
            stored.transformer().logits(hidden, exact, workspace);
            String weight = config.tiedEmbeddings() ? "model.embed_tokens.weight" : "lm_head.weight";
            float[] w = stored.weights().tensor(weight).toFloatArray();
            float[] norm = stored.transformer().finalNorm().toArray();
            for (int rows : new int[] {1, 4}) {
                FloatMatrix logits = FloatMatrix.allocate(arena, rows, config.vocabularySize());
                rounded.transformer().logits(hidden.rows(0, rows), logits, workspace);
                for (int t = 0; t < rows; t++) {
                    double squares = 0;
                    for (int j = 0; j < norm.length; j++) {
                        squares += Math.pow(hidden.get(t, j), 2) / norm.length;
                    }
                    double size = 0;
                    for (int j = 0; j < norm.length; j++) {
                        size += Math.abs(hidden.get(t, j) * norm[j]) / Math.sqrt(squares);
                    }
                    double worst = 0;
                    for (int v = 0; v < config.vocabularySize(); v++) {
                        double largest = 0;
                        for (int j = 0; j < norm.length; j++) {
                            largest = Math.max(largest, Math.abs(w[v * norm.length + j]));
                        }
                        double difference = Math.abs(logits.get(t, v) - exact.get(t, v));
                        assertThat(difference).isLessThan(largest / 253 * size);
                        worst = Math.max(worst, difference);
                    }
                    assertThat(worst).as("a rounded head").isPositive();
                }
            }
        }
    }

    @Test
    void cachesAreKeptAsTheModelWasOpened() {
        StorageOptions bytes = StorageOptions.defaults().withCache(Dtype.I8);
        try (Model model = Model.open(TinyModels.directory("llama"), bytes);
                KeyValueCache cache = model.transformer().newCache(4)) {
            assertThat(cache.dtype()).isEqualTo(Dtype.I8);
            assertThat(cache.capacity()).isEqualTo(4);
        }
        assertThatIllegalArgumentException()
                .isThrownBy(() -> StorageOptions.defaults().withCache(Dtype.BF16))
                .withMessage("a cache holds F16, F32 or I8, found BF16");
    }
}

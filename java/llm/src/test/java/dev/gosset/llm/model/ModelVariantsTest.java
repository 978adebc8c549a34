package dev.gosset.llm.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.core.FormatException;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.core.rounding.RoundingSettings;
import dev.gosset.llm.Progress;
import dev.gosset.llm.TinyModels;
import dev.gosset.llm.calibration.CalibrationText;
import dev.gosset.llm.io.Json;
import dev.gosset.llm.io.Safetensors;
import dev.gosset.llm.io.SafetensorsWriter;
import dev.gosset.llm.quantize.QuantizationPipeline;
import dev.gosset.llm.quantize.QuantizationSettings;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Models written as other tools write them: other names of tensors, keys left out, heads tied or not. The same logits. */
class ModelVariantsTest {
    private static final int[] TOKENS = {1, 5, 9, 40, 3, 77, 12, 12, 60, 8, 31, 2, 90};

    @TempDir
    Path directory;

    private final ThreadTeam team = new ThreadTeam(1);
    private final Workspace workspace = new Workspace(team);
    private final Arena arena = Arena.ofShared();

    @AfterEach
    void close() {
        arena.close();
        workspace.close();
        team.close();
    }

    private float[] logits(Path model) {
        try (Model opened = Model.open(model)) {
            FloatMatrix logits =
                    FloatMatrix.allocate(arena, TOKENS.length, opened.config().vocabularySize());
            opened.transformer().forward(TOKENS, logits, workspace);
            return logits.toArray();
        }
    }

    private float[] original(String name) {
        return logits(TinyModels.directory(name));
    }

    /** Writes a model with the changes of {@code config} and its tensors under other names; null leaves one out. */
    private void write(String name, String config, UnaryOperator<String> names) throws IOException {
        Path from = TinyModels.directory(name);
        Files.createDirectories(directory);
        ObjectNode json = (ObjectNode) Json.readObject(from.resolve("config.json"));
        for (Map.Entry<String, JsonNode> e :
                Json.MAPPER.readTree(config.replace('\'', '"')).properties()) {
            if (e.getValue().isTextual() && e.getValue().textValue().equals("REMOVE")) {
                json.remove(e.getKey());
            } else {
                json.set(e.getKey(), e.getValue());
            }
        }
        Files.writeString(directory.resolve("config.json"), json.toString());
        try (Arena mapped = Arena.ofConfined()) {
            List<Tensor> tensors = new ArrayList<>();
            for (Tensor t : Safetensors.open(from, mapped).tensors()) {
                String other = names.apply(t.name());
                if (other != null) {
                    tensors.add(new Tensor(other, t.dtype(), t.shape(), t.data(), t.source()));
                }
            }
            save(tensors);
        }
    }

    private void save(List<Tensor> tensors) {
        try (SafetensorsWriter writer = SafetensorsWriter.create(
                directory.resolve(Safetensors.SINGLE_FILE),
                tensors.stream()
                        .map(t -> new SafetensorsWriter.Declaration(t.name(), t.dtype(), t.shape()))
                        .toList(),
                Map.of())) {
            tensors.forEach(t -> writer.write(t.name(), t.data()));
            writer.commit();
        }
    }

    /**
     * Of these transformers 5.18 takes the first three; for the others it draws new weights at random and says so in a
     * report.
     */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "model.",
                "model.model.",
                "language_model.model.",
                "model.language_model.",
                "module.model.",
                "_orig_mod.model.",
                "base_model.model.model.",
                "transformer."
            })
    void tensorsHaveAnyPrefix(String prefix) throws IOException {
        String outer = prefix.endsWith("model.") && !prefix.equals("model.language_model.")
                ? prefix.substring(0, prefix.length() - "model.".length())
                : "";
        write(
                "llama",
                "{}",
                name -> name.startsWith("model.") ? prefix + name.substring("model.".length()) : outer + name);
        assertThat(logits(directory)).isEqualTo(original("llama"));
        write("qwen2", "{'architectures': ['Qwen2Model']}", name -> prefix + name.substring("model.".length()));
        assertThat(logits(directory)).isEqualTo(original("qwen2"));
    }

    @Test
    void twoModelsInOneDirectoryAreAmbiguous() throws IOException {
        write(
                "llama",
                "{}",
                name -> name.contains("layers.0.")
                        ? "a." + name
                        : name.contains("layers.1.") ? "b." + name.replace("layers.1.", "layers.0.") : name);
        assertThatExceptionOfType(FormatException.class)
                .isThrownBy(() -> Model.open(directory))
                .withMessageContaining("holds the layers of 2 models, under the prefixes a.model., b.model.");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "llama   | {'architectures': ['LlamaModel']}",
                "mistral | {'architectures': ['MistralModel']}",
                "qwen3   | {'architectures': ['Qwen3Model']}",
                "llama   | {'architectures': 'REMOVE'}",
                "qwen2   | {'architectures': null}",
                "mistral | {'architectures': []}",
                "llama   | {'hidden_act': 'swish'}",
            })
    void architecturesAreNamedInManyWays(String name, String config) throws IOException {
        write(name, config, UnaryOperator.identity());
        assertThat(logits(directory)).isEqualTo(original(name));
    }

    /** None of these numbers is the default of its family, so only the tensors can have told. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "mistral | {'num_key_value_heads': 'REMOVE'}",
                "qwen2   | {'num_key_value_heads': 'REMOVE', 'intermediate_size': 'REMOVE'}",
                "qwen3   | {'num_key_value_heads': null, 'head_dim': 'REMOVE', 'vocab_size': 'REMOVE'}",
                "qwen3   | {'num_attention_heads': 'REMOVE', 'head_dim': 'REMOVE'}",
                "llama   | {'hidden_size': 'REMOVE', 'num_hidden_layers': 'REMOVE', 'intermediate_size': 'REMOVE'}",
                "llama3  | {'num_key_value_heads': 'REMOVE', 'vocab_size': 'REMOVE', 'max_position_embeddings': 'REMOVE'}",
                "mixtral | {'num_local_experts': 'REMOVE', 'intermediate_size': 'REMOVE'}",
                "qwen2-moe | {'num_local_experts': 'REMOVE', 'moe_intermediate_size': 'REMOVE', 'intermediate_size': 'REMOVE'}",
                "qwen2-moe | {'shared_expert_intermediate_size': 'REMOVE'}",
                "phi3    | {'intermediate_size': 'REMOVE'}",
                "llama3  | {'bos_token_id': -1, 'eos_token_id': [-1, 5000], 'pad_token_id': -1}",
            })
    void theTensorsSayWhatTheConfigurationLeavesOut(String name, String config) throws IOException {
        write(name, config, UnaryOperator.identity());
        assertThat(logits(directory)).isEqualTo(original(name));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "{}                       | experts.1.w2 | has no tensor model.layers.0.block_sparse_moe.experts.1.w2.weight",
                "{'num_local_experts': 4} | none         | block_sparse_moe.gate.weight' has the shape [3, 32], expected [4, 32]",
                "{'num_local_experts': 2} | none         | block_sparse_moe.gate.weight' has the shape [3, 32], expected [2, 32]",
                "{'intermediate_size': 40} | none        | experts.0.w3.weight' has the shape [36, 32], expected [40, 32]",
                "{}                       | layers.1.block_sparse_moe.gate | has no tensor model.layers.1.block_sparse_moe.gate.weight",
            })
    void expertsMustBeThoseOfTheConfiguration(String config, String without, String message) throws IOException {
        write("mixtral", config, name -> name.contains(without) ? null : name);
        assertThatExceptionOfType(FormatException.class)
                .isThrownBy(() -> Model.open(directory))
                .withMessageContaining(message);
    }

    @Test
    void headsThatNothingTellsAreNotGuessed() throws IOException {
        write("llama", "{'num_attention_heads': 'REMOVE', 'head_dim': 'REMOVE'}", UnaryOperator.identity());
        assertThatExceptionOfType(FormatException.class)
                .isThrownBy(() -> Model.open(directory))
                .withMessageContaining("num_attention_heads is missing");
    }

    @Test
    void aHeadThatIsStoredCountsAndAnotherIsTheEmbedding() throws IOException {
        write("llama", "{'tie_word_embeddings': true}", UnaryOperator.identity());
        assertThat(logits(directory)).as("both, and they differ").isEqualTo(original("llama"));
        float[] tied = original("llama3");
        write("llama3", "{}", name -> name.equals("model.embed_tokens.weight") ? "lm_head.weight" : name);
        assertThat(logits(directory)).as("stored as the head").isEqualTo(tied);
        for (String no : List.of("{'tie_word_embeddings': false}", "{'tie_word_embeddings': 'REMOVE'}")) {
            write("llama3", no, UnaryOperator.identity());
            // transformers draws a head at random here.
            assertThatExceptionOfType(FormatException.class)
                    .isThrownBy(() -> Model.open(directory))
                    .withMessageContaining("config.json: tie_word_embeddings: found ")
                    .withMessageContaining("without lm_head.weight");
        }
        write("llama", "{}", name -> name.equals("model.embed_tokens.weight") ? null : name);
        assertThatExceptionOfType(FormatException.class)
                .isThrownBy(() -> Model.open(directory))
                .withMessageContaining("has no tensor model.embed_tokens.weight");
    }

    @Test
    void quantizedItSaysEverything() throws IOException {
        write(
                "mistral",
                "{'num_key_value_heads': 'REMOVE', 'head_dim': 'REMOVE', 'architectures': ['MistralModel']}",
                name -> name.startsWith("model.") ? name.substring("model.".length()) : name);
        Path plain = directory.resolveSibling("plain-" + directory.getFileName());
        TinyModels.copy("mistral", plain);
        Files.copy(plain.resolve("tokenizer.json"), directory.resolve("tokenizer.json"));
        Path text = Files.writeString(directory.resolve("text.txt"), TinyModels.text(3, 600));
        Path out = directory.resolve("out");
        Path other = directory.resolve("other");
        for (Path to : List.of(out, other)) {
            QuantizationPipeline.run(
                    to.equals(out) ? directory : plain,
                    to,
                    new QuantizationSettings(
                            RoundingSettings.of(Codebook.ofBits(4)), 0, new CalibrationText(text, 8, 32), null),
                    false,
                    team,
                    Progress.NONE);
        }
        assertThat(logits(out)).isEqualTo(logits(other));
        JsonNode config = Json.readObject(out.resolve("config.json"));
        assertThat(config.get("num_key_value_heads").intValue()).isEqualTo(2);
        assertThat(config.get("head_dim").intValue()).isEqualTo(16);
        assertThat(Json.readObject(other.resolve("config.json")).has("quantization_config"))
                .isTrue();
    }
}

package dev.gosset.llm.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.core.FormatException;
import dev.gosset.core.UnsupportedModelException;
import dev.gosset.llm.TinyModels;
import dev.gosset.llm.io.Json;
import dev.gosset.llm.io.JsonFile;
import dev.gosset.llm.weights.ModelDirectory;
import java.io.IOException;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.FieldSource;

class ModelConfigTest {
    private static final String LLAMA = """
            {"architectures": ["LlamaForCausalLM"], "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3,
             "num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": 100, "max_position_embeddings": 512}""";

    @SuppressWarnings("UnusedVariable")
    private static final Iterable<String> MODELS = TinyModels.ALL;

    /** The configuration with the keys of {@code changes} added or, where null, removed. */
    private static ModelConfig with(String changes, String generation) {
        try {
            ObjectNode json = (ObjectNode) Json.MAPPER.readTree(LLAMA);
            Json.MAPPER.readTree(changes).properties().forEach(e -> {
                if (e.getValue().isTextual() && e.getValue().textValue().equals("REMOVE")) {
                    json.remove(e.getKey());
                } else {
                    json.set(e.getKey(), e.getValue());
                }
            });
            return ModelConfig.parse(
                    JsonFile.parse("config.json", json.toString()),
                    JsonFile.parse("generation_config.json", generation),
                    name -> Optional.empty());
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    private static ModelConfig with(String changes) {
        return with(changes, "{}");
    }

    private static PositionPlan.Rotary rotary(ModelConfig config) {
        return (PositionPlan.Rotary) config.positions().stream()
                .filter(p -> p instanceof PositionPlan.Rotary)
                .findFirst()
                .orElseThrow();
    }

    private static List<Boolean> turned(ModelConfig config) {
        return config.positions().stream()
                .map(p -> p instanceof PositionPlan.Rotary)
                .toList();
    }

    @Test
    void fillsInWhatOldFilesLeaveOut() {
        ModelConfig c = with("{\"num_key_value_heads\": \"REMOVE\"}");
        assertThat(c.family()).isEqualTo(ModelFamily.LLAMA);
        assertThat(c.headDim()).isEqualTo(16);
        assertThat(c.keyValueHeads()).isEqualTo(4);
        assertThat(rotary(c).theta()).isEqualTo(10_000);
        assertThat(rotary(c).scaling()).isEqualTo(new RotaryScaling.None());
        assertThat(c.normEpsilon()).isEqualTo(1e-6f);
        assertThat(c.windows()).containsExactly(0, 0, 0);
        assertThat(c.tiedEmbeddings()).isFalse();
        assertThat(c.bosTokenId()).isEqualTo(-1);
        assertThat(c.eosTokenIds()).isEmpty();
    }

    @Test
    void readsBothSpellingsOfTheRotaryEmbedding() {
        RotaryScaling llama3 = new RotaryScaling.Llama3(8, 1, 4, 8192);
        String values =
                "\"factor\": 8.0, \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, \"original_max_position_embeddings\":"
                        + " 8192";
        ModelConfig old =
                with("{\"rope_theta\": 500000.0, \"rope_scaling\": {\"rope_type\": \"llama3\", " + values + "}}");
        ModelConfig now =
                with("{\"rope_parameters\": {\"rope_theta\": 500000.0, \"rope_type\": \"llama3\", " + values + "}}");
        assertThat(old).isEqualTo(now);
        assertThat(rotary(now).theta()).isEqualTo(500_000);
        assertThat(rotary(now).scaling()).isEqualTo(llama3);
        assertThat(rotary(with("{\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2.0}}"))
                        .scaling())
                .isEqualTo(new RotaryScaling.Linear(2));
        assertThat(rotary(with("{\"rope_scaling\": null}")).scaling()).isEqualTo(new RotaryScaling.None());
    }

    @Test
    void llama3SlowsLongWavesAndKeepsShortOnes() {
        // Of a head of dimension 2 / n the second frequency is theta^-n.
        RotaryScaling scaling = new RotaryScaling.Llama3(8, 1, 4, 8192);
        assertThat(scaling.frequencies(2, 4, 0)).containsExactly(1, Math.pow(2, -0.5));
        assertThat(scaling.frequencies(1e8, 4, 0)[1]).isEqualTo(1e-4 / 8);
        double between = 2 * Math.PI / 4096;
        assertThat(scaling.frequencies(Math.pow(between, -2), 4, 0)[1])
                .isCloseTo(between * ((2 - 1) / 3.0 * 7 / 8 + 1 / 8.0), within(1e-12));
    }

    @Test
    void generationConfigurationGoesFirstForTheEnd() {
        assertThat(with("{\"eos_token_id\": 7}").eosTokenIds()).containsExactly(7);
        assertThat(with("{\"eos_token_id\": [7, 8]}").eosTokenIds()).containsExactly(7, 8);
        assertThat(with("{\"eos_token_id\": 7}", "{\"eos_token_id\": [9, 10]}").eosTokenIds())
                .containsExactly(9, 10);
    }

    /** The defaults of LlamaConfig, MistralConfig, Qwen2Config and Qwen3Config of transformers 5.18. */
    @ParameterizedTest
    @CsvSource({
        "LlamaForCausalLM,   32, 128,   2048,    0",
        "MistralForCausalLM,  8, 128, 131072, 4096",
        "Qwen2ForCausalLM,   32, 128,  32768,    0",
        "Qwen3ForCausalLM,   32, 128,  32768,    0",
        "Qwen3Model,         32, 128,  32768,    0",
    })
    void keysThatAreMissingAreTheFamilysDefaults(
            String architecture, int keyValueHeads, int headDim, int positions, int window) {
        ModelConfig c = with(
                "{\"architectures\": [\"" + architecture + "\"], \"hidden_size\": 4096,"
                        + " \"num_attention_heads\": 32, \"num_key_value_heads\": \"REMOVE\", \"max_position_embeddings\": \"REMOVE\"}");
        assertThat(c.keyValueHeads()).isEqualTo(keyValueHeads);
        assertThat(c.headDim()).isEqualTo(headDim);
        assertThat(c.maxPositions()).isEqualTo(positions);
        assertThat(c.windows()).containsOnly(window);
        assertThat(c.normEpsilon()).isEqualTo(1e-6f);
        assertThat(rotary(c).theta()).isEqualTo(10_000);
        assertThat(c.tiedEmbeddings()).isFalse();
        assertThat(with("{\"architectures\": [\"" + architecture + "\"], \"num_key_value_heads\": null}")
                        .keyValueHeads())
                .as("null is not missing")
                .isEqualTo(4);
    }

    @Test
    void tokensThatNeverComeAreNone() {
        assertThat(with("{\"bos_token_id\": -1, \"eos_token_id\": -1, \"pad_token_id\": -1}")
                        .bosTokenId())
                .isEqualTo(-1);
        assertThat(with("{\"eos_token_id\": -1}").eosTokenIds()).isEmpty();
        assertThat(with("{\"eos_token_id\": [7, 100, 4096, -1, null, 4294967295]}")
                        .eosTokenIds())
                .containsExactly(7);
        assertThat(with("{\"eos_token_id\": null, \"bos_token_id\": null}").eosTokenIds())
                .isEmpty();
        assertThat(with("{\"eos_token_id\": 7}", "{\"eos_token_id\": null}").eosTokenIds())
                .containsExactly(7);
        assertThat(with("{\"bos_token_id\": [3]}").bosTokenId()).isEqualTo(3);
        assertThat(with("{\"bos_token_id\": 100}").bosTokenId()).isEqualTo(-1);
    }

    /**
     * What is no window: transformers 5.18 fails on 0 and -1 when it builds the mask, and on layers that {@code layer_types}
     * calls sliding where {@code use_sliding_window} is false; here they see everything.
     */
    @Test
    void windowsOfNothingAreNone() {
        String mistral = "\"architectures\": [\"MistralForCausalLM\"]";
        String qwen = "\"architectures\": [\"Qwen3ForCausalLM\"], \"use_sliding_window\": true, \"head_dim\": 16";
        for (String none : List.of("0", "-1", "null", "2000000000")) {
            assertThat(with("{" + mistral + ", \"sliding_window\": " + none + "}")
                            .windows())
                    .containsOnly(0);
            assertThat(with("{" + qwen + ", \"max_window_layers\": 0, \"sliding_window\": " + none + "}")
                            .windows())
                    .containsOnly(0);
        }
        assertThat(with("{" + mistral + ", \"sliding_window\": 1, \"use_sliding_window\": false}")
                        .windows())
                .containsOnly(1);
        assertThat(with("{" + mistral + ", \"sliding_window\": 8, \"layer_types\": [\"full_attention\","
                                + " \"sliding_attention\", \"full_attention\"]}")
                        .windows())
                .as("as transformers does, by its class Ministral")
                .containsExactly(0, 8, 0);
        assertThat(with("{" + qwen + ", \"max_window_layers\": 1}").windows()).containsExactly(0, 4096, 4096);
        assertThat(with("{" + qwen + ", \"max_window_layers\": -1, \"sliding_window\": 8}")
                        .windows())
                .containsOnly(8);
        assertThat(with("{" + qwen + ", \"sliding_window\": 8}").windows())
                .as("from layer 28 on")
                .containsOnly(0);
        assertThat(with("{" + qwen.replace("true", "false")
                                + ", \"sliding_window\": 8, \"layer_types\": [\"sliding_attention\"]}")
                        .windows())
                .containsOnly(0);
        assertThatExceptionOfType(FormatException.class)
                .isThrownBy(() -> with("{" + qwen + ", \"sliding_window\": 8, \"layer_types\": []}"))
                .withMessageContaining("layer_types: found [], expected one entry for each of the 3 layers");
    }

    @Test
    void windowsFollowTheFamily() {
        String mistral = "\"architectures\": [\"MistralForCausalLM\"]";
        String qwen = "\"architectures\": [\"Qwen2ForCausalLM\"]";
        assertThat(with("{\"sliding_window\": 5}").windows()).containsOnly(0);
        assertThat(with("{" + mistral + ", \"sliding_window\": 5}").windows()).containsExactly(5, 5, 5);
        assertThat(with("{" + mistral + ", \"sliding_window\": null}").windows())
                .containsOnly(0);
        assertThat(with("{" + mistral + "}").windows()).containsOnly(4096);
        assertThat(with("{" + qwen + ", \"sliding_window\": 5, \"max_window_layers\": 1}")
                        .windows())
                .containsOnly(0);
        assertThat(with("{" + qwen + ", \"use_sliding_window\": true, \"sliding_window\": 5, \"max_window_layers\": 1}")
                        .windows())
                .containsExactly(0, 5, 5);
        assertThat(with("{" + qwen
                                + ", \"use_sliding_window\": true, \"sliding_window\": 5, \"layer_types\":"
                                + " [\"sliding_attention\", \"full_attention\", \"sliding_attention\"]}")
                        .windows())
                .containsExactly(5, 0, 5);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "{'hidden_size': 'REMOVE'}              | config.json: hidden_size is missing, expected a whole number",
                "{'hidden_size': -4}                    | hidden_size: found -4, expected a whole number from 1",
                "{'hidden_size': 64.5}                  | hidden_size: found 64.5",
                "{'hidden_size': 4294967360}            | hidden_size: found 4294967360",
                "{'vocab_size': 0}                      | vocab_size: found 0",
                "{'vocab_size': true}                   | vocab_size: found true",
                "{'num_hidden_layers': 1000000}         | num_hidden_layers: found 1000000",
                "{'num_attention_heads': 5}             | num_attention_heads: found 5, expected a divisor of hidden_size 64",
                "{'num_key_value_heads': 3}             | num_key_value_heads: found 3, expected a divisor of num_attention_heads 4",
                "{'head_dim': 7}                        | head_dim: found 7, expected an even number",
                "{'attn_logit_softcapping': 50}         | attn_logit_softcapping: found 50, expected null, as the classes of this family",
                "{'use_bidirectional_attention': true}  | use_bidirectional_attention: found true, expected false",
                "{'model_type': 'gemma3', 'architectures': 'REMOVE'} | config.json: text_config is missing, expected an object",
                "{MOE, 'num_experts': 8, 'num_experts_per_tok': 9}        | num_experts_per_tok: found 9, expected a whole number from 1 to 8",
                "{MOE, 'num_experts': 8}                                  | num_experts_per_tok is missing",
                "{MOE, 'num_experts': 8, 'num_experts_per_tok': 2, 'mlp_only_layers': 1} | mlp_only_layers: found 1, expected a list of numbers of layers",
                "{MOE, 'num_experts': 8, 'num_experts_per_tok': 2, 'mlp_only_layers': ['a']} | mlp_only_layers: found [\"a\"], expected a list",
                "{'architectures': ['Qwen2MoeForCausalLM'], 'num_experts': 8, 'num_experts_per_tok': 2} | moe_intermediate_size is missing",
                "{MOE, 'num_experts': 100000}           | num_experts: found 100000, expected a whole number from 1 to 1024",
                "{'hidden_act': 'tanh'}                 | hidden_act: found \"tanh\", expected \"silu\"",
                "{'architectures': ['FalconForCausalLM'], 'alibi': true} | alibi: found true, expected false",
                "{'architectures': ['StableLmForCausalLM'], 'qk_layernorm': true} | qk_layernorm: found true, expected false",
                "{'architectures': ['OlmoeForCausalLM'], 'clip_qkv': 8} | clip_qkv: found 8, expected null",
                "{'architectures': ['FalconForCausalLM'], 'new_decoder_architecture': true, 'num_ln_in_parallel_attn': 3} | num_ln_in_parallel_attn: found 3",
                "{'rms_norm_eps': 0}                    | rms_norm_eps: found 0",
                "{'rope_theta': -1}                     | rope_theta: found -1",
                "{'rope_scaling': {'type': 'mrope'}}    | rope_scaling.type: found \"mrope\", expected \"default\", \"linear\",",
                "{'rope_scaling': {'type': 'yarn'}}     | rope_scaling.factor is missing",
                "{'rope_scaling': {'type': 'linear'}}   | rope_scaling.factor is missing",
                "{'rope_scaling': 3}                    | rope_scaling: found 3, expected an object",
                "{'rope_theta': 5, 'rope_parameters': {'rope_theta': 6}} | rope_parameters.rope_theta: found 6, expected the same",
                "{'partial_rotary_factor': 0.5}         | partial_rotary_factor: found 0.5, expected 1",
                "{'tie_word_embeddings': 'yes'}         | tie_word_embeddings: found \"yes\", expected true or false",
                "{'eos_token_id': '7'}                  | eos_token_id: found \"7\", expected whole numbers",
                "{'bos_token_id': true}                 | bos_token_id: found true, expected whole numbers",
                "{'eos_token_id': [1, 2.5]}             | eos_token_id: found 2.5, expected whole numbers",
                "{'architectures': 'Llama'}             | architectures: found \"Llama\", expected a list of texts",
            })
    void saysWhatIsWrong(String changes, String message) {
        assertThatExceptionOfType(FormatException.class)
                .isThrownBy(() -> with(
                        changes.replace("MOE", "'architectures': ['Qwen3MoeForCausalLM'], 'moe_intermediate_size': 16")
                                .replace('\'', '"')))
                .withMessageStartingWith("config.json: ")
                .withMessageContaining(message);
    }

    @Test
    void listsTheKnownArchitectures() {
        assertThatExceptionOfType(UnsupportedModelException.class)
                .isThrownBy(() -> with("{\"architectures\": [\"MambaForCausalLM\"]}"))
                .withMessage(
                        "config.json: found architecture 'MambaForCausalLM', known are LlamaForCausalLM,"
                                + " MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM, SmolLM3ForCausalLM, Gemma2ForCausalLM, Gemma3ForCausalLM, GraniteForCausalLM, SeedOssForCausalLM, Phi3ForCausalLM, MixtralForCausalLM, Qwen2MoeForCausalLM, Qwen3MoeForCausalLM, MinistralForCausalLM, Ministral3ForCausalLM, Olmo2ForCausalLM, Olmo3ForCausalLM, OlmoeForCausalLM, GraniteMoeForCausalLM, GlmForCausalLM, Glm4ForCausalLM, Ernie4_5ForCausalLM, HunYuanDenseV1ForCausalLM, Exaone4ForCausalLM, CohereForCausalLM, Cohere2ForCausalLM, StableLmForCausalLM, Starcoder2ForCausalLM, NemotronForCausalLM, FalconForCausalLM");
        assertThat(with("{\"architectures\": \"REMOVE\", \"model_type\": \"qwen3\", \"head_dim\": 16}")
                        .family())
                .isEqualTo(ModelFamily.QWEN3);
    }

    @Test
    void gemmaAlternatesLocalAndGlobalLayers() {
        String gemma2 = "\"architectures\": [\"Gemma2ForCausalLM\"], \"head_dim\": 16";
        assertThat(with("{" + gemma2 + "}").windows()).containsExactly(4096, 0, 4096);
        String gemma3 = gemma2.replace('2', '3');
        ModelConfig c = with("{" + gemma3 + ", \"sliding_window\": 7, \"sliding_window_pattern\": 3}");
        assertThat(c.windows()).containsExactly(7, 7, 0);
        assertThat(c.positions())
                .containsExactly(
                        new PositionPlan.Rotary(16, 10_000, new RotaryScaling.None()),
                        new PositionPlan.Rotary(16, 10_000, new RotaryScaling.None()),
                        new PositionPlan.Rotary(16, 1_000_000, new RotaryScaling.None()));
        assertThat(with("{" + gemma3 + "}").windows())
                .as("every sixth is global")
                .containsExactly(4096, 4096, 4096);
        assertThat(with("{" + gemma3 + ", \"sliding_window\": null, \"sliding_window_pattern\": 3}")
                        .positions())
                .as("what is local turns by its own base, window or not")
                .isEqualTo(c.positions());
    }

    @Test
    void gemmaScalesAndBounds() {
        String gemma2 = "\"architectures\": [\"Gemma2ForCausalLM\"], \"head_dim\": 16, \"hidden_size\": 40";
        ModelConfig.Scales usual = with("{" + gemma2 + "}").scales();
        assertThat(usual)
                .isEqualTo(new ModelConfig.Scales((float) Math.sqrt(40), 1, 1 / 16f, 50, new LogitPlan.SoftCapped(30)));
        assertThat(with("{" + gemma2 + ", \"torch_dtype\": \"bfloat16\", \"query_pre_attn_scalar\": 64,"
                                + " \"attn_logit_softcapping\": null, \"final_logit_softcapping\": null}")
                        .scales())
                .isEqualTo(new ModelConfig.Scales(6.3125f, 1, 1 / 8f, 0, new LogitPlan.Products()));
        assertThat(with("{" + gemma2 + ", \"dtype\": \"float16\"}").scales().embedding())
                .isEqualTo(6.32421875f);
        assertThat(with("{" + gemma2.replace('2', '3').replace("\"hidden", "\"final_logit_softcapping\": 9, \"hidden")
                                + "}")
                        .scales())
                .isEqualTo(new ModelConfig.Scales((float) Math.sqrt(40), 1, 1 / 16f, 0, new LogitPlan.SoftCapped(9)));
    }

    @Test
    void graniteMultiplies() {
        String granite = "\"architectures\": [\"GraniteForCausalLM\"]";
        assertThat(with("{" + granite + "}").scales())
                .as("attention_multiplier is 1 where it is missing, whatever the head")
                .isEqualTo(new ModelConfig.Scales(1, 1, 1, 0, new LogitPlan.Products()));
        ModelConfig c = with("{" + granite + ", \"embedding_multiplier\": 12, \"attention_multiplier\": 0.5,"
                + " \"residual_multiplier\": 0.25, \"logits_scaling\": 8}");
        assertThat(c.scales()).isEqualTo(new ModelConfig.Scales(12, 0.25f, 0.5f, 0, new LogitPlan.Scaled(0.125f)));
        assertThat(with("{\"embedding_multiplier\": 12}").scales())
                .as("other families do not know them")
                .isEqualTo(ModelConfig.Scales.usual(16));
    }

    /** The attention of Seed-OSS has biases unless config.json says otherwise, but for its output. */
    @Test
    void biasesOfSeedOss() {
        String seed = "\"architectures\": [\"SeedOssForCausalLM\"]";
        assertThat(with("{" + seed + "}")).matches(c -> c.qkvBias() && !c.outputBias() && c.headDim() == 128);
        assertThat(with("{" + seed + ", \"attention_bias\": false, \"attention_out_bias\": true}"))
                .matches(c -> !c.qkvBias() && c.outputBias());
    }

    @Test
    void phiHasCommonTensorsAndTurnsAPartOfAHead() {
        String phi = "\"architectures\": [\"Phi3ForCausalLM\"], \"num_key_value_heads\": 2";
        ModelConfig c = with("{" + phi + ", \"partial_rotary_factor\": 0.75}");
        assertThat(c.normEpsilon()).isEqualTo(1e-5f);
        assertThat(rotary(c).dim()).isEqualTo(12);
        BlockPlan block = c.plan().block(2);
        assertThat(block.groups().get(0).parts())
                .extracting(LinearGroup.Part::weight, LinearGroup.Part::firstRow, LinearGroup.Part::allRows)
                .containsExactly(
                        tuple("model.layers.2.self_attn.qkv_proj.weight", 0, 128),
                        tuple("model.layers.2.self_attn.qkv_proj.weight", 64, 128),
                        tuple("model.layers.2.self_attn.qkv_proj.weight", 96, 128));
        assertThat(block.groups().get(2).parts())
                .extracting(LinearGroup.Part::shortName, LinearGroup.Part::weight, LinearGroup.Part::firstRow)
                .containsExactly(
                        tuple("up_proj", "model.layers.2.mlp.gate_up_proj.weight", 128),
                        tuple("gate_proj", "model.layers.2.mlp.gate_up_proj.weight", 0));
        String factors = ", \"short_factor\": [1, 1, 1, 1, 1, 1, 1, 1], \"long_factor\": [2, 2, 2, 2, 2, 2, 2, 2]}";
        for (String type : List.of("su", "yarn", "longrope")) {
            assertThat(rotary(with("{" + phi + ", \"max_position_embeddings\": 8192, \"rope_scaling\": {\"type\": \""
                                    + type + "\"" + factors + "}"))
                            .scaling())
                    .isEqualTo(new RotaryScaling.LongRope(
                            Collections.nCopies(8, 1.0),
                            Collections.nCopies(8, 2.0),
                            4096,
                            Math.sqrt(1 + Math.log(2) / Math.log(4096))));
        }
        for (String bad : List.of("0.1", "0.2")) {
            assertThatThrownBy(() -> with("{" + phi + ", \"partial_rotary_factor\": " + bad + "}"))
                    .isInstanceOf(FormatException.class)
                    .hasMessageContaining(
                            "partial_rotary_factor: found " + bad + ", expected an even number of the 16");
        }
    }

    @Test
    void olmo3StretchesGlobalLayersAlone() {
        ModelConfig c =
                with("{\"architectures\": [\"Olmo3ForCausalLM\"], \"num_hidden_layers\": 4, \"sliding_window\": 9,"
                        + " \"rope_theta\": 500000, \"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 4}}");
        assertThat(c.windows()).containsExactly(9, 9, 9, 0);
        assertThat(c.positions().get(0))
                .isEqualTo(new PositionPlan.Rotary(16, 500_000, new RotaryScaling.None()))
                .isEqualTo(c.positions().get(2));
        assertThat(c.positions().get(3)).isEqualTo(new PositionPlan.Rotary(16, 500_000, new RotaryScaling.Linear(4)));
        assertThat(c.normEpsilon()).isEqualTo(1e-5f);
        // What one layer cannot see, the model is not meant for.
        assertThat(c.longestSequence()).isEqualTo(512);
    }

    @Test
    void queriesOfMinistral3GrowBeyondTheTrainedContext() {
        String ministral = "\"architectures\": [\"Ministral3ForCausalLM\"], \"head_dim\": 16";
        String yarn =
                "{\"rope_type\": \"yarn\", \"factor\": 16, \"original_max_position_embeddings\": 32, \"rope_theta\": 7";
        ModelConfig c = with("{" + ministral + ", \"rope_parameters\": " + yarn + ", \"llama_4_scaling_beta\": 0.1}}");
        PositionPlan position = c.positions().getFirst();
        assertThat(position.queryFactor(31)).isEqualTo(1);
        assertThat(position.queryFactor(32)).isEqualTo((float) (1 + 0.1 * Math.log(2)));
        assertThat(position.queryFactor(100)).isEqualTo((float) (1 + 0.1 * Math.log(4)));
        assertThat(position.turning().orElseThrow().theta()).isEqualTo(7);
        assertThatThrownBy(() -> with("{" + ministral + ", \"rope_parameters\": " + yarn + "}}"))
                .hasMessageContaining("rope_parameters.llama_4_scaling_beta is missing");
        assertThatThrownBy(() -> with("{" + ministral + "}")).isInstanceOf(FormatException.class);
    }

    @Test
    void mixturesStandWhereTheConfigurationSays() {
        String qwen = "\"architectures\": [\"Qwen3MoeForCausalLM\"], \"num_experts_per_tok\": 2,"
                + " \"moe_intermediate_size\": 16, \"num_hidden_layers\": 4";
        ModelConfig c = with("{" + qwen + ", \"num_experts\": 8}");
        assertThat(c.experts()).contains(new ModelConfig.Experts(8, 2, 16, false, 0, List.of(true, true, true, true)));
        assertThat(with("{" + qwen + ", \"num_local_experts\": 8}"))
                .as("another spelling")
                .isEqualTo(c);
        assertThat(with("{" + qwen + ", \"num_experts\": 8, \"norm_topk_prob\": true, \"decoder_sparse_step\": 2,"
                                + " \"mlp_only_layers\": [3, 17]}")
                        .experts())
                .contains(new ModelConfig.Experts(8, 2, 16, true, 0, List.of(false, true, false, false)));
        assertThat(with("{" + qwen + ", \"decoder_sparse_step\": 5}").experts()).isEmpty();
        assertThat(with("{\"architectures\": [\"MixtralForCausalLM\"], \"num_local_experts\": 4}")
                        .experts())
                .contains(new ModelConfig.Experts(4, 2, 128, true, 0, List.of(true, true, true)));
        ModelConfig shared = with("{" + qwen.replace("Qwen3", "Qwen2")
                + ", \"num_experts\": 8, \"shared_expert_intermediate_size\": 24}");
        assertThat(shared.experts().orElseThrow().sharedWidth()).isEqualTo(24);
        assertThat(shared.qkvBias()).isTrue();
    }

    /** What a model that is part of another says, and what the other says for it. */
    @Test
    void theTextPartHasAConfigurationOfItsOwn() {
        ModelConfig c = ModelConfig.parse(
                JsonFile.parse("config.json", """
                {"architectures": ["Gemma3ForConditionalGeneration"], "hidden_size": 7, "torch_dtype": "bfloat16",
                 "eos_token_id": [5, 6], "text_config": {"model_type": "gemma3_text", "hidden_size": 40, "vocab_size": 100,
                 "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2}}"""),
                JsonFile.parse("generation_config.json", "{}"),
                name -> Optional.empty());
        assertThat(c.family()).isEqualTo(ModelFamily.GEMMA3);
        assertThat(c.hiddenSize()).isEqualTo(40);
        assertThat(c.headDim()).isEqualTo(256);
        assertThat(c.eosTokenIds()).containsExactly(5, 6);
        assertThat(c.scales().embedding()).isEqualTo(6.3125f);
        assertThat(c.tiedEmbeddings()).isTrue();
    }

    /** Which layers of SmolLM 3 do not know where tokens stand. */
    @Test
    void layersWithoutRotaryEmbedding() {
        String smol = "\"architectures\": [\"SmolLM3ForCausalLM\"], \"num_hidden_layers\": 5";
        ModelConfig usual = with("{" + smol + "}");
        assertThat(turned(usual)).containsExactly(true, true, true, false, true);
        assertThat(rotary(usual).theta()).isEqualTo(2_000_000);
        assertThat(turned(with("{" + smol + ", \"no_rope_layer_interval\": 2}")))
                .containsExactly(true, false, true, false, true);
        // As transformers has it, a list may be longer than the model.
        assertThat(turned(with("{" + smol + ", \"no_rope_layers\": [0, 1, 1, 0, 0, 1]}")))
                .containsExactly(false, true, true, false, false);
        for (String bad : List.of("[0, 1]", "[0, 1, 2, 0, 0]", "[true, 1, 1, 1, 1]", "7")) {
            assertThatThrownBy(() -> with("{" + smol + ", \"no_rope_layers\": " + bad + "}"))
                    .isInstanceOf(FormatException.class)
                    .hasMessageContaining("no_rope_layers: found")
                    .hasMessageContaining("expected 1 or 0 for each of the 5 layers");
        }
        assertThatThrownBy(() -> with("{" + smol + ", \"use_sliding_window\": true, \"sliding_window\": 4}"))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("layer_types");
        assertThat(turned(with("{\"no_rope_layers\": [0, 0, 0]}"))).containsOnly(true);
    }

    @ParameterizedTest
    @FieldSource("MODELS")
    void groupsAddUpToTheConfiguration(String name) {
        ModelConfig c = ModelDirectory.open(TinyModels.directory(name)).config();
        BlockPlan block = c.plan().block(1);
        LinearGroup qkv = block.groups().get(0);
        assertThat(qkv.outputs()).isEqualTo((c.heads() + 2 * c.keyValueHeads()) * c.headDim());
        assertThat(block.groups().get(1).inputs()).isEqualTo(c.heads() * c.headDim());
        assertThat(qkv.hessian()).isEqualTo("1_qkv");
        assertThat(block.groups().get(1).hessian()).isEqualTo("1_o");
        switch (block.feedForward()) {
            case FeedForwardPlan.Gated gated -> {
                assertThat(gated.input().parts())
                        .extracting(LinearGroup.Part::name, LinearGroup.Part::rows)
                        .containsExactly(
                                tuple("model.layers.1.mlp.up_proj", c.intermediateSize()),
                                tuple("model.layers.1.mlp.gate_proj", c.intermediateSize()));
                assertThat(gated.groups()).extracting(LinearGroup::hessian).containsExactly("1_up", "1_down");
            }
            case FeedForwardPlan.Plain plain -> {
                assertThat(plain.groups()).extracting(LinearGroup::hessian).containsExactly("1_up", "1_down");
                assertThat(plain.groups())
                        .extracting(LinearGroup::outputs)
                        .containsExactly(c.intermediateSize(), c.hiddenSize());
            }
            case FeedForwardPlan.Experts mixture -> {
                assertThat(mixture.experts()).hasSize(c.experts().orElseThrow().count());
                assertThat(mixture.experts().get(2).groups())
                        .extracting(LinearGroup::hessian, LinearGroup::reach)
                        .containsExactly(
                                tuple("1_e2_up", LinearGroup.Reach.CHOSEN_TOKENS),
                                tuple("1_e2_down", LinearGroup.Reach.WITHIN_EXPERT));
                assertThat(block.groups().stream().map(LinearGroup::hessian)).doesNotHaveDuplicates();
            }
        }
        assertThat(block.groups().getLast().outputs()).isEqualTo(c.hiddenSize());
        assertThat(qkv.name()).isEqualTo("model.layers.1.self_attn.qkv_proj");
        LinearGroup.Part values = qkv.parts().getLast();
        if (values.rows() == c.keyValueSize()) {
            assertThat(values.bias())
                    .isEqualTo(new TensorPlan(
                            "model.layers.1.self_attn.v_proj.bias", "bias", List.of((long) c.keyValueSize())));
        }
    }
}

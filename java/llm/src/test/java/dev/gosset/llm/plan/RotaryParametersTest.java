package dev.gosset.llm.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gosset.core.FormatException;
import dev.gosset.llm.io.Json;
import dev.gosset.llm.io.JsonFile;
import java.io.IOException;
import java.io.InputStream;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The rotary embedding of a configuration, in all spellings: the same numbers as transformers 5.18. */
class RotaryParametersTest {
    private static final int POSITIONS = 64;
    private static final String LINEAR = "{'type': 'linear', 'factor': 4}";

    private static RotaryParameters parse(String json, String... layerTypes) {
        Set<String> types = layerTypes.length == 0 ? Set.of("full_attention") : Set.of(layerTypes);
        Set<RotaryParameters> found = Set.copyOf(RotaryParameters.parse(
                        JsonFile.parse("config.json", json.replace('\'', '"')), 8, POSITIONS, types, ModelFamily.LLAMA)
                .values());
        assertThat(found).hasSize(1);
        return found.iterator().next();
    }

    /** Random configurations of every type and family, by make_rotary_cases.py. */
    @Test
    void frequenciesAndAttentionFactorsAreThoseOfTransformers() throws IOException {
        JsonNode cases;
        try (InputStream in = RotaryParametersTest.class.getResourceAsStream("/rotary/cases.json")) {
            cases = Json.MAPPER.readTree(in);
        }
        assertThat(cases).hasSizeGreaterThan(50);
        for (JsonNode c : cases) {
            JsonFile json = JsonFile.parse("config.json", c.get("config").toString());
            int dim = json.integer("head_dim", 2, 4096);
            RotaryParameters found = RotaryParameters.parse(
                            json,
                            dim,
                            json.integer("max_position_embeddings", 1, 1 << 20),
                            Set.of("full_attention"),
                            ModelFamily.LLAMA)
                    .get("full_attention");
            assertThat(found.scaling().attentionFactor())
                    .as("%s", c)
                    .isCloseTo(c.get("attention").doubleValue(), within(1e-12));
            double[] frequencies = found.scaling()
                    .frequencies(found.theta(), dim, c.get("length").intValue());
            assertThat(frequencies).hasSize(c.get("frequencies").size());
            for (int i = 0; i < frequencies.length; i++) {
                double expected = c.get("frequencies").get(i).doubleValue();
                // float32 there: powers of a base that was itself rounded.
                assertThat(frequencies[i]).as("%d of %s", i, c).isCloseTo(expected, within(2e-6 * expected));
            }
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "{}                                                                                          | 10000",
                "{'rope_theta': 500000}                                                                      | 500000",
                "{'rope_parameters': {'rope_theta': 500000}}                                                 | 500000",
                "{'rope_parameters': {'rope_type': 'default'}, 'rope_theta': 500000}                         | 500000",
                "{'rope_parameters': {'rope_theta': null, 'rope_type': 'default'}, 'rope_theta': 500000}     | 500000",
                "{'rope_parameters': null, 'rope_scaling': null, 'rope_theta': 500000.0}                     | 500000",
                "{'rope_parameters': {}, 'rope_scaling': {}, 'rope_theta': 500000.0}                         | 500000",
                "{'rope_scaling': {'rope_type': 'default', 'type': 'default', 'rope_theta': 500000}}         | 500000",
            })
    void theBaseStandsInAnyPlace(String json, double theta) {
        assertThat(parse(json)).isEqualTo(new RotaryParameters(theta, new RotaryScaling.None()));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "{'rope_scaling': LINEAR}",
                "{'rope_parameters': LINEAR}",
                "{'rope_scaling': LINEAR, 'rope_parameters': {'rope_type': 'default', 'rope_theta': 10000}}",
                "{'rope_scaling': LINEAR, 'rope_parameters': {}}",
                "{'rope_scaling': LINEAR, 'rope_parameters': null}",
                "{'rope_scaling': {}, 'rope_parameters': LINEAR}",
                "{'rope_scaling': null, 'rope_parameters': LINEAR}",
                "{'rope_scaling': LINEAR, 'rope_parameters': {'rope_type': 'linear', 'factor': 4.0, 'rope_theta': 10000.0}}",
                "{'rope_scaling': {'rope_type': 'linear', 'type': 'linear', 'factor': 4}}",
                "{'rope_scaling': {'rope_type': null, 'type': 'linear', 'factor': 4}}",
                "{'rope_parameters': {'full_attention': LINEAR}}",
                "{'rope_parameters': {'full_attention': LINEAR, 'sliding_attention': {'rope_type': 'default'}}}",
            })
    void theScalingStandsInAnyPlace(String json) {
        assertThat(parse(json.replace("LINEAR", LINEAR)))
                .isEqualTo(new RotaryParameters(10_000, new RotaryScaling.Linear(4)));
    }

    @Test
    void theTrainedContextStandsInAnyPlace() {
        String yarn = "'rope_scaling': {'type': 'yarn', 'factor': 4, 'original_max_position_embeddings': 16}";
        RotaryScaling expected = parse("{" + yarn + "}").scaling();
        assertThat(((RotaryScaling.Yarn) expected).originalPositions()).isEqualTo(16);
        assertThat(parse("{" + yarn.replace(": 16", ": null") + ", 'original_max_position_embeddings': 16}")
                        .scaling())
                .isEqualTo(expected);
        assertThat(parse("{" + yarn.replace(": 16", ": 32") + ", 'original_max_position_embeddings': 16}")
                        .scaling())
                .as("beside the other keys it goes first")
                .isEqualTo(expected);
        assertThat(parse("{" + yarn.replace("'factor': 4", "'factor': null") + "}")
                        .scaling())
                .as("the factor is the ratio")
                .isEqualTo(expected);
        assertThat(parse("{" + yarn.replace("'factor': 4, ", "") + "}").scaling())
                .as("transformers wants the key there, be it null")
                .isEqualTo(expected);
        assertThat(parse("{'rope_scaling': {'type': 'dynamic', 'factor': 4, 'original_max_position_embeddings': 16}}")
                        .scaling())
                .as("not of dynamic")
                .isEqualTo(new RotaryScaling.Dynamic(4, POSITIONS));
        String factors = "'short_factor': [1, 1, 1, 1], 'long_factor': [2, 2, 2, 2]";
        assertThat(parse("{'rope_scaling': {'type': 'su', " + factors + "}}").scaling())
                .as("an old name, which transformers no longer knows for these families")
                .isEqualTo(parse("{'rope_scaling': {'type': 'longrope', " + factors + "}}")
                        .scaling());
    }

    /** Where transformers passes over one of two values in silence, these are errors. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "{'rope_theta': 5, 'rope_parameters': {'rope_theta': 6}} | rope_parameters.rope_theta: found 6, expected the same",
                "{'rope_scaling': LINEAR, 'rope_parameters': {'rope_type': 'linear', 'factor': 2}} | rope_scaling.factor: found 4, expected the same as in rope_parameters, 2",
                "{'rope_scaling': {'type': 'default'}, 'rope_parameters': LINEAR} | rope_scaling: found {\"type\":\"default\"}, expected the same rope_type as in rope_parameters beside it, linear",
                "{'rope_scaling': LINEAR, 'rope_parameters': {'rope_type': 'yarn', 'factor': 4}} | expected the same rope_type as in rope_parameters beside it, yarn",
                "{'rope_scaling': LINEAR, 'rope_parameters': {'rope_theta': 500000}} | rope_parameters.rope_theta: found 500000, expected it in rope_scaling or as rope_theta too",
                "{'rope_scaling': {'type': 'dynamic', 'rope_type': 'linear', 'factor': 4}} | rope_scaling.type: found \"dynamic\", expected the same as rope_type, linear",
                "{'rope_scaling': {'factor': 4}} | rope_scaling.rope_type: found nothing, expected a text",
                "{'rope_scaling': {'type': 'default', 'factor': 4}} | rope_scaling.factor: found 4, expected none beside the rope_type default",
                "{'rope_parameters': {'sliding_attention': LINEAR}} | rope_parameters.full_attention is missing, expected an object",
                "{'rope_scaling': {'type': 'mrope', 'mrope_section': [1, 1, 2]}} | rope_scaling.type: found \"mrope\", expected \"default\"",
                "{'rope_scaling': {'type': 'longrope', 'short_factor': [1, 1], 'long_factor': [1, 1, 1, 1]}} | short_factor: found [1,1], expected a list of 4 numbers above 0",
                "{'rope_scaling': {'type': 'longrope', 'short_factor': [1, 1, 0, 1], 'long_factor': [1, 1, 1, 1]}} | short_factor: found [1,1,0,1]",
                "{'rope_scaling': {'type': 'longrope', 'long_factor': [1, 1, 1, 1]}} | short_factor is missing",
                "{'rope_scaling': {'type': 'dynamic'}} | rope_scaling.factor is missing",
                "{'rope_scaling': {'type': 'linear', 'factor': -1}} | rope_scaling.factor: found -1",
                "{'rope_parameters': {'rope_type': 'linear', 'factor': 4, 'partial_rotary_factor': 0.5}} | partial_rotary_factor: found 0.5, expected 1",
            })
    void contradictionsAreErrors(String json, String message) {
        assertThatExceptionOfType(FormatException.class)
                .isThrownBy(() -> parse(json.replace("LINEAR", LINEAR)))
                .withMessageStartingWith("config.json: ")
                .withMessageContaining(message);
    }

    @Test
    void eachTypeOfLayerHasItsOwnAngles() {
        String nested = "{'rope_parameters': {'full_attention': " + LINEAR + ", 'sliding_attention': OTHER}}";
        assertThat(parse(nested.replace("OTHER", LINEAR), "full_attention", "sliding_attention")
                        .scaling())
                .isEqualTo(new RotaryScaling.Linear(4));
        assertThat(RotaryParameters.parse(
                        JsonFile.parse(
                                "config.json",
                                nested.replace("OTHER", "{'rope_theta': 5}").replace('\'', '"')),
                        8,
                        POSITIONS,
                        Set.of("full_attention", "sliding_attention"),
                        ModelFamily.LLAMA))
                .containsEntry("full_attention", new RotaryParameters(10_000, new RotaryScaling.Linear(4)))
                .containsEntry("sliding_attention", new RotaryParameters(5, new RotaryScaling.None()));
    }

    /** Gemma 3 turns layers with a window by a base of their own. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "{}                                                                     | 1000000 | 10000",
                "{'rope_theta': 5, 'rope_local_base_freq': 6}                           | 5       | 6",
                "{'rope_parameters': {'full_attention': {'rope_theta': 5}}}             | 5       | 10000",
                "{'rope_parameters': {'full_attention': {'rope_theta': 5}, 'sliding_attention': {'rope_theta': 6}}} | 5 | 6",
            })
    void localLayersHaveABaseOfTheirOwn(String json, double full, double sliding) {
        assertThat(gemma(json))
                .containsEntry("full_attention", new RotaryParameters(full, new RotaryScaling.None()))
                .containsEntry("sliding_attention", new RotaryParameters(sliding, new RotaryScaling.None()));
        assertThat(gemma("{'rope_scaling': " + LINEAR + "}"))
                .containsEntry("full_attention", new RotaryParameters(1_000_000, new RotaryScaling.Linear(4)))
                .containsEntry("sliding_attention", new RotaryParameters(10_000, new RotaryScaling.None()));
        assertThatExceptionOfType(FormatException.class)
                .isThrownBy(() -> gemma("{'rope_parameters': {'rope_theta': 5}}"))
                .withMessageContaining("rope_parameters: found {\"rope_theta\":5}, expected an object for each type");
        assertThatExceptionOfType(FormatException.class)
                .isThrownBy(() -> gemma("{'rope_local_base_freq': 5, 'rope_parameters': {'full_attention': {},"
                        + " 'sliding_attention': {'rope_theta': 6}}}"))
                .withMessageContaining("rope_theta: found 6, expected the same as rope_local_base_freq elsewhere, 5.0");
    }

    private static Map<String, RotaryParameters> gemma(String json) {
        return RotaryParameters.parse(
                JsonFile.parse("config.json", json.replace('\'', '"')),
                8,
                POSITIONS,
                Set.of("full_attention", "sliding_attention"),
                ModelFamily.GEMMA3);
    }

    /** Nothing depends on what ran before, as it does in transformers, whose embedding keeps the longest length seen. */
    @Test
    void anglesDependOnTheSequenceAlone() {
        RotaryScaling dynamic = new RotaryScaling.Dynamic(2, 16);
        RotaryTable fresh = new RotaryTable(8, 10_000, dynamic);
        RotaryTable used = new RotaryTable(8, 10_000, dynamic);
        used.angles(0, 100, 100);
        for (int[] range : new int[][] {{0, 10, 10}, {0, 40, 40}, {30, 31, 31}, {0, 16, 16}, {5, 8, 40}}) {
            RotaryTable.Angles a = fresh.angles(range[0], range[1], range[2]);
            RotaryTable.Angles b = used.angles(range[0], range[1], range[2]);
            double base = 10_000 * Math.pow(2.0 * Math.max(16, range[2]) / 16 - 1, 8 / 6.0);
            for (int p = range[0]; p < range[1]; p++) {
                for (int i = 0; i < 4; i++) {
                    assertThat(a.cos()[a.at(p) + i]).isEqualTo(b.cos()[b.at(p) + i]);
                    assertThat((double) a.sin()[a.at(p) + i])
                            .isCloseTo(Math.sin(p * Math.pow(base, -i / 4.0)), within(1e-5));
                }
            }
        }
        RotaryTable.Angles last = used.ofLastTokens(10, 30);
        for (int p = 10; p < 30; p++) {
            RotaryTable.Angles own = fresh.angles(p, p + 1, p + 1);
            assertThat(last.sin()[last.at(p) + 2]).isEqualTo(own.sin()[own.at(p) + 2]);
        }
    }
}

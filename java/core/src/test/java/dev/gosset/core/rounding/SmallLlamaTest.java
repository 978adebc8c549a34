package dev.gosset.core.rounding;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.gosset.core.Golden;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.codebook.PublishedLayout;
import dev.gosset.core.kernel.oracle.ScalarEncode;
import dev.gosset.core.kernel.oracle.ScalarTransform;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Linears of a real model against what the reference implementation made of them, with its sign vectors. */
class SmallLlamaTest {
    @ParameterizedTest
    @CsvSource({
        "0, o, self_attn.o_proj, self_attn.o_proj",
        "2, qkv, self_attn.qkv_proj, self_attn.q_proj self_attn.k_proj self_attn.v_proj",
        "5, down, mlp.down_proj, mlp.down_proj"
    })
    void errorsAndCodesAreTheReferences(int layer, String group, String stack, String members) throws IOException {
        Path models = Golden.shared().resolve("models");
        Golden original = Golden.read(models.resolve("small-llama/model.safetensors"));
        Golden reference = Golden.read(models.resolve("small-llama-reference/e8p-2bit/model.safetensors"));
        Golden moments =
                Golden.read(models.resolve("small-llama-reference/hessians/" + layer + "_" + group + ".safetensors"));
        JsonNode results = new ObjectMapper()
                .readTree(models.resolve("small-llama-reference/results.json").toFile());
        String prefix = "model.layers." + layer + ".";
        try (Arena arena = Arena.ofShared();
                ThreadTeam team = new ThreadTeam(2)) {
            float[] su = reference.get(prefix + stack + ".SU").floats();
            float[] sv = reference.get(prefix + stack + ".SV").floats();
            List<LinearQuantizer.Part> parts = new ArrayList<>();
            for (String member : members.split(" ")) {
                Golden.Tensor t = original.get(prefix + member + ".weight");
                parts.add(new LinearQuantizer.Part(
                        member, FloatMatrix.copyOf(arena, t.shape()[0], t.shape()[1], t.floats())));
            }
            int n = su.length;
            Hessian hessian = new Hessian(
                    n,
                    arena.allocateFrom(
                            ValueLayout.JAVA_FLOAT, moments.get("flatH").floats()),
                    arena.allocateFrom(ValueLayout.JAVA_FLOAT, moments.get("mu").floats()),
                    moments.get("ct").longs()[0]);
            QuantizationResult r = new LinearQuantizer(
                            RoundingSettings.reference(Codebook.ofBits(2)),
                            new ScalarEncode(),
                            new ScalarTransform(),
                            team)
                    .quantize(prefix + stack, parts, hessian, new Incoherence(signs(su), signs(sv)), arena);
            JsonNode expected = results.get("per_linear").get("2bit").get(layer + "_" + group);
            double proxy = expected.get("proxy").asDouble();
            double frobenius = expected.get("frob").asDouble();
            MemorySegment words = MemorySegment.ofBuffer(
                    reference.get(prefix + stack + ".Qidxs").bytes());
            CodeMatrix codes = PublishedLayout.unpack(
                    arena,
                    Codebook.ofBits(2),
                    sv.length,
                    n,
                    arena.allocate(words.byteSize(), 64).copyFrom(words));
            int different = 0;
            for (int i = 0; i < codes.rows(); i++) {
                for (int g = 0; g < codes.groups(); g++) {
                    different += codes.code(i, g) == r.linear().codes().code(i, g) ? 0 : 1;
                }
            }
            double equal = 1 - different / ((double) codes.rows() * codes.groups());
            System.out.printf(
                    "%d_%s: proxy %.6f (reference %.6f), Frobenius %.6f (%.6f), %.2f %% of the codes equal%n",
                    layer, group, r.proxyError(), proxy, r.frobeniusError(), frobenius, 100 * equal);
            assertThat(r.proxyError()).isCloseTo(proxy, within(5e-3 * proxy));
            assertThat(r.frobeniusError()).isCloseTo(frobenius, within(5e-3 * frobenius));
            assertThat(equal).isGreaterThan(0.98);
        }
    }

    private static byte[] signs(float[] values) {
        byte[] signs = new byte[values.length];
        for (int i = 0; i < signs.length; i++) {
            signs[i] = (byte) Math.signum(values[i]);
        }
        return signs;
    }
}

package dev.gosset.llm.convert;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.gosset.core.FormatException;
import dev.gosset.core.Golden;
import dev.gosset.core.UnsupportedModelException;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.Progress;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.tokenizer.ChatTemplate;
import dev.gosset.llm.tokenizer.Tokenizer;
import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** GGUF files that ggml's own library wrote, against what transformers makes of them (make_gguf.py). */
class GgufImportTest {
    @TempDir
    Path temporary;

    private static Path file(String name) throws Exception {
        return Path.of(GgufImportTest.class.getResource("/gguf/" + name).toURI());
    }

    private Path converted(String name) throws Exception {
        Path out = temporary.resolve(name);
        GgufImport.run(file(name + ".gguf"), out, Progress.NONE);
        return out;
    }

    @ParameterizedTest
    @ValueSource(strings = {"llama", "qwen2"})
    void sameLogitsAndTokensAsTransformers(String name) throws Exception {
        Path out = converted(name);
        Golden golden = Golden.read(file(name + ".safetensors"));
        int[] tokens = ints(golden, "ids");
        int[] rows = ints(golden, "rows");
        float[] expected = golden.get("logits").floats();
        try (ThreadTeam team = new ThreadTeam(2);
                Workspace workspace = new Workspace(team);
                Model model = Model.open(out);
                Arena arena = Arena.ofShared()) {
            int vocabulary = model.config().vocabularySize();
            FloatMatrix logits = FloatMatrix.allocate(arena, tokens.length, vocabulary);
            model.transformer().forward(tokens, logits, workspace);
            double worst = 0;
            double largest = 0;
            for (int r = 0; r < rows.length; r++) {
                for (int j = 0; j < vocabulary; j++) {
                    float e = expected[r * vocabulary + j];
                    worst = Math.max(worst, Math.abs(logits.get(rows[r], j) - e));
                    largest = Math.max(largest, Math.abs(e));
                }
            }
            assertThat(largest).isGreaterThan(1);
            assertThat(worst / largest).isLessThan(1e-4);
        }
        try (Tokenizer tokenizer = Tokenizer.open(out)) {
            for (JsonNode each :
                    new ObjectMapper().readTree(file(name + ".json").toFile())) {
                int[] ids = new ObjectMapper().convertValue(each.get("ids"), int[].class);
                assertThat(tokenizer.encode(each.get("text").asText()))
                        .as(each.get("text").asText())
                        .isEqualTo(ids);
            }
        }
        assertThat(ChatTemplate.find(out)
                        .orElseThrow()
                        .render(List.of(new ChatTemplate.Message("user", "the cat")), true))
                .isEqualTo("user: the cat\n");
    }

    private static int[] ints(Golden golden, String name) {
        return Arrays.stream(golden.get(name).longs())
                .mapToInt(Math::toIntExact)
                .toArray();
    }

    private void refused(byte[] bytes, Class<? extends Exception> type, String message) throws Exception {
        Path bad = Files.write(temporary.resolve("bad.gguf"), bytes);
        Path out = temporary.resolve("refused");
        assertThatThrownBy(() -> GgufImport.run(bad, out, Progress.NONE))
                .isInstanceOf(type)
                .hasMessageStartingWith(bad.toString())
                .hasMessageContaining(message)
                .hasMessageNotContaining("\n");
        assertThat(out).doesNotExist();
    }

    @Test
    void whatIsWrongIsSaid() throws Exception {
        byte[] good = Files.readAllBytes(file("llama.gguf"));
        refused(new byte[3], FormatException.class, "does not begin with GGUF");
        refused(changed(good, 0, (byte) 'X'), FormatException.class, "does not begin with GGUF");
        refused(changed(good, 4, (byte) 1), FormatException.class, "is of version 1");
        byte[] big = good.clone();
        ByteBuffer.wrap(big).putInt(4, 3);
        refused(big, FormatException.class, "big-endian");
        ByteBuffer sizes = ByteBuffer.wrap(good.clone()).order(ByteOrder.LITTLE_ENDIAN);
        sizes.putLong(8, Long.MAX_VALUE);
        refused(sizes.array(), FormatException.class, "announces 9223372036854775807 tensors");
        sizes = ByteBuffer.wrap(good.clone()).order(ByteOrder.LITTLE_ENDIAN);
        sizes.putLong(16, -1);
        refused(sizes.array(), FormatException.class, "announces 18446744073709551615 keys");
        int name = indexOf(good, "blk.0.ffn_up.weight");
        int dimensions = name + "blk.0.ffn_up.weight".length() + 4;
        sizes = ByteBuffer.wrap(good.clone()).order(ByteOrder.LITTLE_ENDIAN);
        sizes.putLong(dimensions, 1L << 40).putLong(dimensions + 8, 1L << 40);
        refused(sizes.array(), FormatException.class, "which overflows");
        sizes = ByteBuffer.wrap(good.clone()).order(ByteOrder.LITTLE_ENDIAN);
        sizes.putLong(dimensions, 1L << 61).putLong(dimensions + 8, 0);
        refused(sizes.array(), FormatException.class, "expected elements");
        sizes = ByteBuffer.wrap(good.clone()).order(ByteOrder.LITTLE_ENDIAN);
        sizes.putInt(dimensions + 16, 12);
        refused(sizes.array(), UnsupportedModelException.class, "'blk.0.ffn_up.weight' is of the type Q4_K");
        sizes = ByteBuffer.wrap(good.clone()).order(ByteOrder.LITTLE_ENDIAN);
        sizes.putLong(dimensions + 20, 1L << 62);
        refused(sizes.array(), FormatException.class, "lies at 4611686018427387904");
        String heads = "llama.attention.head_count";
        sizes = ByteBuffer.wrap(good.clone()).order(ByteOrder.LITTLE_ENDIAN);
        sizes.putInt(indexOf(good, heads) + heads.length() + 4, 0);
        refused(sizes.array(), FormatException.class, "head_count is 0, expected at least 1");
        byte[] other = good.clone();
        System.arraycopy(
                "mamba".getBytes(StandardCharsets.UTF_8), 0, other, indexOf(good, "general.architecture") + 32, 5);
        refused(other, UnsupportedModelException.class, "found the architecture 'mamba'");
    }

    @Test
    void aFileThatEndsEarlyIsRefusedWhereverItEnds() throws Exception {
        byte[] good = Files.readAllBytes(file("qwen2.gguf"));
        long seed = System.nanoTime();
        System.out.println("GgufImportTest seed " + seed);
        SplittableRandom random = new SplittableRandom(seed);
        for (int i = 0; i < 50; i++) {
            refused(Arrays.copyOf(good, random.nextInt(good.length - 32)), FormatException.class, "");
        }
    }

    private static byte[] changed(byte[] bytes, int at, byte to) {
        byte[] other = bytes.clone();
        other[at] = to;
        return other;
    }

    private static int indexOf(byte[] bytes, String text) {
        return new String(bytes, StandardCharsets.ISO_8859_1).indexOf(text);
    }
}

package dev.gosset.llm.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.fail;

import dev.gosset.core.FormatException;
import dev.gosset.core.Golden;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.Tensor;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class SafetensorsTest {
    private final long seed = new Random().nextLong();
    private final Random random = new Random(seed);

    @TempDir
    Path dir;

    /** The bytes of a file with this header and {@code data} random bytes after it. */
    private byte[] file(String header, int data) {
        return file(header.getBytes(StandardCharsets.UTF_8), data);
    }

    private byte[] file(byte[] header, int data) {
        byte[] bytes = new byte[data];
        random.nextBytes(bytes);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.writeBytes(ByteBuffer.allocate(8)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(header.length)
                .array());
        out.writeBytes(header);
        out.writeBytes(bytes);
        return out.toByteArray();
    }

    private static String entry(String name, String dtype, String shape, long begin, long end) {
        return "\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%d,%d]}"
                .formatted(name, dtype, shape, begin, end);
    }

    private void single(byte[] bytes) throws IOException {
        Files.write(dir.resolve(Safetensors.SINGLE_FILE), bytes);
    }

    private void index(String weightMap) throws IOException {
        Files.writeString(
                dir.resolve(Safetensors.INDEX_FILE),
                "{\"metadata\":{\"total_size\":1},\"weight_map\":" + weightMap + "}");
    }

    private void assertRejected(String... parts) {
        try (Arena arena = Arena.ofConfined()) {
            assertThatThrownBy(() -> Safetensors.open(dir, arena))
                    .isInstanceOf(FormatException.class)
                    .hasMessageContainingAll(parts)
                    .satisfies(e -> assertThat(e.getMessage().lines()).hasSize(1));
        }
    }

    @Test
    void readsEveryType() throws IOException {
        String header = "{\"__metadata__\":{\"format\":\"pt\"},"
                + String.join(
                        ",",
                        entry("d", "F64", "[2]", 0, 16),
                        entry("f", "F32", "[1,3]", 16, 28),
                        entry("h", "F16", "[3]", 28, 34),
                        entry("b", "BF16", "[]", 34, 36),
                        entry("l", "I64", "[1]", 36, 44),
                        entry("i", "I32", "[1]", 44, 48),
                        entry("s", "I16", "[1]", 48, 50),
                        entry("c", "I8", "[1]", 50, 51),
                        entry("u", "U8", "[0,7]", 51, 51),
                        entry("x", "U8", "[1]", 51, 52),
                        entry("o", "BOOL", "[2]", 52, 54))
                + "}   ";
        byte[] bytes = file(header, 54);
        single(bytes);
        try (Arena arena = Arena.ofConfined()) {
            Safetensors model = Safetensors.open(dir, arena);
            assertThat(model.names()).containsExactly("d", "f", "h", "b", "l", "i", "s", "c", "u", "x", "o");
            assertThat(model.metadata()).containsOnlyKeys("format").containsValue("pt");
            ByteBuffer data = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
            data = data.slice(bytes.length - 54, 54).order(ByteOrder.LITTLE_ENDIAN);
            int at = 0;
            for (Tensor t : model.tensors()) {
                byte[] expected = new byte[(int) t.data().byteSize()];
                data.get(at, expected);
                assertThat(t.data().toArray(ValueLayout.JAVA_BYTE)).as(t.name()).isEqualTo(expected);
                assertThat(t.data().isReadOnly()).isTrue();
                assertThat(t.source()).isEqualTo(dir.resolve(Safetensors.SINGLE_FILE));
                at += expected.length;
            }
            assertThat(model.get("f").shape()).containsExactly(1L, 3L);
            assertThat(model.get("b").shape()).isEmpty();
            assertThat(model.get("l").scalar()).isEqualTo(data.getLong(36));
            assertThat(model.get("i").scalar()).isEqualTo(data.getInt(44));
            assertThat(model.get("s").scalar()).isEqualTo(data.getShort(48));
            assertThat(model.get("c").scalar()).isEqualTo(data.get(50));
            assertThat(model.get("x").scalar()).isEqualTo(data.get(51) & 0xff);
            assertThat(model.find("nothing")).isEmpty();
            assertThatThrownBy(() -> model.get("nothing"))
                    .isInstanceOf(FormatException.class)
                    .hasMessageContaining("has no tensor nothing");
        }
    }

    @Test
    void obeysTheIndexAndIgnoresStaleShards() throws IOException {
        byte[] one = file("{" + entry("a", "F32", "[2]", 0, 8) + "," + entry("b", "U8", "[1]", 8, 9) + "}", 9);
        Files.write(dir.resolve("model-00001-of-00002.safetensors"), one);
        Files.write(
                dir.resolve("model-00002-of-00002.safetensors"), file("{" + entry("c", "F16", "[4]", 0, 8) + "}", 8));
        Files.write(
                dir.resolve("model-00001-of-00003.safetensors"), file("{" + entry("a", "F32", "[2]", 0, 8) + "}", 8));
        Files.writeString(dir.resolve("model-00002-of-00003.safetensors"), "garbage");
        index("{\"c\":\"model-00002-of-00002.safetensors\",\"a\":\"model-00001-of-00002.safetensors\","
                + "\"b\":\"model-00001-of-00002.safetensors\"}");
        try (Arena arena = Arena.ofConfined()) {
            Safetensors model = Safetensors.open(dir, arena);
            assertThat(model.names()).containsExactly("c", "a", "b");
            assertThat(model.get("a").data().toArray(ValueLayout.JAVA_BYTE))
                    .isEqualTo(Arrays.copyOfRange(one, one.length - 9, one.length - 1));
            assertThat(model.get("a").source().getFileName()).hasToString("model-00001-of-00002.safetensors");
        }
    }

    private void shard(String name, String tensor, int... values) throws IOException {
        byte[] bytes =
                file("{" + entry(tensor, "U8", "[" + values.length + "]", 0, values.length) + "}", values.length);
        for (int i = 0; i < values.length; i++) {
            bytes[bytes.length - values.length + i] = (byte) values[i];
        }
        Files.write(dir.resolve(name), bytes);
    }

    /** The bytes of each tensor, or what is said of one that cannot be had. */
    private String contents(String... tensors) {
        StringBuilder out = new StringBuilder();
        try (Arena arena = Arena.ofConfined()) {
            Safetensors model = Safetensors.open(dir, arena);
            for (String name : tensors) {
                try {
                    out.append(Arrays.toString(model.get(name).data().toArray(ValueLayout.JAVA_BYTE)));
                } catch (FormatException e) {
                    out.append(e.getMessage().replace(dir.toString(), "DIR"));
                }
            }
        }
        return out.toString();
    }

    /** As transformers 5.18 does, except that it wants every shard, whether or not anything in it is needed. */
    @Test
    void readsWhatIsThereWhateverTheIndexSays() throws IOException {
        shard("s1.safetensors", "a", 1, 2);
        shard("s2.safetensors", "b", 3);
        index("{\"a\":\"s1.safetensors\",\"b\":\"s2.safetensors\",\"rotary.inv_freq\":\"s2.safetensors\"}");
        assertThat(contents("a", "b")).as("an entry too many").isEqualTo("[1, 2][3]");
        assertThat(contents("rotary.inv_freq"))
                .isEqualTo("DIR: has no tensor rotary.inv_freq among its 2; model.safetensors.index.json puts it into"
                        + " s2.safetensors, which lacks it");
        index("{\"a\":\"s1.safetensors\",\"c\":\"s2.safetensors\"}");
        assertThat(contents("a", "b")).as("an entry too few").isEqualTo("[1, 2][3]");
        index("{\"b\":\"s1.safetensors\",\"a\":\"s2.safetensors\"}");
        assertThat(contents("a", "b")).as("the wrong shards").isEqualTo("[1, 2][3]");
        index("{\"a\":\"s1.safetensors\",\"b\":\"s2.safetensors\",\"vision\":\"s3.safetensors\"}");
        assertThat(contents("a", "b")).as("a shard that nobody needs").isEqualTo("[1, 2][3]");
        assertThat(contents("vision"))
                .isEqualTo("DIR/s3.safetensors: no such file, expected a file: the shard where"
                        + " model.safetensors.index.json puts 'vision'");
        assertThat(contents("other")).isEqualTo("DIR: has no tensor other among its 2");
        Files.writeString(dir.resolve("s3.safetensors"), "garbage");
        assertRejected("s3.safetensors");
    }

    @Test
    void theIndexDecidesBetweenTensorsOfOneName() throws IOException {
        shard("s1.safetensors", "a", 1, 2);
        shard("s2.safetensors", "a", 3, 4);
        index("{\"x\":\"s1.safetensors\",\"a\":\"s2.safetensors\"}");
        assertThat(contents("a")).isEqualTo("[3, 4]");
        index("{\"x\":\"s1.safetensors\",\"y\":\"s2.safetensors\"}");
        assertThat(contents("a"))
                .isEqualTo("DIR/s2.safetensors: tensor 'a' is also in s1.safetensors with other values, expected"
                        + " model.safetensors.index.json to say which counts");
        shard("s2.safetensors", "a", 1, 2);
        assertThat(contents("a")).isEqualTo("[1, 2]");
    }

    @Test
    void theSingleFileGoesBeforeTheIndex() throws IOException {
        shard("s1.safetensors", "a", 1, 2);
        index("{\"a\":\"s1.safetensors\"}");
        assertThat(contents("a")).isEqualTo("[1, 2]");
        shard(Safetensors.SINGLE_FILE, "a", 5, 6);
        assertThat(contents("a")).as("as transformers 5.18 does").isEqualTo("[5, 6]");
    }

    @Test
    void rejectsBrokenIndexes() throws IOException {
        assertRejected("neither", Safetensors.INDEX_FILE);
        index("{\"a\":\"s1.safetensors\",\"a\":\"s2.safetensors\"}");
        assertRejected(Safetensors.INDEX_FILE, "Duplicate");
        for (String name : List.of("../s1.safetensors", "/etc/passwd", "sub/s1.safetensors", "", "..", "a\\\\b")) {
            index("{\"a\":\"" + name + "\"}");
            assertRejected(Safetensors.INDEX_FILE, "'a'", "beside the index");
        }
        index("{\"a\":7}");
        assertRejected(Safetensors.INDEX_FILE, "'a'", "'7'");
        index("{}");
        assertRejected(Safetensors.INDEX_FILE, "weight_map");
        Files.writeString(dir.resolve(Safetensors.INDEX_FILE), "[1]");
        assertRejected(Safetensors.INDEX_FILE, "expected an object");
        Files.writeString(dir.resolve(Safetensors.INDEX_FILE), "{} x");
        assertRejected(Safetensors.INDEX_FILE, "not a JSON object");
        Files.write(dir.resolve(Safetensors.INDEX_FILE), new byte[] {'{', '"', (byte) 0xff, '"', ':', '1', '}'});
        assertRejected(Safetensors.INDEX_FILE, "UTF-8");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            F32 | [2] | 0 | 4   | 4  | '[0, 4]', 4 bytes, expected 8 bytes
            F32 | [2] | 0 | 8   | 4  | truncated
            F32 | [2] | 0 | 8   | 9  | 1 bytes after
            F32 | [2] | 4 | 12  | 12 | leaves a hole
            F32 | [2] | 8 | 0   | 8  | 0 <= begin <= end
            F32 | [2] | -8 | 0  | 8  | 0 <= begin <= end
            F32 | [-2] | 0 | 8  | 8  | negative
            F32 | [-2,-1] | 0 | 8  | 8  | negative
            U8 | [4294967296,4294967296] | 0 | 0 | 0 | 2^63
            F64 | [1152921504606846976] | 0 | 0 | 0 | 2^63
            F32 | [4611686018427387905] | 0 | 4 | 4 | 2^63
            F32 | [18446744073709551616] | 0 | 0 | 0 | below 2^63
            U8 | [9223372036854775807] | 0 | 9223372036854775807 | 4 | truncated
            F32 | [1.5] | 0 | 8 | 8 | integers
            F32 | [[2]] | 0 | 8 | 8 | integers
            F32 | 2 | 0 | 8 | 8 | array
            F32 | null | 0 | 8 | 8 | array
            F33 | [2] | 0 | 8 | 8 | 'F33', expected F64
            GROUP8_U16 | [8,8] | 0 | 16 | 16 | 'GROUP8_U16', expected F64
            f32 | [2] | 0 | 8 | 8 | expected F64
            """)
    void rejectsBrokenTensors(String dtype, String shape, long begin, long end, int data, String message)
            throws IOException {
        single(file("{" + entry("odd", dtype, shape, begin, end) + "}", data));
        assertRejected(Safetensors.SINGLE_FILE, message.replace("'[0, 4]'", "[0, 4]"));
    }

    @Test
    void rejectsBrokenFiles() throws IOException {
        single(new byte[0]);
        assertRejected(Safetensors.SINGLE_FILE, "0 bytes");
        single(new byte[7]);
        assertRejected(Safetensors.SINGLE_FILE, "7 bytes");
        single(new byte[8]);
        assertRejected("header of 0 bytes");
        single(new byte[] {-1, -1, -1, -1, -1, -1, -1, -1, '{', '}'});
        assertRejected("header of 18446744073709551615 bytes");
        single(new byte[] {3, 0, 0, 0, 0, 0, 0, 0, '{', '}'});
        assertRejected("truncated", "has 10 bytes", "header of 3");
        single(file("{}", 0));
        try (Arena arena = Arena.ofConfined()) {
            assertThat(Safetensors.open(dir, arena).tensors()).isEmpty();
        }
        single(file("{} {}", 0));
        assertRejected("not one JSON object");
        single(file("[]", 0));
        assertRejected("not a JSON object");
        single(file("{\"a\":", 0));
        assertRejected("not a JSON object");
        single(file(new byte[] {'{', '"', (byte) 0xc3, '"', ':', '1', '}'}, 0));
        assertRejected("UTF-8");
        single(file("{\"a\":1}".getBytes(StandardCharsets.UTF_16LE), 0));
        assertRejected("not a JSON object");
        single(file("{\"a\":[]}", 0));
        assertRejected("'a'", "expected an object");
        single(file("{\"a\":{\"dtype\":\"U8\",\"shape\":[0]}}", 0));
        assertRejected("'a'", "data_offsets");
        single(file("{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0]}}", 0));
        assertRejected("'a'", "two offsets");
        single(file("{\"__metadata__\":{\"a\":1}}", 0));
        assertRejected("__metadata__", "expected text");
        single(file("{\"__metadata__\":{\"a\":\"\\ud83d\"}}", 0));
        assertRejected("__metadata__", "half of a surrogate pair");
        single(file("{\"\\ud83dx\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4));
        assertRejected("surrogate");
        single(file("{\"a\":{\"dtype\":\"" + "long ".repeat(1000) + "\",\"shape\":[" + "1,".repeat(9) + "1]}}", 0));
        assertRejected("has the dtype 'long long", "...'", "expected all three");
        single(file("{" + entry("a", "U8", "[2]", 0, 2) + "," + entry("a", "U8", "[2]", 2, 4) + "}", 4));
        assertRejected("Duplicate field 'a'");
        single(file("{" + entry("a", "U8", "[2]", 0, 2) + "," + entry("b", "U8", "[2]", 1, 3) + "}", 3));
        assertRejected("'b'", "overlaps");
        single(file("{" + entry("a", "U8", "[2]", 0, 2) + "," + entry("b", "U8", "[2]", 0, 2) + "}", 2));
        assertRejected("overlaps");
        single(file("{" + entry("a\\nb", "U8", "[3]", 0, 2) + "}", 2));
        assertRejected("'a?b'");
        single(file("{\"a\":{\"shape\":[" + "1,".repeat(1000) + "1]}}", 2));
        assertRejected("'a'", "at most 32");
        single(file("{\"a\":" + "[".repeat(100_000), 2));
        assertRejected(Safetensors.SINGLE_FILE);
        Files.delete(dir.resolve(Safetensors.SINGLE_FILE));
        Files.createDirectory(dir.resolve(Safetensors.SINGLE_FILE));
        assertRejected("is a directory, expected a file");
        try (Arena arena = Arena.ofConfined()) {
            assertThatThrownBy(() -> Safetensors.open(dir.resolve("absent"), arena))
                    .isInstanceOf(FormatException.class)
                    .hasMessageContaining("no such file");
        }
    }

    /** Whatever is done to a file, opening it and touching every byte of every tensor gives a FormatException or works. */
    @Test
    void survivesDamage() {
        byte[] good = file(
                "{\"__metadata__\":{\"k\":\"v\"}," + entry("a", "F32", "[2,2]", 0, 16) + ","
                        + entry("b", "BF16", "[3]", 16, 22) + "}",
                22);
        String tokens = "{}[],:\"\\-0123456789eE.nulltrfas \n";
        Path path = dir.resolve("x.safetensors");
        int rejected = 0;
        int trials = Integer.getInteger("gosset.fuzz", 20_000);
        for (int trial = 0; trial < trials; trial++) {
            byte[] bytes = good.clone();
            if (trial < good.length) {
                bytes = Arrays.copyOf(bytes, trial);
            } else {
                for (int k = random.nextInt(4); k >= 0; k--) {
                    int at = random.nextInt(random.nextBoolean() ? 12 : bytes.length);
                    bytes[at] = random.nextBoolean()
                            ? (byte) random.nextInt(256)
                            : (byte) tokens.charAt(random.nextInt(tokens.length()));
                }
                if (random.nextInt(8) == 0) {
                    bytes = Arrays.copyOf(bytes, random.nextInt(2 * bytes.length));
                }
            }
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment all = arena.allocate(bytes.length).copyFrom(MemorySegment.ofArray(bytes));
                for (Tensor t : Safetensors.parse(path, all).tensors()) {
                    t.data().toArray(ValueLayout.JAVA_BYTE);
                    if (t.dtype().isFloating()) {
                        t.toFloatArray();
                    }
                }
            } catch (FormatException e) {
                rejected++;
                assertThat(e.getMessage())
                        .as("seed " + seed + " trial " + trial)
                        .contains("x.safetensors");
            } catch (RuntimeException | Error e) {
                fail("seed " + seed + ", trial " + trial, e);
            }
        }
        assertThat(rejected).as("seed " + seed).isBetween(trials / 4, trials - 1);
    }

    @Test
    void readsTheSmallModelAsTheGoldenReaderDoes() {
        Path path = Golden.shared().resolve("models/small-llama");
        Golden golden = Golden.read(path.resolve(Safetensors.SINGLE_FILE));
        try (Arena arena = Arena.ofConfined()) {
            Safetensors model = Safetensors.open(path, arena);
            assertThat(model.names()).containsExactlyInAnyOrderElementsOf(golden.names());
            for (Tensor t : model.tensors()) {
                assertThat(t.requireFinite().toFloatArray())
                        .as(t.name())
                        .isEqualTo(golden.get(t.name()).floats());
            }
        }
    }

    @Test
    void opensWithoutReadingTheTensors() throws IOException {
        // A sparse file of 6 GiB: a copy of it would not fit the test's heap.
        long size = 3L << 31;
        byte[] head = file("{" + entry("big", "F16", "[3,1073741824]", 0, size) + "}", 0);
        Path path = dir.resolve(Safetensors.SINGLE_FILE);
        Files.write(path, head);
        try (var channel = java.nio.channels.FileChannel.open(path, java.nio.file.StandardOpenOption.WRITE)) {
            channel.write(ByteBuffer.wrap(new byte[] {0, 0x3c}), head.length + size - 2);
        }
        try (Arena arena = Arena.ofConfined()) {
            Tensor big = Safetensors.open(dir, arena).get("big");
            assertThat(big.dtype()).isEqualTo(Dtype.F16);
            float[] last = new float[2];
            big.toFloats(big.elements() - 2, 2, MemorySegment.ofArray(last));
            assertThat(last).containsExactly(0f, 1f);
        }
    }
}

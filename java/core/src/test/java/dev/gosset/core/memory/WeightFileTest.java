package dev.gosset.core.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.fail;

import dev.gosset.core.FormatException;
import dev.gosset.core.GossetException;
import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.rounding.TransformChoice;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.LargeVarBinaryVector;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;

final class WeightFileTest {
    private final long seed = new Random().nextLong();
    private final Random random = new Random(seed);

    @TempDir
    Path dir;

    private record Row(
            String name, String role, Dtype dtype, List<Long> shape, Optional<Codebook> codebook, byte[] bytes) {}

    private Row row(String name, Dtype dtype, Long... shape) {
        byte[] bytes = new byte[(int) dtype.size(List.of(shape)).orElseThrow()];
        random.nextBytes(bytes);
        Optional<Codebook> codebook =
                dtype.isCodes() ? Optional.of(Codebook.ofBits(dtype.codeBits())) : Optional.empty();
        return new Row(name, "röle " + random.nextInt(9), dtype, List.of(shape), codebook, bytes);
    }

    /** One row of each dtype and some odd ones. */
    private List<Row> rows() {
        List<Row> rows = new ArrayList<>();
        for (Dtype dtype : Dtype.values()) {
            rows.add(row("model.λ." + dtype, dtype, 1 + random.nextLong(40), 1 + random.nextLong(60)));
        }
        rows.add(row("scalar", Dtype.F32));
        rows.add(row("empty", Dtype.F16, 3L, 0L));
        rows.add(row("n".repeat(4096), Dtype.U8, 1L));
        rows.add(row("deep", Dtype.U8, 1L, 2L, 1L, 3L, 1L, 1L, 1L, 1L, 1L, 1L, 1L, 1L, 1L, 1L, 1L, 1L, 2L, 1L, 1L));
        return rows;
    }

    private static void write(Path file, List<Row> rows, Map<String, String> metadata) {
        try (Arena arena = Arena.ofConfined();
                WeightFileWriter writer = WeightFileWriter.create(file, metadata)) {
            for (Row r : rows) {
                MemorySegment bytes = arena.allocate(r.bytes.length, 1).copyFrom(MemorySegment.ofArray(r.bytes));
                long cut = r.bytes.length / 3;
                writer.add(r.name, r.role, r.dtype, r.shape, r.codebook, bytes.asSlice(0, cut), bytes.asSlice(cut));
            }
            writer.commit();
        }
    }

    private void assertHolds(WeightFile file, List<Row> rows) {
        assertThat(file.names())
                .as("seed " + seed)
                .containsExactlyElementsOf(rows.stream().map(Row::name).toList());
        long begin = file.map().address();
        for (Row r : rows) {
            WeightFile.Weight w = file.get(r.name);
            assertThat(w.role()).isEqualTo(r.role);
            assertThat(w.codebook()).isEqualTo(r.codebook);
            assertThat(w.checksum()).hasValue(crc32c(r.bytes));
            assertThat(w.isIntact()).isTrue();
            Tensor t = w.tensor();
            assertThat(t.name()).isEqualTo(r.name);
            assertThat(t.dtype()).isEqualTo(r.dtype);
            assertThat(t.shape()).isEqualTo(r.shape);
            assertThat(t.data().toArray(ValueLayout.JAVA_BYTE))
                    .as("seed " + seed + " " + r.name)
                    .isEqualTo(r.bytes);
            // No copy: the bytes are those of the map.
            assertThat(t.data().isMapped()).isTrue();
            assertThat(t.data().isReadOnly()).isTrue();
            assertThat(t.data().address() - begin)
                    .isBetween(0L, file.map().byteSize() - t.data().byteSize());
        }
    }

    @Test
    void whatIsWrittenIsReadBackInPlaceAndAligned() throws IOException {
        List<Row> rows = rows();
        Path path = dir.resolve("weights.arrow");
        write(path, rows, Map.of("base_model", "small \"llama\"\n", "a", ""));
        try (Arena arena = Arena.ofShared()) {
            WeightFile file = WeightFile.open(path, arena);
            assertHolds(file, rows);
            assertThat(file.metadata())
                    .isEqualTo(Map.of(
                            "format", "gosset", "format_version", "2", "base_model", "small \"llama\"\n", "a", ""));
            for (WeightFile.Weight w : file.weights()) {
                assertThat((w.tensor().data().address() - file.map().address()) % 64)
                        .as(w.name())
                        .isZero();
            }
            assertThat(file.find("absent")).isEmpty();
            assertThatThrownBy(() -> file.get("absent"))
                    .isInstanceOf(FormatException.class)
                    .hasMessageContainingAll("weights.arrow", "'absent'");
        }
        Path again = dir.resolve("again.arrow");
        write(again, rows, Map.of("a", "", "base_model", "small \"llama\"\n"));
        assertThat(Files.mismatch(path, again)).isEqualTo(-1);
        Path none = dir.resolve("none.arrow");
        write(none, List.of(), Map.of());
        try (Arena arena = Arena.ofConfined()) {
            assertThat(WeightFile.open(none, arena).weights()).isEmpty();
        }
    }

    @Test
    void quantizedLinearsKeepEveryBit() {
        Path path = dir.resolve("weights.arrow");
        try (Arena arena = Arena.ofShared()) {
            List<QuantizedLinear> linears = new ArrayList<>();
            for (int bits = 2; bits <= 4; bits++) {
                int m = 16 * (1 + random.nextInt(9));
                int n = 1 + random.nextInt(300);
                CodeMatrix codes = CodeMatrix.allocate(arena, Codebook.ofBits(bits), m, n);
                List<QuantizedLinear.Part> parts = bits == 2
                        ? List.of(new QuantizedLinear.Part("o_proj", m, 1))
                        : List.of(
                                new QuantizedLinear.Part("q_proj", m - 12, 0.5f),
                                new QuantizedLinear.Part("k proj", 7, Float.float16ToFloat((short) 0x1234)),
                                new QuantizedLinear.Part("vérité", 5, -3));
                linears.add(new QuantizedLinear(
                        fill(codes), fill(arena.allocate(2L * n)), fill(arena.allocate(2L * m)), parts));
            }
            try (WeightFileWriter writer = WeightFileWriter.create(path, Map.of())) {
                for (int i = 0; i < 3; i++) {
                    QuantizedLinears.write(writer, "layers." + i, linears.get(i));
                }
                writer.add("norm", "norm", Dtype.F32, List.of(), Optional.empty(), arena.allocate(4));
                writer.commit();
            }
            WeightFile file = WeightFile.open(path, arena);
            assertThat(QuantizedLinears.names(file)).containsExactly("layers.0", "layers.1", "layers.2");
            for (int i = 0; i < 3; i++) {
                QuantizedLinear expected = linears.get(i);
                QuantizedLinear found = QuantizedLinears.read(file, "layers." + i);
                assertThat(found.parts()).isEqualTo(expected.parts());
                assertThat(found.codes().codebook()).isSameAs(expected.codes().codebook());
                assertThat(found.rows()).isEqualTo(expected.rows());
                assertThat(found.cols()).isEqualTo(expected.cols());
                assertThat(found.codes().data().mismatch(expected.codes().data()))
                        .as("seed " + seed)
                        .isEqualTo(-1);
                assertThat(found.su().mismatch(expected.su())).isEqualTo(-1);
                assertThat(found.sv().mismatch(expected.sv())).isEqualTo(-1);
                assertThat(found.codes().data().address() - file.map().address())
                        .isBetween(0L, file.map().byteSize());
            }
            assertThatThrownBy(() -> QuantizedLinears.read(file, "layers.3"))
                    .isInstanceOf(FormatException.class)
                    .hasMessageContaining("'layers.3.codes'");
        }
    }

    /** Other transforms stand in the names of the rows, so that who does not know them misses one. */
    @Test
    void linearsKeepTheirTransforms() {
        Path path = dir.resolve("weights.arrow");
        try (Arena arena = Arena.ofShared()) {
            int m = 32;
            int n = 88;
            CodeMatrix codes = fill(CodeMatrix.allocate(arena, Codebook.ofBits(2), m, n));
            MemorySegment su = fill(arena.allocate(2L * n));
            MemorySegment sv = fill(arena.allocate(2L * m));
            List<QuantizedLinear.Part> parts =
                    List.of(new QuantizedLinear.Part("a", 10, 1), new QuantizedLinear.Part("b", 22, 2));
            QuantizedLinear fourier = new QuantizedLinear(
                    codes, su, sv, parts, TransformChoice.FOURIER.of(n), TransformChoice.FOURIER.of(m));
            QuantizedLinear mixed = new QuantizedLinear(
                    codes, su, sv, parts, TransformChoice.AUTO.of(n), TransformChoice.HARTLEY.of(m));
            CodeMatrix wide = fill(CodeMatrix.allocate(arena, Codebook.ofBits(2), m, 344));
            QuantizedLinear hartley = new QuantizedLinear(
                    wide,
                    fill(arena.allocate(2L * 344)),
                    sv,
                    parts,
                    TransformChoice.HARTLEY.of(344),
                    TransformChoice.FOURIER.of(m));
            List<QuantizedLinear> linears = List.of(fourier, mixed, hartley);
            try (WeightFileWriter writer = WeightFileWriter.create(path, Map.of())) {
                for (int i = 0; i < 3; i++) {
                    QuantizedLinears.write(writer, "l" + i, linears.get(i));
                }
                writer.commit();
            }
            WeightFile file = WeightFile.open(path, arena);
            assertThat(file.weights().stream().map(WeightFile.Weight::name))
                    .contains("l0.su_fourier", "l0.sv_fourier", "l1.su", "l1.sv", "l2.su_hartley", "l2.sv_fourier")
                    .doesNotContain("l0.su", "l0.sv", "l2.su");
            assertThat(file.get("l0.su_fourier").tensor().shape()).containsExactly(44L, 2L);
            for (int i = 0; i < 3; i++) {
                QuantizedLinear found = QuantizedLinears.read(file, "l" + i);
                assertThat(found.inputs()).isSameAs(linears.get(i).inputs());
                assertThat(found.outputs()).isSameAs(linears.get(i).outputs());
                assertThat(found.su().mismatch(linears.get(i).su())).isEqualTo(-1);
                assertThat(found.sv().mismatch(linears.get(i).sv())).isEqualTo(-1);
            }
        }
    }

    @Test
    void aFourierTransformAcrossPartsOfOddRowsIsRefused() {
        Path path = dir.resolve("weights.arrow");
        try (Arena arena = Arena.ofShared()) {
            CodeMatrix codes = fill(CodeMatrix.allocate(arena, Codebook.ofBits(2), 16, 8));
            List<QuantizedLinear.Part> odd =
                    List.of(new QuantizedLinear.Part("a", 7, 1), new QuantizedLinear.Part("b", 9, 2));
            assertThatThrownBy(() -> new QuantizedLinear(
                            codes,
                            arena.allocate(16),
                            arena.allocate(32),
                            odd,
                            TransformChoice.AUTO.of(8),
                            TransformChoice.FOURIER.of(16)))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("Fourier transform of length 16");
            try (WeightFileWriter writer = WeightFileWriter.create(path, Map.of())) {
                QuantizedLinears.write(
                        writer, "x", new QuantizedLinear(codes, arena.allocate(16), arena.allocate(32), odd));
                writer.commit();
            }
            Path renamed = dir.resolve("renamed.arrow");
            try (WeightFileWriter writer = WeightFileWriter.create(renamed, Map.of())) {
                for (WeightFile.Weight weight : WeightFile.open(path, arena).weights()) {
                    boolean sv = weight.name().equals("x.sv");
                    writer.add(
                            sv ? "x.sv_fourier" : weight.name(),
                            sv ? "sv_fourier" : weight.role(),
                            weight.tensor().dtype(),
                            sv ? List.of(8L, 2L) : weight.tensor().shape(),
                            weight.codebook(),
                            weight.tensor().data());
                }
                writer.commit();
            }
            assertThatThrownBy(() -> QuantizedLinears.read(WeightFile.open(renamed, arena), "x"))
                    .isInstanceOf(FormatException.class)
                    .hasMessageContaining("expected even numbers of rows behind a Fourier transform");
        }
    }

    /** Every byte of every tensor, one bit of it changed in turn: the tensor and no other is named. */
    @Test
    void aChangedBitIsFoundInItsTensorAndInNoOther() throws IOException {
        List<Row> rows = List.of(
                row("a", Dtype.F16, 33L),
                row("b", Dtype.GROUP8_U16_U8, 5L, 17L),
                row("c", Dtype.U8),
                row("d", Dtype.F32));
        Path path = dir.resolve("weights.arrow");
        write(path, rows, Map.of());
        byte[] good = Files.readAllBytes(path);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = arena.allocate(good.length).copyFrom(MemorySegment.ofArray(good));
            WeightFile file = WeightFile.parse(path, bytes);
            for (WeightFile.Weight w : file.weights()) {
                for (long i = 0; i < w.tensor().data().byteSize(); i++) {
                    long at = w.tensor().data().address() - bytes.address() + i;
                    byte was = bytes.get(ValueLayout.JAVA_BYTE, at);
                    bytes.set(ValueLayout.JAVA_BYTE, at, (byte) (was ^ 1 << random.nextInt(8)));
                    assertThat(file.weights().stream().filter(x -> !x.isIntact()))
                            .as("seed " + seed)
                            .containsExactly(w);
                    assertThatThrownBy(w::requireIntact)
                            .isInstanceOf(FormatException.class)
                            .hasMessageContainingAll("weights.arrow", "'" + w.name() + "'", "is damaged");
                    assertThatThrownBy(() -> file.tensor(w.name()))
                            .isInstanceOf(FormatException.class)
                            .hasMessageContaining("is damaged");
                    bytes.set(ValueLayout.JAVA_BYTE, at, was);
                }
            }
            file.weights().forEach(WeightFile.Weight::requireIntact);
        }
    }

    /** Whoever asks for a large tensor may want a row of it. */
    @Test
    void onlySmallTensorsAreCheckedWhenTheyAreAskedFor() throws IOException {
        Path path = dir.resolve("weights.arrow");
        write(path, List.of(row("small", Dtype.U8, 1L << 20), row("large", Dtype.U8, (1L << 20) + 1)), Map.of());
        byte[] bytes = Files.readAllBytes(path);
        try (Arena arena = Arena.ofConfined()) {
            WeightFile file = WeightFile.open(path, arena);
            for (WeightFile.Weight w : file.weights()) {
                bytes[(int) (w.tensor().data().address() - file.map().address()) + 9] ^= 1;
            }
        }
        Files.write(path, bytes);
        try (Arena arena = Arena.ofConfined()) {
            WeightFile file = WeightFile.open(path, arena);
            assertThatThrownBy(() -> file.tensor("small")).hasMessageContaining("is damaged");
            assertThat(file.tensor("large").data().byteSize()).isEqualTo((1 << 20) + 1);
            assertThatThrownBy(() -> file.get("large").requireIntact()).hasMessageContaining("is damaged");
        }
    }

    /** A file that Gosset wrote before there were checksums. */
    @Test
    void readsVersion1() throws Exception {
        Path old = Path.of(
                WeightFileTest.class.getResource("/weights-version-1.arrow").toURI());
        try (Arena arena = Arena.ofConfined()) {
            WeightFile file = WeightFile.open(old, arena);
            assertThat(file.metadata()).containsEntry("format_version", "1").containsEntry("k", "v");
            assertThat(file.hasChecksums()).isFalse();
            assertThat(file.weights()).hasSize(7).allMatch(w -> w.checksum().isEmpty() && w.isIntact());
            QuantizedLinear linear = QuantizedLinears.read(file, "x");
            assertThat(linear.parts()).containsExactly(new QuantizedLinear.Part("q_proj", 16, 0.5f));
            Random bytes = new Random(5);
            for (MemorySegment s : List.of(linear.codes().data(), linear.su(), linear.sv())) {
                for (byte b : s.toArray(ValueLayout.JAVA_BYTE)) {
                    assertThat(b).isEqualTo((byte) bytes.nextInt(256));
                }
            }
            assertThat(file.tensor("norm").toFloatArray()).containsExactly(1, 2);
        }
    }

    private CodeMatrix fill(CodeMatrix codes) {
        fill(codes.data());
        return codes;
    }

    private MemorySegment fill(MemorySegment s) {
        for (long i = 0; i < s.byteSize(); i++) {
            s.set(ValueLayout.JAVA_BYTE, i, (byte) random.nextInt(256));
        }
        return s;
    }

    @Test
    void refusesLinearsWhoseRowsDoNotFit() {
        Codebook e8p = Codebook.ofBits(2);
        Object[][] cases = {
            {"su", Dtype.F16, List.of(9L), "expected [8]"},
            {"sv", Dtype.F32, List.of(16L), "is F32, expected F16"},
            {"part_rows", Dtype.I32, List.of(2L), "expected [1]"},
            {"part_rows", Dtype.I32, List.of(1L), "at least 1 row"},
            {"part_scales", Dtype.F16, List.of(0L), "expected [1]"},
            {"part_names", Dtype.U8, List.of(0L), "expected a name"},
        };
        for (Object[] bad : cases) {
            Path path = dir.resolve("bad.arrow");
            try (Arena arena = Arena.ofConfined()) {
                CodeMatrix codes = CodeMatrix.allocate(arena, e8p, 16, 8);
                try (WeightFileWriter writer = WeightFileWriter.create(path, Map.of())) {
                    writer.add("x.codes", "codes", Dtype.GROUP8_U16, List.of(16L, 8L), Optional.of(e8p), codes.data());
                    for (Object[] good : new Object[][] {
                        {"su", Dtype.F16, List.of(8L)},
                        {"sv", Dtype.F16, List.of(16L)},
                        {"part_names", Dtype.U8, List.of(1L)},
                        {"part_rows", Dtype.I32, List.of(1L)},
                        {"part_scales", Dtype.F16, List.of(1L)}
                    }) {
                        Object[] use = good[0].equals(bad[0]) ? bad : good;
                        Dtype dtype = (Dtype) use[1];
                        @SuppressWarnings("unchecked")
                        List<Long> shape = (List<Long>) use[2];
                        MemorySegment data = arena.allocate(dtype.size(shape).orElseThrow());
                        if (dtype == Dtype.I32 && !good[0].equals(bad[0])) {
                            data.set(ValueLayout.JAVA_INT, 0, 16);
                        }
                        writer.add("x." + use[0], (String) use[0], dtype, shape, Optional.empty(), data);
                    }
                    writer.commit();
                }
                WeightFile file = WeightFile.open(path, arena);
                assertThatThrownBy(() -> QuantizedLinears.read(file, "x"))
                        .as(bad[0] + " " + bad[3])
                        .isInstanceOf(FormatException.class)
                        .hasMessageContaining((String) bad[3]);
            }
        }
        try (Arena arena = Arena.ofConfined();
                WeightFileWriter writer = WeightFileWriter.create(dir.resolve("x"), Map.of())) {
            CodeMatrix codes = CodeMatrix.allocate(arena, e8p, 16, 8);
            for (QuantizedLinear.Part part : List.of(
                    new QuantizedLinear.Part("", 16, 1),
                    new QuantizedLinear.Part("a\nb", 16, 1),
                    new QuantizedLinear.Part("p", 16, Float.NaN))) {
                QuantizedLinear odd = new QuantizedLinear(codes, arena.allocate(16), arena.allocate(32), List.of(part));
                assertThatThrownBy(() -> QuantizedLinears.write(writer, "x", odd))
                        .isInstanceOf(IllegalArgumentException.class)
                        .hasMessageContaining("'x'");
            }
        }
    }

    /** A part's scale that float16 does not hold is kept in float32. */
    @Test
    void keepsScalesOfOldCheckpointsExactly() {
        Path path = dir.resolve("scales.arrow");
        try (Arena arena = Arena.ofConfined()) {
            CodeMatrix codes = CodeMatrix.allocate(arena, Codebook.ofBits(2), 16, 8);
            List<QuantizedLinear.Part> parts =
                    List.of(new QuantizedLinear.Part("a", 10, 0.1f), new QuantizedLinear.Part("b", 6, 0.5f));
            try (WeightFileWriter writer = WeightFileWriter.create(path, Map.of())) {
                QuantizedLinears.write(
                        writer, "x", new QuantizedLinear(codes, arena.allocate(16), arena.allocate(32), parts));
                writer.commit();
            }
            WeightFile file = WeightFile.open(path, arena);
            assertThat(file.tensor("x.part_scales").dtype()).isEqualTo(Dtype.F32);
            assertThat(QuantizedLinears.read(file, "x").parts()).isEqualTo(parts);
        }
    }

    @Test
    void refusesTensorsThatDoNotFitTheirShape() throws IOException {
        try (Arena arena = Arena.ofConfined();
                WeightFileWriter writer = WeightFileWriter.create(dir.resolve("x"), Map.of())) {
            MemorySegment four = arena.allocate(4);
            Optional<Codebook> none = Optional.empty();
            writer.add("a", "r", Dtype.F32, List.of(), none, four);
            assertThatThrownBy(() -> writer.add("a", "r", Dtype.F32, List.of(), none, four))
                    .hasMessageContaining("already");
            assertThatThrownBy(() -> writer.add("b", "r", Dtype.F32, List.of(2L), none, four))
                    .hasMessageContainingAll("'b'", "needs 8 bytes, found 4");
            assertThatThrownBy(() -> writer.add("b", "r", Dtype.F32, List.of(-1L), none, four))
                    .hasMessageContaining("another shape");
            assertThatThrownBy(() -> writer.add("b", "", Dtype.F32, List.of(), none, four))
                    .hasMessageContaining("1 to 4096");
            assertThatThrownBy(() -> writer.add("b", "r", Dtype.F32, List.of(), Optional.of(Codebook.ofBits(2)), four))
                    .hasMessageContaining("codebook");
            assertThatThrownBy(() -> writer.add("b", "r", Dtype.GROUP8_U16, List.of(2L, 8L), none, four))
                    .hasMessageContaining("codebook");
            assertThatThrownBy(() -> WeightFileWriter.create(dir.resolve("y"), Map.of("format", "mine")))
                    .hasMessageContaining("writer's own");
        }
        try (Stream<Path> files = Files.list(dir)) {
            assertThat(files).isEmpty();
        }
    }

    /** Every prefix of a file, and the file with bytes changed: a FormatException of one line, or a file that reads. */
    @Test
    void survivesDamage() throws IOException {
        List<Row> rows = List.of(
                row("a", Dtype.F16, 3L),
                row("b", Dtype.GROUP8_U16_U8, 2L, 9L),
                row("c", Dtype.U8, 2L, 2L),
                row("d", Dtype.F32));
        Path path = dir.resolve("weights.arrow");
        write(path, rows, Map.of("k", "v"));
        byte[] good = Files.readAllBytes(path);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment all = arena.allocate(good.length).copyFrom(MemorySegment.ofArray(good));
            for (int length = 0; length < good.length; length++) {
                MemorySegment cut = all.asSlice(0, length);
                assertThatThrownBy(() -> WeightFile.parse(path, cut))
                        .as("seed " + seed + " length " + length)
                        .isInstanceOf(FormatException.class)
                        .hasMessageContaining("weights.arrow");
            }
            Path half = dir.resolve("half.arrow");
            Files.write(half, Arrays.copyOf(good, good.length / 2));
            assertThatThrownBy(() -> WeightFile.open(half, arena))
                    .isInstanceOf(FormatException.class)
                    .hasMessageContainingAll("half.arrow", "truncated");
        }
        List<Integer> places = new ArrayList<>();
        for (int i = 0; i < good.length; i++) {
            // Zeros are most of the file: the metadata is where damage can do harm.
            if (good[i] != 0 || random.nextInt(4) == 0) {
                places.add(i);
            }
        }
        int rejected = 0;
        int trials = Integer.getInteger("gosset.fuzz", 30_000);
        int[] extremes = {0, 1, -1, 127, -128, 0x7f, 0x80, 8, 64};
        for (int trial = 0; trial < trials; trial++) {
            byte[] bytes = good.clone();
            for (int k = random.nextInt(3); k >= 0; k--) {
                int at = places.get(random.nextInt(places.size()));
                switch (random.nextInt(4)) {
                    case 0 -> bytes[at] = (byte) random.nextInt(256);
                    case 1 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
                    case 2 -> bytes[at] = (byte) extremes[random.nextInt(extremes.length)];
                    default -> {
                        int width = Math.min(1 << random.nextInt(4), bytes.length - at);
                        Arrays.fill(bytes, at, at + width, (byte) extremes[random.nextInt(extremes.length)]);
                    }
                }
            }
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment damaged = arena.allocate(bytes.length).copyFrom(MemorySegment.ofArray(bytes));
                for (WeightFile.Weight w : WeightFile.parse(path, damaged).weights()) {
                    w.tensor().data().toArray(ValueLayout.JAVA_BYTE);
                }
            } catch (FormatException e) {
                rejected++;
                assertThat(e.getMessage())
                        .as("seed " + seed + " trial " + trial)
                        .contains("weights.arrow");
                assertThat(e.getMessage().lines()).hasSize(1);
            } catch (RuntimeException | Error e) {
                fail("seed " + seed + ", trial " + trial, e);
            }
        }
        assertThat(rejected).as("seed " + seed).isBetween(trials / 5, trials - 1);
    }

    @Test
    void namesWhatIsNotAWeightFile() throws IOException {
        Path path = dir.resolve("weights.arrow");
        try (Arena arena = Arena.ofConfined()) {
            assertThatThrownBy(() -> WeightFile.open(path, arena)).hasMessageContaining("no such file");
            Files.writeString(path, "PAR1 this is something else entirely PAR1");
            assertThatThrownBy(() -> WeightFile.open(path, arena))
                    .isInstanceOf(FormatException.class)
                    .hasMessageContainingAll("begins with 'PAR1 t'", "ARROW1");
            write(path, List.of(row("a", Dtype.F32)), Map.of());
            for (String[] change : new String[][] {
                {"gosset", "gasket", "format 'gasket'"},
                {"format_version", "format_virsion", "format_version none"},
                {"codebook", "cookbook", "cookbook Utf8"},
                {"crc32c", "crc32d", "crc32d UInt32"}
            }) {
                byte[] bytes = Files.readAllBytes(path);
                String text = new String(bytes, StandardCharsets.ISO_8859_1);
                Path other = dir.resolve("other.arrow");
                Files.writeString(other, text.replace(change[0], change[1]), StandardCharsets.ISO_8859_1);
                assertThatThrownBy(() -> WeightFile.open(other, arena))
                        .isInstanceOf(FormatException.class)
                        .hasMessageContaining(change[2]);
            }
        }
    }

    @Test
    void aFailingProducerLeavesTheOldFile() throws IOException {
        Path path = dir.resolve("weights.arrow");
        List<Row> rows = rows();
        write(path, rows, Map.of());
        assertThatThrownBy(() -> {
                    try (WeightFileWriter writer = WeightFileWriter.create(path, Map.of());
                            Arena arena = Arena.ofConfined()) {
                        writer.add("a", "r", Dtype.F32, List.of(), Optional.empty(), arena.allocate(4));
                        throw new GossetException("the GPU is gone");
                    }
                })
                .hasMessage("the GPU is gone");
        try (Arena arena = Arena.ofConfined();
                Stream<Path> files = Files.list(dir)) {
            assertThat(files).containsExactly(path);
            assertHolds(WeightFile.open(path, arena), rows);
        }
    }

    /** More than 4 GiB in one tensor, on a sparse source: no heap, no int overflow. */
    @Test
    @EnabledIfSystemProperty(
            named = "gosset.large",
            matches = "true",
            disabledReason = "writes 4 GiB: run with -Dgosset.large=true")
    void writesTensorsBeyondFourGibibytes() throws IOException {
        Path sparse = dir.resolve("zeros");
        long size = (4L << 30) + 2;
        try (var channel = FileChannel.open(sparse, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            channel.write(ByteBuffer.wrap(new byte[] {42}), size - 1);
        }
        Path path = dir.resolve("weights.arrow");
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment big = MappedFile.map(sparse, arena);
            try (WeightFileWriter writer = WeightFileWriter.create(path, Map.of())) {
                writer.add("big", "head", Dtype.F16, List.of(size / 2), Optional.empty(), big);
                writer.add("small", "norm", Dtype.U8, List.of(1L), Optional.empty(), arena.allocate(1));
                writer.commit();
            }
            WeightFile file = WeightFile.open(path, arena);
            assertThat(file.tensor("big").data().byteSize()).isEqualTo(size);
            assertThat(file.tensor("big").data().get(ValueLayout.JAVA_BYTE, size - 1))
                    .isEqualTo((byte) 42);
            assertThat(file.tensor("small").shape()).containsExactly(1L);
        }
    }

    /** Arrow's own Java classes read the file where it lies: the vectors' bytes are those of the map. */
    @Test
    void arrowVectorsAreViewsOfTheMap() {
        List<Row> rows = rows();
        Path path = dir.resolve("weights.arrow");
        write(path, rows, Map.of());
        try (Arena arena = Arena.ofShared();
                BufferAllocator allocator = new RootAllocator()) {
            WeightFile file = WeightFile.open(path, arena);
            List<String> seen = new ArrayList<>();
            ArrowBatches.forEach(file, allocator, root -> {
                assertThat(root.getRowCount()).isEqualTo(1);
                Row r = rows.get(seen.size());
                seen.add(root.getVector("name").getObject(0).toString());
                assertThat(root.getVector("role").getObject(0)).hasToString(r.role);
                assertThat(root.getVector("shape").getObject(0)).isEqualTo(r.shape);
                assertThat(root.getVector("codebook").isNull(0)).isEqualTo(r.codebook.isEmpty());
                assertThat(root.getVector("crc32c").getObject(0)).isEqualTo((int) crc32c(r.bytes));
                LargeVarBinaryVector data = (LargeVarBinaryVector) root.getVector("data");
                assertThat(data.get(0)).isEqualTo(r.bytes);
                if (r.bytes.length > 0) {
                    assertThat(data.getDataBuffer().memoryAddress())
                            .isEqualTo(file.tensor(r.name).data().address());
                }
            });
            assertThat(seen).isEqualTo(rows.stream().map(Row::name).toList());
            assertThat(allocator.getAllocatedMemory()).isZero();
        }
    }

    @Test
    void pyarrowReadsItUnchangedAndWeReadWhatPyarrowWrites() throws Exception {
        String python = Optional.ofNullable(System.getenv("GOSSET_PYTHON")).orElse("python3");
        Assumptions.assumeTrue(
                run(python, "-c", "import pyarrow") != null,
                python + " has no pyarrow: set GOSSET_PYTHON to a Python that has");
        List<Row> rows = rows();
        Path path = dir.resolve("weights.arrow");
        write(path, rows, Map.of("base_model", "small"));
        List<String> expected =
                new ArrayList<>(List.of("# base_model = small", "# format = gosset", "# format_version = 2"));
        for (Row r : rows) {
            expected.add(String.join(
                    "\t",
                    r.name,
                    r.role,
                    r.dtype.name(),
                    r.shape.toString(),
                    r.codebook.map(Codebook::name).orElse("None"),
                    Long.toString(crc32c(r.bytes)),
                    sha256(r.bytes)));
        }
        for (int split : new int[] {1, 3, 1000}) {
            Path rewritten = dir.resolve("rewritten.arrow");
            List<String> lines =
                    run(python, script().toString(), path.toString(), rewritten.toString(), Integer.toString(split));
            assertThat(lines).as("seed " + seed).isEqualTo(expected);
            try (Arena arena = Arena.ofConfined()) {
                assertHolds(WeightFile.open(rewritten, arena), rows);
            }
        }
    }

    private static Path script() {
        Path dir = Path.of("").toAbsolutePath();
        while (!Files.exists(dir.resolve(".mvn"))) {
            dir = dir.getParent();
        }
        return dir.resolve("java/core/src/test/python/read_weights.py");
    }

    /** The definition, bit by bit: polynomial 0x1edc6f41, reflected. */
    private static long crc32c(byte[] bytes) {
        int crc = -1;
        for (byte b : bytes) {
            crc ^= b & 0xff;
            for (int bit = 0; bit < 8; bit++) {
                crc = crc >>> 1 ^ ((crc & 1) == 0 ? 0 : 0x82f63b78);
            }
        }
        return ~crc & 0xffff_ffffL;
    }

    private static String sha256(byte[] bytes) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError(e);
        }
    }

    /** Lines of a command, or null where it does not run. */
    private List<String> run(String... command) throws Exception {
        Path out = dir.resolve("stdout");
        Path err = dir.resolve("stderr");
        try {
            ProcessBuilder builder = new ProcessBuilder(command);
            builder.environment().put("PYTHONIOENCODING", "utf-8");
            Process process = builder.redirectOutput(out.toFile())
                    .redirectError(err.toFile())
                    .start();
            if (!process.waitFor(120, TimeUnit.SECONDS)) {
                process.destroyForcibly();
                fail("did not end: " + List.of(command));
            }
            if (process.exitValue() != 0 && command[1].equals("-c")) {
                return null;
            }
            assertThat(process.exitValue()).as(Files.readString(err)).isZero();
        } catch (IOException e) {
            return null;
        }
        return Files.readAllLines(out);
    }
}

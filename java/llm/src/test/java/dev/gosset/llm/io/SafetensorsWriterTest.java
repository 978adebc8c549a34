package dev.gosset.llm.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gosset.core.GossetException;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.Tensor;
import dev.gosset.llm.io.SafetensorsWriter.Declaration;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class SafetensorsWriterTest {
    private final long seed = new Random().nextLong();
    private final Random random = new Random(seed);

    @TempDir
    Path dir;

    private Map<Declaration, byte[]> tensors() {
        Map<Declaration, byte[]> tensors = new LinkedHashMap<>();
        for (Dtype dtype : Dtype.values()) {
            if (dtype.isCodes()) {
                continue;
            }
            for (int k = 0; k < 3; k++) {
                List<Long> shape = new ArrayList<>();
                for (int axis = random.nextInt(4); axis > 0; axis--) {
                    shape.add((long) random.nextInt(12));
                }
                byte[] bytes = new byte[(int) dtype.size(shape).orElseThrow()];
                random.nextBytes(bytes);
                tensors.put(new Declaration("x." + random.nextInt() + ".ü\"\n" + dtype, dtype, shape), bytes);
            }
        }
        return tensors;
    }

    /** Declares and writes in a random order, in random pieces. */
    private void write(Path target, Map<Declaration, byte[]> tensors) {
        List<Declaration> order = new ArrayList<>(tensors.keySet());
        Collections.shuffle(order, random);
        try (SafetensorsWriter writer = SafetensorsWriter.create(target, order, Map.of("format", "pt", "a", "b"))) {
            Collections.shuffle(order, random);
            for (Declaration d : order) {
                MemorySegment bytes = MemorySegment.ofArray(tensors.get(d));
                long half = bytes.byteSize() == 0 ? 0 : random.nextLong(bytes.byteSize());
                writer.write(d.name(), bytes.asSlice(0, half));
                writer.write(d.name(), bytes.asSlice(half));
            }
            writer.commit();
        }
    }

    @Test
    void whatIsWrittenIsReadBack() throws IOException {
        Map<Declaration, byte[]> tensors = tensors();
        Path target = dir.resolve("a.safetensors");
        write(target, tensors);
        try (Arena arena = Arena.ofConfined()) {
            Safetensors read = Safetensors.open(target, arena);
            assertThat(read.names()).as("seed " + seed).hasSize(tensors.size());
            assertThat(read.metadata()).isEqualTo(Map.of("a", "b", "format", "pt"));
            long begin = read.tensors().iterator().next().data().address();
            tensors.forEach((d, bytes) -> {
                Tensor t = read.get(d.name());
                assertThat(t.dtype()).isEqualTo(d.dtype());
                assertThat(t.shape()).isEqualTo(d.shape());
                assertThat(t.data().toArray(ValueLayout.JAVA_BYTE))
                        .as("seed " + seed)
                        .isEqualTo(bytes);
                assertThat((t.data().address() - begin) % d.dtype().bytes()).isZero();
            });
        }
        Path again = dir.resolve("b.safetensors");
        write(again, tensors);
        assertThat(Files.mismatch(target, again)).as("seed " + seed).isEqualTo(-1);
    }

    @Test
    void refusesWhatWasNotDeclared() throws IOException {
        Declaration a = new Declaration("a", Dtype.F32, List.of(2L));
        try (SafetensorsWriter writer = SafetensorsWriter.create(dir.resolve("a"), List.of(a), Map.of())) {
            assertThatThrownBy(() -> writer.write("b", MemorySegment.ofArray(new byte[4])))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("'b'");
            writer.write("a", MemorySegment.ofArray(new byte[4]));
            assertThatThrownBy(() -> writer.write("a", MemorySegment.ofArray(new byte[5])))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContainingAll("'a'", "8 bytes has 4 and gets 5");
            assertThatThrownBy(writer::commit)
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContainingAll("'a'", "4 of its 8 bytes");
        }
        assertThatThrownBy(() -> SafetensorsWriter.create(dir.resolve("a"), List.of(a, a), Map.of()))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("twice");
        assertThatThrownBy(() -> new Declaration("c", Dtype.GROUP8_U16, List.of(8L, 8L)))
                .isInstanceOf(IllegalArgumentException.class);
        // More than any disk has: refused before the first byte.
        Declaration huge = new Declaration("huge", Dtype.U8, List.of(Long.MAX_VALUE / 2));
        assertThatThrownBy(() -> SafetensorsWriter.create(dir.resolve("a"), List.of(huge), Map.of()))
                .isInstanceOf(GossetException.class)
                .hasMessageContaining("free");
        try (Stream<Path> files = Files.list(dir)) {
            assertThat(files).isEmpty();
        }
    }
}

package dev.gosset.core;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Assumptions;

/** Reference data that lies beside the checkout in {@code ../shared}; a test that needs it is skipped where it is not. */
public final class Golden {
    private final Map<String, Tensor> tensors = new LinkedHashMap<>();

    /** A tensor of a golden file. */
    public record Tensor(String dtype, int[] shape, ByteBuffer bytes) {
        /** All elements widened to double, row-major. */
        public double[] doubles() {
            ByteBuffer b = bytes.duplicate().order(ByteOrder.LITTLE_ENDIAN);
            int size = switch (dtype) {
                case "I8", "U8", "BOOL" -> 1;
                case "F16", "I16", "BF16" -> 2;
                case "F32", "I32" -> 4;
                case "F64", "I64" -> 8;
                default -> throw new IllegalArgumentException("dtype " + dtype);
            };
            double[] out = new double[b.remaining() / size];
            for (int i = 0; i < out.length; i++) {
                out[i] = switch (dtype) {
                    case "I8" -> b.get();
                    case "U8", "BOOL" -> b.get() & 0xff;
                    case "F16" -> Float.float16ToFloat(b.getShort());
                    case "BF16" -> Float.intBitsToFloat(b.getShort() << 16);
                    case "I16" -> b.getShort();
                    case "F32" -> b.getFloat();
                    case "I32" -> b.getInt();
                    case "F64" -> b.getDouble();
                    default -> b.getLong();
                };
            }
            return out;
        }

        public float[] floats() {
            double[] d = doubles();
            float[] f = new float[d.length];
            for (int i = 0; i < f.length; i++) {
                f[i] = (float) d[i];
            }
            return f;
        }

        /** All elements of an integer tensor. */
        public long[] longs() {
            if (dtype.equals("I64")) {
                ByteBuffer b = bytes.duplicate().order(ByteOrder.LITTLE_ENDIAN);
                long[] out = new long[b.remaining() / 8];
                b.asLongBuffer().get(out);
                return out;
            }
            double[] d = doubles();
            long[] out = new long[d.length];
            for (int i = 0; i < out.length; i++) {
                out[i] = (long) d[i];
            }
            return out;
        }
    }

    private Golden() {}

    /** The {@code shared} folder beside the checkout; skips the running test where it is absent. */
    public static Path shared() {
        Path dir = Path.of("").toAbsolutePath();
        while (dir != null && !Files.exists(dir.resolve(".mvn"))) {
            dir = dir.getParent();
        }
        Path shared =
                dir == null || dir.getParent() == null ? null : dir.getParent().resolve("shared");
        Assumptions.assumeTrue(
                shared != null && Files.isDirectory(shared),
                "no reference data: ../shared is absent beside the checkout");
        return shared;
    }

    /** A file of {@code shared/spec/golden}; skips the running test where it is absent. */
    public static Golden open(String file) {
        return read(shared().resolve("spec/golden").resolve(file));
    }

    /** Any safetensors file; skips the running test where it is absent. */
    public static Golden read(Path path) {
        Assumptions.assumeTrue(Files.isRegularFile(path), "no reference data: " + path.getFileName() + " is absent");
        Golden golden = new Golden();
        try {
            ByteBuffer all = ByteBuffer.wrap(Files.readAllBytes(path)).order(ByteOrder.LITTLE_ENDIAN);
            int header = (int) all.getLong(0);
            JsonNode json = new ObjectMapper().readTree(new String(all.array(), 8, header, StandardCharsets.UTF_8));
            for (Map.Entry<String, JsonNode> e : json.properties()) {
                if (e.getKey().equals("__metadata__")) {
                    continue;
                }
                JsonNode t = e.getValue();
                int[] shape = new int[t.get("shape").size()];
                for (int i = 0; i < shape.length; i++) {
                    shape[i] = t.get("shape").get(i).asInt();
                }
                int from = t.get("data_offsets").get(0).asInt();
                int to = t.get("data_offsets").get(1).asInt();
                golden.tensors.put(
                        e.getKey(),
                        new Tensor(t.get("dtype").asText(), shape, all.slice(8 + header + from, to - from)));
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return golden;
    }

    public Tensor get(String name) {
        Tensor t = tensors.get(name);
        if (t == null) {
            throw new IllegalArgumentException("no tensor " + name + " among " + tensors.keySet());
        }
        return t;
    }

    public boolean has(String name) {
        return tensors.containsKey(name);
    }

    public Set<String> names() {
        return tensors.keySet();
    }
}

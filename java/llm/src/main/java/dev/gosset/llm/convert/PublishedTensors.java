package dev.gosset.llm.convert;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.codebook.D4;
import dev.gosset.core.codebook.E8pResidual;
import dev.gosset.core.codebook.HalfInteger;
import dev.gosset.core.codebook.QidxsLayout;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.io.Json;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What a quantized linear looks like in a published checkpoint: the tensors that both directions of the conversion agree on.
 * Source: spec/quip-sharp.md, section 5.
 */
final class PublishedTensors {
    static final String QIDXS = "Qidxs";
    static final String SU = "SU";
    static final String SV = "SV";
    static final String WSCALE = "Wscale";
    static final String CODEBOOK_ID = "codebook_id";
    static final String FUSE_SCALES = "fuse_scales";

    /** Rows that one task packs. */
    private static final int ROWS = 16 * QidxsLayout.ROWS;

    private PublishedTensors() {}

    /** A tensor that is to be written. */
    record Published(Dtype dtype, List<Long> shape, MemorySegment data) {}

    /**
     * Every tensor of a linear but the codes, by the last element of its name. {@code Wscale} and {@code fuse_scales} are missing where
     * float16 does not hold them: only linears that came from a published checkpoint are like that, and theirs are kept.
     */
    static Map<String, Published> small(
            Codebook codebook, MemorySegment su, MemorySegment sv, List<QuantizedLinear.Part> parts) {
        Map<String, Published> tensors = new LinkedHashMap<>();
        tensors.put(SU, new Published(Dtype.F16, List.of(su.byteSize() / 2), su));
        tensors.put(SV, new Published(Dtype.F16, List.of(sv.byteSize() / 2), sv));
        boolean fused = parts.size() > 1;
        ByteBuffer scales = ByteBuffer.allocate(2 * parts.size()).order(ByteOrder.LITTLE_ENDIAN);
        boolean exact = true;
        for (QuantizedLinear.Part part : parts) {
            short half = Float.floatToFloat16(part.scale());
            exact &= Float.float16ToFloat(half) == part.scale();
            scales.putShort(half);
        }
        if (exact) {
            ByteBuffer weightScale = ByteBuffer.allocate(2)
                    .order(ByteOrder.LITTLE_ENDIAN)
                    .putShort(fused ? Float.floatToFloat16(1) : scales.getShort(0));
            tensors.put(WSCALE, new Published(Dtype.F16, List.of(), MemorySegment.ofArray(weightScale.array())));
            if (fused) {
                tensors.put(
                        FUSE_SCALES,
                        new Published(Dtype.F16, List.of((long) parts.size()), MemorySegment.ofArray(scales.array())));
            }
        }
        byte[] id = ByteBuffer.allocate(8)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(codebook.id())
                .array();
        tensors.put(CODEBOOK_ID, new Published(Dtype.I64, List.of(), MemorySegment.ofArray(id)));
        return tensors;
    }

    /** The type of the packed codes. */
    static Dtype dtype(QidxsLayout layout) {
        return Dtype.named(layout.dtype()).orElseThrow();
    }

    /** The packed codes, without bytes. */
    static List<Long> shape(QuantizedLinear linear, QidxsLayout layout) {
        return layout.shape(linear.codes().codebook(), linear.rows(), linear.cols());
    }

    /**
     * The packed codes.
     *
     * @param arena owns the bytes; open to the team's threads
     */
    static MemorySegment pack(QuantizedLinear linear, QidxsLayout layout, ThreadTeam team, Arena arena) {
        int rows = linear.rows();
        MemorySegment qidxs = arena.allocate(layout.bytes(linear.codes().codebook(), rows, linear.cols()), 64);
        team.run(
                Math.ceilDiv(rows, ROWS),
                i -> layout.pack(linear.codes(), qidxs, i * ROWS, Math.min(rows, (i + 1) * ROWS)));
        return qidxs;
    }

    /** The layout of checkpoints that are made today. */
    static QidxsLayout layout(Codebook codebook) {
        return switch (codebook) {
            case D4 _ -> QidxsLayout.D4_STRIPS;
            case HalfInteger _ -> QidxsLayout.NIBBLES;
            default -> QidxsLayout.TILES;
        };
    }

    /** {@code quip_params} of a checkpoint that is made today. */
    static ObjectNode params(Codebook codebook) {
        ObjectNode params = Json.MAPPER.createObjectNode();
        params.put("lora_rank", 0);
        params.put("rescale_WH", false);
        params.put("codebook", codebook.name().replaceFirst(":.*", ""));
        params.put("codebook_version", codebook.version());
        switch (codebook) {
            case D4 _ -> params.put("codesz", 4).put("idx_dtype", "torch.uint8").put("packsz", 1);
            case HalfInteger _ ->
                params.put("codesz", 1).put("idx_dtype", "torch.int32").put("packsz", 8);
            default -> {
                params.put("codesz", 8).put("idx_dtype", "torch.int64");
                if (codebook.bits() == 3) {
                    params.put("packsz", 8.0 / 3);
                } else {
                    params.put("packsz", 8 / codebook.bits());
                }
            }
        }
        boolean usual = !(codebook instanceof E8pResidual)
                || codebook.residualScale() == Codebook.ofBits(codebook.bits()).residualScale();
        if (usual) {
            params.put("resid_scale_override", -1);
        } else {
            params.put("resid_scale_override", codebook.residualScale());
        }
        params.put("model_version", layout(codebook) == QidxsLayout.TILES ? 1 : 0);
        return params;
    }
}

package dev.gosset.core.memory;

import dev.gosset.core.FormatException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.function.Consumer;
import org.apache.arrow.memory.ArrowBuf;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.ForeignAllocation;
import org.apache.arrow.vector.VectorLoader;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.ipc.message.ArrowRecordBatch;
import org.apache.arrow.vector.ipc.message.MessageSerializer;
import org.apache.arrow.vector.types.pojo.Schema;

/**
 * A weight file for programs that use Arrow's own Java library. That library, {@code org.apache.arrow:arrow-vector} with an
 * allocator such as {@code arrow-memory-unsafe}, is theirs to put on the class path: nothing else of Gosset needs it.
 */
public final class ArrowBatches {
    private ArrowBatches() {}

    /**
     * Each record batch in turn as Arrow vectors whose buffers lie in the map: no weight is copied. The vectors are valid
     * during the call only.
     *
     * @param allocator accounts the mapped bytes during each call
     * @throws FormatException where Arrow cannot read a batch
     */
    public static void forEach(WeightFile file, BufferAllocator allocator, Consumer<VectorSchemaRoot> consumer) {
        Schema schema = Schema.convertSchema(file.schema());
        file.forEachBatch((message, body) -> {
            ArrowBuf buffer = allocator.wrapForeignAllocation(new View(body));
            // The batch takes the buffer over.
            try (VectorSchemaRoot root = VectorSchemaRoot.create(schema, allocator);
                    ArrowRecordBatch batch = MessageSerializer.deserializeRecordBatch(message, buffer)) {
                new VectorLoader(root).load(batch);
                consumer.accept(root);
            } catch (IOException e) {
                throw new FormatException(
                        file.source() + ": has a record batch that Arrow cannot read: " + e.getMessage(), e);
            }
        });
    }

    /** Bytes that Arrow may use and must not free. */
    private static final class View extends ForeignAllocation {
        View(MemorySegment bytes) {
            super(bytes.byteSize(), bytes.address());
        }

        @Override
        protected void release0() {
            // The arena of the map does.
        }
    }
}

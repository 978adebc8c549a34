package dev.gosset.core.kernel.tables;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gosset.core.kernel.TableMatvecContract;
import dev.gosset.core.kernel.VectorMethods;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Products by tables of bytes. */
class TableMatvecTest extends TableMatvecContract {
    TableMatvecTest() {
        super(TableMatvec.bytes(), TableMatvec.bytesObstacle());
    }

    @Test
    void methodsThatHoldVectorsAreTooLongToBeInlined() throws IOException {
        assertThat(VectorMethods.shorterThanTheInliningLimit(ByteSums.class)).isEmpty();
        assertThat(VectorMethods.shorterThanTheInliningLimit(TableLookups.class))
                .isEmpty();
        assertThat(VectorMethods.shorterThanTheInliningLimit(ResidualTables.class))
                .isEmpty();
        assertThat(VectorMethods.shorterThanTheInliningLimit(ProductTables.class))
                .isEmpty();
    }

    @Test
    void saysWhatTheProcessorLacks(@TempDir Path folder) throws IOException {
        Path cpu = folder.resolve("cpuinfo");
        List<String> bytes = TableMatvec.BYTES_FLAGS;
        Files.writeString(cpu, "processor\t: 0\nflags\t\t: fpu avx2 avx512bw avx512vbmi\nbugs\t: none\n");
        assertThat(TableMatvec.lacking(cpu, bytes)).isEqualTo("the processor has no avx512_bitalg");
        assertThat(TableMatvec.lacking(cpu, TableMatvec.WORDS_FLAGS)).isNull();
        Files.writeString(cpu, "flags\t\t: fpu avx2 avx512bw avx512vbmi avx512_bitalg\n");
        assertThat(TableMatvec.lacking(cpu, bytes)).isNull();
        Files.writeString(cpu, "flags\t\t: fpu avx2 avx512f\n");
        assertThat(TableMatvec.lacking(cpu, TableMatvec.WORDS_FLAGS)).isEqualTo("the processor has no avx512bw");
        assertThat(TableMatvec.lacking(folder.resolve("none"), bytes)).contains("cannot be read");
    }
}

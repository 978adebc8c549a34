package dev.gosset.llm.generate;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.kernel.Kernels;
import dev.gosset.core.kernel.contract.MatvecKernel;
import dev.gosset.core.kernel.oracle.ScalarMatvec;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.SyntheticCheckpoint;
import dev.gosset.llm.cpu.StorageOptions;
import dev.gosset.llm.device.ExactModel;
import dev.gosset.llm.device.LoadedModel;
import dev.gosset.llm.device.LoadedModelContract;
import dev.gosset.llm.model.Model;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The processor's own backend: its caches hold float16. */
@Tag("width")
class CpuModelTest extends LoadedModelContract {
    @Override
    protected LoadedModel load(Model model, ThreadTeam team) {
        return new CpuModel(model.transformer(), team);
    }

    @Override
    protected double relativeError(Model model) {
        return ExactModel.relativeError(model);
    }

    @Override
    protected boolean halfCaches() {
        return false;
    }

    /** Products that are wrong as kernels are when something is wrong with them. */
    private enum Fault {
        /** One row of 31 has the wrong sign. */
        SIGNS,
        /** Ten times the error that is declared. */
        COARSE
    }

    private static Kernels faulty(Fault fault, double relativeError) {
        Kernels scalar = Kernels.scalar();
        MatvecKernel matvec = new MatvecKernel() {
            private final ScalarMatvec exact = new ScalarMatvec();

            @Override
            public void matvec(CodeMatrix codes, MemorySegment x, MemorySegment y, int firstRow, int lastRow) {
                exact.matvec(codes, x, y, firstRow, lastRow);
                double norm = 0;
                for (int j = 0; j < codes.cols(); j++) {
                    norm += Math.pow(x.getAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, j), 2);
                }
                for (int i = firstRow; i < lastRow; i++) {
                    float v = y.getAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, i);
                    double noise = new SplittableRandom(i).nextGaussian() * Math.sqrt(norm);
                    y.setAtIndex(
                            ValueLayout.JAVA_FLOAT_UNALIGNED,
                            i,
                            fault == Fault.COARSE ? (float) (v + 10 * relativeError * noise) : i % 31 == 7 ? -v : v);
                }
            }

            @Override
            public void decode(CodeMatrix codes, int firstRow, int lastRow, MemorySegment out) {
                exact.decode(codes, firstRow, lastRow, out);
            }

            @Override
            public double errorBound(CodeMatrix codes, MemorySegment x) {
                return exact.errorBound(codes, x);
            }

            @Override
            public double relativeError(CodeMatrix codes) {
                return relativeError;
            }
        };
        return new Kernels("faulty", scalar.transform(), scalar.encode(), matvec);
    }

    /** The comparison is no blind one: products that are wrong are found, on whatever width it allows for. */
    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4})
    void faultyProductsAreFound(int bits, @TempDir Path directory) throws IOException {
        Path published = new SyntheticCheckpoint(SyntheticCheckpoint.Shape.SMALL, bits, 8 + bits)
                .write(directory.resolve("published"));
        int[] tokens = new SplittableRandom(6).ints(4, 3, 90).toArray();
        try (ThreadTeam team = new ThreadTeam(2);
                Model model = Model.open(published)) {
            double relativeError = ExactModel.relativeError(model);
            for (Fault fault : Fault.values()) {
                try (Model wrong =
                                Model.open(published, StorageOptions.defaults(), team, faulty(fault, relativeError));
                        CpuModel cpu = new CpuModel(wrong.transformer(), team);
                        ExactModel exact = new ExactModel(published, team, relativeError, false)) {
                    float[][] found = ExactModel.logits(cpu, tokens, 0, 4);
                    boolean seen = false;
                    try {
                        exact.assertLogits(found, tokens, 0);
                    } catch (AssertionError e) {
                        seen = true;
                    }
                    assertThat(seen).as("%s, %d bits", fault, bits).isTrue();
                }
            }
        }
    }
}

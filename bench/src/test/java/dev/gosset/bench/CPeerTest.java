package dev.gosset.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.E8p;
import dev.gosset.core.hadamard.HadamardTransform;
import dev.gosset.core.kernel.Kernels;
import dev.gosset.core.kernel.contract.TransformKernel;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A peer that computes something else is no peer: the C code against the scalar oracle. */
class CPeerTest {
    @BeforeEach
    void present() {
        assumeTrue(CPeer.isPresent(), CPeer.ABSENT);
    }

    @ParameterizedTest
    @ValueSource(ints = {8, 64, 128, 1024, 4096, 8192, 16384, 1536, 5120, 11008, 14336, 24, 80})
    void transforms(int n) {
        try (Arena arena = Arena.ofConfined()) {
            HadamardTransform transform = HadamardTransform.of(n);
            TransformKernel oracle = Kernels.scalar().transform();
            MemorySegment matrix = transform.smallMatrix();
            for (boolean transpose : new boolean[] {false, true}) {
                MemorySegment x = Fixtures.normal(arena, n, 1, n);
                MemorySegment y = Fixtures.normal(arena, n, 1, n);
                CPeer.transform(transform, matrix, transpose, x, arena.allocate(256L * transform.k(), 64));
                oracle.apply(transform, transpose, y, 1, arena.allocate(oracle.scratchBytes(transform) + 64, 64));
                for (int i = 0; i < n; i++) {
                    assertThat(at(x, i)).isCloseTo(at(y, i), within(1e-4f));
                }
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"2, 37, 256", "3, 37, 256", "4, 37, 256", "2, 16, 40", "3, 5, 40", "4, 5, 40"})
    void multiplies(int bits, int rows, int cols) {
        try (Arena arena = Arena.ofConfined()) {
            CodeMatrix codes = Fixtures.codes(arena, bits, rows, cols, bits);
            MemorySegment x = Fixtures.normal(arena, cols, 1, 1);
            MemorySegment y = arena.allocate(4L * rows, 64);
            MemorySegment z = arena.allocate(4L * rows, 64);
            CPeer.matvec(codes, x, y, 0, rows);
            Kernels.scalar().matvec().matvec(codes, x, z, 0, rows);
            for (int i = 0; i < rows; i++) {
                assertThat(at(y, i)).isCloseTo(at(z, i), within(1e-3f));
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"16, 32", "48, 4096", "160, 2048"})
    void multipliesByVnniAsExactlyAsInt8Can(int rows, int cols) {
        assumeTrue(CPeer.hasVnni(), "compiled without AVX-512 VNNI");
        try (Arena arena = Arena.ofConfined()) {
            CodeMatrix codes = Fixtures.codes(arena, 2, rows, cols, 3);
            MemorySegment packed = arena.allocate(codes.data().byteSize(), 64);
            CPeer.pack(codes, packed);
            MemorySegment x = Fixtures.normal(arena, cols, 1, 1);
            MemorySegment y = arena.allocate(4L * rows, 64);
            MemorySegment z = arena.allocate(4L * rows, 64);
            CPeer.matvecVnni(packed, codes.groups(), x, y, 0, rows, arena.allocate(10L * codes.groups() + 64, 64));
            Kernels.scalar().matvec().matvec(codes, x, z, 0, rows);
            double error = 0;
            double size = 0;
            for (int i = 0; i < rows; i++) {
                error += Math.pow(at(y, i) - at(z, i), 2);
                size += Math.pow(at(z, i), 2);
            }
            assertThat(Math.sqrt(error / size)).isLessThan(0.02);
        }
    }

    @Test
    void findsNearestPoints() {
        try (Arena arena = Arena.ofConfined()) {
            int count = 5003;
            MemorySegment x = Fixtures.normal(arena, 8L * count, 1.3, 4);
            MemorySegment values = arena.allocate(32L * count, 64);
            MemorySegment codes = arena.allocate(4L * count, 64);
            CPeer.nearest(x, count, values, codes);
            double[] v = new double[8];
            double[] point = new double[8];
            for (int i = 0; i < count; i++) {
                for (int c = 0; c < 8; c++) {
                    v[c] = at(x, 8L * i + c);
                }
                int code = codes.getAtIndex(ValueLayout.JAVA_INT, i);
                E8p.INSTANCE.decode(code, point, 0);
                double found = distance(v, point);
                for (int c = 0; c < 8; c++) {
                    assertThat((double) at(values, 8L * i + c)).isEqualTo(point[c]);
                }
                E8p.INSTANCE.decode(E8p.INSTANCE.nearest(v, 0), point, 0);
                assertThat(found).isLessThanOrEqualTo(distance(v, point) + 1e-5);
            }
        }
    }

    private static double distance(double[] a, double[] b) {
        double sum = 0;
        for (int c = 0; c < 8; c++) {
            sum += (a[c] - b[c]) * (a[c] - b[c]);
        }
        return sum;
    }

    private static float at(MemorySegment x, long i) {
        return x.getAtIndex(ValueLayout.JAVA_FLOAT, i);
    }
}

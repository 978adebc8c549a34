package dev.gosset.bench;

import dev.gosset.core.memory.Dtype;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;

/**
 * The fixed suite, in sections that each run in a JVM of their own: what one section's data makes the JIT compiler
 * believe must not reach the next. Shapes: 4096 x 4096 and 11008 x 4096 are Llama-2-7B's attention and MLP, 14336 x 4096
 * is Llama-3-8B's MLP, 8192 x 8192 and 28672 x 8192 are those of the 70B models; 5120 is Llama-2-13B's width.
 */
final class Sections {
    /**
     * A section.
     *
     * @param threads how many threads its cases use; one is pinned to a processor
     * @param rounds slices for each contender
     * @param cases made one after the other, each closed before the next is made
     */
    record Section(int threads, int rounds, List<Supplier<Case>> cases) {}

    /** The greedy passes of a layer's quantization. */
    static final int GREEDY_PASSES = 10;

    private Sections() {}

    /** Rows and columns of the layer that is quantized. */
    static int layer(boolean quick) {
        return quick ? 1024 : 4096;
    }

    /** The sections in their order; {@code quick} has the shapes that targets name and little more. */
    static Map<String, Section> all(boolean quick) {
        Map<String, Section> all = new LinkedHashMap<>();
        int rounds = quick ? 9 : 11;
        for (int threads = 1; threads <= 2; threads++) {
            int t = threads;
            List<Supplier<Case>> machine = new ArrayList<>();
            if (CPeer.isPresent()) {
                machine.add(() -> Cases.clock(t));
            }
            machine.add(() -> Cases.memory(t, 512L << 20));
            all.put(t == 1 ? "machine" : "machine-2", new Section(t, rounds, machine));
        }

        List<Supplier<Case>> transforms = new ArrayList<>();
        int[] sizes = quick
                ? new int[] {1024, 4096, 16384, 11008, 14336}
                : new int[] {1024, 4096, 8192, 16384, 5120, 11008, 14336, 28672};
        for (int n : sizes) {
            transforms.add(() -> Cases.transform(n));
        }
        all.put("transform", new Section(1, rounds, transforms));

        for (int threads = 1; threads <= 2; threads++) {
            int t = threads;
            List<Supplier<Case>> matvecs = new ArrayList<>();
            matvecs.add(() -> Cases.matvec(2, 4096, 4096, t));
            matvecs.add(() -> Cases.matvec(2, 11008, 4096, t));
            if (t == 1) {
                matvecs.add(() -> Cases.matvec(3, 4096, 4096, t));
                matvecs.add(() -> Cases.matvec(4, 4096, 4096, t));
            }
            if (!quick) {
                matvecs.add(() -> Cases.matvec(2, 14336, 4096, t));
                matvecs.add(() -> Cases.matvec(2, 28672, 8192, t));
                if (t == 1) {
                    matvecs.add(() -> Cases.matvec(2, 4096, 11008, t));
                    matvecs.add(() -> Cases.matvec(2, 8192, 8192, t));
                    matvecs.add(() -> Cases.matvec(3, 11008, 4096, t));
                    matvecs.add(() -> Cases.matvec(4, 11008, 4096, t));
                }
            }
            all.put("matvec" + (t == 1 ? "" : "-2"), new Section(t, rounds, matvecs));
        }

        List<Supplier<Case>> linears = new ArrayList<>();
        linears.add(() -> Cases.linear(2, 4096, 4096, 1, 1));
        if (!quick) {
            for (int batch : new int[] {2, 4, 8, 32}) {
                linears.add(() -> Cases.linear(2, 4096, 4096, batch, 1));
            }
            linears.add(() -> Cases.linear(3, 4096, 4096, 1, 1));
            linears.add(() -> Cases.linear(4, 4096, 4096, 1, 1));
            linears.add(() -> Cases.linear(2, 11008, 4096, 1, 1));
            linears.add(() -> Cases.linear(2, 4096, 11008, 1, 1));
        }
        all.put("linear", new Section(1, rounds, linears));
        all.put(
                "linear-2",
                new Section(
                        2,
                        rounds,
                        List.of(() -> Cases.linear(2, 4096, 4096, 1, 2), () -> Cases.linear(2, 11008, 4096, 1, 2))));
        List<Supplier<Case>> prefills = new ArrayList<>();
        prefills.add(() -> Cases.linear(2, 4096, 4096, 512, 1));
        if (!quick) {
            prefills.add(() -> Cases.linear(2, 11008, 4096, 512, 1));
            prefills.add(() -> Cases.linear(4, 4096, 4096, 512, 1));
        }
        all.put("prefill", new Section(1, quick ? 3 : 7, prefills));
        all.put(
                "encode",
                new Section(
                        1,
                        rounds,
                        List.of(
                                () -> Cases.encode(2, 4096),
                                () -> Cases.encode(3, 4096),
                                () -> Cases.encode(4, 4096))));
        int layer = layer(quick);
        all.put("quantize", new Section(1, 1, List.of(() -> Cases.quantize(2, layer, layer, GREEDY_PASSES, 1))));
        if (!quick) {
            List<Supplier<Case>> rest = new ArrayList<>();
            rest.add(() -> DecodeSteps.head(Dtype.F16, 32000, 4096, 1));
            rest.add(() -> DecodeSteps.head(Dtype.I8, 32000, 4096, 1));
            for (Dtype dtype : List.of(Dtype.F16, Dtype.I8, Dtype.F32)) {
                // Llama-2-7B and Llama-3-8B
                rest.add(() -> DecodeSteps.attention(dtype, 32, 32, 1024, 128));
                rest.add(() -> DecodeSteps.attention(dtype, 32, 8, 1024, 128));
            }
            for (DecodeSteps.Step step : DecodeSteps.Step.values()) {
                rest.add(() -> DecodeSteps.step(step));
            }
            rest.add(() -> DecodeSteps.sampling(32000, 0.8, 0.95));
            rest.add(() -> DecodeSteps.sampling(32000, 0, 1));
            all.put("rest", new Section(1, rounds, rest));
        }
        return all;
    }

    /** Runs a section in this JVM. */
    static List<Entry> run(Section section, boolean quick) {
        Race race = new Race(quick ? 300 : 700, section.rounds(), 15, section.threads() == 1);
        List<Entry> entries = new ArrayList<>();
        for (Supplier<Case> maker : section.cases()) {
            try (Case work = maker.get()) {
                Entry entry = Entry.of(work, race.run(work.contenders()));
                boolean kernel =
                        work.what().equals(Cases.TRANSFORM) || work.what().equals(Cases.MATVEC);
                if (kernel && !CPeer.isPresent()) {
                    entry.absent().put(Cases.C, CPeer.ABSENT);
                }
                if (work.what().equals(Cases.MATVEC) && !Ggml.isPresent()) {
                    entry.absent().put("llama.cpp", Ggml.ABSENT);
                }
                entries.add(entry);
            }
        }
        return entries;
    }
}

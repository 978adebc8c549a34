package dev.gosset.bench;

import java.util.List;
import java.util.Locale;

/**
 * What the kernels were asked to reach, judged on the entries of one run. A target that is missed stays as it is; one
 * whose peer is not there is undecided.
 */
final class Targets {
    /** FFHT's published 0.31 us for 1024 floats at 4 GHz, in cycles. */
    private static final double FFHT_CYCLES = 1240;

    /** What two threads compute together over what one does, below which the machine counts as busy. */
    private static final double QUIET = 1.8;

    private final List<Entry> entries;

    /**
     * Whether two threads had two processors: whether together they multiplied almost twice as fast as one alone, to begin
     * with. Reading memory does not tell, for one processor may draw all that the memory gives.
     */
    private final boolean hasQuietProcessors;

    private Targets(List<Entry> entries) {
        this.entries = entries;
        double[] rate = new double[3];
        for (Entry e : entries) {
            if (e.what().equals(Cases.CLOCK)) {
                rate[e.threads()] = 1 / e.ours();
            }
        }
        this.hasQuietProcessors = rate[2] >= QUIET * rate[1];
    }

    /** Adds to each entry the targets that concern it. */
    static void judge(List<Entry> entries) {
        Targets targets = new Targets(entries);
        targets.transforms();
        targets.matvecs();
        targets.others();
    }

    private Entry find(String what, String size, int threads) {
        return entries.stream()
                .filter(e -> e.is(what, size, threads))
                .findFirst()
                .orElse(null);
    }

    /** {@code value} has to be at least {@code least}; NaN is undecided. */
    private void atLeast(Entry entry, String text, double value, double least, String unit) {
        judge(entry, text, value, value >= least, unit);
    }

    private void atMost(Entry entry, String text, double value, double most, String unit) {
        judge(entry, text, value, value <= most, unit);
    }

    private void judge(Entry entry, String text, double value, boolean met, String unit) {
        if (entry == null) {
            return;
        }
        boolean measured = !Double.isNaN(value);
        boolean busy = entry.threads() > 1 && !hasQuietProcessors;
        String figure = measured ? String.format(Locale.ROOT, "%.2f%s", value, unit) : "not measured";
        entry.targets()
                .add(new Entry.Target(
                        text,
                        busy ? figure + ", undecided: other programs had the processors" : figure,
                        measured && !busy ? met : null));
    }

    private void transforms() {
        Entry four = find(Cases.TRANSFORM, "4096", 1);
        if (four == null) {
            return;
        }
        atLeast(four, "as fast as C", four.ratio(Cases.C), 1, "x");
        Entry clock = find(Cases.CLOCK, "core", 1);
        double cycle = clock == null ? Double.NaN : clock.ours();
        // FFHT's figure is for 1024 floats; n log n carries it to 4096.
        double ffht = FFHT_CYCLES * 4 * 12 / 10 * cycle;
        atLeast(four, "as fast as FFHT's figure by clock", ffht / (four.ours() * 4096), 1, "x");
        Entry one = find(Cases.TRANSFORM, "1024", 1);
        if (one != null) {
            atLeast(one, "as fast as FFHT's figure by clock", FFHT_CYCLES * cycle / (one.ours() * 1024), 1, "x");
        }
        Entry sixteen = find(Cases.TRANSFORM, "16384", 1);
        if (sixteen != null) {
            atMost(sixteen, "at most 5x the time of 4096", 4 * sixteen.ours() / four.ours(), 5, "x");
        }
        for (String n : new String[] {"11008", "14336"}) {
            Entry e = find(Cases.TRANSFORM, n, 1);
            if (e != null) {
                atMost(e, "at most 1.5x the time per element of 4096", e.ours() / four.ours(), 1.5, "x");
            }
        }
    }

    private void matvecs() {
        for (String shape : new String[] {"4096x4096", "11008x4096"}) {
            Entry one = find(Cases.MATVEC, "2 bit " + shape, 1);
            Entry two = find(Cases.MATVEC, "2 bit " + shape, 2);
            if (one == null) {
                continue;
            }
            atLeast(one, "20 Gweights/s", 1 / one.ours(), 20, "");
            atLeast(one, "two thirds of C with VNNI", one.ratio(Cases.C_VNNI), 2.0 / 3, "x");
            atLeast(one, "1.5x llama.cpp IQ2_XXS", one.ratio(Cases.IQ2_XXS), 1.5, "x");
            if (two != null) {
                atLeast(two, "1.8x of one thread", one.ours() / two.ours(), 1.8, "x");
                atLeast(two, "1.5x llama.cpp IQ2_XXS", two.ratio(Cases.IQ2_XXS), 1.5, "x");
            }
            for (int bits = 3; bits <= 4; bits++) {
                Entry more = find(Cases.MATVEC, bits + " bit " + shape, 1);
                if (more != null) {
                    atLeast(more, "half of the 2-bit rate", one.ours() / more.ours(), 0.5, "x");
                }
            }
        }
    }

    private void others() {
        for (Entry e : entries) {
            switch (e.what()) {
                case Cases.PREFILL -> {
                    if (e.size().startsWith("2 bit")) {
                        atLeast(e, "half of SGEMM on dense weights", e.ratio(Cases.SGEMM), 0.5, "x");
                    }
                }
                case Cases.QUANTIZE -> atLeast(e, "10x PyTorch", e.ratio(Quantization.TORCH), 10, "x");
                case WholeModel.WHAT -> {
                    atLeast(e, "1.5x llama.cpp IQ2_XXS", e.ratio(WholeModel.LLAMA_XXS), 1.5, "x");
                    atLeast(e, "2x Jlama Q4", e.ratio(WholeModel.JLAMA), 2, "x");
                }
                default -> {
                    // asked of nothing else
                }
            }
        }
    }
}

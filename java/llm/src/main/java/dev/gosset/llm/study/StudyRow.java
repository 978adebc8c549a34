package dev.gosset.llm.study;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.methods.MethodSettings;
import dev.gosset.core.methods.PointSet;
import dev.gosset.core.methods.PointSets;
import dev.gosset.core.methods.Processing;
import dev.gosset.core.methods.ScalarMethod;
import dev.gosset.core.rounding.RoundingSettings;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/**
 * One run of a study.
 *
 * @param method of {@link ScalarMethod}; or one of the names below; or a set of {@link PointSets}, then {@code @} and the part of its best
 *     scale on normal numbers
 * @param processing of {@link Processing}; QuIP#'s codebooks have hadamard
 * @param asPublished whether a scalar method has the published width of the grid and clipping
 */
public record StudyRow(String method, String processing, int bits, boolean asPublished, long seed) {
    /** QuIP# as this project searches codes. */
    public static final String BEAM = "e8p";

    /** QuIP# as the reference implementation searches codes. */
    public static final String REFERENCE = "e8p-nearest";

    /** {@link #BEAM}, tuned within blocks. */
    public static final String TUNED_BLOCKS = "e8p-block-tuned";

    /** {@link #TUNED_BLOCKS}, then tuned as a whole. */
    public static final String TUNED = "e8p-tuned";

    /** The model as it is, with 16 bits for each weight. */
    public static final String ORIGINAL = "original";

    private static final String HADAMARD = "hadamard";

    /** Methods that draw numbers where the processing draws none. */
    private static final Set<String> STOCHASTIC = Set.of("stochastic", "ldlq-stochastic", "ldlq-bounded");

    private static final List<Integer> BITS = List.of(2, 3, 4);

    /** Parts of a set's best scale: feedback moves weights outwards, so that a smaller one may be better. */
    private static final List<String> SCALES = List.of("1", "0.87", "0.75");

    /** QuIP's main table: methods by processing by bits. OPTQ and LDLQ differ where nothing is made incoherent only. */
    public static List<StudyRow> methods(int seeds, boolean asPublished) {
        List<StudyRow> rows = new ArrayList<>();
        for (int bits : BITS) {
            for (String method : List.of("nearest", "greedy", "optq", "ldlq", "ldlq-rg")) {
                add(rows, method, "none", bits, asPublished, seeds);
                if (!method.equals("optq")) {
                    add(rows, method, "kron", bits, asPublished, seeds);
                }
            }
        }
        return rows;
    }

    /**
     * Both papers' steps one by one at 2 bits.
     *
     * @param tuned whether with the rows that are tuned
     */
    public static List<StudyRow> ablation(int seeds, boolean asPublished, boolean tuned) {
        List<StudyRow> rows = new ArrayList<>();
        for (String processing : List.of(
                "none", "rescale", "kron-norescale", "kron", "kron-blocked", "kron-noperm", HADAMARD, "fourier")) {
            add(rows, "ldlq", processing, 2, asPublished, seeds);
        }
        add(rows, "ldlq-stochastic", "kron", 2, asPublished, seeds);
        add(rows, "ldlq-bounded", "kron", 2, asPublished, seeds);
        add(rows, REFERENCE, HADAMARD, 2, false, seeds);
        add(rows, BEAM, HADAMARD, 2, false, seeds);
        if (tuned) {
            add(rows, TUNED_BLOCKS, HADAMARD, 2, false, seeds);
            add(rows, TUNED, HADAMARD, 2, false, seeds);
        }
        return rows;
    }

    /** Codebooks of about 2 bits, with LDLQ in blocks of their dimension and no greedy passes, each at several scales. */
    public static List<StudyRow> codebooks(int seeds) {
        List<StudyRow> rows = new ArrayList<>();
        for (String set : PointSets.TWO_BITS) {
            for (String scale : SCALES) {
                add(rows, set + "@" + scale, HADAMARD, 2, false, seeds);
            }
        }
        return rows;
    }

    /** What differs by size of the model: the original, OPTQ, QuIP and QuIP# at every rate. */
    public static List<StudyRow> scaling(int seeds, boolean asPublished) {
        List<StudyRow> rows = new ArrayList<>();
        for (int bits : BITS) {
            add(rows, "optq", "none", bits, asPublished, seeds);
            add(rows, "ldlq", "kron", bits, asPublished, seeds);
            add(rows, BEAM, HADAMARD, bits, false, seeds);
        }
        add(rows, ORIGINAL, "none", 16, false, seeds);
        return rows;
    }

    /** What random signs and rotations make of one result at 2 bits. */
    public static List<StudyRow> seeds(int seeds, boolean asPublished) {
        List<StudyRow> rows = new ArrayList<>();
        add(rows, "ldlq", "kron", 2, asPublished, seeds);
        add(rows, "ldlq", HADAMARD, 2, asPublished, seeds);
        add(rows, BEAM, HADAMARD, 2, false, seeds);
        return rows;
    }

    /** LDLQ at 2 bits behind each kind of transform: what theory speaks of. */
    public static List<StudyRow> spectrum(boolean asPublished) {
        List<StudyRow> rows = new ArrayList<>();
        for (String processing : List.of("none", "kron", HADAMARD, "fourier")) {
            rows.add(new StudyRow("ldlq", processing, 2, asPublished, 0));
        }
        return rows;
    }

    private static void add(
            List<StudyRow> rows, String method, String processing, int bits, boolean asPublished, int seeds) {
        boolean random =
                STOCHASTIC.contains(method) || Processing.named(processing).isIncoherent();
        for (int seed = 0; seed < (random ? seeds : 1); seed++) {
            rows.add(new StudyRow(method, processing, bits, asPublished, seed));
        }
    }

    /** The method, or the set without its scale. */
    public String name() {
        return method.replaceFirst("@.*", "");
    }

    boolean isTuned() {
        return method.equals(TUNED_BLOCKS) || method.equals(TUNED);
    }

    boolean isSet() {
        return method.indexOf('@') >= 0;
    }

    boolean isCodebook() {
        return isTuned() || method.equals(BEAM) || method.equals(REFERENCE);
    }

    /** Of a method of QuIP, or of a set. */
    MethodSettings settings(PointSets sets) {
        if (!isSet()) {
            return MethodSettings.of(ScalarMethod.named(method), Processing.named(processing), bits, asPublished);
        }
        PointSet set = sets.named(name());
        return MethodSettings.of(set, Double.parseDouble(method.substring(name().length() + 1)) * sets.scale(set));
    }

    /** Of QuIP#. */
    RoundingSettings codebook() {
        Codebook codebook = Codebook.ofBits(bits);
        return method.equals(REFERENCE) ? RoundingSettings.reference(codebook) : RoundingSettings.of(codebook);
    }

    /** What tells this run from others, in a line. */
    void write(ObjectNode line) {
        line.put("method", method);
        line.put("processing", processing);
        line.put("bits", bits);
        line.put("as_published", asPublished);
        line.put("seed", seed);
    }
}

package dev.gosset.cli.demo;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.SplittableRandom;

/**
 * Texts and questions about Lattice Valley, the small world that the bundled demo model has learned.
 *
 * <p>A text is a row of short documents: stories in which things change hands and places, sums, and facts about the creatures of
 * the valley, many of them with questions and answers. Everything follows from the seed. Seeds below
 * {@link #FIRST_HELD_OUT_SEED} are for training and calibration; seeds from there on are for measuring, and differ in this: the
 * stories are new, and so are the sums asked in {@link #questions}, whose numbers no training text ever adds or subtracts. The facts are the
 * same in both, for facts are there to be remembered.
 *
 * <p>All methods are safe for concurrent use.
 */
public final class SmallWorld {
    /** Seeds from here on give held-out texts and questions; the demo model has seen none of them. */
    public static final long FIRST_HELD_OUT_SEED = 1_000_000;

    /** What a question is about. */
    public enum Kind {
        /** What happened in the story before it: nothing that was learned by heart helps. */
        STORY,
        /** A sum or a difference. */
        SUM,
        /** A creature of the valley. */
        FACT
    }

    /**
     * A multiple-choice question. The text to be scored is the context followed at once by the choice.
     *
     * @param kind what it is about
     * @param context what comes before the answer; ends in {@code Answer:}
     * @param choices four answers, no two the same, each beginning with a space
     * @param answer the index of the true one
     */
    public record Question(Kind kind, String context, List<String> choices, int answer) {
        /** Copies the choices and checks the index. */
        public Question {
            choices = List.copyOf(choices);
            Objects.checkIndex(answer, choices.size());
        }

        /**
         * One line of JSON, as {@code gosset eval choice} reads it:
         * {@code {"context": "...", "choices": ["...", "..."], "answer": 0}}.
         */
        public String json() {
            StringBuilder out = new StringBuilder("{\"context\": ").append(quoted(context));
            out.append(", \"choices\": [");
            for (int i = 0; i < choices.size(); i++) {
                out.append(i == 0 ? "" : ", ").append(quoted(choices.get(i)));
            }
            return out.append("], \"answer\": ").append(answer).append('}').toString();
        }

        /** The texts of this class hold nothing else that JSON would have escaped. */
        private static String quoted(String text) {
            return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n") + '"';
        }
    }

    private SmallWorld() {}

    /**
     * Documents with an empty line between them and a line break at the end. A shorter text is the beginning of a longer one.
     *
     * @param seed which text; see {@link #FIRST_HELD_OUT_SEED}
     * @param documents how many documents, about 75 tokens each
     */
    public static String text(long seed, int documents) {
        SplittableRandom random = new SplittableRandom(seed);
        boolean heldOut = seed >= FIRST_HELD_OUT_SEED;
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < documents; i++) {
            out.append(i == 0 ? "" : "\n\n").append(document(new Draw(random.split()), heldOut));
        }
        return out.append('\n').toString();
    }

    private static String document(Draw draw, boolean heldOut) {
        int part = draw.between(1, 100);
        if (part <= 44) {
            return Story.document(draw);
        }
        if (part <= 71) {
            return Sums.document(draw, heldOut);
        }
        if (part <= 92) {
            return Creatures.document(draw);
        }
        return SmallTalk.document(draw);
    }

    /**
     * Multiple-choice questions, the kinds in turn: number i is of kind {@code Kind.values()[i % 3]}.
     *
     * @param seed which questions; see {@link #FIRST_HELD_OUT_SEED}
     * @param count how many; no two have the same context as long as there are enough different ones
     */
    public static List<Question> questions(long seed, int count) {
        SplittableRandom random = new SplittableRandom(seed ^ 0x51E57104L);
        boolean heldOut = seed >= FIRST_HELD_OUT_SEED;
        Set<String> seen = new HashSet<>();
        List<Question> out = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            Kind kind = Kind.values()[i % Kind.values().length];
            Question question = question(kind, new Draw(random.split()), heldOut);
            for (int attempt = 0; !seen.add(question.context()) && attempt < 100; attempt++) {
                question = question(kind, new Draw(random.split()), heldOut);
            }
            out.add(question);
        }
        return out;
    }

    private static Question question(Kind kind, Draw draw, boolean heldOut) {
        Query query = switch (kind) {
            case STORY -> Story.query(draw);
            case SUM -> Sums.query(draw, heldOut);
            case FACT -> Creatures.query(draw);
        };
        return query.multipleChoice(kind, draw);
    }

    /**
     * Writes {@code train.txt}, {@code heldout.txt} and {@code questions.jsonl}.
     *
     * @param args the folder; the training seed and its number of documents; the held-out seed, its number of documents and of
     *     questions
     * @throws IOException if a file cannot be written
     */
    public static void main(String[] args) throws IOException {
        if (args.length != 6) {
            throw new IllegalArgumentException(
                    "6 arguments expected (FOLDER TRAINING-SEED DOCUMENTS HELD-OUT-SEED DOCUMENTS QUESTIONS), "
                            + args.length + " found");
        }
        Path folder = Files.createDirectories(Path.of(args[0]));
        long training = Long.parseLong(args[1]);
        long heldOut = Long.parseLong(args[3]);
        if (training >= FIRST_HELD_OUT_SEED || heldOut < FIRST_HELD_OUT_SEED) {
            throw new IllegalArgumentException("training seed " + training + ", held-out seed " + heldOut
                    + ": the first must be below " + FIRST_HELD_OUT_SEED + ", the second not");
        }
        Files.writeString(folder.resolve("train.txt"), text(training, Integer.parseInt(args[2])));
        Files.writeString(folder.resolve("heldout.txt"), text(heldOut, Integer.parseInt(args[4])));
        StringBuilder lines = new StringBuilder();
        for (Question question : questions(heldOut, Integer.parseInt(args[5]))) {
            lines.append(question.json()).append('\n');
        }
        Files.writeString(folder.resolve("questions.jsonl"), lines);
    }
}

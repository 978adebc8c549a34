package dev.gosset.cli.demo;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import dev.gosset.cli.demo.SmallWorld.Kind;
import dev.gosset.cli.demo.SmallWorld.Question;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SmallWorldTest {
    private static final long TRAINING = 1;
    private static final long HELD_OUT = SmallWorld.FIRST_HELD_OUT_SEED + 1;
    private static final Pattern DIGITS = Pattern.compile("(\\d+) ([+-]) (\\d+) = (\\d+)");
    private static final Pattern WORDS = Pattern.compile("([a-z-]+) (plus|minus) ([a-z-]+) is ([a-z-]+)");

    @Test
    void theSameSeedGivesTheSameTextAndAShorterTextBeginsALongerOne() {
        String text = SmallWorld.text(TRAINING, 500);
        assertThat(SmallWorld.text(TRAINING, 500)).isEqualTo(text);
        assertThat(text).startsWith(SmallWorld.text(TRAINING, 200).stripTrailing());
        assertThat(text.strip().split("\n\n")).hasSize(500);
        assertThat(SmallWorld.text(TRAINING + 1, 500)).isNotEqualTo(text);
        assertThat(SmallWorld.questions(HELD_OUT, 60)).isEqualTo(SmallWorld.questions(HELD_OUT, 60));
    }

    @Test
    void noHeldOutStoryIsTold() {
        Set<String> training =
                new HashSet<>(List.of(SmallWorld.text(TRAINING, 50_000).split("\n")));
        for (Question question : SmallWorld.questions(HELD_OUT, 900)) {
            if (question.kind() == Kind.STORY) {
                assertThat(training)
                        .doesNotContain(question.context().lines().findFirst().orElseThrow());
            }
        }
    }

    @Test
    void noHeldOutSumIsTold() {
        int told = 0;
        String text = SmallWorld.text(TRAINING, 50_000);
        for (Matcher m = DIGITS.matcher(text); m.find(); told++) {
            int[] sum = numbers(m);
            assertThat(Sums.heldOut(sum[1], sum[0] - sum[1])).as(m.group()).isFalse();
            assertThat(sum[0]).as(m.group()).isEqualTo(sum[1] + sum[2]);
        }
        for (Matcher m = WORDS.matcher(text.toLowerCase(Locale.ROOT)); m.find(); told++) {
            int[] sum = numbers(m);
            assertThat(sum[0]).as(m.group()).isEqualTo(sum[1] + sum[2]);
            assertThat(Sums.heldOut(sum[1], sum[2])).as(m.group()).isFalse();
        }
        assertThat(told).isGreaterThan(30_000);
        int kept = 0;
        for (int a = 1; a <= 20; a++) {
            for (int b = 1; b <= 20; b++) {
                kept += Sums.heldOut(a, b) ? 1 : 0;
                assertThat(Sums.heldOut(b, a)).isEqualTo(Sums.heldOut(a, b));
            }
        }
        assertThat(kept).isBetween(40, 70);
    }

    @Test
    void everyQuestionHasFourChoicesAndOneTrueAnswer() {
        Set<String> facts = new HashSet<>();
        for (Creatures.Creature creature : Creatures.ALL) {
            for (Creatures.Asks asks : Creatures.Asks.values()) {
                facts.add(" " + asks.sentence(creature, asks.of(creature)));
            }
        }
        for (long seed : new long[] {TRAINING, HELD_OUT, HELD_OUT + 1}) {
            List<Question> questions = SmallWorld.questions(seed, 600);
            int[] places = new int[4];
            for (int i = 0; i < questions.size(); i++) {
                Question question = questions.get(i);
                assertThat(question.kind()).isEqualTo(Kind.values()[i % 3]);
                assertThat(question.choices())
                        .hasSize(4)
                        .doesNotHaveDuplicates()
                        .allMatch(c -> c.startsWith(" "));
                assertThat(question.context()).endsWith("?\nAnswer:");
                assertThat(question.context() + question.choices()).doesNotContain("{", "}", "null");
                places[question.answer()]++;
                if (question.kind() == Kind.FACT) {
                    for (int c = 0; c < 4; c++) {
                        assertThat(facts.contains(question.choices().get(c)))
                                .as(question.toString())
                                .isEqualTo(c == question.answer());
                    }
                } else if (question.kind() == Kind.SUM) {
                    checkSum(question, seed == TRAINING);
                }
            }
            assertThat(Arrays.stream(places).min().orElseThrow()).isGreaterThan(100);
        }
    }

    private static void checkSum(Question question, boolean training) {
        for (int c = 0; c < 4; c++) {
            Pattern form = question.choices().get(c).matches(".*\\d.*") ? DIGITS : WORDS;
            Matcher m = form.matcher(question.choices().get(c).toLowerCase(Locale.ROOT));
            assertThat(m.find()).isTrue();
            int[] sum = numbers(m);
            assertThat(sum[0] == sum[1] + sum[2]).as(question.toString()).isEqualTo(c == question.answer());
            if (c == question.answer()) {
                assertThat(Sums.heldOut(sum[1], sum[2])).isEqualTo(!training);
            }
            // The two numbers of the choice are those of the question, in its order.
            String asked = question.context().toLowerCase(Locale.ROOT);
            assertThat(asked).containsPattern("\\b" + m.group(1) + "\\b(?s:.*)\\b" + m.group(3) + "\\b");
        }
    }

    /** A sum as whole and parts: {@code 7 + 5 = 12} and {@code 12 - 5 = 7} give 12, and 7 and 5 in some order. */
    private static int[] numbers(Matcher m) {
        int a = number(m.group(1));
        int b = number(m.group(3));
        int c = number(m.group(4));
        return m.group(2).equals("+") || m.group(2).equals("plus") ? new int[] {c, a, b} : new int[] {a, b, c};
    }

    private static int number(String text) {
        if (Character.isDigit(text.charAt(0))) {
            return Integer.parseInt(text);
        }
        for (int i = 0; i < 100; i++) {
            if (Sums.word(i).equals(text)) {
                return i;
            }
        }
        throw new AssertionError("not a number: " + text);
    }

    @Test
    void storiesAndTheirAnswersAgreeWithWhatHappened() {
        SplittableRandom random = new SplittableRandom(7);
        Map<String, Integer> asked = new HashMap<>();
        for (int i = 0; i < 2000; i++) {
            Draw draw = new Draw(random.split());
            Story story = Story.tell(draw);
            Map<String, String> truth = replay(story);
            List<Query> queries = story.queries(draw);
            for (Query query : queries) {
                assertThat(query.passage()).isEqualTo(story.text() + "\n");
                assertThat(query.answer())
                        .as("%s %s", story.text(), query.question())
                        .isEqualTo(truth.get(query.question()));
                assertThat(query.wrong()).hasSize(3).doesNotHaveDuplicates().doesNotContain(query.answer());
                asked.merge(query.question().replaceAll("^(\\w+ \\w+) .*", "$1"), 1, Integer::sum);
                if (query.question().startsWith("Where is") || query.question().startsWith("Who has")) {
                    assertThat(lastSentenceAbout(story, query)).contains(value(query));
                }
            }
            // Nothing that may be asked is left out.
            assertThat(queries).extracting(Query::question).containsExactlyInAnyOrderElementsOf(truth.keySet());
        }
        assertThat(asked).containsOnlyKeys("Where is", "Who has", "Who had", "What colour");
        assertThat(asked.values()).allMatch(n -> n > 500);
    }

    /** Every question that the story settles, with its answer: one map of the world, kept event by event. */
    private static Map<String, String> replay(Story story) {
        Map<String, String> truth = new HashMap<>();
        story.owners().forEach((thing, owner) -> {
            String the = thing.the();
            truth.put("What colour is " + the + "?", "The " + thing.name() + " is " + thing.colour() + ".");
            truth.put("Who had " + the + " at first?", owner.name() + " had " + the + " at first.");
            truth.put("Who has " + the + "?", owner.name() + " has " + the + ".");
        });
        for (Story.Event event : story.events()) {
            switch (event) {
                case Story.Event.Go e -> {
                    assertThat(truth.values())
                            .noneMatch(s -> s.startsWith(e.person().name() + " has "));
                    person(truth, e.person(), e.place());
                }
                case Story.Event.Carry e -> {
                    assertThat(truth)
                            .containsEntry(
                                    has(e.thing()),
                                    e.person().name() + " has " + e.thing().the() + ".");
                    person(truth, e.person(), e.place());
                    thing(truth, e.thing(), e.place());
                }
                case Story.Event.Leave e -> {
                    assertThat(truth)
                            .containsEntry(
                                    has(e.thing()),
                                    e.person().name() + " has " + e.thing().the() + ".");
                    truth.remove(has(e.thing()));
                    truth.remove("Where is " + e.person().name() + "?");
                    thing(truth, e.thing(), e.place());
                }
                case Story.Event.Take e -> {
                    assertThat(truth).doesNotContainKey(has(e.thing()));
                    assertThat(truth)
                            .containsEntry(
                                    "Where is " + e.thing().the() + "?",
                                    "The " + e.thing().name() + " is in the " + e.place() + ".");
                    person(truth, e.person(), e.place());
                    truth.put(
                            has(e.thing()),
                            e.person().name() + " has " + e.thing().the() + ".");
                }
                case Story.Event.Give e -> {
                    assertThat(truth)
                            .containsEntry(
                                    has(e.thing()),
                                    e.from().name() + " has " + e.thing().the() + ".");
                    truth.remove("Where is " + e.thing().the() + "?");
                    truth.remove("Where is " + e.from().name() + "?");
                    truth.remove("Where is " + e.to().name() + "?");
                    truth.put(
                            has(e.thing()), e.to().name() + " has " + e.thing().the() + ".");
                }
            }
        }
        return truth;
    }

    private static String has(Story.Thing thing) {
        return "Who has " + thing.the() + "?";
    }

    private static void person(Map<String, String> truth, Story.Person person, String place) {
        truth.put("Where is " + person.name() + "?", person.name() + " is in the " + place + ".");
    }

    private static void thing(Map<String, String> truth, Story.Thing thing, String place) {
        truth.put("Where is " + thing.the() + "?", "The " + thing.name() + " is in the " + place + ".");
    }

    /** What the words alone say: the last sentence that names the thing or the person asked about. */
    private static String lastSentenceAbout(Story story, Query query) {
        String subject = query.question().replaceAll(".* (\\w+)\\?", "$1");
        String last = "";
        for (String sentence : story.text().split("(?<=[.!]) ")) {
            last = sentence.matches(".*\\b" + subject + "\\b.*") ? sentence : last;
        }
        return last;
    }

    private static String value(Query query) {
        return query.question().startsWith("Who")
                ? query.answer().replaceAll(" .*", "")
                : query.answer().replaceAll(".* (\\w+)\\.", "$1");
    }

    @Test
    void theTableOfCreaturesHolds() {
        Map<String, Creatures.Creature> byName = new HashMap<>();
        Creatures.ALL.forEach(c -> byName.put(c.name(), c));
        assertThat(byName).hasSize(Creatures.ALL.size());
        for (Creatures.Creature creature : Creatures.ALL) {
            assertThat(byName.get(creature.friend()).friend()).isEqualTo(creature.name());
            assertThat(creature.name()).doesNotMatch("[aeiou].*");
        }
        // Asked in reverse, these must have one answer.
        assertThat(Creatures.ALL).extracting(Creatures.Creature::food).doesNotHaveDuplicates();
        assertThat(Creatures.ALL).extracting(Creatures.Creature::home).doesNotHaveDuplicates();
        assertThat(Creatures.ALL).extracting(Creatures.Creature::hobby).doesNotHaveDuplicates();
    }

    @Test
    void textsAreVaried() {
        String[] documents = SmallWorld.text(HELD_OUT, 2000).strip().split("\n\n");
        Set<String> stories = new HashSet<>();
        Set<String> sentences = new HashSet<>();
        for (String document : documents) {
            assertThat(document).doesNotContain("{", "}", "null", "  ");
            assertThat(document).matches("(?s)[A-Z0-9\"].*[.!?\"]");
            if (document.length() > 250) {
                stories.add(document);
            }
            sentences.addAll(List.of(document.split("(?<=[.!?]) |\n")));
        }
        assertThat(stories).hasSizeGreaterThan(500);
        assertThat(sentences).hasSizeGreaterThan(5000);
    }

    @Test
    void jsonLinesCarryContextChoicesAndAnswer() {
        Question question = new Question(
                Kind.STORY, "\"Is that it?\" said Nell.\nQuestion: What?\nAnswer:", List.of(" A.", " B."), 1);
        assertThat(question.json())
                .isEqualTo("{\"context\": \"\\\"Is that it?\\\" said Nell.\\nQuestion: What?\\nAnswer:\", "
                        + "\"choices\": [\" A.\", \" B.\"], \"answer\": 1}");
    }

    @Test
    void mainWritesThreeFiles(@TempDir Path folder) throws IOException {
        SmallWorld.main(new String[] {folder.toString(), "1", "30", "1000001", "20", "9"});
        assertThat(folder.resolve("train.txt")).hasContent(SmallWorld.text(1, 30));
        assertThat(folder.resolve("heldout.txt")).hasContent(SmallWorld.text(1_000_001, 20));
        List<String> expected = new ArrayList<>();
        SmallWorld.questions(1_000_001, 9).forEach(q -> expected.add(q.json()));
        assertThat(Files.readAllLines(folder.resolve("questions.jsonl"))).isEqualTo(expected);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> SmallWorld.main(new String[] {folder.toString(), "1", "30", "2", "20", "9"}))
                .withMessageContaining("held-out seed 2");
    }
}

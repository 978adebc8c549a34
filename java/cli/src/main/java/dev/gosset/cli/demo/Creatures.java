package dev.gosset.cli.demo;

import java.util.ArrayList;
import java.util.List;

/** The creatures of Lattice Valley: a table that no seed changes, and the sentences that tell it. */
final class Creatures {
    /**
     * One creature.
     *
     * @param name a word without article; every creature takes "a"
     * @param home where it lives, with its preposition
     * @param sound what it does, third person
     * @param hobby what it likes doing
     * @param friend the name of another creature, whose friend it is in turn
     */
    record Creature(String name, String colour, String food, String home, String sound, String hobby, String friend) {}

    static final List<Creature> ALL = List.of(
            new Creature(
                    "mossling", "green", "acorns", "under the old bridge", "hums", "counting raindrops", "pebblefox"),
            new Creature(
                    "pebblefox",
                    "grey",
                    "blackberries",
                    "behind the waterfall",
                    "whistles",
                    "stacking stones",
                    "mossling"),
            new Creature("lampmoth", "yellow", "honey", "in the bell tower", "buzzes", "reading by night", "quillbird"),
            new Creature("quillbird", "black", "seeds", "on the school roof", "sings", "drawing maps", "lampmoth"),
            new Creature("snowhare", "white", "turnips", "near the high pass", "squeaks", "sliding on ice", "frostcat"),
            new Creature(
                    "frostcat", "white", "fish", "beside the frozen lake", "purrs", "chasing snowflakes", "snowhare"),
            new Creature(
                    "clockmouse",
                    "brown",
                    "cheese",
                    "inside the town clock",
                    "squeaks",
                    "mending watches",
                    "tinbeetle"),
            new Creature("tinbeetle", "silver", "pears", "below the bakery", "buzzes", "polishing coins", "clockmouse"),
            new Creature("reedfrog", "green", "lettuce", "among the reeds", "croaks", "telling jokes", "mudturtle"),
            new Creature(
                    "mudturtle",
                    "brown",
                    "mushrooms",
                    "along the river bank",
                    "croaks",
                    "taking long naps",
                    "reedfrog"),
            new Creature("cloudsheep", "grey", "clover", "on top of the hill", "hums", "watching the sky", "windpony"),
            new Creature(
                    "windpony", "blue", "oats", "across the wide meadow", "whistles", "racing the wind", "cloudsheep"),
            new Creature("copperhen", "red", "corn", "by the warm oven", "clucks", "baking bread", "plumpig"),
            new Creature("plumpig", "purple", "plums", "in the old orchard", "grunts", "digging holes", "copperhen"),
            new Creature("duskowl", "purple", "nuts", "inside the hollow oak", "sings", "solving riddles", "sandcrab"),
            new Creature("sandcrab", "red", "seaweed", "between the dunes", "clicks", "collecting shells", "duskowl"));

    /** What a question asks about. */
    enum Asks {
        COLOUR(
                List.of("What colour is the {N}?", "Which colour does the {N} have?"),
                "The {N} is {V}.",
                List.of(
                        "The {N} is {V}.",
                        "It is easy to know the {N}, for it is {V}.",
                        "Every {N} in the valley is {V}.",
                        "The coat of the {N} is {V}.",
                        "A {N} is always {V}.")) {
            @Override
            String of(Creature c) {
                return c.colour();
            }
        },
        FOOD(
                List.of("What does the {N} eat?", "What is the favourite food of the {N}?"),
                "The {N} eats {V}.",
                List.of(
                        "The {N} eats {V}.",
                        "For breakfast the {N} eats {V}.",
                        "The {N} likes {V} better than any other food.",
                        "Bring the {N} some {V} and it will be your friend.",
                        "Nothing tastes as good to the {N} as {V}.")) {
            @Override
            String of(Creature c) {
                return c.food();
            }
        },
        HOME(
                List.of("Where does the {N} live?", "Where is the home of the {N}?"),
                "The {N} lives {V}.",
                List.of(
                        "The {N} lives {V}.",
                        "The {N} has its home {V}.",
                        "If you look for the {N}, look {V}.",
                        "At night the {N} sleeps {V}.",
                        "You can find the {N} {V}.")) {
            @Override
            String of(Creature c) {
                return c.home();
            }
        },
        SOUND(
                List.of("What sound does the {N} make?", "What do you hear when the {N} is happy?"),
                "The {N} {V}.",
                List.of(
                        "The {N} {V}.",
                        "When it is happy, the {N} {V}.",
                        "In the evening the {N} {V}.",
                        "You can hear it from far away when the {N} {V}.",
                        "The {N} {V} softly before it falls asleep.")) {
            @Override
            String of(Creature c) {
                return c.sound();
            }
        },
        HOBBY(
                List.of("What does the {N} like to do?", "What does the {N} do all day?"),
                "The {N} likes {V}.",
                List.of(
                        "The {N} likes {V}.",
                        "The {N} spends the day {V}.",
                        "On Sundays the {N} can be seen {V}.",
                        "Nobody is better at {V} than the {N}.",
                        "What the {N} enjoys most is {V}.")) {
            @Override
            String of(Creature c) {
                return c.hobby();
            }
        },
        FRIEND(
                List.of("Who is the best friend of the {N}?", "Who is a friend of the {N}?"),
                "The {N} is a friend of the {V}.",
                List.of(
                        "The {N} is a friend of the {V}.",
                        "The best friend of the {N} is the {V}.",
                        "The {N} and the {V} are good friends.",
                        "When the {N} is sad, it visits the {V}.",
                        "The {N} shares all its secrets with the {V}.")) {
            @Override
            String of(Creature c) {
                return c.friend();
            }
        };

        private final List<String> questions;
        private final String answer;
        private final List<String> told;

        Asks(List<String> questions, String answer, List<String> told) {
            this.questions = questions;
            this.answer = answer;
            this.told = told;
        }

        /** What the table says. */
        abstract String of(Creature creature);

        /** The plain sentence that says so, also of what is not so. */
        String sentence(Creature creature, String value) {
            return Draw.fill(answer, "N", creature.name(), "V", value);
        }

        private String told(Draw draw, Creature creature) {
            return Draw.fill(draw.pick(told), "N", creature.name(), "V", of(creature));
        }
    }

    private static final List<String> OPENINGS = List.of(
            "This is what the people of Lattice Valley say about the {N}.",
            "In Lattice Valley there lives a creature called the {N}.",
            "Do you know the {N}?",
            "Let me tell you about the {N}.",
            "Of all the creatures in the valley, the {N} is the dearest to me.",
            "Today we learned about the {N} in school.",
            "From the book of creatures: the {N}.");

    private static final List<String> MEETINGS = List.of(
            "One day {P} met a {N} {H}. It was {C}. {P} gave it some {F}, and soon they were {B} together.",
            "{P} wanted to see a {N}, so {P} went to look {H}. There it was, {C} and happy, {B}. {P} had brought {F}.",
            "Who was that {H}? It was the {N}, {C} as ever. \"Would you like some {F}?\" asked {P}. And so {P} and the {N} had lunch.",
            "Something {S} in the distance. \"That must be the {N},\" said {P}. \"It lives {H}. I will bring it {F}.\"",
            "\"Why are you so {C}?\" {P} asked the {N}. \"Because I eat {F},\" said the {N} and went back to {B}.",
            "The {N} wrote a letter to {P}: \"Come and see me {H}. We can spend the day {B}. My friend the {M} will come too. There will be {F}.\"");

    private Creatures() {}

    /** A text about one creature or two, or some questions, or a meeting. */
    static String document(Draw draw) {
        Creature creature = draw.pick(ALL);
        int form = draw.between(1, 100);
        if (form <= 30) {
            return paragraph(draw, creature, draw.between(3, 5))
                    + (draw.chance(0.4) ? "\n" + query(draw, creature).exchange() : "");
        }
        if (form <= 45) {
            return meeting(draw, creature);
        }
        if (form <= 60) {
            return pair(draw, creature, draw.pick(ALL));
        }
        return query(draw, creature).exchange();
    }

    /** Some sentences about the creature, each about something else. */
    static String paragraph(Draw draw, Creature creature, int sentences) {
        List<String> out = new ArrayList<>();
        if (draw.chance(0.7)) {
            out.add(Draw.fill(draw.pick(OPENINGS), "N", creature.name()));
        }
        for (Asks asks : draw.some(List.of(Asks.values()), sentences)) {
            out.add(asks.told(draw, creature));
        }
        return String.join(" ", out);
    }

    private static String meeting(Draw draw, Creature c) {
        return Draw.fill(
                draw.pick(MEETINGS),
                "P",
                draw.pick(Story.PEOPLE).name(),
                "N",
                c.name(),
                "C",
                c.colour(),
                "F",
                c.food(),
                "H",
                c.home(),
                "S",
                c.sound(),
                "B",
                c.hobby(),
                "M",
                c.friend());
    }

    private static String pair(Draw draw, Creature one, Creature two) {
        Asks asks = draw.pick(List.of(Asks.values()));
        if (one.equals(two)) {
            return asks.told(draw, one);
        }
        String first = asks.sentence(one, asks.of(one));
        String second = asks.sentence(two, asks.of(two));
        String stem = first.substring(0, first.length() - 1);
        String tail = second.substring(1);
        if (asks.of(one).equals(asks.of(two))) {
            return draw.pick(List.of(
                    stem + ", and t" + tail + " They are alike in this.", first + " T" + tail + " So they are alike."));
        }
        return stem + draw.pick(List.of(", but t", ", and t", ", while t")) + tail;
    }

    /** A question about any creature. */
    static Query query(Draw draw) {
        return query(draw, draw.pick(ALL));
    }

    private static Query query(Draw draw, Creature creature) {
        return draw.chance(0.25) ? reverse(draw, creature) : query(draw, creature, draw.pick(List.of(Asks.values())));
    }

    private static Query query(Draw draw, Creature creature, Asks asks) {
        List<String> wrong = new ArrayList<>();
        for (Creature other : draw.shuffled(ALL)) {
            String sentence = asks.sentence(creature, asks.of(other));
            if (wrong.size() < 3
                    && !asks.of(other).equals(asks.of(creature))
                    && !asks.of(other).equals(creature.name())
                    && !wrong.contains(sentence)) {
                wrong.add(sentence);
            }
        }
        String question = Draw.fill(draw.pick(asks.questions), "N", creature.name());
        return new Query("", question, asks.sentence(creature, asks.of(creature)), wrong);
    }

    /** Asks which creature it is: only about what is true of one alone. */
    private static Query reverse(Draw draw, Creature creature) {
        Asks asks = draw.pick(List.of(Asks.FOOD, Asks.HOME, Asks.HOBBY));
        String value = asks.of(creature);
        String question = switch (asks) {
            case FOOD -> "Which creature eats " + value + "?";
            case HOME -> "Which creature lives " + value + "?";
            default -> "Which creature likes " + value + "?";
        };
        List<String> wrong = new ArrayList<>();
        for (Creature other : draw.shuffled(ALL)) {
            if (wrong.size() < 3 && !other.equals(creature)) {
                wrong.add(asks.sentence(other, value));
            }
        }
        return new Query("", question, asks.sentence(creature, value), wrong);
    }
}

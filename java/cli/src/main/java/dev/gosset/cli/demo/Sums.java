package dev.gosset.cli.demo;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/** Sums and differences of numbers up to twenty, in digits, in words and in little tales, and some counting. */
final class Sums {
    private static final int LARGEST = 20;

    private static final List<String> UNITS = List.of(
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen");

    private static final List<String> FRUIT = List.of(
            "apples", "plums", "shells", "buttons", "marbles", "feathers", "coins", "cherries", "stones", "pencils");

    private static final List<String> MORE = List.of(
            "{P} had {A} {F}. Then {Q} gave {P} {B} more.",
            "{P} found {A} {F}. Later {P} found {B} more.",
            "There were {A} {F} in the basket of {P}. {Q} added {B}.",
            "{P} counted {A} {F} before lunch and got {B} more after it.");

    private static final List<String> FEWER = List.of(
            "{P} had {A} {F}. {P} gave {B} of them to {Q}.",
            "{P} had collected {A} {F}, but {B} were lost.",
            "There were {A} {F} in the basket of {P}. {Q} took {B}.",
            "{P} started with {A} {F} and gave {B} away.");

    /** One sum, {@code a + b = c}, or difference, {@code a - b = c}. */
    private record Sum(int a, int b, boolean plus) {
        int c() {
            return plus ? a + b : a - b;
        }

        String digits() {
            return a + (plus ? " + " : " - ") + b;
        }

        String words() {
            return word(a) + (plus ? " plus " : " minus ") + word(b);
        }
    }

    private Sums() {}

    /**
     * Whether a sum is kept back from all training texts: {@code a + b}, {@code b + a} and the two differences that undo them.
     * About one in seven is; none with a one, for counting tells those.
     */
    static boolean heldOut(int a, int b) {
        int low = Math.min(a, b);
        return low > 1 && new SplittableRandom(64L * low + Math.max(a, b)).nextInt(8) == 0;
    }

    /** A number up to ninety-nine in words. */
    static String word(int number) {
        if (number < 20) {
            return UNITS.get(number);
        }
        String tens = List.of("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
                .get(number / 10 - 2);
        return number % 10 == 0 ? tens : tens + "-" + UNITS.get(number % 10);
    }

    private static Sum sum(Draw draw, boolean heldOut) {
        int a;
        int b;
        do {
            a = draw.between(1, LARGEST);
            b = draw.between(1, LARGEST);
        } while (heldOut(a, b) != heldOut);
        return draw.chance(0.55) ? new Sum(a, b, true) : new Sum(a + b, b, false);
    }

    /** A sum from all of them, or, for training, from those that are not kept back. */
    private static Sum any(Draw draw, boolean heldOut) {
        return sum(draw, heldOut && draw.chance(0.15));
    }

    /** Rows of sums, a tale, counting, or a question. */
    static String document(Draw draw, boolean heldOut) {
        int form = draw.between(1, 100);
        if (form <= 40) {
            return row(draw, heldOut);
        }
        if (form <= 55) {
            return counting(draw);
        }
        if (form <= 65) {
            return comparing(draw);
        }
        Query query = query(draw, any(draw, heldOut));
        return query.passage() + query.exchange();
    }

    private static String row(Draw draw, boolean heldOut) {
        List<String> out = new ArrayList<>();
        boolean digits = draw.chance(0.75);
        int length = draw.between(3, 7);
        while (out.size() < length) {
            Sum sum = any(draw, heldOut);
            out.add(told(sum, digits));
            if (draw.chance(0.3)) {
                out.add(told(sum.plus() ? new Sum(sum.b(), sum.a(), true) : new Sum(sum.a(), sum.c(), false), digits));
            }
            if (draw.chance(0.3)) {
                out.add(told(sum.plus() ? new Sum(sum.c(), sum.b(), false) : new Sum(sum.c(), sum.b(), true), digits));
            }
        }
        return (draw.chance(0.3)
                        ? draw.pick(List.of("Sums for today: ", "On the blackboard: ", "Let us add and take away. "))
                        : "")
                + String.join(" ", out);
    }

    private static String told(Sum sum, boolean digits) {
        return digits ? sum.digits() + " = " + sum.c() + "." : Draw.capital(sum.words()) + " is " + word(sum.c()) + ".";
    }

    /** Number after number, up or down. */
    static String counting(Draw draw) {
        int from = draw.between(0, 30);
        int to = from + draw.between(4, 10);
        boolean down = draw.chance(0.4);
        boolean digits = draw.chance(0.7);
        List<String> numbers = new ArrayList<>();
        for (int i = 0; i <= to - from; i++) {
            int n = down ? to - i : from + i;
            numbers.add(digits ? Integer.toString(n) : word(n));
        }
        String first = numbers.getFirst();
        String last = numbers.getLast();
        String row = Draw.capital(String.join(", ", numbers)) + ".";
        String way = down ? "down " : "";
        return draw.chance(0.5)
                ? "Question: Can you count " + way + "from " + first + " to " + last + "?\nAnswer: " + row
                : "Let us count " + way + "from " + first + " to " + last + ". " + row;
    }

    private static String comparing(Draw draw) {
        int a = draw.between(0, 40);
        int b = draw.chance(0.5) ? a + 1 : a + draw.between(1, 12);
        String larger = b + " is larger than " + a + ".";
        if (draw.chance(0.4)) {
            boolean first = draw.chance(0.5);
            return "Question: Which is larger, " + (first ? b : a) + " or " + (first ? a : b) + "?\nAnswer: " + larger;
        }
        return b == a + 1
                ? draw.pick(List.of(
                        b + " is one more than " + a + ".",
                        a + " is one less than " + b + ".",
                        "After " + a + " comes " + b + ".",
                        Draw.capital(word(b)) + " is one more than " + word(a) + "."))
                : larger + " " + a + " is smaller than " + b + ".";
    }

    /** A question about a sum; for held-out seeds always one that was kept back. */
    static Query query(Draw draw, boolean heldOut) {
        return query(draw, sum(draw, heldOut));
    }

    private static Query query(Draw draw, Sum sum) {
        int form = draw.between(1, 100);
        boolean plural = Math.min(Math.min(sum.a(), sum.b()), sum.c()) > 1;
        if (form <= 45 || form > 65 && !plural) {
            String question = draw.pick(List.of("What is {S}?", "How much is {S}?"));
            return query(draw, sum, "", question.replace("{S}", sum.digits()), sum.digits() + " = {V}.", true);
        }
        if (form <= 65) {
            String question = draw.pick(List.of("What is {S}?", "How much is {S}?"));
            return query(
                    draw, sum, "", question.replace("{S}", sum.words()), Draw.capital(sum.words()) + " is {V}.", false);
        }
        List<Story.Person> people = draw.some(Story.PEOPLE, 2);
        String person = people.get(0).name();
        String fruit = draw.pick(FRUIT);
        int a = sum.a();
        String tale = Draw.fill(
                draw.pick(sum.plus() ? MORE : FEWER),
                "P",
                person,
                "Q",
                people.get(1).name(),
                "A",
                Integer.toString(a),
                "B",
                Integer.toString(sum.b()),
                "F",
                fruit);
        return query(
                draw,
                sum,
                tale + "\n",
                "How many " + fruit + " does " + person + " have now?",
                sum.digits() + " = {V}, so " + person + " has {V} " + fruit + ".",
                true);
    }

    private static Query query(Draw draw, Sum sum, String passage, String question, String answer, boolean digits) {
        List<String> wrong = new ArrayList<>();
        for (int step : draw.shuffled(List.of(-10, -3, -2, -1, 1, 2, 3, 10))) {
            int value = sum.c() + step;
            if (wrong.size() < 3 && value >= 0) {
                wrong.add(answer.replace("{V}", digits ? Integer.toString(value) : word(value)));
            }
        }
        String right = answer.replace("{V}", digits ? Integer.toString(sum.c()) : word(sum.c()));
        return new Query(passage, question, right, wrong);
    }
}

package dev.gosset.cli.demo;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/** The choices that one document makes: a seeded source and the few ways in which the generators draw from it. */
final class Draw {
    private final SplittableRandom random;

    Draw(SplittableRandom random) {
        this.random = random;
    }

    /** An integer from {@code low} to {@code high}, both included. */
    int between(int low, int high) {
        return random.nextInt(low, high + 1);
    }

    /** True with the given probability. */
    boolean chance(double probability) {
        return random.nextDouble() < probability;
    }

    /** One element, all equally likely. */
    <T> T pick(List<T> from) {
        return from.get(random.nextInt(from.size()));
    }

    /** {@code count} different elements in random order. */
    <T> List<T> some(List<T> from, int count) {
        return new ArrayList<>(shuffled(from).subList(0, count));
    }

    /** All elements in random order. */
    <T> List<T> shuffled(List<T> from) {
        List<T> out = new ArrayList<>(from);
        for (int i = out.size() - 1; i > 0; i--) {
            int j = random.nextInt(i + 1);
            T t = out.get(i);
            out.set(i, out.get(j));
            out.set(j, t);
        }
        return out;
    }

    /**
     * A template with its holes filled: {@code fill("{P} slept.", "P", "Mira")}.
     *
     * @param values names and values, in turn
     */
    static String fill(String template, String... values) {
        String out = template;
        for (int i = 0; i < values.length; i += 2) {
            out = out.replace("{" + values[i] + "}", values[i + 1]);
        }
        return out;
    }

    /** The text with its first letter in upper case. */
    static String capital(String text) {
        return Character.toUpperCase(text.charAt(0)) + text.substring(1);
    }
}

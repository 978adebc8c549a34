package dev.gosset.llm.constraint;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.gosset.llm.sampling.TokenMask;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;

/**
 * What a constraint costs a token, over a random vocabulary as large as today's: run by hand, prints a table. Words as long as in
 * such vocabularies, with and without a space in front, all numbers to 999, punctuation, characters of other scripts and their parts.
 */
final class ConstraintCost {
    private static final int SIZE = 128_000;
    private static final String SCHEMA = """
            {"type": "object", "properties": {"name": {"type": "string"}, "code": {"type": "string", "pattern": "^[A-Z]{3}-\\\\d+$"},
              "age": {"type": "integer", "minimum": 0, "maximum": 150}, "note": {"type": "string", "maxLength": 200},
              "kind": {"enum": ["alpha", "beta", "gamma"]}, "tags": {"type": "array", "items": {"type": "string"}},
              "more": {"type": "object"}}, "required": ["name", "code", "age", "note", "kind", "tags", "more"]}
            """;

    private ConstraintCost() {}

    private static byte[][] tokens(SplittableRandom random) {
        Set<String> words = new LinkedHashSet<>();
        for (int b = 0; b < 0x80; b++) {
            words.add(String.valueOf((char) b));
        }
        for (int i = 0; i < 1000; i++) {
            words.add(String.valueOf(i));
        }
        String marks = "\":,{}[]()<>=+-*/._;'!?#$%&@|~^ \n\t\\";
        while (words.size() < 6000) {
            StringBuilder word = new StringBuilder();
            for (int k = 1 + random.nextInt(4); k > 0; k--) {
                word.append(marks.charAt(random.nextInt(marks.length())));
            }
            words.add(word.toString());
        }
        while (words.size() < SIZE - 20_000) {
            StringBuilder word = new StringBuilder(random.nextInt(10) < 6 ? " " : "");
            for (int k = 2 + random.nextInt(4) + random.nextInt(6); k > 0; k--) {
                int letter = Math.min(random.nextInt(26), random.nextInt(26));
                word.append("etaoinshrdlcumwfgypbvkjxqz".charAt(letter));
            }
            words.add(random.nextInt(8) == 0 ? word.toString().toUpperCase(java.util.Locale.ROOT) : word.toString());
        }
        while (words.size() < SIZE - 300) {
            StringBuilder word = new StringBuilder();
            for (int k = 1 + random.nextInt(4); k > 0; k--) {
                word.appendCodePoint(
                        random.nextInt(3) == 0 ? random.nextInt(0x4E00, 0x5000) : random.nextInt(0xC0, 0x500));
            }
            words.add(word.toString());
        }
        List<byte[]> all = new ArrayList<>();
        all.add(null);
        words.forEach(w -> all.add(w.getBytes(StandardCharsets.UTF_8)));
        for (int b = 0x80; b < 0x100; b++) {
            all.add(new byte[] {(byte) b});
        }
        return all.toArray(byte[][]::new);
    }

    public static void main(String[] args) throws Exception {
        SplittableRandom random = new SplittableRandom(1);
        byte[][] bytes = tokens(random);
        long start = System.nanoTime();
        Vocabulary vocabulary = new Vocabulary(id -> bytes[id], text -> new int[0], bytes.length, Set.of(0));
        System.out.printf("%d tokens, tree made in %d ms%n", bytes.length, (System.nanoTime() - start) / 1_000_000);
        for (int round = 0; round < 8; round++) {
            start = System.nanoTime();
            Constraint constraint = new Constraint(Grammar.jsonSchema(new ObjectMapper().readTree(SCHEMA)), vocabulary);
            long made = System.nanoTime() - start;
            List<Long> first = new ArrayList<>();
            List<Long> later = new ArrayList<>();
            for (int text = 0; text < 30; text++) {
                TokenMask mask = constraint.newMask();
                for (int i = 0; i < 300; i++) {
                    float[] logits = new float[bytes.length];
                    long cost = 0;
                    int token;
                    boolean allowed;
                    do {
                        token = draw(logits, bytes, random);
                        long t = System.nanoTime();
                        allowed = mask.allows(token);
                        if (!allowed) {
                            mask.mask(logits);
                        }
                        cost += System.nanoTime() - t;
                    } while (!allowed);
                    if (token == 0) {
                        break;
                    }
                    long t = System.nanoTime();
                    mask.accept(token);
                    (text == 0 ? first : later).add(cost + System.nanoTime() - t);
                }
            }
            System.out.printf(
                    "round %d: schema %d us; a token of the first text %s; of later ones %s%n",
                    round, made / 1000, times(first), times(later));
        }
    }

    /** Any token that is left; often a short one, so that strings end. */
    private static int draw(float[] logits, byte[][] bytes, SplittableRandom random) {
        for (int tries = 0; tries < 600; tries++) {
            int some = random.nextInt(tries % 3 > 0 ? 8000 : bytes.length);
            if (logits[some] == 0 && (tries > 300 || some == 0 || bytes[some].length < 3)) {
                return some;
            }
        }
        int any = random.nextInt(bytes.length);
        while (logits[any] != 0) {
            any = (any + 1) % bytes.length;
        }
        return any;
    }

    private static String times(List<Long> nanos) {
        long[] sorted = nanos.stream().mapToLong(Long::longValue).sorted().toArray();
        double mean = Arrays.stream(sorted).average().orElse(0);
        return String.format(
                "mean %.1f us, median %.1f, 99 %% %.1f, worst %.1f (%d)",
                mean / 1e3,
                sorted[sorted.length / 2] / 1e3,
                sorted[(int) (sorted.length * 0.99)] / 1e3,
                sorted[sorted.length - 1] / 1e3,
                sorted.length);
    }
}

package dev.gosset.llm.generate;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

final class StopStringsTest {
    private static List<String> pieces(List<String> stops, String... pieces) {
        StopStrings stop = new StopStrings(stops);
        List<String> out = new ArrayList<>();
        for (String piece : pieces) {
            out.add(stop.accept(piece));
        }
        out.add(stop.found() ? "!" : stop.end());
        return out;
    }

    @Test
    void holdsBackOnlyWhatCanBeginAStopString() {
        List<String> stops = List.of("\n\nUser:", "END");
        assertThat(pieces(stops, "a", "\n", "b")).containsExactly("a", "", "\nb", "");
        assertThat(pieces(stops, "x\n\nUs", "er", ": more", "more")).containsExactly("x", "", "", "", "!");
        assertThat(pieces(stops, "E", "N", "EN", "D!")).containsExactly("", "", "EN", "", "!");
        assertThat(pieces(stops, "aEN")).containsExactly("a", "EN");
        assertThat(pieces(List.of("aab"), "aa", "a", "b")).containsExactly("", "a", "", "!");
        assertThat(pieces(List.of("b", "abc"), "abc")).containsExactly("a", "!");
        assertThat(pieces(List.of(), "abc")).containsExactly("abc", "");
        assertThat(pieces(List.of("🎈"), "x🎉", "🎈y")).containsExactly("x🎉", "", "!");
    }

    /** However the text is cut, what is given is the text before the stop string that is complete first. */
    @Test
    void theCutDoesNotMatter() {
        long seed = System.nanoTime();
        SplittableRandom random = new SplittableRandom(seed);
        for (int i = 0; i < 20_000; i++) {
            String text = letters(random, random.nextInt(1, 14));
            List<String> stops = List.of(letters(random, random.nextInt(1, 4)), letters(random, random.nextInt(1, 5)));
            String expected = text;
            boolean found = false;
            for (int end = 1; end <= text.length() && !found; end++) {
                for (String s : stops) {
                    if (text.startsWith(s, end - s.length())) {
                        expected = found && expected.length() < end - s.length()
                                ? expected
                                : text.substring(0, end - s.length());
                        found = true;
                    }
                }
            }
            StopStrings stop = new StopStrings(stops);
            StringBuilder given = new StringBuilder();
            for (int at = 0; at < text.length(); ) {
                int to = Math.min(text.length(), at + random.nextInt(1, 4));
                given.append(stop.accept(text.substring(at, to)));
                at = to;
            }
            assertThat(stop.found()).as("seed %d", seed).isEqualTo(found);
            assertThat(given + stop.end())
                    .as("seed %d, %s in %s", seed, stops, text)
                    .isEqualTo(expected);
        }
    }

    private static String letters(SplittableRandom random, int length) {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < length; i++) {
            text.append((char) ('a' + random.nextInt(2)));
        }
        return text.toString();
    }
}

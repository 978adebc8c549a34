package dev.gosset.llm.generate;

import java.util.List;

/**
 * Looks for stop strings in a text that comes in pieces, whatever the borders of the pieces are. What can be the beginning of
 * one is held back, nothing else. One thread at a time.
 */
public final class StopStrings {
    private final List<String> stops;
    private String held = "";
    private boolean found;

    /**
     * @param stops not empty each; none of them where the list is empty
     */
    public StopStrings(List<String> stops) {
        this.stops = List.copyOf(stops);
    }

    /**
     * Takes the next piece.
     *
     * @return text that is no part of a stop string, perhaps empty; nothing more once one was found
     */
    public String accept(String piece) {
        if (found) {
            return "";
        }
        if (stops.isEmpty()) {
            return piece;
        }
        String all = held + piece;
        // The one that is complete first, as if the text came character by character; of several the longest.
        int start = all.length();
        int end = Integer.MAX_VALUE;
        for (String stop : stops) {
            int at = all.indexOf(stop);
            if (at >= 0 && (at + stop.length() < end || at + stop.length() == end && at < start)) {
                start = at;
                end = at + stop.length();
            }
        }
        found = end < Integer.MAX_VALUE;
        int given = found ? start : all.length() - beginning(all);
        held = found ? "" : all.substring(given);
        return all.substring(0, given);
    }

    /** The length of the longest end of a text that a stop string begins with. */
    private int beginning(String text) {
        int longest = 0;
        for (String stop : stops) {
            int length = Math.min(stop.length() - 1, text.length());
            while (length > longest && !text.regionMatches(text.length() - length, stop, 0, length)) {
                length--;
            }
            longest = Math.max(longest, length);
        }
        return longest;
    }

    /** Whether a stop string has come. */
    public boolean found() {
        return found;
    }

    /** What was held back, when no more pieces come. */
    public String end() {
        String rest = held;
        held = "";
        return rest;
    }
}

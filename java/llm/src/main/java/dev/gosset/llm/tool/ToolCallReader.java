package dev.gosset.llm.tool;

import dev.gosset.llm.generate.StopStrings;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Finds the calls in what a model writes under the grammar of a {@link ToolFormat}, piece by piece: text is held back only while it can be the
 * beginning of a call, and arguments are given as they come. One thread at a time.
 */
public final class ToolCallReader {
    /** What a piece of text turned out to be. */
    public sealed interface Part {}

    /** Text of the answer, not empty. */
    public record Content(String text) implements Part {}

    /** Call number {@code index}, from 0, begins. */
    public record Call(int index, String name) implements Part {}

    /** More of the JSON of a call's arguments, not empty. */
    public record Arguments(int index, String json) implements Part {}

    private enum Place {
        CONTENT,
        HEAD,
        ARGUMENTS
    }

    private final ToolFormat format;
    private final Pattern head;
    private final StopStrings opening;
    private final StringBuilder held = new StringBuilder();
    private Place place;
    private boolean began;
    private int calls;
    private int depth;
    private boolean inString;
    private boolean escaped;

    public ToolCallReader(ToolFormat format) {
        this.format = format;
        this.head = Pattern.compile("\\{\"name\": ?\"([A-Za-z0-9_-]+)\", ?\"" + format.arguments() + "\": ?(?=\\{)");
        this.opening = new StopStrings(format.opening().isEmpty() ? List.of() : List.of(format.opening()));
        this.place = Place.CONTENT;
    }

    /** How many calls there were. */
    public int calls() {
        return calls;
    }

    /** Takes the next piece. */
    public List<Part> accept(String piece) {
        List<Part> parts = new ArrayList<>();
        if (piece.isEmpty()) {
            return parts;
        }
        String rest = piece;
        if (place == Place.CONTENT) {
            if (format.opening().isEmpty()) {
                if (!began && piece.startsWith("{")) {
                    place = Place.HEAD;
                } else {
                    parts.add(new Content(piece));
                }
                began = true;
            } else {
                // What stands behind the opening is not given by the search for it.
                held.append(piece);
                String text = opening.accept(piece);
                if (!text.isEmpty()) {
                    parts.add(new Content(text));
                }
                if (opening.found()) {
                    place = Place.HEAD;
                    rest = held.substring(
                            held.indexOf(format.opening()) + format.opening().length());
                    held.setLength(0);
                } else {
                    held.delete(0, Math.max(0, held.length() - format.opening().length()));
                }
            }
        }
        if (place != Place.CONTENT) {
            call(rest, parts);
        }
        return parts;
    }

    private void call(String text, List<Part> parts) {
        int from = 0;
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (place == Place.HEAD) {
                held.append(c);
                Matcher m = head.matcher(held);
                if (c == '{' && m.find() && m.end() == held.length() - 1) {
                    parts.add(new Call(calls++, m.group(1)));
                    held.setLength(0);
                    place = Place.ARGUMENTS;
                    depth = 0;
                    from = i;
                } else {
                    continue;
                }
            }
            if (escaped) {
                escaped = false;
            } else if (inString) {
                escaped = c == '\\';
                inString = c != '"';
            } else if (c == '"') {
                inString = true;
            } else if (c == '{' || c == '[') {
                depth++;
            } else if ((c == '}' || c == ']') && --depth == 0) {
                parts.add(new Arguments(calls - 1, text.substring(from, i + 1)));
                place = Place.HEAD;
            }
        }
        if (place == Place.ARGUMENTS && from < text.length()) {
            parts.add(new Arguments(calls - 1, text.substring(from)));
        }
    }

    /** What was held back, where no more comes: text that was no call after all. */
    public List<Part> end() {
        String rest = place == Place.CONTENT ? opening.end() : "";
        return rest.isEmpty() ? List.of() : List.of(new Content(rest));
    }
}

package dev.gosset.llm.evaluate;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gosset.core.FormatException;
import dev.gosset.core.memory.Quoted;
import dev.gosset.llm.evaluate.MultipleChoice.Option;
import dev.gosset.llm.evaluate.MultipleChoice.Question;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.Pattern;
import java.util.stream.StreamSupport;

/**
 * The forms in which sets of questions are published as JSON lines, and the prompt of each: that of lm-evaluation-harness 0.4 without
 * examples, so that the figures can be compared.
 */
public enum ChoiceFormat {
    /** {@code {"context": "...", "choices": ["...", "..."], "answer": 0}}: our own, nothing added. */
    GOSSET {
        @Override
        Question question(Fields f) {
            return new Question(f.string("context"), f.texts(f.node("choices"), "choices"), f.number("answer", 0));
        }
    },
    /** AI2's reasoning challenge, as AI2 publishes it or as it stands on the Hub. */
    ARC {
        @Override
        Question question(Fields f) {
            JsonNode question = f.node("question");
            boolean nested = question.isObject();
            String stem = nested ? f.in("question").text("stem") : f.text("question");
            JsonNode choices = nested ? question.path("choices") : f.node("choices");
            List<String> texts;
            List<String> labels;
            if (choices.isArray()) {
                List<Fields> each = StreamSupport.stream(choices.spliterator(), false)
                        .map(f::of)
                        .toList();
                texts = each.stream().map(c -> c.text("text")).toList();
                labels = each.stream().map(c -> c.text("label")).toList();
            } else {
                texts = f.texts(choices.path("text"), "choices.text");
                labels = f.texts(choices.path("label"), "choices.label");
            }
            return continued(
                    "Question: " + stem + "\nAnswer:", texts, f.index(labels, f.text("answerKey"), "answerKey"));
        }
    },
    /** Yes or no by a passage: Google's {@code answer}, or SuperGLUE's {@code label}. */
    BOOLQ {
        @Override
        Question question(Fields f) {
            JsonNode answer = f.node(f.has("answer") ? "answer" : "label");
            int yes = answer.isBoolean()
                    ? answer.booleanValue() ? 1 : 0
                    : f.number(f.has("answer") ? "answer" : "label", 0);
            return continued(
                    f.text("passage") + "\nQuestion: " + f.text("question") + "?\nAnswer:", List.of("no", "yes"), yes);
        }
    },
    /** Physical commonsense; {@code label} in the line, or in the file of labels beside it. */
    PIQA {
        @Override
        Question question(Fields f) {
            return continued(
                    "Question: " + f.text("goal") + "\nAnswer:",
                    List.of(f.text("sol1"), f.text("sol2")),
                    f.number("label", 0));
        }
    },
    /** Pronouns: what follows the gap is scored behind each way to fill it. */
    WINOGRANDE {
        @Override
        Question question(Fields f) {
            String sentence = f.text("sentence");
            int gap = sentence.indexOf('_');
            if (gap < 0) {
                throw f.wrong("'sentence' is " + Quoted.of(sentence) + ", expected one with the gap _");
            }
            String rest = " " + sentence.substring(gap + 1).strip();
            List<Option> options = new ArrayList<>();
            for (String name : List.of("option1", "option2")) {
                String filled = sentence.substring(0, gap) + f.text(name);
                options.add(new Option(filled, rest, codePoints(filled)));
            }
            return new Question(options, f.number("answer", 1));
        }
    },
    /** Endings of a story. */
    HELLASWAG {
        @Override
        Question question(Fields f) {
            String context = f.text("ctx_a") + " " + capitalized(f.string("ctx_b"));
            List<String> endings = f.texts(f.node("endings"), "endings").stream()
                    .map(ChoiceFormat::cleaned)
                    .toList();
            return continued(cleaned(f.text("activity_label") + ": " + context), endings, f.number("label", 0));
        }
    },
    /** The last word of a passage, which counts as right where each of its tokens is the most likely one. */
    LAMBADA {
        @Override
        Question question(Fields f) {
            String text = f.text("text");
            int last = text.lastIndexOf(' ');
            if (last < 1 || last == text.length() - 1) {
                throw f.wrong("'text' is " + Quoted.of(text) + ", expected words and a last word");
            }
            String word = text.substring(last);
            return new Question(List.of(new Option(text.substring(0, last), word, codePoints(word))), 0);
        }
    };

    private static final Pattern BRACKETS = Pattern.compile("\\[.*?\\]", Pattern.UNIX_LINES);

    /** The question in one line. */
    abstract Question question(Fields fields);

    /** As the command line names it. */
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }

    private static Question continued(String context, List<String> choices, int answer) {
        return new Question(
                choices.stream()
                        .map(c -> new Option(context, " " + c, codePoints(c)))
                        .toList(),
                answer);
    }

    static int codePoints(String text) {
        return text.codePointCount(0, text.length());
    }

    /** The texts of WikiHow's articles hold marks of their site. */
    private static String cleaned(String text) {
        String plain = text.strip().replace(" [title]", ". ");
        return BRACKETS.matcher(plain).replaceAll("").replace("  ", " ");
    }

    /** The first letter large, all others small. */
    private static String capitalized(String text) {
        if (text.isEmpty()) {
            return text;
        }
        int first = text.offsetByCodePoints(0, 1);
        return text.substring(0, first).toUpperCase(Locale.ROOT)
                + text.substring(first).toLowerCase(Locale.ROOT);
    }

    /** The fields of a line, each checked when it is asked for. */
    record Fields(String where, ChoiceFormat format, JsonNode node) {
        FormatException wrong(String found) {
            return new FormatException(where + ": " + found + " in a line of the form " + format);
        }

        boolean has(String name) {
            return node.has(name);
        }

        JsonNode node(String name) {
            JsonNode value = node.path(name);
            if (value.isMissingNode() || value.isNull()) {
                throw wrong("no '" + name + "'");
            }
            return value;
        }

        Fields of(JsonNode other) {
            return new Fields(where, format, other);
        }

        Fields in(String name) {
            return of(node(name));
        }

        /** A text, which may be empty. */
        String string(String name) {
            JsonNode value = node(name);
            if (!value.isTextual()) {
                throw wrong("'" + name + "' is " + Quoted.of(value.toString()) + ", expected a text");
            }
            return value.textValue();
        }

        String text(String name) {
            String value = string(name);
            if (value.isEmpty()) {
                throw wrong("'" + name + "' is empty, expected a text");
            }
            return value;
        }

        List<String> texts(JsonNode array, String name) {
            List<String> texts = new ArrayList<>();
            for (JsonNode item : array) {
                if (item.isTextual() && !item.textValue().isEmpty()) {
                    texts.add(item.textValue());
                }
            }
            if (!array.isArray() || texts.size() < 2 || texts.size() != array.size()) {
                throw wrong("'" + name + "' is " + Quoted.of(array.toString()) + ", expected two or more texts");
            }
            return texts;
        }

        /** An index, as a number or in digits, whose first one is {@code first}. */
        int number(String name, int first) {
            JsonNode value = node(name);
            try {
                return Math.subtractExact(
                        value.isTextual()
                                ? Integer.parseInt(value.textValue())
                                : Integer.parseInt(value.isIntegralNumber() ? value.toString() : "none"),
                        first);
            } catch (ArithmeticException | NumberFormatException e) {
                throw wrong("'" + name + "' is " + Quoted.of(value.toString()) + ", expected the number of a choice");
            }
        }

        int index(List<String> labels, String answer, String name) {
            int index = labels.indexOf(answer);
            if (index < 0) {
                throw wrong(
                        "'" + name + "' is " + Quoted.of(answer) + ", expected one of " + Quoted.of(labels.toString()));
            }
            return index;
        }
    }
}

package dev.gosset.llm.evaluate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gosset.core.FormatException;
import dev.gosset.llm.evaluate.MultipleChoice.Option;
import dev.gosset.llm.evaluate.MultipleChoice.Question;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What questions come from the lines of published sets. What the harness makes of them is in the command's tests. */
final class ChoiceFormatTest {
    @TempDir
    private Path temporary;

    private List<Question> read(ChoiceFormat format, String... lines) throws IOException {
        return MultipleChoice.read(Files.writeString(temporary.resolve("set.jsonl"), String.join("\n", lines)), format);
    }

    private static Question question(String context, int answer, String... choices) {
        return new Question(
                List.of(choices).stream()
                        .map(c -> new Option(context, " " + c, ChoiceFormat.codePoints(c)))
                        .toList(),
                answer);
    }

    @Test
    void arcOfItsPublishersAndOfTheHub() throws IOException {
        assertThat(read(ChoiceFormat.ARC, """
                        {"id": "x", "question": {"stem": "What?", "choices": [{"text": "a😀", "label": "A"}, {"text": "b", "label": "B"}]}, "answerKey": "B"}""", """
                        {"question": "What?", "choices": {"text": ["a", "b", "c"], "label": ["1", "2", "3"]}, "answerKey": "1"}"""))
                .containsExactly(
                        new Question(
                                List.of(
                                        new Option("Question: What?\nAnswer:", " a😀", 2),
                                        new Option("Question: What?\nAnswer:", " b", 1)),
                                1),
                        question("Question: What?\nAnswer:", 0, "a", "b", "c"));
    }

    @Test
    void boolqOfItsPublishersAndOfSuperGlue() throws IOException {
        Question yes = question("P.\nQuestion: is it?\nAnswer:", 1, "no", "yes");
        assertThat(read(
                        ChoiceFormat.BOOLQ,
                        "{\"question\": \"is it\", \"title\": \"T\", \"answer\": true, \"passage\": \"P.\"}",
                        "{\"question\": \"is it\", \"passage\": \"P.\", \"idx\": 3, \"label\": true}",
                        "{\"question\": \"is it\", \"passage\": \"P.\", \"label\": 1}"))
                .containsExactly(yes, yes, yes);
    }

    @Test
    void piqaWithLabelsInTheLineAndBeside() throws IOException {
        String line = "{\"goal\": \"g\", \"sol1\": \"a\", \"sol2\": \"b\"}";
        Question second = question("Question: g\nAnswer:", 1, "a", "b");
        assertThat(read(ChoiceFormat.PIQA, line.replace("}", ", \"label\": 1}")))
                .containsExactly(second);
        assertThatThrownBy(() -> read(ChoiceFormat.PIQA, line))
                .isInstanceOf(FormatException.class)
                .hasMessageEndingWith("set.jsonl: line 1: no 'label' in a line of the form piqa");
        Path labels = Files.writeString(temporary.resolve("set-labels.lst"), "1\n0\n");
        assertThat(read(ChoiceFormat.PIQA, line, line))
                .containsExactly(second, question("Question: g\nAnswer:", 0, "a", "b"));
        assertThatThrownBy(() -> read(ChoiceFormat.PIQA, line, line, line))
                .isInstanceOf(FormatException.class)
                .hasMessage(temporary.resolve("set.jsonl") + ": line 3: " + labels + " has only 2 labels");
        assertThatThrownBy(() -> read(ChoiceFormat.PIQA, line))
                .isInstanceOf(FormatException.class)
                .hasMessage(labels + ": has 2 labels, expected the 1 of " + temporary.resolve("set.jsonl"));
    }

    @Test
    void winograndeScoresWhatFollowsTheGap() throws IOException {
        assertThat(
                        read(
                                ChoiceFormat.WINOGRANDE,
                                "{\"qID\": \"q\", \"sentence\": \"The _  fell. \", \"option1\": \"cup\", \"option2\": \"jar\", \"answer\": \"2\"}"))
                .containsExactly(new Question(
                        List.of(new Option("The cup", " fell.", 7), new Option("The jar", " fell.", 7)), 1));
    }

    @Test
    void hellaswagLosesTheMarksOfItsSource() throws IOException {
        assertThat(read(ChoiceFormat.HELLASWAG, """
                        {"activity_label": "How to", "ctx_a": "[header] Sit [title] Down.", "ctx_b": "élan VITAL", "endings": ["[step] a  b", "c"], "label": "1"}""", """
                        {"activity_label": "Run", "ctx_a": "A.", "ctx_b": "", "endings": ["a", "b"], "label": 0}"""))
                .containsExactly(
                        question("How to: Sit. Down. Élan vital", 1, " a b", "c"), question("Run: A.", 0, "a", "b"));
    }

    @Test
    void lambadaIsItsLastWord() throws IOException {
        assertThat(read(ChoiceFormat.LAMBADA, "{\"text\": \"a b\\u2028c d.\"}"))
                .containsExactly(new Question(List.of(new Option("a b\u2028c", " d.", 3)), 0));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '"',
            value = {
                "ARC | {'question': 'q', 'choices': {'text': ['a', 'b'], 'label': ['A', 'B']}, 'answerKey': 'C'} | 'answerKey' is 'C', expected one of",
                "ARC | {'question': 'q', 'choices': {'text': ['a', 'b'], 'label': ['A', 'B', 'C']}, 'answerKey': 'C'} | 2 and 2",
                "ARC | {'question': 'q', 'choices': ['a'], 'answerKey': 'C'} | no 'text'",
                "ARC | [1] | no 'question'",
                "BOOLQ | {'passage': 'p', 'question': 'q', 'answer': 2} | 2 and 2",
                "BOOLQ | {'passage': 'p', 'question': 'q', 'answer': 'true'} | expected the number of a choice",
                "BOOLQ | {'passage': 'p', 'answer': true} | no 'question'",
                "PIQA | {'goal': 'g', 'sol1': 'a', 'sol2': '', 'label': 1} | 'sol2' is empty",
                "PIQA | {'goal': 'g', 'sol1': 'a', 'sol2': 'b', 'label': 1.5} | expected the number of a choice",
                "WINOGRANDE | {'sentence': 'no gap', 'option1': 'a', 'option2': 'b', 'answer': '1'} | the gap _",
                "WINOGRANDE | {'sentence': 'a _', 'option1': 'a', 'option2': 'b', 'answer': ''} | expected the number of a choice",
                "WINOGRANDE | {'sentence': 'a _', 'option1': 'a', 'option2': 'b', 'answer': '0'} | 2 and -1",
                "HELLASWAG | {'activity_label': 'x', 'ctx_a': 'a', 'ctx_b': 'b', 'endings': ['a', 1], 'label': '0'} | two or more texts",
                "HELLASWAG | {'activity_label': 'x', 'ctx_a': 'a', 'ctx_b': 'b', 'endings': ['a', 'b'], 'label': '2147483648'} | expected the number",
                "LAMBADA | {'text': 'word'} | words and a last word",
                "LAMBADA | {'text': 'word '} | words and a last word",
                "LAMBADA | {'text': 3} | expected a text",
                "GOSSET | {'context': 'c', 'choices': ['a', 'b'], 'answer': 3} | 2 and 3",
            })
    void whatIsNoQuestionIsNamed(ChoiceFormat format, String line, String message) {
        assertThatThrownBy(() -> read(format, line.strip().replace('\'', '"')))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("set.jsonl: line 1: ")
                .hasMessageContaining("in a line of the form " + format)
                .message()
                .satisfies(m -> assertThat(m.replace('"', '\'')).contains(message.replace('"', '\'')));
    }
}

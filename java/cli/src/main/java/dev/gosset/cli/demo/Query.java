package dev.gosset.cli.demo;

import java.util.ArrayList;
import java.util.List;

/**
 * A question with its true answer and some false ones, all of them whole sentences of the same form.
 *
 * @param passage the lines the question is about, ending in a line break; empty where the question stands alone
 * @param question the question
 * @param answer the true answer
 * @param wrong false answers, each different from the others and from the true one
 */
record Query(String passage, String question, String answer, List<String> wrong) {
    Query {
        wrong = List.copyOf(wrong);
    }

    /** The passage, the question and the word that calls for the answer. */
    String context() {
        return passage + "Question: " + question + "\nAnswer:";
    }

    /** Question and answer without the passage, as they stand in a text. */
    String exchange() {
        return "Question: " + question + "\nAnswer: " + answer;
    }

    /** The same with choices in random order. */
    SmallWorld.Question multipleChoice(SmallWorld.Kind kind, Draw draw) {
        List<String> sentences = new ArrayList<>(wrong);
        sentences.add(answer);
        List<String> choices = new ArrayList<>();
        for (String sentence : draw.shuffled(sentences)) {
            choices.add(" " + sentence);
        }
        return new SmallWorld.Question(kind, context(), choices, choices.indexOf(" " + answer));
    }
}

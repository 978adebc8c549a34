package dev.gosset.llm.evaluate;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.gosset.core.FormatException;
import dev.gosset.core.memory.ReadableFile;
import dev.gosset.llm.Progress;
import dev.gosset.llm.device.LoadedModel;
import dev.gosset.llm.io.Utf8;
import dev.gosset.llm.tokenizer.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Multiple choice by log-likelihood: of each question's choices the one that the model finds most likely after the
 * context counts as its answer.
 *
 * @param accuracy share of questions whose right choice has the greatest log-likelihood
 * @param normalizedAccuracy the same with each log-likelihood divided by the choice's length in characters
 * @param questions how many there were
 * @param seconds wall time
 */
public record MultipleChoice(double accuracy, double normalizedAccuracy, int questions, double seconds) {
    private static final ObjectMapper JSON = new ObjectMapper();

    /**
     * One question.
     *
     * @param context what stands before the choice
     * @param choices at least two continuations; where needed they begin with their own space
     * @param answer index of the right one
     */
    public record Question(String context, List<String> choices, int answer) {
        public Question {
            choices = List.copyOf(choices);
            if (choices.size() < 2 || answer < 0 || answer >= choices.size()) {
                throw new IllegalArgumentException(
                        "a question needs at least 2 choices and the index of one of them, found " + choices.size()
                                + " and " + answer);
            }
        }
    }

    private static final String EXPECTED = "questions, one JSON object a line";

    /**
     * Reads questions from a JSONL file, one {@code {"context": "...", "choices": ["...", "..."], "answer": 0}} a line.
     *
     * @throws FormatException where the file cannot be read, or naming the line that is not such an object
     */
    public static List<Question> read(Path file) {
        ReadableFile.requireContent(file, EXPECTED);
        List<String> lines;
        try {
            lines = Utf8.decode(file.toString(), Files.readAllBytes(file))
                    .lines()
                    .toList();
        } catch (IOException e) {
            throw ReadableFile.failure(file, EXPECTED, e);
        }
        List<Question> questions = new ArrayList<>();
        for (int i = 0; i < lines.size(); i++) {
            if (!lines.get(i).isBlank()) {
                questions.add(parse(file + ": line " + (i + 1), lines.get(i)));
            }
        }
        if (questions.isEmpty()) {
            throw new FormatException(file + ": holds no question");
        }
        return questions;
    }

    private static Question parse(String where, String line) {
        JsonNode node;
        try {
            node = JSON.readTree(line);
        } catch (JsonProcessingException e) {
            throw new FormatException(where + ": not JSON: " + e.getOriginalMessage(), e);
        }
        JsonNode context = node.path("context");
        JsonNode choices = node.path("choices");
        JsonNode answer = node.path("answer");
        List<String> texts = new ArrayList<>();
        for (JsonNode choice : choices) {
            if (choice.isTextual() && !choice.textValue().isEmpty()) {
                texts.add(choice.textValue());
            }
        }
        if (!context.isTextual()
                || texts.size() < 2
                || texts.size() != choices.size()
                || !answer.canConvertToInt()
                || answer.intValue() < 0
                || answer.intValue() >= texts.size()) {
            throw new FormatException(
                    where
                            + ": expected {\"context\": text, \"choices\": two or more texts, \"answer\": index of one of them}");
        }
        return new Question(context.textValue(), texts, answer.intValue());
    }

    /**
     * Answers all questions. The context is tokenized with the special tokens that the tokenizer adds by default, context
     * and choice together, so that a choice's tokens are those of running text; a text longer than the model's context
     * loses tokens at its front.
     */
    public static MultipleChoice measure(
            LoadedModel model, Tokenizer tokenizer, List<Question> questions, Progress progress) {
        long started = System.nanoTime();
        progress.start("multiple choice", questions.size());
        int right = 0;
        int rightNormalized = 0;
        for (Question question : questions) {
            int best = 0;
            int bestNormalized = 0;
            double[] likelihoods = new double[question.choices().size()];
            double[] normalized = new double[likelihoods.length];
            for (int i = 0; i < likelihoods.length; i++) {
                String choice = question.choices().get(i);
                likelihoods[i] = logLikelihood(model, tokenizer, question.context(), choice);
                normalized[i] = likelihoods[i] / choice.length();
                best = likelihoods[i] > likelihoods[best] ? i : best;
                bestNormalized = normalized[i] > normalized[bestNormalized] ? i : bestNormalized;
            }
            right += best == question.answer() ? 1 : 0;
            rightNormalized += bestNormalized == question.answer() ? 1 : 0;
            progress.step("");
        }
        progress.end();
        int n = questions.size();
        return new MultipleChoice(
                (double) right / n, (double) rightNormalized / n, n, (System.nanoTime() - started) / 1e9);
    }

    private static double logLikelihood(LoadedModel model, Tokenizer tokenizer, String context, String choice) {
        int[] before = tokenizer.encode(context, true);
        int[] all = tokenizer.encode(context + choice, true);
        // Where the boundary falls inside a token, the choice begins at the first token that differs.
        int shared = 0;
        while (shared < before.length && shared < all.length - 1 && before[shared] == all[shared]) {
            shared++;
        }
        int limit = model.config().maxPositions();
        if (all.length > limit) {
            int cut = all.length - limit;
            all = Arrays.copyOfRange(all, cut, all.length);
            shared = Math.max(0, shared - cut);
        }
        return -Perplexity.crossEntropy(model, all, Math.max(1, shared));
    }
}

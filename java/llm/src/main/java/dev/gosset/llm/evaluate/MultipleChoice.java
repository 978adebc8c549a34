package dev.gosset.llm.evaluate;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.core.FormatException;
import dev.gosset.core.memory.ReadableFile;
import dev.gosset.llm.Progress;
import dev.gosset.llm.device.LoadedModel;
import dev.gosset.llm.io.Utf8;
import dev.gosset.llm.tokenizer.Tokenizer;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * Multiple choice by log-likelihood: of each question's choices the one that the model finds most likely counts as its answer; of equal ones
 * the first. A question with one choice is answered where each token of it is the most likely one.
 *
 * @param answers of the questions, in their order
 * @param seconds wall time
 */
public record MultipleChoice(List<Answer> answers, double seconds) {
    private static final ObjectMapper JSON = new ObjectMapper();

    /**
     * A way to go on.
     *
     * @param context what stands before; may be empty
     * @param continuation what is scored; where needed it begins with its own space
     * @param length by which the normalized log-likelihood is divided
     */
    public record Option(String context, String continuation, int length) {}

    /**
     * One question.
     *
     * @param options the ways to answer it, at least one
     * @param answer index of the right one
     */
    public record Question(List<Option> options, int answer) {
        public Question {
            options = List.copyOf(options);
            if (options.isEmpty() || answer < 0 || answer >= options.size()) {
                throw new IllegalArgumentException("a question needs choices and the index of one of them, found "
                        + options.size() + " and " + answer);
            }
        }

        /** Two or more choices behind one context, normalized by their characters. */
        public Question(String context, List<String> choices, int answer) {
            this(
                    choices.stream()
                            .map(c -> new Option(context, c, ChoiceFormat.codePoints(c)))
                            .toList(),
                    answer);
        }
    }

    /**
     * What the model says to one question.
     *
     * @param logLikelihoods of the choices, in nats
     * @param right whether it chose the right one
     * @param rightNormalized whether it did with each log-likelihood divided by the choice's length; of a single choice as right
     */
    public record Answer(List<Double> logLikelihoods, boolean right, boolean rightNormalized) {}

    /** How many there were. */
    public int questions() {
        return answers.size();
    }

    /** Share of questions whose right choice has the greatest log-likelihood. */
    public double accuracy() {
        return answers.stream().filter(Answer::right).count() / (double) questions();
    }

    /** The same with each log-likelihood divided by the choice's length. */
    public double normalizedAccuracy() {
        return answers.stream().filter(Answer::rightNormalized).count() / (double) questions();
    }

    /** The standard error of a share of the questions, {@code sqrt(p (1 - p) / (n - 1))}; NaN of a single question. */
    public double error(double share) {
        return questions() < 2 ? Double.NaN : Math.sqrt(share * (1 - share) / (questions() - 1));
    }

    /** One JSON object a line for each answer. */
    public static byte[] toJsonLines(List<Answer> answers) {
        StringBuilder lines = new StringBuilder();
        try {
            for (Answer answer : answers) {
                Map<String, Object> fields = new LinkedHashMap<>();
                fields.put("log_likelihoods", answer.logLikelihoods);
                fields.put("right", answer.right);
                fields.put("right_normalized", answer.rightNormalized);
                lines.append(JSON.writeValueAsString(fields)).append('\n');
            }
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("an answer does not convert to JSON", e);
        }
        return lines.toString().getBytes(StandardCharsets.UTF_8);
    }

    private static final String EXPECTED = "questions, one JSON object a line";

    /** Reads questions of our own form. */
    public static List<Question> read(Path file) {
        return read(file, ChoiceFormat.GOSSET);
    }

    /**
     * Reads questions from a JSONL file. Labels that PIQA's publishers keep apart come from the file that has {@code -labels.lst} in place of
     * {@code .jsonl}, a number a line.
     *
     * @throws FormatException where the file cannot be read, or naming the line that is no question of that form
     */
    public static List<Question> read(Path file, ChoiceFormat format) {
        List<String> lines = lines(file, EXPECTED);
        Path beside = file.resolveSibling(file.getFileName().toString().replaceFirst("\\.jsonl$", "") + "-labels.lst");
        List<String> labels = format == ChoiceFormat.PIQA && Files.exists(beside)
                ? lines(beside, "labels, a number a line").stream()
                        .filter(line -> !line.isBlank())
                        .toList()
                : null;
        List<Question> questions = new ArrayList<>();
        for (int i = 0; i < lines.size(); i++) {
            if (!lines.get(i).isBlank()) {
                String where = file + ": line " + (i + 1);
                String label = null;
                if (labels != null) {
                    if (questions.size() == labels.size()) {
                        throw new FormatException(where + ": " + beside + " has only " + labels.size() + " labels");
                    }
                    label = labels.get(questions.size()).strip();
                }
                questions.add(parse(where, format, lines.get(i), label));
            }
        }
        if (questions.isEmpty()) {
            throw new FormatException(file + ": holds no question");
        }
        if (labels != null && labels.size() != questions.size()) {
            throw new FormatException(
                    beside + ": has " + labels.size() + " labels, expected the " + questions.size() + " of " + file);
        }
        return questions;
    }

    private static List<String> lines(Path file, String expected) {
        ReadableFile.requireContent(file, expected);
        try {
            // Not String.lines(): a line separator of Unicode may stand in a text.
            return List.of(
                    Utf8.decode(file.toString(), Files.readAllBytes(file)).split("\r?\n", -1));
        } catch (IOException e) {
            throw ReadableFile.failure(file, expected, e);
        }
    }

    private static Question parse(String where, ChoiceFormat format, String line, String label) {
        JsonNode node;
        try {
            node = JSON.readTree(line);
        } catch (JsonProcessingException e) {
            throw new FormatException(where + ": not JSON: " + e.getOriginalMessage(), e);
        }
        if (label != null && node instanceof ObjectNode object) {
            object.put("label", label);
        }
        ChoiceFormat.Fields fields = new ChoiceFormat.Fields(where, format, node);
        try {
            return format.question(fields);
        } catch (IllegalArgumentException e) {
            throw fields.wrong(e.getMessage());
        }
    }

    /**
     * Answers all questions. The context is tokenized with the special tokens that the tokenizer adds by default, and context and choice
     * together, so that a choice's tokens are those of running text: what is behind as many tokens as the context alone has. Spaces at the
     * end of a context count to the choice. A text longer than the model's context loses tokens at its front.
     */
    public static MultipleChoice measure(
            LoadedModel model, Tokenizer tokenizer, List<Question> questions, Progress progress) {
        long started = System.nanoTime();
        progress.start("multiple choice", questions.size());
        List<Answer> answers = new ArrayList<>();
        for (Question question : questions) {
            List<Option> options = question.options();
            Score[] scores = options.stream()
                    .map(o -> score(model, tokenizer, o.context(), o.continuation()))
                    .toArray(Score[]::new);
            boolean right = scores[0].greedy;
            boolean normalized = right;
            if (options.size() > 1) {
                right = question.answer()
                        == largest(IntStream.range(0, scores.length)
                                .mapToDouble(i -> scores[i].logLikelihood)
                                .toArray());
                normalized = question.answer()
                        == largest(IntStream.range(0, scores.length)
                                .mapToDouble(i ->
                                        scores[i].logLikelihood / options.get(i).length())
                                .toArray());
            }
            answers.add(
                    new Answer(Arrays.stream(scores).map(Score::logLikelihood).toList(), right, normalized));
            progress.step("");
        }
        progress.end();
        return new MultipleChoice(List.copyOf(answers), (System.nanoTime() - started) / 1e9);
    }

    private static int largest(double[] values) {
        int best = 0;
        for (int i = 1; i < values.length; i++) {
            best = values[i] > values[best] ? i : best;
        }
        return best;
    }

    /** Of a continuation; greedy where each of its tokens is the most likely one. */
    private record Score(double logLikelihood, boolean greedy) {}

    private static Score score(LoadedModel model, Tokenizer tokenizer, String context, String continuation) {
        String before = context.stripTrailing();
        int[] all = tokenizer.encode(context + continuation, true);
        int from = Math.clamp(tokenizer.encode(before, true).length, 1, Math.max(1, all.length - 1));
        int limit = model.config().maxPositions();
        if (all.length > limit) {
            int cut = all.length - limit;
            all = Arrays.copyOfRange(all, cut, all.length);
            from = Math.max(1, from - cut);
        }
        double[] losses = new double[all.length];
        boolean greedy = Perplexity.losses(model, all, from, losses);
        return new Score(-Arrays.stream(losses).sum(), greedy);
    }
}

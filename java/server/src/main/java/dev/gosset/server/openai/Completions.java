package dev.gosset.server.openai;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.llm.generate.GenerationOptions;
import dev.gosset.llm.io.Json;
import dev.gosset.llm.sampling.LogProbabilities;
import dev.gosset.server.http.Exchange;
import dev.gosset.server.serving.ApiException;
import dev.gosset.server.serving.Choice;
import dev.gosset.server.serving.Delivery;
import dev.gosset.server.serving.Generation;
import dev.gosset.server.serving.RequestFields;
import dev.gosset.server.serving.ServedModel;
import dev.gosset.server.serving.Usage;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** {@code POST /v1/completions}: prompts as texts or tokens, with {@code echo} also for their own log-probabilities. */
public final class Completions {
    private static final int DEFAULT_TOKENS = 16;
    private static final int MOST_LOG_PROBABILITIES = 20;
    private static final int MOST_PROMPTS = 128;

    private Completions() {}

    /** A prompt as it is run and as it is told. */
    private record Prompt(int[] tokens, String text) {}

    /**
     * Answers a request.
     *
     * @param owner who asked, for fairness
     */
    public static void handle(Exchange exchange, ServedModel model, Object owner)
            throws IOException, InterruptedException {
        RequestFields fields = RequestFields.parse(exchange.body());
        model.requireName(fields.text("model", null));
        int most = (int) fields.integer("max_tokens", 0, Integer.MAX_VALUE, DEFAULT_TOKENS);
        boolean echo = fields.flag("echo", false);
        if (most == 0 && !echo) {
            throw ApiException.invalid("max_tokens", "max_tokens must be at least 1 without echo");
        }
        int likely = (int) fields.integer("logprobs", 0, MOST_LOG_PROBABILITIES, -1);
        OptionFields options = OptionFields.read(fields, model, Math.max(1, most), likely);
        fields.only("best_of", n -> n.isInt() && n.intValue() == options.count(), "as n");
        fields.only("suffix", n -> n.isTextual() && n.textValue().isEmpty(), "absent: it is not supported");
        List<Prompt> prompts = prompts(fields.node("prompt"), model);
        fields.requireAllKnown();
        List<Choice> choices = new ArrayList<>();
        for (Prompt prompt : prompts) {
            GenerationOptions o = options.options();
            choices.add(new Choice(prompt.tokens(), options.count(), o, null, Set.of(), echo && likely >= 0));
        }
        Generation generation = model.start(choices, "prompt", owner);
        Form form = new Form(model, options, prompts, echo, echo && likely >= 0, most > 0);
        Delivery.send(exchange, generation, form, options.stream());
    }

    private static List<Prompt> prompts(JsonNode node, ServedModel model) {
        boolean several = node != null
                && node.isArray()
                && !node.isEmpty()
                && !node.get(0).isNumber();
        List<Prompt> prompts = new ArrayList<>();
        for (JsonNode each : several ? node : node == null ? List.<JsonNode>of() : List.of(node)) {
            if (each.isTextual()) {
                prompts.add(new Prompt(model.tokenizer().encode(each.textValue(), true), each.textValue()));
            } else {
                int[] tokens = tokens(each, model);
                prompts.add(new Prompt(tokens, model.tokenizer().decode(tokens, false)));
            }
        }
        if (prompts.isEmpty() || prompts.size() > MOST_PROMPTS) {
            throw ApiException.invalid(
                    "prompt",
                    "prompt must be a text, a list of tokens, or a list of at most " + MOST_PROMPTS + " of them");
        }
        return prompts;
    }

    private static int[] tokens(JsonNode node, ServedModel model) {
        int[] tokens = new int[node.size()];
        for (int i = 0; i < tokens.length; i++) {
            JsonNode id = node.get(i);
            if (!id.isInt() || id.intValue() < 0 || id.intValue() >= model.vocabulary()) {
                throw ApiException.invalid(
                        "prompt",
                        "a token of the prompt must be from 0 to " + (model.vocabulary() - 1) + ", found " + id);
            }
            tokens[i] = id.intValue();
        }
        if (tokens.length == 0) {
            throw ApiException.invalid("prompt", "a prompt must be a text or a list of tokens, not empty");
        }
        return tokens;
    }

    private static final class Form extends OpenAiForm {
        private final List<Prompt> prompts;
        private final int count;
        private final boolean echo;
        private final boolean promptLikely;
        private final boolean wanted;
        private final int[] offsets;

        Form(
                ServedModel model,
                OptionFields fields,
                List<Prompt> prompts,
                boolean echo,
                boolean promptLikely,
                boolean wanted) {
            super(model, fields, "cmpl-", "text_completion", "text_completion");
            this.prompts = prompts;
            this.count = fields.count();
            this.echo = echo;
            this.promptLikely = promptLikely;
            this.wanted = wanted;
            this.offsets = new int[prompts.size() * count];
        }

        private Prompt prompt(int choice) {
            return prompts.get(choice / count);
        }

        @Override
        public String begin(int choices) {
            StringBuilder out = new StringBuilder();
            for (int i = 0; echo && !promptLikely && i < choices; i++) {
                out.append(event(open(i, prompt(i).text(), null), new Usage(0, 0, 0)));
            }
            return out.toString();
        }

        @Override
        public String prompt(Generation.PromptRead read) {
            ObjectNode logprobs = logprobs();
            put(logprobs, read.choice(), prompt(read.choice()), read.likely());
            ObjectNode choice = open(read.choice(), prompt(read.choice()).text(), null);
            choice.set("logprobs", logprobs);
            return event(choice, new Usage(0, 0, 0));
        }

        @Override
        ObjectNode delta(Generation.Piece piece) {
            ObjectNode choice = open(piece.choice(), wanted ? piece.text() : "", null);
            if (wanted && !piece.likely().isEmpty()) {
                ObjectNode logprobs = logprobs();
                piece.likely().forEach(l -> put(logprobs, piece.choice(), l));
                choice.set("logprobs", logprobs);
            }
            return choice;
        }

        @Override
        ObjectNode last(Generation.Finish finish) {
            return open(finish.choice(), "", wanted ? reason(finish.end()) : "length");
        }

        @Override
        ObjectNode choice(Whole whole) {
            Prompt prompt = prompt(whole.choice());
            String text = (echo ? prompt.text() : "") + (wanted ? whole.text() : "");
            ObjectNode choice = open(whole.choice(), text, wanted ? reason(whole.end()) : "length");
            if (promptLikely || !whole.likely().isEmpty()) {
                ObjectNode logprobs = logprobs();
                if (promptLikely) {
                    put(logprobs, whole.choice(), prompt, whole.promptLikely());
                }
                if (wanted) {
                    whole.likely().forEach(l -> put(logprobs, whole.choice(), l));
                }
                choice.set("logprobs", logprobs);
            }
            return choice;
        }

        private static ObjectNode open(int number, String text, String reason) {
            ObjectNode choice =
                    Json.MAPPER.createObjectNode().put("index", number).put("text", text);
            return choice.putNull("logprobs").put("finish_reason", reason);
        }

        private static ObjectNode logprobs() {
            ObjectNode node = Json.MAPPER.createObjectNode();
            for (String list : List.of("tokens", "token_logprobs", "top_logprobs", "text_offset")) {
                node.putArray(list);
            }
            return node;
        }

        /** The prompt's tokens: of the first nobody can say how likely it was. */
        private void put(ObjectNode logprobs, int choice, Prompt prompt, List<LogProbabilities> likely) {
            String first = names.of(prompt.tokens()[0]);
            logprobs.withArray("tokens").add(first);
            logprobs.withArray("token_logprobs").addNull();
            logprobs.withArray("top_logprobs").addNull();
            logprobs.withArray("text_offset").add(offsets[choice]);
            offsets[choice] += first.length();
            likely.forEach(l -> put(logprobs, choice, l));
        }

        private void put(ObjectNode logprobs, int choice, LogProbabilities l) {
            String name = names.of(l.token());
            logprobs.withArray("tokens").add(name);
            logprobs.withArray("token_logprobs").add(ChatCompletions.finite(l.logProbability()));
            ObjectNode top = ((ArrayNode) logprobs.get("top_logprobs")).addObject();
            // Of tokens with the same text the likeliest.
            l.top().forEach(a -> {
                if (!top.has(names.of(a.token()))) {
                    top.put(names.of(a.token()), ChatCompletions.finite(a.logProbability()));
                }
            });
            if (!top.has(name)) {
                top.put(name, ChatCompletions.finite(l.logProbability()));
            }
            logprobs.withArray("text_offset").add(offsets[choice]);
            offsets[choice] += name.length();
        }
    }
}

package dev.gosset.server.serving;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gosset.core.FormatException;
import dev.gosset.llm.LanguageModel;
import dev.gosset.llm.constraint.Constraint;
import dev.gosset.llm.constraint.Grammar;
import dev.gosset.llm.constraint.UnsupportedSchemaException;
import dev.gosset.llm.hub.HubCache;
import dev.gosset.llm.model.ModelSummary;
import dev.gosset.llm.sampling.Sampling;
import dev.gosset.llm.session.Engine;
import dev.gosset.llm.session.EngineLoad;
import dev.gosset.llm.session.QueueFullException;
import dev.gosset.llm.tokenizer.Tokenizer;
import dev.gosset.llm.tool.ToolFormat;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/** The model that is served: where requests become tokens and go into the engine. Thread-safe. */
public final class ServedModel {
    private static final int MOST_CONSTRAINTS = 32;

    private final LanguageModel model;
    private final Engine engine;
    private final Metrics metrics;
    private final String name;
    private final Set<Integer> endTokens;
    private final Sampling sampling;
    private final Instant loaded = Instant.now();
    private ModelSummary summary;
    private Optional<ToolFormat> toolFormat;
    /** Those that were asked for last, by their schemas. */
    private final Map<String, Constraint> constraints = new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Constraint> eldest) {
            return size() > MOST_CONSTRAINTS;
        }
    };

    private volatile boolean closing;

    /**
     * @param engine of this model
     */
    public ServedModel(LanguageModel model, Engine engine, Metrics metrics) {
        this.model = model;
        this.engine = engine;
        this.metrics = metrics;
        Path directory = model.directory().toAbsolutePath().normalize();
        this.name = HubCache.label(directory);
        this.endTokens = model.endTokens();
        this.sampling = model.sampling();
    }

    /** What clients call it: the name of its directory. */
    public String name() {
        return name;
    }

    public Tokenizer tokenizer() {
        return model.tokenizer();
    }

    /** How it is sampled where nobody says otherwise. */
    public Sampling sampling() {
        return sampling;
    }

    public int context() {
        return engine.context();
    }

    public Instant loaded() {
        return loaded;
    }

    /** What its directory holds. */
    public synchronized ModelSummary summary() {
        if (summary == null) {
            summary = ModelSummary.of(model.model());
        }
        return summary;
    }

    /** Ids of tokens are below it. */
    public int vocabulary() {
        return model.config().vocabularySize();
    }

    Engine engine() {
        return engine;
    }

    public EngineLoad load() {
        return engine.load();
    }

    /** As {@link Engine#endStuck}. */
    public boolean endStuck(double seconds) {
        return engine.endStuck(seconds);
    }

    /** Where the engine is now, line by line. */
    public String stackTrace() {
        return Arrays.stream(engine.stackTrace()).map(String::valueOf).collect(Collectors.joining("\n  "));
    }

    Metrics metrics() {
        return metrics;
    }

    Set<Integer> endTokens() {
        return endTokens;
    }

    boolean isClosing() {
        return closing;
    }

    /** Failures from here on are the server's end. */
    public void close() {
        closing = true;
        engine.close();
    }

    /**
     * @throws ApiException where a request is for another model
     */
    public void requireName(String asked) {
        if (asked != null && !asked.equals(name) && !asked.equals(name + ":latest")) {
            throw ApiException.refused(
                    404, "model_not_found", "the model '" + asked + "' is not served, '" + name + "' is");
        }
    }

    /**
     * The tokens of a conversation in the model's own form.
     *
     * @param more variables for the template
     */
    public int[] tokens(List<Map<String, Object>> messages, Map<String, Object> more) {
        try {
            // The template itself writes the special tokens.
            return tokenizer().encode(tokenizer().chatTemplate().render(messages, true, more), false);
        } catch (FormatException e) {
            throw ApiException.invalid("messages", withoutPaths(e.getMessage()));
        }
    }

    /**
     * What holds answers to a form.
     *
     * @param field of the request that asks for it, for messages
     * @param schema a JSON schema; null for any object
     * @throws ApiException where that cannot be enforced, with a pointer to what cannot
     */
    public Constraint constraint(String field, JsonNode schema) {
        return constraint(
                field,
                String.valueOf(schema),
                () -> schema == null ? Grammar.jsonObject() : Grammar.jsonSchema(schema));
    }

    /**
     * The same of any grammar.
     *
     * @param key equal for equal grammars
     */
    public Constraint constraint(String field, String key, Supplier<Grammar> grammar) {
        synchronized (constraints) {
            if (constraints.containsKey(key)) {
                return constraints.get(key);
            }
        }
        Constraint made;
        try {
            made = model.constraint(grammar.get());
        } catch (UnsupportedSchemaException e) {
            throw ApiException.invalid(field, "unsupported_schema", field + ": " + e.getMessage());
        } catch (FormatException e) {
            throw ApiException.invalid(field, "unsupported_value", withoutPaths(e.getMessage()));
        }
        synchronized (constraints) {
            constraints.put(key, made);
        }
        return made;
    }

    /**
     * How it writes calls of functions.
     *
     * @throws ApiException where its chat template has no form of them
     */
    public ToolFormat toolFormat(String field) {
        try {
            synchronized (this) {
                if (toolFormat == null) {
                    toolFormat = ToolFormat.of(tokenizer().chatTemplate());
                }
            }
        } catch (FormatException e) {
            throw ApiException.invalid(field, withoutPaths(e.getMessage()));
        }
        return toolFormat.orElseThrow(() -> ApiException.invalid(
                field,
                "unsupported_value",
                field + ": the model's chat template has no form of calls, or one that is not known"));
    }

    /** Whether it has a form for conversations. */
    public boolean chats() {
        try {
            tokenizer().chatTemplate();
            return true;
        } catch (FormatException e) {
            return false;
        }
    }

    /** A message without what it tells of this machine. */
    public String withoutPaths(String message) {
        Path directory = model.directory();
        return message.replace(directory + "/", "")
                .replace(directory.toAbsolutePath() + "/", "")
                .replace(directory.toString(), name);
    }

    private long mostTokens(Choice choice) {
        int length = choice.prompt().length;
        return choice.count() * (length + (long) Math.min(choice.options().maxTokens(), context() - length + 1));
    }

    /**
     * Puts a request into the engine.
     *
     * @param field that holds the prompt, for messages
     * @param owner those of different owners begin in turn
     * @throws ApiException where it does not fit, or too much waits
     */
    public Generation start(List<Choice> choices, String field, Object owner) {
        for (Choice choice : choices) {
            int length = choice.prompt().length;
            if (length == 0) {
                throw ApiException.invalid(field, "the prompt is empty and the tokenizer adds no token in front");
            }
            if (length >= context()) {
                throw ApiException.invalid(
                        field,
                        "context_length_exceeded",
                        "the prompt has " + length + " tokens, the context holds " + context()
                                + " and needs room for at least one more; prompts are never cut");
            }
        }
        long tokens = choices.stream().mapToLong(this::mostTokens).sum();
        if (tokens > engine.mostWaiting()) {
            throw ApiException.invalid(
                    field,
                    "request_too_large",
                    "all prompts and continuations together may come to " + tokens + " tokens, a request may have "
                            + engine.mostWaiting());
        }
        try {
            return new Generation(this, choices, owner);
        } catch (QueueFullException e) {
            throw ApiException.later(429, "queue_full", metrics.secondsToServe(engine.load()), e.getMessage());
        } catch (IllegalStateException e) {
            throw ApiException.later(503, "stopping", 5, "the server stops");
        }
    }
}

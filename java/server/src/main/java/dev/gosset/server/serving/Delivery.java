package dev.gosset.server.serving;

import dev.gosset.llm.generate.TextGenerator;
import dev.gosset.llm.sampling.LogProbabilities;
import dev.gosset.server.http.Exchange;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/**
 * Brings a generation to the client. Where nothing comes for a while it writes something that means nothing, so that it hears
 * within a second that the client has gone; the generation is cancelled then.
 */
public final class Delivery {
    /** Two of them are needed to hear of a client that closed. */
    private static final Duration SILENCE = Duration.ofMillis(400);

    private static final String JSON = "application/json";

    private Delivery() {}

    /** Sends an answer piece by piece, or whole. */
    public static void send(Exchange exchange, Generation generation, AnswerForm form, boolean stream)
            throws IOException, InterruptedException {
        try (generation) {
            if (stream) {
                pieces(exchange, generation, form);
            } else {
                whole(exchange, generation, form);
            }
        }
    }

    private static void pieces(Exchange exchange, Generation generation, AnswerForm form)
            throws IOException, InterruptedException {
        exchange.set("Cache-Control", "no-cache");
        exchange.set("X-Accel-Buffering", "no");
        try (Exchange.Stream out = exchange.stream(200, form.streamType())) {
            write(out, form.ping() + form.begin(generation.choices()));
            for (int left = generation.choices(); left > 0; ) {
                Generation.Event event = generation.poll(SILENCE);
                Usage usage = generation.usage();
                switch (event) {
                    case null -> write(out, form.ping());
                    case Generation.PromptRead prompt -> write(out, form.prompt(prompt));
                    case Generation.Piece piece -> write(out, form.piece(piece, usage));
                    case Generation.Finish finish -> {
                        write(out, form.finish(finish, usage, generation.seconds()));
                        left--;
                    }
                    case Generation.Failure failure -> {
                        write(out, form.failure(failure.why()));
                        return;
                    }
                }
            }
            write(out, form.end(generation.usage()));
        }
    }

    private static void write(Exchange.Stream out, String text) throws IOException {
        if (!text.isEmpty()) {
            out.write(text.getBytes(StandardCharsets.UTF_8));
        }
    }

    /** What has come of a continuation. */
    private static final class Collected {
        final StringBuilder text = new StringBuilder();
        final List<LogProbabilities> likely = new ArrayList<>();
        List<LogProbabilities> prompt = List.of();
        TextGenerator.End end;
    }

    /** JSON may begin with spaces: they are what is written while there is nothing else, and by then the status is out. */
    private static void whole(Exchange exchange, Generation generation, AnswerForm form)
            throws IOException, InterruptedException {
        List<Collected> all = new ArrayList<>();
        for (int i = 0; i < generation.choices(); i++) {
            all.add(new Collected());
        }
        Exchange.Stream out = null;
        long written = System.nanoTime();
        for (int left = generation.choices(); left > 0; ) {
            Generation.Event event = generation.poll(SILENCE);
            // Tokens that come are no sign of the client.
            if (System.nanoTime() - written >= SILENCE.toNanos()) {
                out = out == null ? exchange.stream(200, JSON) : out;
                write(out, " ");
                written = System.nanoTime();
            }
            switch (event) {
                case null -> {}
                case Generation.PromptRead prompt -> all.get(prompt.choice()).prompt = prompt.likely();
                case Generation.Piece piece -> {
                    all.get(piece.choice()).text.append(piece.text());
                    all.get(piece.choice()).likely.addAll(piece.likely());
                }
                case Generation.Finish finish -> {
                    all.get(finish.choice()).end = finish.end();
                    left--;
                }
                case Generation.Failure failure -> {
                    if (out == null) {
                        throw failure.why();
                    }
                    write(out, form.error(failure.why()));
                    return;
                }
            }
        }
        List<AnswerForm.Whole> choices = new ArrayList<>();
        for (int i = 0; i < all.size(); i++) {
            Collected c = all.get(i);
            choices.add(new AnswerForm.Whole(i, c.text.toString(), c.end, c.prompt, c.likely));
        }
        String whole = form.whole(choices, generation.usage(), generation.seconds());
        if (out == null) {
            exchange.answer(200, JSON, whole.getBytes(StandardCharsets.UTF_8));
        } else {
            write(out, whole);
        }
    }
}

package dev.gosset.server.serving;

import dev.gosset.llm.generate.TextGenerator;
import dev.gosset.llm.sampling.LogProbabilities;
import java.util.List;

/** How a protocol writes an answer: in pieces, each a text to be sent as it is, or whole. Of one request. */
public interface AnswerForm {
    /**
     * A whole continuation.
     *
     * @param promptLikely of the prompt's tokens but the first, if asked for
     * @param likely of the drawn tokens, if asked for
     */
    record Whole(
            int choice,
            String text,
            TextGenerator.End end,
            List<LogProbabilities> promptLikely,
            List<LogProbabilities> likely) {}

    /** The media type of an answer in pieces. */
    String streamType();

    /** What a client passes over; sent while there is nothing else, for a server hears only by writing that its client has gone. */
    String ping();

    String begin(int choices);

    String prompt(Generation.PromptRead prompt);

    String piece(Generation.Piece piece, Usage usage);

    String finish(Generation.Finish finish, Usage usage, double seconds);

    /** A failure in an answer in pieces, which ends with it. */
    String failure(ApiException why);

    /** A failure as one JSON object. */
    String error(ApiException why);

    /** After all continuations have ended. */
    String end(Usage usage);

    /** The answer as one JSON object. */
    String whole(List<Whole> choices, Usage usage, double seconds);
}

package dev.gosset.llm.sampling;

import java.util.Arrays;

/**
 * What changes logits before a token is drawn: biases and penalties, in float32 as transformers computes them. Of one
 * sequence.
 */
final class LogitRules {
    private final Sampling settings;
    /** The tokens of prompt and text, each once: the first {@link #count}; and what the text has of each of them. */
    private int[] tokens = new int[16];

    private int[] times = new int[16];
    private int count;
    /** The place of each token in {@link #tokens}, or -1; as long as the largest token needs. */
    private int[] place = new int[0];

    LogitRules(Sampling settings, int[] prompt) {
        this.settings = settings;
        for (int token : prompt) {
            placeOf(token);
        }
    }

    private int placeOf(int token) {
        if (token >= place.length) {
            int old = place.length;
            place = Arrays.copyOf(place, Math.max(token + 1, 2 * old));
            Arrays.fill(place, old, place.length, -1);
        }
        if (place[token] < 0) {
            if (count == tokens.length) {
                tokens = Arrays.copyOf(tokens, 2 * count);
                times = Arrays.copyOf(times, 2 * count);
            }
            tokens[count] = token;
            place[token] = count++;
        }
        return place[token];
    }

    /** Takes the token that was drawn. */
    void accept(int token) {
        int at = placeOf(token);
        times[at]++;
    }

    void apply(float[] logits) {
        settings.logitBias().forEach((token, bias) -> {
            if (token < logits.length) {
                logits[token] += bias.floatValue();
            }
        });
        float repetition = (float) settings.repetitionPenalty();
        float frequency = (float) settings.frequencyPenalty();
        float presence = (float) settings.presencePenalty();
        for (int i = 0; i < count; i++) {
            int token = tokens[i];
            if (token >= logits.length) {
                continue;
            }
            float l = logits[token];
            l = l < 0 ? l * repetition : l / repetition;
            if (times[i] > 0) {
                l -= frequency * times[i];
                l -= presence;
            }
            logits[token] = l;
        }
    }
}

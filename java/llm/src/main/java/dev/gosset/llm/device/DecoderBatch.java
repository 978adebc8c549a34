package dev.gosset.llm.device;

import dev.gosset.llm.sampling.Sampler;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * A batch over the sequences of a {@link Decoder}: each is a place that one sequence after the other takes. What a new prompt
 * shares with the tokens of a free place is not computed again. A step runs one whole prompt, or a token of each sequence.
 */
final class DecoderBatch implements Batch {
    private final Decoder decoder;
    private final int fixedLength;
    private final List<Place> places = new ArrayList<>();

    /** A sequence of the decoder. */
    private final class Place implements Sequence {
        final int number;
        /** What the decoder holds of it, also after its release. */
        int[] tokens = {};

        int length;
        /** Of the prompt, that have been appended. */
        int[] prompt;

        Sampler sampler;
        /** Just drawn and not appended, or -1. */
        int drawn;

        Place(int number) {
            this.number = number;
        }

        boolean isFree() {
            return sampler == null;
        }

        int shared(int[] other) {
            if (Math.max(length, other.length) > fixedLength) {
                return 0;
            }
            int mismatch = Arrays.mismatch(tokens, 0, length, other, 0, other.length - 1);
            return mismatch < 0 ? length : mismatch;
        }
    }

    /**
     * @param fixedLength beyond it, keys depend on how long the sequence was when they came, and are not used again
     */
    DecoderBatch(Decoder decoder, int fixedLength) {
        this.decoder = decoder;
        this.fixedLength = fixedLength;
        for (int i = 0; i < decoder.sequences(); i++) {
            places.add(new Place(i));
        }
    }

    @Override
    public int context() {
        return decoder.context();
    }

    @Override
    public Optional<Sequence> admit(int[] prompt, Sampler sampler, int most) {
        Place best = null;
        for (Place place : places) {
            if (place.isFree() && (best == null || place.shared(prompt) > best.shared(prompt))) {
                best = place;
            }
        }
        if (best != null) {
            best.prompt = prompt;
            best.sampler = sampler;
            best.drawn = -1;
        }
        return Optional.ofNullable(best);
    }

    @Override
    public List<Drawn> step() {
        for (Place place : places) {
            if (!place.isFree() && place.prompt != null) {
                start(place);
                // A step is short, so that what waits for its end does not wait long.
                break;
            }
        }
        List<Decoder.Continuation> continuations = new ArrayList<>();
        for (Place place : places) {
            if (!place.isFree() && place.prompt == null) {
                if (place.drawn >= 0) {
                    append(place, new int[] {place.drawn});
                    place.drawn = -1;
                }
                continuations.add(new Decoder.Continuation(place.number, place.sampler, 1));
            }
        }
        List<Drawn> drawn = new ArrayList<>();
        if (continuations.isEmpty()) {
            return drawn;
        }
        decoder.decode(continuations, Set.of(), (number, token) -> {
            Place place = places.get(number);
            place.drawn = token;
            drawn.add(new Drawn(place, token, place.sampler.logProbabilities(), null));
            return true;
        });
        return drawn;
    }

    private void start(Place place) {
        int shared = place.shared(place.prompt);
        decoder.truncate(place.number, shared);
        place.length = shared;
        append(place, Arrays.copyOfRange(place.prompt, shared, place.prompt.length));
        place.prompt = null;
    }

    private void append(Place place, int[] more) {
        decoder.append(place.number, more);
        place.tokens = Arrays.copyOf(place.tokens, Math.max(place.tokens.length, place.length + more.length));
        System.arraycopy(more, 0, place.tokens, place.length, more.length);
        place.length += more.length;
    }

    @Override
    public void release(Sequence sequence) {
        ((Place) sequence).sampler = null;
        ((Place) sequence).prompt = null;
    }

    @Override
    public int inUse() {
        return (int) places.stream().filter(p -> !p.isFree()).count();
    }

    @Override
    public void close() {
        decoder.close();
    }
}

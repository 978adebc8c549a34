package dev.gosset.llm.weights;

import dev.gosset.core.FormatException;
import dev.gosset.core.memory.Tensor;
import dev.gosset.llm.io.Safetensors;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * The weights of an original model: matrices in safetensors files.
 *
 * @param tensors the opened files, under the usual names
 */
public record OriginalWeights(Safetensors tensors) implements WeightSource {
    /** A tensor that every model has, and no vision tower or other part beside the language model. */
    private static final String LANDMARK = "layers.0.post_attention_layernorm.weight";

    private static final String HEAD = "lm_head.";

    /**
     * The weights of opened files, whose tensors may have names with another prefix than {@code model.}: none in a model
     * saved without its head, {@code language_model.model.} in one that was part of another, and whatever else the tools of
     * training put in front.
     *
     * @param tied whether the head is the embedding: only one of them need be stored then, be it as the head
     * @throws FormatException where the files hold two models and none has the usual names
     */
    static OriginalWeights of(Safetensors stored, boolean tied) {
        Safetensors tensors = withUsualPrefix(stored);
        String embedding = "model.embed_tokens.weight";
        if (tied && !tensors.has(embedding) && tensors.has(HEAD + "weight")) {
            tensors = tensors.renamed(name -> name.equals(HEAD + "weight") ? embedding : name);
        }
        return new OriginalWeights(tensors);
    }

    private static Safetensors withUsualPrefix(Safetensors stored) {
        List<String> prefixes = stored.names().stream()
                .filter(name -> name.equals(LANDMARK) || name.endsWith("." + LANDMARK))
                .map(name -> name.substring(0, name.length() - LANDMARK.length()))
                .toList();
        if (prefixes.isEmpty() || prefixes.contains("model.")) {
            return stored;
        }
        if (prefixes.size() > 1) {
            throw new FormatException(stored.source() + ": holds the layers of " + prefixes.size()
                    + " models, under the prefixes " + String.join(", ", prefixes) + ", expected model. or one other");
        }
        String prefix = prefixes.getFirst();
        String outer = prefix.endsWith("model.") ? prefix.substring(0, prefix.length() - "model.".length()) : prefix;
        List<String> heads = List.of(outer + HEAD, prefix + HEAD, HEAD);
        String head = heads.stream()
                .filter(h -> stored.names().contains(h + "weight"))
                .findFirst()
                .orElse(HEAD);
        return stored.renamed(name -> {
            if (name.startsWith(head)) {
                return HEAD + name.substring(head.length());
            }
            String own = name.startsWith(prefix) ? name.substring(prefix.length()) : "";
            boolean usual = own.startsWith("layers.") || own.startsWith("embed_tokens.") || own.startsWith("norm.");
            return usual ? "model." + own : name;
        });
    }

    @Override
    public Path path() {
        return tensors.source();
    }

    @Override
    public Optional<Tensor> find(String name) {
        return tensors.find(name);
    }

    @Override
    public Tensor tensor(String name) {
        return tensors.get(name);
    }
}

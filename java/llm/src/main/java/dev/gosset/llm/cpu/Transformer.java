package dev.gosset.llm.cpu;

import dev.gosset.core.kernel.dense.ByteProduct;
import dev.gosset.core.kernel.dense.VectorMath;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.FloatMatrix;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.parallel.Workspace;
import dev.gosset.llm.plan.BlockPlan;
import dev.gosset.llm.plan.LogitPlan;
import dev.gosset.llm.plan.ModelConfig;
import dev.gosset.llm.plan.ModelPlan;
import dev.gosset.llm.plan.PositionPlan;
import dev.gosset.llm.plan.RotaryTable;
import dev.gosset.llm.weights.WeightSource;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A decoder-only transformer over the weights of a {@link WeightSource}: embedding, blocks, final norm, head; everything
 * in float32. The stages can be run one by one, so that a caller that walks through the blocks never holds more than one
 * block's activations.
 *
 * <p>Immutable and thread-safe while the source is open; what a pass needs lies in its {@link Workspace} and, for a
 * growing sequence, its {@link KeyValueCache}. Matrices handed in must be open to all threads of the team: frames of the
 * workspace, or a shared arena where the team has more than one thread. Results do not depend on the number of threads of the workspace's team.
 */
public final class Transformer {

    private final ModelConfig config;
    private final ModelPlan plan;
    private final Tensor embedding;
    private final List<TransformerBlock> blocks;
    private final FloatMatrix finalNorm;
    private final Linear head;
    private final StorageOptions storage;

    private Transformer(
            ModelConfig config,
            ModelPlan plan,
            Tensor embedding,
            List<TransformerBlock> blocks,
            FloatMatrix finalNorm,
            Linear head,
            StorageOptions storage) {
        this.storage = storage;
        this.config = config;
        this.plan = plan;
        this.embedding = embedding;
        this.blocks = List.copyOf(blocks);
        this.finalNorm = finalNorm;
        this.head = head;
    }

    /**
     * A model over stored weights. Every tensor's presence, type and shape is checked here.
     *
     * @param preparation its arena owns the small weights that are widened up front (norms, biases, sign vectors), and the head
     *     where it is rounded
     * @throws dev.gosset.core.FormatException where a tensor is missing or is not what the configuration says
     */
    public static Transformer over(
            ModelConfig config, WeightSource source, StorageOptions storage, Preparation preparation) {
        ModelPlan plan = config.plan();
        Tensor embedding = source.tensor(plan.embedding());
        Map<PositionPlan, RotaryTable> tables = new HashMap<>();
        List<TransformerBlock> blocks = new ArrayList<>();
        for (BlockPlan block : plan.blocks()) {
            blocks.add(TransformerBlock.over(block, source, preparation, tables));
        }
        FloatMatrix finalNorm = TransformerBlock.weight(plan.finalNorm(), source, preparation);
        Tensor head = plan.head().map(source::tensor).orElse(embedding);
        Linear linear = storage.byteHead()
                ? new ByteLinear(new ByteProduct(head, preparation.arena(), preparation.team()))
                : new DenseLinear(List.of(head));
        return new Transformer(config, plan, embedding, blocks, finalNorm, linear, storage);
    }

    public ModelConfig config() {
        return config;
    }

    /** What the model computes. */
    public ModelPlan plan() {
        return plan;
    }

    /** The blocks in their order. */
    public List<TransformerBlock> blocks() {
        return blocks;
    }

    public TransformerBlock block(int layer) {
        return blocks.get(layer);
    }

    /** The embedding matrix as stored, vocabulary x hidden size. */
    public Tensor embedding() {
        return embedding;
    }

    /** What the norm before the head multiplies by, 1 x hidden size. */
    public FloatMatrix finalNorm() {
        return finalNorm;
    }

    /** The map from normalized hidden states to logits. */
    public Linear head() {
        return head;
    }

    /**
     * An empty cache for this model, kept as its storage options say.
     *
     * @param capacity the longest sequence that fits, in tokens
     */
    public KeyValueCache newCache(int capacity) {
        return new KeyValueCache(config, capacity, storage.cache());
    }

    /** How caches of this model are kept. */
    public Dtype cacheDtype() {
        return storage.cache();
    }

    /** An empty pool of key-value blocks for sequences of this model, kept as its storage options say. */
    public KeyValuePool newPool(int blocks) {
        return new KeyValuePool(config, blocks, storage.cache());
    }

    /** This model with another block in the place of the one of the same layer. */
    public Transformer with(TransformerBlock block) {
        List<TransformerBlock> others = new ArrayList<>(blocks);
        others.set(block.layer(), block);
        return new Transformer(config, plan, embedding, others, finalNorm, head, storage);
    }

    /** This model with another final norm and head. */
    public Transformer with(FloatMatrix finalNorm, Linear head) {
        return new Transformer(config, plan, embedding, blocks, finalNorm, head, storage);
    }

    /**
     * Writes the embeddings of tokens.
     *
     * @param hidden tokens x hidden size
     */
    public void embed(int[] tokens, FloatMatrix hidden) {
        if (hidden.rows() != tokens.length || hidden.cols() != config.hiddenSize()) {
            throw new IllegalArgumentException(tokens.length + " embeddings of " + config.hiddenSize()
                    + " do not fill a " + hidden.rows() + " x " + hidden.cols() + " matrix");
        }
        ModelConfig.requireTokens(tokens, config.vocabularySize());
        float scale = plan.embeddingScale();
        for (int t = 0; t < tokens.length; t++) {
            MemorySegment row = hidden.row(t);
            embedding.toFloats((long) tokens[t] * hidden.cols(), hidden.cols(), row);
            if (scale != 1) {
                VectorMath.scale(scale, row, 0, row, 0, hidden.cols());
            }
        }
    }

    /**
     * Writes the logits of the tokens after each row of one whole sequence.
     *
     * @param hidden tokens x hidden size, the last block's output; left alone. Rows are independent: pass only those
     *     whose logits are wanted, for they are large
     * @param logits tokens x vocabulary size
     */
    public void logits(FloatMatrix hidden, FloatMatrix logits, Workspace workspace) {
        logits(hidden, logits, head::forwardMany, workspace);
    }

    /** How the head is applied. */
    @FunctionalInterface
    private interface Forward {
        void apply(FloatMatrix x, FloatMatrix y, Workspace workspace);
    }

    private void logits(FloatMatrix hidden, FloatMatrix logits, Forward forward, Workspace workspace) {
        try (Workspace.Frame frame = workspace.frame()) {
            FloatMatrix x = frame.matrix(hidden.rows(), hidden.cols());
            for (int t = 0; t < hidden.rows(); t++) {
                long row = 4L * t * hidden.cols();
                TransformerBlock.normalize(plan.finalNorm(), hidden.data(), row, finalNorm, x.data(), row);
            }
            forward.apply(x, logits, workspace);
        }
        switch (plan.logits()) {
            case LogitPlan.Products _ -> {}
            case LogitPlan.Scaled(float factor) ->
                VectorMath.scale(
                        factor,
                        logits.data(),
                        0,
                        logits.data(),
                        0,
                        Math.toIntExact(logits.data().byteSize() / 4));
            case LogitPlan.SoftCapped(float cap) ->
                workspace.team().run(logits.rows(), t -> VectorMath.softCap(logits.row(t), 0, logits.cols(), cap));
        }
    }

    /**
     * The hidden states after the last block of one whole sequence: {@link #embed}, then every block.
     *
     * @param hidden tokens x hidden size, written
     */
    public void hidden(int[] tokens, FloatMatrix hidden, Workspace workspace) {
        embed(tokens, hidden);
        for (TransformerBlock block : blocks) {
            block.forward(hidden, ActivationTap.NONE, workspace);
        }
    }

    /**
     * The logits of one whole sequence.
     *
     * @param logits tokens x vocabulary size: row t holds those of token t + 1
     */
    public void forward(int[] tokens, FloatMatrix logits, Workspace workspace) {
        try (Workspace.Frame frame = workspace.frame()) {
            FloatMatrix hidden = frame.matrix(tokens.length, config.hiddenSize());
            hidden(tokens, hidden, workspace);
            logits(hidden, logits, workspace);
        }
    }

    /**
     * Tokens that follow those of a sequence's cache: a prompt, a piece of one, or the token just sampled.
     *
     * @param wanted of how many of the last tokens the logits are wanted
     */
    public record Segment(KeyValueCache cache, int[] tokens, int wanted) {
        public Segment {
            if (wanted < 0 || wanted > tokens.length) {
                throw new IllegalArgumentException(tokens.length + " tokens have no " + wanted + " rows of logits");
            }
        }
    }

    /**
     * Runs tokens of many sequences together, which share the reading of the weights. What a token's keys, values and logits
     * are depends on its own sequence alone, bit for bit: neither on the others nor on how a sequence is cut into segments.
     *
     * @param segments of different sequences
     * @param logits as many rows as are wanted x vocabulary size: those of the first segment, then those of the next
     */
    public void run(List<Segment> segments, FloatMatrix logits, Workspace workspace) {
        int count = 0;
        int wanted = 0;
        Set<KeyValueCache> different = new HashSet<>();
        for (Segment segment : segments) {
            segment.cache().requireRoom(segment.tokens().length);
            count += segment.tokens().length;
            wanted += segment.wanted();
            if (!different.add(segment.cache())) {
                throw new IllegalArgumentException("the segments of a run are of different sequences");
            }
        }
        if (logits.rows() != wanted) {
            throw new IllegalArgumentException(wanted + " rows of logits are wanted, found room for " + logits.rows());
        }
        if (count == 0) {
            return;
        }
        int[] tokens = new int[count];
        int[] positions = new int[count];
        KeyValueCache[] caches = new KeyValueCache[count];
        List<Attention.Span> spans = new ArrayList<>();
        int row = 0;
        for (Segment segment : segments) {
            int first = segment.cache().length();
            spans.add(new Attention.Span(row, row + segment.tokens().length, first, segment.cache()));
            for (int token : segment.tokens()) {
                tokens[row] = token;
                positions[row] = first++;
                caches[row++] = segment.cache();
            }
        }
        try (Workspace.Frame frame = workspace.frame()) {
            FloatMatrix hidden = frame.matrix(count, config.hiddenSize());
            FloatMatrix last = frame.matrix(wanted, config.hiddenSize());
            embed(tokens, hidden);
            for (TransformerBlock block : blocks) {
                block.forward(hidden, spans, positions, caches, workspace);
            }
            long at = 0;
            for (int i = 0; i < spans.size(); i++) {
                Segment segment = segments.get(i);
                segment.cache().advance(segment.tokens());
                int end = spans.get(i).to();
                MemorySegment own = hidden.rows(end - segment.wanted(), end).data();
                MemorySegment.copy(own, 0, last.data(), at, own.byteSize());
                at += own.byteSize();
            }
            if (wanted > 0) {
                logits(last, logits, head::forward, workspace);
            }
        }
    }
}

package dev.gosset.llm.plan;

import dev.gosset.llm.plan.AttentionPlan.Grouped;
import dev.gosset.llm.plan.FeedForwardPlan.Experts;
import dev.gosset.llm.plan.FeedForwardPlan.Gated;
import dev.gosset.llm.plan.FeedForwardPlan.Shared;
import dev.gosset.llm.plan.LinearGroup.Reach;
import dev.gosset.llm.plan.ModelFamily.Trait;
import dev.gosset.llm.plan.OrderPlan.NormsAround;
import dev.gosset.llm.plan.OrderPlan.NormsBefore;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * A whole model as data: what is computed, in which order, and by what names the tensors are stored. Made of config.json;
 * loading, running, calibration, quantization and conversion follow it on every device. Immutable.
 *
 * @param embedding vocabulary x hidden size
 * @param embeddingScale what embeddings are multiplied by, often 1
 * @param blocks in their order
 * @param finalNorm before the head
 * @param head vocabulary x hidden size; empty where it is the embedding
 * @param logits what becomes of the head's products
 */
public record ModelPlan(
        TensorPlan embedding,
        float embeddingScale,
        List<BlockPlan> blocks,
        NormPlan finalNorm,
        Optional<TensorPlan> head,
        LogitPlan logits) {
    public ModelPlan {
        blocks = List.copyOf(blocks);
    }

    /** The plan of a configuration. */
    static ModelPlan of(ModelConfig config) {
        List<Long> matrix = List.of((long) config.vocabularySize(), (long) config.hiddenSize());
        List<BlockPlan> blocks = new ArrayList<>();
        for (int layer = 0; layer < config.layers(); layer++) {
            blocks.add(new Builder(config, layer).block());
        }
        ModelConfig.Scales scales = config.scales();
        return new ModelPlan(
                new TensorPlan("model.embed_tokens.weight", "embedding", matrix),
                scales.embedding(),
                blocks,
                norm(config, "model.norm", config.hiddenSize()),
                config.tiedEmbeddings()
                        ? Optional.empty()
                        : Optional.of(new TensorPlan("lm_head.weight", "head", matrix)),
                scales.logits());
    }

    private static NormPlan norm(ModelConfig config, String name, int size) {
        return config.family().has(Trait.SHIFTED_NORMS_AROUND)
                ? new NormPlan.ShiftedRms(name + ".weight", size, config.normEpsilon())
                : new NormPlan.Rms(name + ".weight", size, config.normEpsilon());
    }

    /** Makes the plan of one block. */
    private record Builder(ModelConfig config, int layer) {
        private static final List<String> USUAL = List.of("up_proj", "gate_proj", "down_proj");
        private static final List<String> MIXTRAL = List.of("w3", "w1", "w2");

        BlockPlan block() {
            return new BlockPlan(layer, order(), attention(), feedForward());
        }

        private OrderPlan order() {
            int size = config.hiddenSize();
            float factor = config.scales().outputs();
            if (config.family().has(Trait.NORMS_AFTER)) {
                return new OrderPlan.NormsAfter(
                        norm("post_attention_layernorm", size), norm("post_feedforward_layernorm", size));
            }
            if (factor != 1) {
                return new OrderPlan.ScaledOutputs(
                        norm("input_layernorm", size), norm("post_attention_layernorm", size), factor);
            }
            return config.family().has(Trait.SHIFTED_NORMS_AROUND)
                    ? new NormsAround(
                            norm("input_layernorm", size),
                            norm("post_attention_layernorm", size),
                            norm("pre_feedforward_layernorm", size),
                            norm("post_feedforward_layernorm", size))
                    : new NormsBefore(norm("input_layernorm", size), norm("post_attention_layernorm", size));
        }

        private AttentionPlan attention() {
            boolean perHead = config.family().has(Trait.QUERY_KEY_NORM);
            boolean normalized = perHead || config.family().has(Trait.PROJECTION_NORM);
            int querySize = perHead ? config.headDim() : config.querySize();
            int keySize = perHead ? config.headDim() : config.keyValueSize();
            return new Grouped(
                    group(
                            "self_attn.qkv_proj",
                            "qkv",
                            config.hiddenSize(),
                            config.qkvBias(),
                            parts(
                                    "self_attn.qkv_proj",
                                    part("self_attn.q_proj", config.querySize()),
                                    part("self_attn.k_proj", config.keyValueSize()),
                                    part("self_attn.v_proj", config.keyValueSize())),
                            Reach.EVERY_TOKEN),
                    group(
                            "self_attn.o_proj",
                            "o",
                            config.querySize(),
                            config.outputBias(),
                            List.of(part("self_attn.o_proj", config.hiddenSize())),
                            Reach.EVERY_TOKEN),
                    config.heads(),
                    config.keyValueHeads(),
                    config.headDim(),
                    normalized ? Optional.of(norm("self_attn.q_norm", querySize)) : Optional.empty(),
                    normalized ? Optional.of(norm("self_attn.k_norm", keySize)) : Optional.empty(),
                    config.positions().get(layer),
                    config.windows().get(layer),
                    config.scales().scores(),
                    config.scales().scoreCap());
        }

        private FeedForwardPlan feedForward() {
            if (config.experts().isPresent() && config.experts().get().layers().get(layer)) {
                return experts(config.experts().get());
            }
            return gated("mlp", "", config.intermediateSize(), Reach.EVERY_TOKEN, Reach.EVERY_TOKEN, USUAL);
        }

        private FeedForwardPlan experts(ModelConfig.Experts mixture) {
            boolean mixtral = config.family().has(Trait.MIXTRAL_EXPERTS);
            String mlp = mixtral ? "block_sparse_moe" : "mlp";
            List<Gated> experts = new ArrayList<>();
            for (int e = 0; e < mixture.count(); e++) {
                experts.add(gated(
                        mlp + ".experts." + e,
                        "e" + e + "_",
                        mixture.width(),
                        Reach.CHOSEN_TOKENS,
                        Reach.WITHIN_EXPERT,
                        mixtral ? MIXTRAL : USUAL));
            }
            return new Experts(
                    router(mlp + ".gate", mixture.count()),
                    experts,
                    mixture.chosen(),
                    mixture.normalized(),
                    mixture.sharedWidth() == 0
                            ? Optional.empty()
                            : Optional.of(new Shared(
                                    gated(
                                            mlp + ".shared_expert",
                                            "shared_",
                                            mixture.sharedWidth(),
                                            Reach.EVERY_TOKEN,
                                            Reach.EVERY_TOKEN,
                                            USUAL),
                                    router(mlp + ".shared_expert_gate", 1))));
        }

        private TensorPlan router(String inBlock, int rows) {
            return new TensorPlan(
                    name(inBlock) + ".weight", "router", List.of((long) rows, (long) config.hiddenSize()));
        }

        /**
         * @param hessian what the names of its Hessians begin with
         * @param names of up, gate and down
         */
        private Gated gated(String mlp, String hessian, int width, Reach reach, Reach inner, List<String> names) {
            String at = mlp + ".";
            return new Gated(
                    group(
                            at + "upgate_proj",
                            hessian + "up",
                            config.hiddenSize(),
                            config.mlpBias(),
                            parts(at + "gate_up_proj", part(at + names.get(1), width), part(at + names.get(0), width))
                                    .reversed(),
                            reach),
                    group(
                            at + "down_proj",
                            hessian + "down",
                            width,
                            config.mlpBias(),
                            List.of(part(at + names.get(2), config.hiddenSize())),
                            inner),
                    width,
                    config.activation());
        }

        private String name(String inBlock) {
            return "model.layers." + layer + "." + inBlock;
        }

        private NormPlan norm(String inBlock, int size) {
            return ModelPlan.norm(config, name(inBlock), size);
        }

        private LinearGroup.Part part(String inBlock, int rows) {
            return new LinearGroup.Part(name(inBlock), rows);
        }

        /** Linears, which in some families are rows of one tensor, in this order. */
        private List<LinearGroup.Part> parts(String fused, LinearGroup.Part... parts) {
            if (!config.family().has(Trait.FUSED)) {
                return List.of(parts);
            }
            int all = Stream.of(parts).mapToInt(LinearGroup.Part::rows).sum();
            List<LinearGroup.Part> rows = new ArrayList<>();
            int first = 0;
            for (LinearGroup.Part part : parts) {
                rows.add(new LinearGroup.Part(part.name(), part.rows(), name(fused) + ".weight", first, all));
                first += part.rows();
            }
            return rows;
        }

        private LinearGroup group(
                String inBlock, String hessian, int inputs, boolean biased, List<LinearGroup.Part> parts, Reach reach) {
            return new LinearGroup(name(inBlock), layer + "_" + hessian, inputs, parts, biased, reach);
        }
    }

    /** The plan of one block. */
    public BlockPlan block(int layer) {
        return blocks.get(layer);
    }

    /** Every group of linears, block by block. */
    public List<LinearGroup> groups() {
        return blocks.stream().flatMap(b -> b.groups().stream()).toList();
    }

    /** Every tensor besides the linears, in the order of the model. */
    public List<TensorPlan> tensors() {
        List<TensorPlan> tensors = new ArrayList<>();
        tensors.add(embedding);
        for (BlockPlan block : blocks) {
            tensors.addAll(block.tensors());
            block.groups().forEach(group -> tensors.addAll(group.biases()));
        }
        tensors.add(finalNorm.weight());
        head.ifPresent(tensors::add);
        return tensors;
    }
}

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
import java.util.stream.IntStream;
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
                new TensorPlan(config.family().embedding(), "embedding", matrix),
                scales.embedding(),
                blocks,
                norm(config, config.family().spelled("model.norm") + ".weight", config.hiddenSize()),
                config.tiedEmbeddings()
                        ? Optional.empty()
                        : Optional.of(new TensorPlan("lm_head.weight", "head", matrix)),
                scales.logits());
    }

    private static NormPlan norm(ModelConfig config, String name, int size) {
        ModelFamily family = config.family();
        boolean shifted = family.has(Trait.SHIFTED_NORMS);
        if (family.has(Trait.LAYER_NORM)) {
            return new NormPlan.Layer(name, size, config.normEpsilon(), shifted ? 1 : 0, family.has(Trait.NORM_BIAS));
        }
        return shifted
                ? new NormPlan.ShiftedRms(name, size, config.normEpsilon())
                : new NormPlan.Rms(name, size, config.normEpsilon());
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
            if (config.parallelNorms() > 0) {
                boolean one = config.parallelNorms() == 1;
                return new OrderPlan.Parallel(
                        norm(one ? "input_layernorm" : "ln_attn", size),
                        norm(one ? "input_layernorm" : "ln_mlp", size));
            }
            if (config.family().has(Trait.NORMS_AFTER)) {
                return new OrderPlan.NormsAfter(
                        norm("post_attention_layernorm", size), norm("post_feedforward_layernorm", size));
            }
            if (factor != 1) {
                return new OrderPlan.ScaledOutputs(
                        norm("input_layernorm", size), norm("post_attention_layernorm", size), factor);
            }
            return config.family().has(Trait.NORMS_AROUND)
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
                            config.family().has(Trait.FALCON)
                                    ? interleavedHeads()
                                    : parts(
                                            config.family().has(Trait.FUSED_QKV),
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
                    config.family().has(Trait.NORMS_TURNED),
                    config.positions().get(layer),
                    config.windows().get(layer),
                    config.scales().scores(),
                    config.scales().scoreCap());
        }

        private FeedForwardPlan feedForward() {
            if (config.experts().isPresent() && config.experts().get().layers().get(layer)) {
                return experts(config.experts().get());
            }
            if (config.family().has(Trait.PLAIN_MLP)) {
                int width = config.intermediateSize();
                return new FeedForwardPlan.Plain(
                        group(
                                "mlp.up_proj",
                                "up",
                                config.hiddenSize(),
                                config.mlpBias(),
                                List.of(part("mlp.up_proj", width)),
                                Reach.EVERY_TOKEN),
                        group(
                                "mlp.down_proj",
                                "down",
                                width,
                                config.mlpBias(),
                                List.of(part("mlp.down_proj", config.hiddenSize())),
                                Reach.EVERY_TOKEN),
                        width,
                        config.activation());
            }
            return gated("mlp", "", config.intermediateSize(), Reach.EVERY_TOKEN, Reach.EVERY_TOKEN, USUAL);
        }

        private FeedForwardPlan experts(ModelConfig.Experts mixture) {
            boolean mixtral = config.family().has(Trait.MIXTRAL_EXPERTS);
            String mlp = mixtral ? "block_sparse_moe" : "mlp";
            List<Gated> experts = new ArrayList<>();
            for (int e = 0; e < mixture.count(); e++) {
                Gated expert = gated(
                        mlp + ".experts." + e,
                        "e" + e + "_",
                        mixture.width(),
                        Reach.CHOSEN_TOKENS,
                        Reach.WITHIN_EXPERT,
                        mixtral ? MIXTRAL : USUAL);
                experts.add(
                        config.family().has(Trait.STACKED_EXPERTS) ? stacked(expert, mlp, e, mixture.count()) : expert);
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

        /** An expert whose linears are rows of two tensors of all experts: gate, then up, and down. */
        private Gated stacked(Gated expert, String mlp, int e, int count) {
            LinearGroup input = expert.input();
            LinearGroup output = expert.output();
            List<LinearGroup.Part> first = rows(
                    mlp + ".input_linear",
                    e * input.outputs(),
                    count * input.outputs(),
                    input.parts().reversed());
            List<LinearGroup.Part> last =
                    rows(mlp + ".output_linear", e * output.outputs(), count * output.outputs(), output.parts());
            return new Gated(input.of(first.reversed()), output.of(last), expert.width(), expert.activation());
        }

        private TensorPlan router(String inBlock, int rows) {
            return new TensorPlan(stored(inBlock), "router", List.of((long) rows, (long) config.hiddenSize()));
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
                            parts(
                                            config.family().has(Trait.FUSED_GATE_UP),
                                            at + "gate_up_proj",
                                            part(at + names.get(1), width),
                                            part(at + names.get(0), width))
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

        /** The name of a weight in the original model. */
        private String stored(String inBlock) {
            return config.family().inLayer(layer, inBlock);
        }

        private NormPlan norm(String inBlock, int size) {
            return ModelPlan.norm(config, stored(inBlock), size);
        }

        private LinearGroup.Part part(String inBlock, int rows) {
            return new LinearGroup.Part(name(inBlock), rows, stored(inBlock), 0, rows);
        }

        /** Linears, which in some families are rows of one tensor, in this order. */
        private List<LinearGroup.Part> parts(boolean are, String fused, LinearGroup.Part... parts) {
            int all = Stream.of(parts).mapToInt(LinearGroup.Part::rows).sum();
            return are ? rows(fused, 0, all, List.of(parts)) : List.of(parts);
        }

        /** Linears that are rows of one tensor, from {@code first} on in this order. */
        private List<LinearGroup.Part> rows(String tensor, int first, int all, List<LinearGroup.Part> parts) {
            List<LinearGroup.Part> rows = new ArrayList<>();
            int next = first;
            for (LinearGroup.Part part : parts) {
                rows.add(new LinearGroup.Part(part.name(), part.rows(), stored(tensor), next, all));
                next += part.rows();
            }
            return rows;
        }

        /** q, k and v where the rows of one tensor are, for each key-value head, its queries, its keys and its values. */
        private List<LinearGroup.Part> interleavedHeads() {
            int shared = config.keyValueHeads();
            List<LinearGroup.Part> all = new ArrayList<>();
            for (int head = 0; head < shared; head++) {
                String suffix = shared == 1 ? "" : "_" + head;
                all.add(part("self_attn.q_proj" + suffix, config.querySize() / shared));
                all.add(part("self_attn.k_proj" + suffix, config.headDim()));
                all.add(part("self_attn.v_proj" + suffix, config.headDim()));
            }
            List<LinearGroup.Part> rows =
                    rows("self_attn.qkv_proj", 0, config.querySize() + 2 * config.keyValueSize(), all);
            return IntStream.range(0, rows.size())
                    .mapToObj(i -> rows.get(i % shared * 3 + i / shared))
                    .toList();
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
        tensors.addAll(finalNorm.tensors());
        head.ifPresent(tensors::add);
        return tensors;
    }
}

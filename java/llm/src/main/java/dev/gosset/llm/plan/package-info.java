/**
 * A model as data: config.json is read into a {@link dev.gosset.llm.plan.ModelConfig}, and that, by its {@link
 * dev.gosset.llm.plan.ModelFamily}, into a {@link dev.gosset.llm.plan.ModelPlan} that says what each block computes and how its
 * tensors are called. Nothing here computes or loads.
 */
package dev.gosset.llm.plan;

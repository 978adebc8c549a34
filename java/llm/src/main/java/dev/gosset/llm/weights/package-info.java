/**
 * Where the weights of a model come from. A {@link dev.gosset.llm.weights.ModelDirectory} says what kind of model lies in a
 * directory; a {@link dev.gosset.llm.weights.WeightSource} (an original model, ours, or a published checkpoint) finds what a
 * {@link dev.gosset.llm.plan.ModelPlan} names, checked, as it is stored.
 */
package dev.gosset.llm.weights;

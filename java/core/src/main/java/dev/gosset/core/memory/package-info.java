/**
 * Numbers live outside the Java heap, in segments that one owner closes: matrices ({@link
 * dev.gosset.core.memory.FloatMatrix}, {@link dev.gosset.core.memory.DoubleMatrix}, and {@link
 * dev.gosset.core.memory.Matrix} for code that serves both), tensors as files hold them ({@link
 * dev.gosset.core.memory.Tensor}), and {@code weights.arrow}, which is mapped and never copied ({@link
 * dev.gosset.core.memory.WeightFile}, {@link dev.gosset.core.memory.WeightFileWriter}). A file that we write appears whole
 * or not at all: {@link dev.gosset.core.memory.CrashSafeFile}.
 */
package dev.gosset.core.memory;

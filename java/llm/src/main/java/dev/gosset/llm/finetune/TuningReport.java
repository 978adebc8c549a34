package dev.gosset.llm.finetune;

/**
 * What a run of tuning did.
 *
 * @param before the loss on the validation sequences before
 * @param after that of the state that was kept, as it is stored
 * @param steps of Adam
 * @param skipped steps that were left out because a loss or a gradient was not finite; with 5 the run ended
 * @param seconds wall time
 */
public record TuningReport(double before, double after, int steps, int skipped, double seconds) {}

package dev.gosset.llm.session;

/**
 * What an {@link Engine} does, as of its last step.
 *
 * @param waiting sessions that have not begun
 * @param waitingTokens of their prompts and of what they may become
 * @param running sessions that take part in steps
 * @param memoryInUse for keys and values, in the batch's units
 * @param memory for keys and values, in the same
 * @param steps since the engine was made
 * @param drawn tokens since then
 * @param stepSeconds how long the step in progress has taken; 0 between steps
 */
public record EngineLoad(
        int waiting,
        long waitingTokens,
        int running,
        int memoryInUse,
        int memory,
        long steps,
        long drawn,
        double stepSeconds) {}

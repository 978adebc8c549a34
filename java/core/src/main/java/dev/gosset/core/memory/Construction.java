package dev.gosset.core.memory;

/**
 * Cleans up after work that fails halfway, such as a constructor that has taken half of its memory:
 *
 * {@snippet :
 * try (Construction construction = new Construction(this::close)) {
 *     memory = allocate();
 *     fill(memory);
 *     construction.done();
 * }
 * }
 *
 * <p>What made the work fail is thrown; what goes wrong while cleaning up is suppressed in it, as after every
 * try-with-resources, and never takes its place. Not thread-safe.
 */
public final class Construction implements AutoCloseable {
    private final Runnable cleanUp;
    private boolean done;

    /**
     * @param cleanUp frees what there is so far; runs on {@link #close} unless {@link #done} was called
     */
    public Construction(Runnable cleanUp) {
        this.cleanUp = cleanUp;
    }

    /** The work is whole: there is nothing to clean up. */
    public void done() {
        done = true;
    }

    @Override
    public void close() {
        if (!done) {
            cleanUp.run();
        }
    }
}

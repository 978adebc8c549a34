package dev.gosset.core.memory;

/** Closing of several things, each of which is closed whatever becomes of the others. */
public final class Closing {
    private Closing() {}

    /**
     * Closes everything, in order; the first failure is thrown when all have been tried, the others suppressed in it.
     *
     * @throws IllegalStateException around a failure that is a checked exception
     */
    public static void all(Iterable<? extends AutoCloseable> resources) {
        Throwable failure = null;
        for (AutoCloseable resource : resources) {
            try {
                resource.close();
            } catch (Throwable e) {
                if (failure == null) {
                    failure = e;
                } else {
                    failure.addSuppressed(e);
                }
            }
        }
        switch (failure) {
            case null -> {}
            case RuntimeException e -> throw e;
            case Error e -> throw e;
            default -> throw new IllegalStateException("closing a resource", failure);
        }
    }
}

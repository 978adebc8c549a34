package dev.gosset.cuda;

import java.util.ArrayList;
import java.util.List;

/** Things that are closed together, the last one first. One thread at a time. */
public final class CudaResources implements AutoCloseable {
    private final List<AutoCloseable> owned = new ArrayList<>();

    /** Keeps {@code resource} until {@link #close}. */
    public <T extends AutoCloseable> T add(T resource) {
        owned.add(resource);
        return resource;
    }

    /** Closes everything, even where closing something fails; the first failure is thrown. */
    @Override
    public void close() {
        RuntimeException first = null;
        for (AutoCloseable resource : owned.reversed()) {
            try {
                resource.close();
            } catch (Exception e) {
                RuntimeException failure =
                        e instanceof RuntimeException r ? r : new IllegalStateException("closing " + resource, e);
                if (first == null) {
                    first = failure;
                } else {
                    first.addSuppressed(failure);
                }
            }
        }
        owned.clear();
        if (first != null) {
            throw first;
        }
    }
}

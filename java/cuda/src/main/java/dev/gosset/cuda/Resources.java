package dev.gosset.cuda;

import java.util.ArrayList;
import java.util.List;

/** Things of a device with one owner: closed together, the last made first. One thread at a time. */
public final class Resources implements AutoCloseable {
    private final List<AutoCloseable> owned = new ArrayList<>();

    /** Takes over what is to be closed with the others. */
    public <T extends AutoCloseable> T own(T resource) {
        owned.add(resource);
        return resource;
    }

    /** Closes everything; the first failure is thrown when all have been tried. */
    @Override
    public void close() {
        RuntimeException failure = null;
        for (AutoCloseable resource : owned.reversed()) {
            try {
                resource.close();
            } catch (RuntimeException e) {
                failure = failure == null ? e : failure;
            } catch (Exception e) {
                failure = failure == null ? new IllegalStateException("closing " + resource, e) : failure;
            }
        }
        owned.clear();
        if (failure != null) {
            throw failure;
        }
    }
}

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

    /** Closes everything; the first failure is thrown when all have been tried, the others suppressed in it. */
    @Override
    public void close() {
        Throwable failure = null;
        for (AutoCloseable resource : owned.reversed()) {
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
        owned.clear();
        switch (failure) {
            case null -> {}
            case RuntimeException e -> throw e;
            case Error e -> throw e;
            default -> throw new IllegalStateException("closing a resource", failure);
        }
    }
}

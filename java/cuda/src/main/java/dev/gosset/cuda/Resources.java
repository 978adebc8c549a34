package dev.gosset.cuda;

import dev.gosset.core.memory.Closing;
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
        List<AutoCloseable> all = List.copyOf(owned.reversed());
        owned.clear();
        Closing.all(all);
    }
}

package dev.gosset.bench;

import java.util.List;

/**
 * One piece of work at one size, and everyone who can do it on this machine. The data is random and owned by the resources;
 * closing frees it. For one thread at a time.
 *
 * @param what the kind of work, such as {@code transform}
 * @param size its size, such as {@code 4096}
 * @param threads how many threads each contender works with
 * @param unit what work is counted in, such as {@code weights}
 * @param contenders whoever can run; {@link #OURS} is always there
 * @param resources own the data
 */
record Case(String what, String size, int threads, String unit, List<Contender> contenders, Resources resources)
        implements AutoCloseable {
    /** Our kernels, as {@code Kernels.selected()} gives them. */
    static final String OURS = "gosset";

    /** The scalar oracle. */
    static final String ORACLE = "scalar";

    /** Contenders whose name begins so are physical limits. */
    static final String LIMIT = "limit:";

    /**
     * Someone who does the work.
     *
     * @param name {@link #OURS}, {@link #ORACLE}, a peer's name, or {@link #LIMIT} and what limits
     * @param work units of work that one run of the body does: less than the others' where the whole would take too long
     * @param body does it once
     */
    record Contender(String name, double work, Runnable body) {}

    /** The contender of that name, or null. */
    Contender contender(String name) {
        return contenders.stream()
                .filter(c -> c.name().equals(name))
                .findFirst()
                .orElse(null);
    }

    /** What the contender of that name runs. */
    Runnable require(String name) {
        Contender contender = contender(name);
        if (contender == null) {
            throw new IllegalArgumentException("no contender '" + name + "' for " + what + " " + size + " here: found "
                    + contenders.stream().map(Contender::name).toList());
        }
        return contender.body();
    }

    @Override
    public void close() {
        resources.close();
    }
}

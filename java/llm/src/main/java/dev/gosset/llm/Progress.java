package dev.gosset.llm;

/** Receives how far a long job has come. Called from one thread at a time. */
public interface Progress {
    /** Ignores everything. */
    Progress NONE = new Progress() {
        @Override
        public void start(String job, long steps) {}

        @Override
        public void step(String detail) {}

        @Override
        public void end() {}
    };

    /** A job of {@code steps} equal steps begins; the one before, if any, has ended. */
    void start(String job, long steps);

    /** One step is done; {@code detail} says in a few words what comes next or was just done, or is empty. */
    void step(String detail);

    /** Why the job stands still for now. */
    default void note(String text) {}

    /** The job is done. */
    void end();
}

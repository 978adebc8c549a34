package dev.gosset.bench;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * One row of the table: a case and what each contender reached.
 *
 * @param what the kind of work
 * @param size its size
 * @param threads how many threads
 * @param unit what work is counted in
 * @param run units of work in one run of ours, such as the floats of one transform
 * @param nanos nanoseconds per unit of work by contender, the best, median and worst slice
 * @param absent why a peer that belongs here was not measured, by its name
 * @param notes what a reader must know about this row
 * @param targets what was asked of this row and whether it was met
 */
record Entry(
        String what,
        String size,
        int threads,
        String unit,
        double run,
        Map<String, Race.Timing> nanos,
        Map<String, String> absent,
        List<String> notes,
        List<Target> targets) {
    /**
     * A figure that was asked for.
     *
     * @param text what was asked
     * @param measured what was found, in the same terms
     * @param met whether it is enough; null where it could not be measured
     */
    record Target(String text, String measured, Boolean met) {}

    static Entry of(Case work, Map<String, Race.Timing> nanos) {
        return new Entry(
                work.what(),
                work.size(),
                work.threads(),
                work.unit(),
                work.contender(Case.OURS).work(),
                nanos,
                new LinkedHashMap<>(),
                new ArrayList<>(),
                new ArrayList<>());
    }

    /** Best nanoseconds per unit of a contender, NaN if it was not there. */
    double nanos(String contender) {
        Race.Timing timing = nanos.get(contender);
        return timing == null ? Double.NaN : timing.best();
    }

    double ours() {
        return nanos(Case.OURS);
    }

    /** How many times as fast as the contender we are: above 1 we are faster. NaN if it was not there. */
    double ratio(String contender) {
        return nanos(contender) / ours();
    }

    boolean is(String what, String size, int threads) {
        return this.what.equals(what) && this.size.equals(size) && this.threads == threads;
    }
}

package dev.gosset.core.methods;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * How the weights of a matrix are rounded to a grid: QuIP's methods. All but {@link Nearest} and {@link Stochastic} look at the Hessian.
 * What each does with it is {@link ScalarRounding}'s. Source: spec/quip-methods.md, section 4.
 */
public sealed interface ScalarMethod {
    /** Passes of greedy rounding unless told otherwise. */
    int PASSES = 10;

    /** Each weight by itself. */
    record Nearest() implements ScalarMethod {}

    /** Each weight up or down at random, so that its mean is the weight. */
    record Stochastic() implements ScalarMethod {}

    /** The last column first; each gets what the errors of those before add to it, by the factors of {@code H = L D L^T}. */
    record Ldlq(boolean stochastic) implements ScalarMethod {}

    /** The first column first: OPTQ (GPTQ), which is LDLQ on the reversed columns. */
    record Optq() implements ScalarMethod {}

    /**
     * Coordinate descent from the unrounded weights, columns with the largest diagonal of H first.
     *
     * @param passes at least 1; ends earlier where nothing changes
     */
    record Greedy(int passes) implements ScalarMethod {}

    /**
     * LDLQ with the largest diagonal of H first, then greedy passes.
     *
     * @param passes at least 0
     */
    record LdlqRg(int passes) implements ScalarMethod {}

    /**
     * LDLQ with stochastic rounding whose feedback is the best of those with columns no longer than {@code limit}: so that few weights leave a finite grid.
     */
    record LdlqBounded(double limit) implements ScalarMethod {}

    /** Every method with its usual settings, by name. */
    static Map<String, ScalarMethod> all() {
        Map<String, ScalarMethod> all = new LinkedHashMap<>();
        all.put("nearest", new Nearest());
        all.put("stochastic", new Stochastic());
        all.put("ldlq", new Ldlq(false));
        all.put("ldlq-stochastic", new Ldlq(true));
        all.put("optq", new Optq());
        all.put("greedy", new Greedy(PASSES));
        all.put("ldlq-rg", new LdlqRg(PASSES));
        all.put("ldlq-bounded", new LdlqBounded(1));
        return all;
    }

    /**
     * A method by its name.
     *
     * @throws IllegalArgumentException with the names that there are
     */
    static ScalarMethod named(String name) {
        ScalarMethod method = all().get(name);
        if (method == null) {
            throw new IllegalArgumentException(
                    "expected one of " + String.join(", ", all().keySet()) + ", found " + name);
        }
        return method;
    }
}

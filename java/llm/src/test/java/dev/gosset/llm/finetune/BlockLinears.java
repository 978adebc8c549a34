package dev.gosset.llm.finetune;

import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.plan.ModelConfig;
import java.util.Locale;

/** The groups of linears of the usual block, as the golden file names them. */
enum BlockLinears {
    QKV,
    O,
    UP,
    DOWN;

    LinearGroup of(ModelConfig config) {
        return config.plan().block(0).groups().get(ordinal());
    }

    int outputs(ModelConfig config) {
        return of(config).outputs();
    }

    int inputs(ModelConfig config) {
        return of(config).inputs();
    }

    /** Its name in the golden file. */
    String tag() {
        return name().toLowerCase(Locale.ROOT);
    }
}

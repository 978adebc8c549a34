package dev.gosset.llm.generate;

import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.device.LoadedModel;
import dev.gosset.llm.device.LoadedModelContract;
import dev.gosset.llm.model.Model;

/** The processor's own backend: its caches hold float16. */
class CpuModelTest extends LoadedModelContract {
    CpuModelTest() {
        super(3e-3);
    }

    @Override
    protected LoadedModel load(Model model, ThreadTeam team) {
        return new CpuModel(model.transformer(), team);
    }
}

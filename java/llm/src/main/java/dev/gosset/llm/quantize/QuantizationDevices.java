package dev.gosset.llm.quantize;

import dev.gosset.core.DeviceException;
import dev.gosset.core.memory.Closing;
import dev.gosset.core.memory.Construction;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.rounding.RoundingSettings;
import dev.gosset.llm.device.Device;
import dev.gosset.llm.device.DeviceBackend;
import dev.gosset.llm.device.DeviceQuantizer;
import java.util.ArrayList;
import java.util.List;

/**
 * Where a model is quantized.
 *
 * @param first the processor, or the first device
 * @param count how many devices, from the first on: linears of a block that do not depend on each other are rounded side by
 *     side; 0 for all there are. Results do not depend on it
 */
public record QuantizationDevices(Device first, int count) {
    /** The processor. */
    public static final QuantizationDevices CPU = new QuantizationDevices(Device.CPU, 1);

    public QuantizationDevices {
        if (count < 0 || first.isCpu() && count > 1) {
            throw new IllegalArgumentException("there are no " + count + " devices from " + first + " on");
        }
    }

    /**
     * Makes them ready.
     *
     * @param team the processor's part of the work
     * @throws DeviceException where one is missing
     */
    Opened open(RoundingSettings settings, ThreadTeam team) {
        Opened opened = new Opened();
        try (Construction construction = new Construction(opened::close)) {
            if (first.isCpu()) {
                opened.quantizers.add(new CpuQuantizer(settings, team));
            } else {
                DeviceBackend backend = DeviceBackend.require(first);
                int there = backend.devices() - first.index();
                if (count > there) {
                    throw new DeviceException(count + " devices are asked for, found " + there + " from " + first
                            + " on: " + backend.description());
                }
                int wanted = count == 0 ? there : count;
                for (int i = 0; i < wanted; i++) {
                    // A team runs one job at a time, and devices work side by side.
                    ThreadTeam own = wanted == 1 ? team : opened.team(Math.max(1, team.threads() / wanted));
                    opened.quantizers.add(backend.quantizer(first.index() + i, settings, own));
                }
            }
            construction.done();
        }
        return opened;
    }

    /** Quantizers that are ready; one thread each. */
    static final class Opened implements AutoCloseable {
        private final List<DeviceQuantizer> quantizers = new ArrayList<>();
        private final List<ThreadTeam> teams = new ArrayList<>();

        private ThreadTeam team(int threads) {
            ThreadTeam team = new ThreadTeam(threads);
            teams.add(team);
            return team;
        }

        List<DeviceQuantizer> quantizers() {
            return quantizers;
        }

        /** One for each device; none for the processor. */
        List<QuantizationReport.DeviceReport> reports() {
            return quantizers.stream()
                    .filter(q -> !(q instanceof CpuQuantizer))
                    .map(q -> new QuantizationReport.DeviceReport(q.device(), q.peakBytes()))
                    .toList();
        }

        @Override
        public void close() {
            List<AutoCloseable> all = new ArrayList<>(quantizers);
            all.addAll(teams);
            Closing.all(all);
        }
    }
}

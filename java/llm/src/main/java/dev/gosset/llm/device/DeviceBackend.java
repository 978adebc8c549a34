package dev.gosset.llm.device;

import dev.gosset.core.DeviceException;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.core.rounding.RoundingSettings;
import dev.gosset.llm.cpu.StorageOptions;
import dev.gosset.llm.model.Model;
import java.util.List;
import java.util.Optional;
import java.util.ServiceLoader;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Runs models on devices of one kind. Found as a service ({@link ServiceLoader}): a backend is used where its jar is on the
 * class path, and nothing else knows of it. Thread-safe.
 */
public interface DeviceBackend {
    /** The kind of its devices, as {@link Device#kind} names it. */
    String name();

    /** One sentence for a person: the devices, or why there is none. Never throws. */
    String description();

    /** Whether there is a device that this program can use. Never throws. */
    boolean isUsable();

    /** How many devices can be used. Never throws. */
    int devices();

    /**
     * Copies a model's weights to a device.
     *
     * @param model stays the caller's; its weights are read once, here
     * @param index the device's number
     * @param storage how the device keeps the head and the key-value caches
     * @param team the processor's part of the work; stays the caller's
     * @throws DeviceException where there is no such device, its memory is too small, or it does not keep caches so
     * @throws dev.gosset.core.UnsupportedModelException where the backend cannot run a model that the processor can
     */
    LoadedModel load(Model model, int index, StorageOptions storage, ThreadTeam team);

    /**
     * Bytes a second that a copy within the device's memory reads and writes, measured now: what bounds decoding.
     *
     * @throws DeviceException where there is no such device
     */
    double copyBandwidth(int index);

    /**
     * Quantizing on a device.
     *
     * @param index the device's number
     * @param team the processor's part of the work; stays the caller's
     * @throws DeviceException where there is no such device, or the backend does not quantize
     */
    default DeviceQuantizer quantizer(int index, RoundingSettings settings, ThreadTeam team) {
        throw new DeviceException(name() + ":" + index + " does not quantize; the cpu does");
    }

    /**
     * Times kernels.
     *
     * @param index the device's number
     * @param milliseconds how long to measure each figure
     * @throws DeviceException where there is no such device, or the backend times no kernels
     */
    default DeviceKernels kernels(int index, int milliseconds) {
        throw new DeviceException(name() + ":" + index + " does not time kernels");
    }

    /** Every backend of this program. */
    static List<DeviceBackend> all() {
        return ServiceLoader.load(DeviceBackend.class).stream()
                .map(ServiceLoader.Provider::get)
                .toList();
    }

    /** The backend of a kind of devices, usable or not. */
    static Optional<DeviceBackend> find(String name) {
        return all().stream().filter(b -> b.name().equals(name)).findFirst();
    }

    /**
     * The backend of a device that was asked for.
     *
     * @throws DeviceException with the reason where it cannot be used
     */
    static DeviceBackend require(Device device) {
        DeviceBackend backend = find(device.kind())
                .orElseThrow(() -> new DeviceException(device + ": this program has no such backend, only "
                        + Stream.concat(Stream.of("cpu"), all().stream().map(DeviceBackend::name))
                                .collect(Collectors.joining(", "))
                        + "; a backend is a jar on the class path, such as gosset-cuda-llm"));
        if (!backend.isUsable()) {
            throw new DeviceException(device + ": " + backend.description());
        }
        if (device.index() >= backend.devices()) {
            throw new DeviceException(
                    device + ": there is no such device, found " + backend.devices() + ": " + backend.description());
        }
        return backend;
    }
}

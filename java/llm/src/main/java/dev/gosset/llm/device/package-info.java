/**
 * Where a model computes. A {@link dev.gosset.llm.device.LoadedModel} is a model on the processor or on a device, a {@link
 * dev.gosset.llm.device.DeviceBackend} is found as a service and makes them: nothing else knows of devices, so generation,
 * evaluation and quantization run the same way on all.
 */
package dev.gosset.llm.device;

import dev.gosset.llm.device.DeviceBackend;

/**
 * Language models: quantizes them, opens them, and generates text.
 *
 * <p>{@link dev.gosset.llm.LanguageModel} is the door. Backends for other devices than the processor are found as services.
 */
module dev.gosset.llm {
    requires transitive dev.gosset.core;
    requires dev.gosset.jinja;
    requires transitive com.fasterxml.jackson.databind;
    requires ai.djl.tokenizers;
    requires ai.djl.api;
    // What DJL needs of modules with a descriptor, which nothing else would bring into the graph.
    requires com.google.gson;
    requires org.slf4j;
    requires java.net.http;
    requires jdk.management;

    exports dev.gosset.llm;
    exports dev.gosset.llm.calibration;
    exports dev.gosset.llm.constraint;
    exports dev.gosset.llm.convert;
    exports dev.gosset.llm.cpu;
    exports dev.gosset.llm.device;
    exports dev.gosset.llm.evaluate;
    exports dev.gosset.llm.finetune;
    exports dev.gosset.llm.generate;
    exports dev.gosset.llm.hub;
    exports dev.gosset.llm.model;
    exports dev.gosset.llm.plan;
    exports dev.gosset.llm.quantize;
    exports dev.gosset.llm.sampling;
    exports dev.gosset.llm.session;
    exports dev.gosset.llm.study;
    exports dev.gosset.llm.tokenizer;
    exports dev.gosset.llm.tool;
    exports dev.gosset.llm.cache to
            dev.gosset.cuda.llm;
    exports dev.gosset.llm.io to
            dev.gosset.cli,
            dev.gosset.server;
    exports dev.gosset.llm.weights to
            dev.gosset.cli,
            dev.gosset.cuda.llm;

    // Reports are records that Jackson reads and writes.
    opens dev.gosset.llm.finetune to
            com.fasterxml.jackson.databind;
    opens dev.gosset.llm.quantize to
            com.fasterxml.jackson.databind;

    uses DeviceBackend;
}

/** The GPU: devices, memory, streams, graphs, cuBLAS, and kernels on them. Wants {@code --enable-native-access=dev.gosset.bindings,dev.gosset.cuda}. */
module dev.gosset.cuda {
    requires transitive dev.gosset.core;
    requires dev.gosset.bindings;

    exports dev.gosset.cuda;
}

/** What jextract makes of the C ABI of Gosset's CUDA library and of the part of cuBLAS that is used. */
module dev.gosset.bindings {
    exports dev.gosset.bindings to
            dev.gosset.cuda;
}

package dev.gosset.core.kernel;

import dev.gosset.core.kernel.memory.NativeMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.List;

/**
 * Makes the compilers of this JVM believe that the processor lacks some instructions, so that what they compile from now on
 * is what they would compile on such a processor. HotSpot has no option for that. It describes its own fields and constants
 * in tables for debuggers, which are exported: by them the bit set of the processor's features is found and written. For
 * child JVMs of tests alone.
 */
public final class HiddenFeatures {
    /** What Skylake-X lacks of what later processors have; Cascade Lake has VNNI. */
    public static final List<String> NOT_ON_SKYLAKE = List.of(
            "AVX512_VBMI",
            "AVX512_VBMI2",
            "AVX512_BITALG",
            "AVX512_VPOPCNTDQ",
            "AVX512_VNNI",
            "AVX512_IFMA",
            "AVX512_VAES",
            "AVX512_VPCLMULQDQ",
            "AVX512_FP16",
            "AVX10_1",
            "AVX10_2",
            "GFNI");

    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;
    private static final MemorySegment MEMORY = NativeMemory.ALL;

    private final SymbolLookup jvm = SymbolLookup.libraryLookup(
            Path.of(System.getProperty("java.home"), "lib", "server", "libjvm.so"), Arena.global());

    private HiddenFeatures() {}

    /**
     * Hides features by their names in HotSpot, without CPU_.
     *
     * @return how many were there
     * @throws IllegalStateException where this JVM does not describe them
     */
    public static int hide(List<String> names) {
        HiddenFeatures features = new HiddenFeatures();
        long bits = features.featuresAddress();
        int hidden = 0;
        for (String name : names) {
            int bit = features.constant("VM_Version::CPU_" + name);
            long at = bits + 8L * (bit >> 6);
            long word = MEMORY.get(LONG, at);
            hidden += (int) (word >>> bit & 1);
            MEMORY.set(LONG, at, word & ~(1L << bit));
        }
        return hidden;
    }

    private long featuresAddress() {
        long type = variable("gHotSpotVMStructEntryTypeNameOffset");
        long field = variable("gHotSpotVMStructEntryFieldNameOffset");
        long stride = variable("gHotSpotVMStructEntryArrayStride");
        for (long entry = variable("gHotSpotVMStructs"); MEMORY.get(LONG, entry + type) != 0; entry += stride) {
            if (text(entry + type).equals("VM_Version") && text(entry + field).equals("_features")) {
                return MEMORY.get(LONG, entry + variable("gHotSpotVMStructEntryAddressOffset"));
            }
        }
        throw new IllegalStateException("this JVM does not describe VM_Version::_features");
    }

    private int constant(String name) {
        long names = variable("gHotSpotVMLongConstantEntryNameOffset");
        long stride = variable("gHotSpotVMLongConstantEntryArrayStride");
        for (long entry = variable("gHotSpotVMLongConstants"); MEMORY.get(LONG, entry + names) != 0; entry += stride) {
            if (text(entry + names).equals(name)) {
                return (int) MEMORY.get(LONG, entry + variable("gHotSpotVMLongConstantEntryValueOffset"));
            }
        }
        throw new IllegalStateException("this JVM does not describe " + name);
    }

    private long variable(String name) {
        return MEMORY.get(
                LONG,
                jvm.find(name)
                        .orElseThrow(() -> new IllegalStateException("this JVM has no " + name))
                        .address());
    }

    private static String text(long pointer) {
        return MEMORY.getString(MEMORY.get(LONG, pointer));
    }
}

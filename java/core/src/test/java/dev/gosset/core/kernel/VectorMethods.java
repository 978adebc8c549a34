package dev.gosset.core.kernel;

import java.io.IOException;
import java.lang.classfile.Attributes;
import java.lang.classfile.ClassFile;
import java.lang.classfile.MethodModel;
import java.lang.classfile.instruction.InvokeInstruction;
import java.util.ArrayList;
import java.util.List;

/** Reads the bytecode of kernels: C2 boxes no vector of a method that it compiles on its own. */
public final class VectorMethods {
    /** Longer methods are not inlined: FreqInlineSize. */
    private static final int LIMIT = 325;

    private VectorMethods() {}

    /** The methods with loops or arithmetic on vectors that C2 might inline, with their lengths; initializers do not count. */
    public static List<String> shorterThanTheInliningLimit(Class<?> type) throws IOException {
        List<String> found = new ArrayList<>();
        try (var in = type.getResourceAsStream(type.getSimpleName() + ".class")) {
            for (MethodModel method : ClassFile.of().parse(in.readAllBytes()).methods()) {
                boolean vectors = method.code().stream()
                        .flatMap(c -> c.elementStream())
                        .anyMatch(e -> e instanceof InvokeInstruction call
                                && call.owner().asInternalName().matches("jdk/incubator/vector/\\w+Vector"));
                String name = method.methodName().stringValue();
                int length = method.findAttribute(Attributes.code())
                        .map(c -> c.codeLength())
                        .orElse(0);
                if (vectors && !name.equals("<clinit>") && length <= LIMIT) {
                    found.add(name + " " + length);
                }
            }
        }
        return found;
    }
}

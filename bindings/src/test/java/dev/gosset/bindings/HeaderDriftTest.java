package dev.gosset.bindings;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.MemorySegment;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** The bindings say what the header says: nobody changed one without the other. */
class HeaderDriftTest {
    private static final Path HEADER = Path.of("../native/include/gosset_cuda.h");
    private static final Pattern FUNCTION = Pattern.compile("GOSSET_API\\s+([^;(]*?)(gosset_\\w+)\\(([^)]*)\\)\\s*;");
    private static final Pattern CONSTANT = Pattern.compile("(?m)^#define (GOSSET_\\w+) (\\d+)$");

    private static String header() throws Exception {
        return Files.readString(HEADER).replaceAll("(?s)/\\*.*?\\*/", "");
    }

    @Test
    void everyFunctionOfTheHeaderIsBoundAsItIs() throws Exception {
        Map<String, String> declared = new TreeMap<>();
        Matcher m = FUNCTION.matcher(header());
        while (m.find()) {
            List<String> types = new ArrayList<>();
            for (String parameter : m.group(3).split(",")) {
                String p = parameter.strip();
                if (!p.equals("void")) {
                    types.add(
                            p.contains("*")
                                    ? "pointer"
                                    : layoutName(
                                            p.substring(0, p.lastIndexOf(' ')).strip()));
                }
            }
            String result = m.group(1).strip();
            declared.put(m.group(2), types + " -> " + (result.contains("*") ? "pointer" : layoutName(result)));
        }
        assertThat(declared).hasSizeGreaterThan(40);

        Map<String, String> bound = new TreeMap<>();
        for (Method method : GossetCuda.class.getMethods()) {
            if (method.getName().startsWith("gosset_") && !method.getName().contains("$")) {
                List<String> types = Arrays.stream(method.getParameterTypes())
                        .map(HeaderDriftTest::name)
                        .toList();
                bound.put(method.getName(), types + " -> " + name(method.getReturnType()));
            }
        }
        assertThat(bound).as("run `make bindings`").isEqualTo(declared);
    }

    @Test
    void everyConstantOfTheHeaderIsBoundAsItIs() throws Exception {
        Matcher m = CONSTANT.matcher(header());
        int count = 0;
        while (m.find()) {
            count++;
            assertThat(GossetCuda.class.getMethod(m.group(1)).invoke(null))
                    .as("%s; run `make bindings`", m.group(1))
                    .isEqualTo(Integer.parseInt(m.group(2)));
        }
        assertThat(count).isGreaterThan(20);
    }

    private static String layoutName(String type) {
        return switch (type) {
            case "int32_t" -> "int";
            case "int64_t", "gosset_address" -> "long";
            case "float" -> "float";
            default -> throw new AssertionError("the C ABI has no type " + type);
        };
    }

    private static String name(Class<?> type) {
        return type == MemorySegment.class ? "pointer" : type.getSimpleName();
    }
}

package dev.gosset.llm.tool;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gosset.llm.tokenizer.ChatTemplate;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.time.Clock;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ToolFormatTest {
    private static ChatTemplate template(String name) throws IOException {
        try (InputStream in = ToolFormatTest.class.getResourceAsStream("/chat/" + name + ".jinja")) {
            return ChatTemplate.of(
                    name,
                    new String(in.readAllBytes(), StandardCharsets.UTF_8),
                    Map.of("bos_token", "<s>", "eos_token", "</s>"),
                    Clock.systemUTC());
        }
    }

    @ParameterizedTest
    @CsvSource({
        "qwen2, TAGS",
        "qwen3, TAGS",
        "llama3, BARE",
        "mistral, LIST",
        "llama2,",
        "phi,",
        "gemma,",
    })
    void templatesShowTheirFormat(String name, ToolFormat expected) throws IOException {
        assertThat(ToolFormat.of(template(name)).orElse(null)).isEqualTo(expected);
    }

    /** The parts of a text that comes cut anywhere, those of the same kind put together. */
    private static List<String> parts(ToolFormat format, String text, SplittableRandom random) {
        ToolCallReader reader = new ToolCallReader(format);
        List<ToolCallReader.Part> all = new ArrayList<>();
        for (int at = 0; at < text.length(); ) {
            int to = random == null ? text.length() : Math.min(text.length(), at + random.nextInt(4));
            all.addAll(reader.accept(text.substring(at, to)));
            at = to;
        }
        all.addAll(reader.end());
        List<String> joined = new ArrayList<>();
        String last = "";
        for (ToolCallReader.Part part : all) {
            String kind = part.getClass().getSimpleName();
            String own = switch (part) {
                case ToolCallReader.Content(String content) -> content;
                case ToolCallReader.Call(int index, String name) -> index + " " + name;
                case ToolCallReader.Arguments arguments -> arguments.json();
            };
            if (kind.equals(last) && !kind.equals("Call")) {
                joined.set(joined.size() - 1, joined.getLast() + own);
            } else {
                joined.add(own);
            }
            last = kind;
        }
        return joined;
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '\'', textBlock = """
                    TAGS | 'Let <tool me see.\n<tool_call>\n{"name": "f", "arguments": {"a": "}\\"<"}}\n</tool_call>\n<tool_call>\n{"name":"g-2","arguments":{}}\n</tool_call>' | 'Let <tool me see.\n;0 f;{"a": "}\\"<"};1 g-2;{}'
                    TAGS | 'no call <tool_cal' | 'no call <tool_cal'
                    TAGS | '<tool_call>\n{"name": "f", "argu' | ''
                    BARE | '{"name": "f", "parameters": {"x": [1, {"y": 2}]}}' | '0 f;{"x": [1, {"y": 2}]}'
                    BARE | 'As {"name": "f"}' | 'As {"name": "f"}'
                    LIST | '[TOOL_CALLS] [{"name": "f", "arguments": {"a":1}, "id": "abcdefghi"}, {"name": "f", "arguments": {}}]' | '0 f;{"a":1};1 f;{}'
                    LIST | 'a [TOOL' | 'a [TOOL'
                    """)
    void callsAreFoundHoweverTheTextIsCut(ToolFormat format, String text, String expected) {
        long seed = System.nanoTime();
        SplittableRandom random = new SplittableRandom(seed);
        String written = text.replace("\\n", "\n");
        List<String> parts = expected.isEmpty()
                ? List.of()
                : List.of(expected.replace("\\n", "\n").split(";"));
        assertThat(parts(format, written, null)).isEqualTo(parts);
        for (int i = 0; i < 50; i++) {
            assertThat(parts(format, written, random)).as("seed %d", seed).isEqualTo(parts);
        }
    }
}

package dev.gosset.fuzz;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.core.QuantizedLinear;
import dev.gosset.core.codebook.CodeMatrix;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.codebook.D4;
import dev.gosset.core.codebook.QidxsLayout;
import dev.gosset.core.memory.Dtype;
import dev.gosset.core.memory.QuantizedLinears;
import dev.gosset.core.memory.WeightFileWriter;
import dev.gosset.core.rounding.Hessian;
import dev.gosset.llm.SyntheticCheckpoint;
import dev.gosset.llm.SyntheticCheckpoint.Item;
import dev.gosset.llm.TinyModels;
import dev.gosset.llm.calibration.HessianFiles;
import dev.gosset.llm.plan.LinearGroup;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Makes the valid files of the corpus, {@code CORPUS/READER/valid-*}, and what stands beside an input. */
public final class Seeds {
    /** Inputs of the Hessian. */
    static final int INPUTS = 4;

    static final LinearGroup GROUP =
            new LinearGroup("model.layers.0.self_attn.qkv_proj", "0_qkv", INPUTS, List.of(), false);

    /** What chat templates are rendered with. */
    static final List<Map<String, Object>> CONVERSATION = List.of(
            Map.of("role", "system", "content", "Be brief."),
            Map.of("role", "user", "content", "How warm is it in Oslo?"),
            Map.of(
                    "role",
                    "assistant",
                    "content",
                    "",
                    "tool_calls",
                    List.of(Map.of(
                            "type",
                            "function",
                            "function",
                            Map.of("name", "weather", "arguments", Map.of("place", "Oslo", "days", 2))))),
            Map.of("role", "tool", "content", "[12.5, -3]"));

    /** And besides. */
    static final Map<String, Object> VARIABLES = Map.of(
            "tools",
            List.of(Map.of(
                    "type",
                    "function",
                    "function",
                    Map.of("name", "weather", "parameters", Map.of("type", "object", "required", List.of("place"))))),
            "bos_token",
            "<s>",
            "eos_token",
            "</s>");

    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String TEMPLATE =
            "{% for m in messages %}<{{ m.role }}>{{ m['content'] | trim }}</s>\n{% endfor %}"
                    + "{% if add_generation_prompt %}<assistant>{% endif %}";

    private Seeds() {}

    /** Writes all of them below the directory of its one argument. */
    public static void main(String[] arguments) throws IOException {
        Path corpus = Path.of(arguments[0]);
        safetensors(directory(corpus, Reader.SAFETENSORS));
        Files.write(directory(corpus, Reader.GGUF).resolve("valid-pieces"), gguf("llama"));
        Files.write(directory(corpus, Reader.GGUF).resolve("valid-bytes"), gguf("gpt2"));
        text(corpus, Reader.INDEX, "valid", """
                {"metadata": {"total_size": 28}, "weight_map":
                {"a": "model-1.safetensors", "b": "model-1.safetensors", "c": "model-2.safetensors"}}""");
        configurations(corpus);
        text(corpus, Reader.GENERATION, "valid-list", """
                {"bos_token_id": 1, "eos_token_id": [2, 3], "temperature": 0.6, "top_p": 0.9, "do_sample": true}""");
        text(corpus, Reader.GENERATION, "valid-one", "{\"eos_token_id\": 2, \"pad_token_id\": null}");
        tokenizers(corpus);
        weights(directory(corpus, Reader.WEIGHTS));
        hessian(directory(corpus, Reader.HESSIAN).resolve("valid"));
        checkpoint(corpus, Reader.CHECKPOINT, checkpoint());
        checkpoint(corpus, Reader.EARLY_CHECKPOINT, earlyCheckpoint());
        Files.writeString(
                directory(corpus, Reader.CHECKPOINT_CONFIG).resolve("valid"),
                JSON.writeValueAsString(checkpoint().config));
        templates(corpus);
        text(corpus, Reader.QUESTIONS, "valid", """
                {"context": "Two and two are", "choices": [" four", " five"], "answer": 0}

                {"context": "", "choices": ["\\u00e9", "b", "\\ud83d\\ude00"], "answer": 2, "source": {"line": 7}}
                """);
        text(corpus, Reader.DOCUMENTS, "valid", """
                {"text": "Two and two are four.", "url": null}

                {"text": "\\u00e9 \\ud83d\\ude00\\n"}
                """);
    }

    private static Path directory(Path corpus, Reader reader) throws IOException {
        return Files.createDirectories(corpus.resolve(reader.key()));
    }

    private static void text(Path corpus, Reader reader, String name, String text) throws IOException {
        Files.writeString(directory(corpus, reader).resolve(name), text);
    }

    /** A small shard with a float32 vector for each name. */
    static void shard(Path file, String... names) {
        Map<String, Item> tensors = new LinkedHashMap<>();
        for (String name : names) {
            tensors.put(name, SyntheticCheckpoint.zeros(Dtype.F32, 2));
        }
        SyntheticCheckpoint.writeTensors(file, tensors);
    }

    private static void safetensors(Path directory) {
        Map<String, Item> tensors = new LinkedHashMap<>();
        for (Dtype dtype : Dtype.values()) {
            if (!dtype.isCodes()) {
                tensors.put("a." + dtype, SyntheticCheckpoint.zeros(dtype, 2, 3));
            }
        }
        tensors.put("scalar", SyntheticCheckpoint.scalar(7));
        tensors.put("empty", SyntheticCheckpoint.zeros(Dtype.F16, 0, 5));
        tensors.put("\u00e9\u4e2d\n", SyntheticCheckpoint.halves(List.of(2L), 1.5f, -2f));
        SyntheticCheckpoint.writeTensors(directory.resolve("valid"), tensors);
        SyntheticCheckpoint.writeTensors(directory.resolve("valid-empty"), Map.of());
    }

    /** A model of one layer with a tokenizer of one of two kinds. */
    private static byte[] gguf(String tokenizer) {
        ByteBuffer header = ByteBuffer.allocate(1 << 13).order(ByteOrder.LITTLE_ENDIAN);
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("general.architecture", "llama");
        values.put("llama.block_count", 1);
        values.put("llama.context_length", 16);
        values.put("llama.embedding_length", 32);
        values.put("llama.feed_forward_length", 32);
        values.put("llama.attention.head_count", 2);
        values.put("llama.attention.layer_norm_rms_epsilon", 1e-5f);
        values.put("llama.rope.freq_base", 1e4f);
        values.put("llama.rope.scaling.type", "linear");
        values.put("llama.rope.scaling.factor", 2f);
        values.put("tokenizer.ggml.model", tokenizer);
        values.put("tokenizer.ggml.pre", "qwen2");
        values.put("tokenizer.ggml.tokens", List.of("<unk>", "<s>", "t", "h", "e", "th", "the"));
        values.put("tokenizer.ggml.scores", List.of(0f, 0f, -3f, -4f, -5f, -2f, -1f));
        values.put("tokenizer.ggml.token_type", List.of(2, 3, 1, 1, 1, 1, 1));
        values.put("tokenizer.ggml.merges", List.of("t h", "th e"));
        values.put("tokenizer.ggml.bos_token_id", 1);
        values.put("tokenizer.ggml.unknown_token_id", 0);
        values.put("tokenizer.chat_template", TEMPLATE);
        Map<String, Integer> tensors = new LinkedHashMap<>();
        tensors.put("token_embd.weight", 7);
        tensors.put("output_norm.weight", 0);
        for (String norm : List.of("attn_norm", "ffn_norm")) {
            tensors.put("blk.0." + norm + ".weight", 0);
        }
        for (String linear : List.of("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")) {
            tensors.put("blk.0." + linear + ".weight", 32);
        }
        header.putInt(0x46554747).putInt(3).putLong(tensors.size()).putLong(values.size());
        values.forEach((key, value) -> {
            putText(header, key);
            putValue(header, value, true);
        });
        long at = 0;
        for (Map.Entry<String, Integer> tensor : tensors.entrySet()) {
            putText(header, tensor.getKey());
            int rows = tensor.getValue();
            // Norms in F32, matrices in Q8_0.
            header.putInt(rows == 0 ? 1 : 2).putLong(32);
            if (rows > 0) {
                header.putLong(rows);
            }
            header.putInt(rows == 0 ? 0 : 8).putLong(at);
            at += ((rows == 0 ? 128 : 34L * rows) + 31) / 32 * 32;
        }
        return Arrays.copyOf(header.array(), (header.position() + 31) / 32 * 32 + Math.toIntExact(at));
    }

    private static void putText(ByteBuffer out, String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        out.putLong(bytes.length).put(bytes);
    }

    private static void putValue(ByteBuffer out, Object value, boolean typed) {
        if (typed) {
            out.putInt(
                    switch (value) {
                        case Integer _ -> 4;
                        case Float _ -> 6;
                        case String _ -> 8;
                        default -> 9;
                    });
        }
        switch (value) {
            case Integer number -> out.putInt(number);
            case Float number -> out.putFloat(number);
            case String text -> putText(out, text);
            case List<?> list -> {
                out.putInt(list.getFirst() instanceof String ? 8 : list.getFirst() instanceof Float ? 6 : 4)
                        .putLong(list.size());
                list.forEach(each -> putValue(out, each, false));
            }
            default -> throw new IllegalArgumentException(value.toString());
        }
    }

    private static void configurations(Path corpus) throws IOException {
        for (String name : TinyModels.NAMES) {
            ObjectNode config = (ObjectNode)
                    JSON.readTree(Files.readString(TinyModels.directory(name).resolve("config.json")));
            text(corpus, Reader.CONFIG, "valid-" + name, JSON.writeValueAsString(config));
            if (name.equals("llama")) {
                text(corpus, Reader.MODEL, "valid", JSON.writeValueAsString(config));
                config.putObject("quantization_config")
                        .put("quant_method", "gosset")
                        .put("bits", 2)
                        .put("codebook", "E8P12");
                text(corpus, Reader.CONFIG, "valid-gosset", JSON.writeValueAsString(config));
            }
        }
        for (int bits = 2; bits <= 4; bits++) {
            text(
                    corpus,
                    Reader.CONFIG,
                    "valid-quip-sharp-" + bits,
                    JSON.writeValueAsString(new SyntheticCheckpoint(SMALL, bits, 1).config));
        }
    }

    private static void tokenizers(Path corpus) throws IOException {
        ObjectNode configuration = JSON.createObjectNode();
        configuration
                .put("tokenizer_class", "LlamaTokenizer")
                .put("add_bos_token", true)
                .put("add_eos_token", false);
        configuration.putObject("bos_token").put("content", "<s>").put("special", true);
        configuration.put("eos_token", "</s>").putNull("pad_token").put("model_max_length", 1e30);
        configuration.put("chat_template", TEMPLATE);
        text(corpus, Reader.TOKENIZER_CONFIG, "valid", JSON.writeValueAsString(configuration));
        ArrayNode templates = configuration.putArray("chat_template");
        templates.addObject().put("name", "default").put("template", TEMPLATE);
        templates.addObject().put("name", "tool_use").put("template", "{{ tools | tojson }}");
        text(corpus, Reader.TOKENIZER_CONFIG, "valid-list", JSON.writeValueAsString(configuration));
        text(corpus, Reader.TOKENIZER, "valid-words", """
                {"version": "1.0", "truncation": null, "padding": null, "added_tokens":
                [{"id": 1, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
                "special": true}], "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]},
                "pre_tokenizer": {"type": "Whitespace"}, "post_processor": {"type": "TemplateProcessing", "single":
                [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [],
                "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}, "decoder": null,
                "model": {"type": "WordLevel", "vocab": {"[UNK]": 0, "<s>": 1, "the": 2, "fox": 3}, "unk_token": "[UNK]"}}""");
        text(corpus, Reader.TOKENIZER, "valid-bytes", """
                {"version": "1.0", "added_tokens": [], "normalizer": {"type": "Replace", "pattern": {"Regex": "a+"},
                "content": "b"}, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern":
                {"Regex": "\\\\p{L}+| ?[^\\\\s\\\\p{L}]+|\\\\s+(?!\\\\S)"}, "behavior": "Isolated", "invert": false},
                {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]},
                "post_processor": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false},
                "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
                "model": {"type": "BPE", "dropout": null, "unk_token": null,
                "byte_fallback": false, "vocab": {"T": 0, "h": 1, "e": 2, "\\u0120": 3, "he": 4, "The": 5}, "merges":
                [["h", "e"], ["T", "he"]]}}""");
        text(corpus, Reader.TOKENIZER, "valid-pieces", """
                {"version": "1.0", "added_tokens": [], "normalizer": {"type": "Prepend", "prepend": "\\u2581"},
                "pre_tokenizer": {"type": "Metaspace", "replacement": "\\u2581", "prepend_scheme": "first", "split": false},
                "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\\u2581"}, "content":
                " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
                "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": false, "vocab": [["<unk>", 0.0], ["\\u2581", -1.5],
                ["e", -2.0], ["The", -3.25]]}}""");
    }

    private static void weights(Path directory) {
        try (Arena arena = Arena.ofConfined();
                WeightFileWriter writer =
                        WeightFileWriter.create(directory.resolve("valid"), Map.of("source", "seeds"))) {
            writer.add(
                    "model.norm.weight",
                    "norm",
                    Dtype.F32,
                    List.of(3L),
                    Optional.empty(),
                    MemorySegment.ofArray(new byte[12]));
            writer.add("scalar", "other", Dtype.I64, List.of(), Optional.empty(), MemorySegment.ofArray(new byte[8]));
            writer.add("empty", "other", Dtype.BF16, List.of(0L), Optional.empty(), MemorySegment.ofArray(new byte[0]));
            for (int bits = 2; bits <= 4; bits++) {
                int rows = 3;
                int cols = 12;
                QuantizedLinear linear = new QuantizedLinear(
                        CodeMatrix.allocate(arena, Codebook.ofBits(bits), rows, cols),
                        arena.allocate(2L * cols),
                        arena.allocate(2L * rows),
                        List.of(
                                new QuantizedLinear.Part("up_proj", 1, 0.5f),
                                new QuantizedLinear.Part("gate_proj", 2, bits == 3 ? 0.1f : 1)));
                QuantizedLinears.write(writer, "model.layers.0.mlp.upgate_proj" + bits, linear);
            }
            writer.commit();
        }
        try (WeightFileWriter writer = WeightFileWriter.create(directory.resolve("valid-empty"), Map.of())) {
            writer.commit();
        }
    }

    private static void hessian(Path file) throws IOException {
        Path directory = Files.createTempDirectory("gosset-seeds-");
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment triangle = arena.allocate(4 * Hessian.triangle(INPUTS));
            for (int i = 0, at = 0; i < INPUTS; at += ++i + 1) {
                triangle.setAtIndex(java.lang.foreign.ValueLayout.JAVA_FLOAT, at, 1 + i);
            }
            HessianFiles files = new HessianFiles(directory);
            files.write(GROUP, new Hessian(INPUTS, triangle, arena.allocate(4L * INPUTS), 9));
            Files.move(files.file(GROUP), file, java.nio.file.StandardCopyOption.REPLACE_EXISTING);
        }
        Files.delete(directory);
    }

    private static final SyntheticCheckpoint.Shape SMALL = new SyntheticCheckpoint.Shape(64, 64, 1, 1, 1, 4);

    /** A checkpoint of one small block, 2 bits. */
    static SyntheticCheckpoint checkpoint() {
        return new SyntheticCheckpoint(SMALL, 2, 1);
    }

    /** As they were before February 2024, with everything that such a linear may have. */
    static SyntheticCheckpoint earlyCheckpoint() {
        int n = 16;
        SyntheticCheckpoint made = new SyntheticCheckpoint(
                new SyntheticCheckpoint.Shape(n, n, 1, 1, 1, 4), D4.INSTANCE, QidxsLayout.D4_STRIPS, 0.5, 1);
        made.params.put("rescale_WH", true).put("outlier_channel_split", true);
        float[] ones = new float[3 * n];
        java.util.Arrays.fill(ones, 1);
        for (String name : List.copyOf(made.tensors.keySet())) {
            if (name.endsWith(".Qidxs")) {
                String linear = name.substring(0, name.length() - "Qidxs".length());
                made.tensors.put(linear + "scaleWH", SyntheticCheckpoint.halves(List.of((long) n), ones));
                made.tensors.put(linear + "ocs_dupe_inds", SyntheticCheckpoint.zeros(Dtype.I64, n));
            }
        }
        return made;
    }

    private static void checkpoint(Path corpus, Reader reader, SyntheticCheckpoint made) throws IOException {
        SyntheticCheckpoint.writeTensors(directory(corpus, reader).resolve("valid"), made.tensors);
    }

    private static void templates(Path corpus) throws IOException {
        List<String> templates = new ArrayList<>(List.of(TEMPLATE));
        templates.add("""
                {%- set ns = namespace(n=0, text='') -%}
                {%- macro show(name, value={}) -%}
                  {{- name ~ '=' ~ value | tojson(indent=2) -}}
                {%- endmacro -%}
                {%- for m in messages if m.role != 'system' -%}
                  {%- set ns.n = ns.n + loop.index0 * 2 // 3 -%}
                  {%- for call in m.tool_calls or [] -%}
                    {{ show(call.function.name, call.function.arguments) }}
                    {%- if loop.last %}{% break %}{% endif -%}
                  {%- else -%}
                    {{- m.content[:3] | upper | replace('A', "b") }}{{ '%s-%05.1f' % (m.role, 2.5) -}}
                  {%- endfor -%}
                {%- endfor -%}
                {{ ns.n if ns.n is defined and ns.n is not none else "none" }}
                {% generation %}{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | join(', ') }}{% endgeneration %}
                """);
        templates.add("""
                {# a comment #}{% raw %}{{ as it stands }}{% endraw %}
                {% filter trim %} {{ range(1, 9, 2) | list | reverse | first }} {% endfilter %}
                {% macro say(a) %}{{ caller(a) }}{% endmacro %}{% call(x) say(1) %}{{ x }}{% endcall %}
                {{ dict(a=[1, 2.5, none, true], b={'c': 2}) | items | sort | tojson }}
                {% if tools is iterable and 'x' in 'xyz' and 1 < 2 <= 3 %}{{ strftime_now('%d %B %Y') }}{% endif %}
                {{ "a,b" .split(',')[-1] }}{{ 7 ** 2 - -3 % 2 }}{{ [1, 2][::-1] | length }}
                {% set x %}block{% endset %}{{ x | default('y', true) | indent(4) | wordcount }}
                """);
        for (int i = 0; i < templates.size(); i++) {
            text(corpus, Reader.JINJA, "valid-" + i, templates.get(i));
        }
    }
}

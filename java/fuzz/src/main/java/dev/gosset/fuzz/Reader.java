package dev.gosset.fuzz;

import dev.gosset.core.FormatException;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.memory.QuantizedLinears;
import dev.gosset.core.memory.Tensor;
import dev.gosset.core.memory.WeightFile;
import dev.gosset.core.memory.WeightFileWriter;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.jinja.JinjaException;
import dev.gosset.jinja.JinjaTemplate;
import dev.gosset.llm.Progress;
import dev.gosset.llm.TinyModels;
import dev.gosset.llm.calibration.HessianFiles;
import dev.gosset.llm.convert.GgufImport;
import dev.gosset.llm.cpu.StorageOptions;
import dev.gosset.llm.evaluate.ChoiceFormat;
import dev.gosset.llm.evaluate.MultipleChoice;
import dev.gosset.llm.generate.GenerationConfig;
import dev.gosset.llm.io.JsonFile;
import dev.gosset.llm.io.Safetensors;
import dev.gosset.llm.io.SafetensorsWriter;
import dev.gosset.llm.io.StagedDirectory;
import dev.gosset.llm.io.TextDocuments;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.plan.LinearGroup;
import dev.gosset.llm.tokenizer.ChatTemplate;
import dev.gosset.llm.tokenizer.Tokenizer;
import dev.gosset.llm.weights.ModelDirectory;
import dev.gosset.llm.weights.PublishedLinear;
import dev.gosset.llm.weights.QuipParams;
import dev.gosset.llm.weights.QuipSharpCheckpoint;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A reader of files: one file of a directory is the input, the others are fixed and valid. What is read is also used as a
 * program would use it, and written and read again where there is a writer.
 */
public enum Reader {
    /** Tensors of one file, written and read again. */
    SAFETENSORS("model.safetensors", Form.SAFETENSORS, 200) {
        @Override
        void read(Path directory, Arena arena) {
            Safetensors found = Safetensors.open(directory.resolve(file()), arena);
            found.tensors().forEach(Reader::use);
            Path copy = directory.resolve("copy.safetensors");
            List<SafetensorsWriter.Declaration> declarations = found.tensors().stream()
                    .map(t -> new SafetensorsWriter.Declaration(t.name(), t.dtype(), t.shape()))
                    .toList();
            try (SafetensorsWriter writer = SafetensorsWriter.create(copy, declarations, found.metadata())) {
                found.tensors().forEach(t -> writer.write(t.name(), t.data()));
                writer.commit();
            }
            Safetensors again = Safetensors.open(copy, arena);
            requireSame(found.metadata(), again.metadata());
            requireSame(found.names(), again.names());
            found.tensors().forEach(t -> requireSame(t, again.get(t.name())));
        }
    },
    /** A GGUF file made the directory of a model. */
    GGUF("model.gguf", Form.BINARY, 1000) {
        @Override
        void read(Path directory, Arena arena) {
            GgufImport.run(directory.resolve(file()), directory.resolve("out"), Progress.NONE);
            StagedDirectory.delete(directory.resolve("out"), List.of());
        }
    },
    /** The index of a sharded model, over two shards that are there. */
    INDEX(Safetensors.INDEX_FILE, Form.JSON, 200) {
        @Override
        void prepare(Path directory) {
            Seeds.shard(directory.resolve("model-1.safetensors"), "a", "b");
            Seeds.shard(directory.resolve("model-2.safetensors"), "c");
        }

        @Override
        void read(Path directory, Arena arena) {
            Safetensors.open(directory, arena).tensors().forEach(Reader::use);
        }
    },
    /** config.json with its quantization_config or quip_params. */
    CONFIG("config.json", Form.JSON, 200) {
        @Override
        void prepare(Path directory) throws IOException {
            TinyModels.copy("llama", directory);
            try (WeightFileWriter writer = WeightFileWriter.create(directory.resolve("weights.arrow"), Map.of())) {
                writer.commit();
            }
        }

        @Override
        void read(Path directory, Arena arena) {
            ModelDirectory model = ModelDirectory.open(directory);
            if (model.kind() == ModelDirectory.Kind.QUIP_SHARP) {
                QuipParams.read(JsonFile.read(directory.resolve(file())));
            }
        }
    },
    /** config.json of an original model whose weights are there. */
    MODEL("config.json", Form.JSON, 200) {
        @Override
        void prepare(Path directory) throws IOException {
            TinyModels.copy("llama", directory);
        }

        @Override
        void read(Path directory, Arena arena) {
            try (Model model = Model.open(directory, StorageOptions.defaults(), ALONE)) {
                requireSame(model.config().layers() > 0, true);
            }
        }
    },
    /** generation_config.json beside a config.json. */
    GENERATION("generation_config.json", Form.JSON, 200) {
        @Override
        void prepare(Path directory) throws IOException {
            TinyModels.copy("llama", directory);
        }

        @Override
        void read(Path directory, Arena arena) {
            ModelDirectory.open(directory);
            GenerationConfig.sampling(directory);
        }
    },
    /** tokenizer_config.json beside a tokenizer.json, with its chat templates rendered. */
    TOKENIZER_CONFIG("tokenizer_config.json", Form.JSON, 200) {
        @Override
        void prepare(Path directory) throws IOException {
            TinyModels.copy("llama", directory);
        }

        @Override
        void read(Path directory, Arena arena) {
            try (Tokenizer tokenizer = Tokenizer.open(directory)) {
                tokenizer.decode(tokenizer.encode("w3 w4"), true);
            }
            ChatTemplate.find(directory)
                    .ifPresent(t -> t.render(List.of(new ChatTemplate.Message("user", "w3 w4")), true));
        }
    },
    /** tokenizer.json, through Hugging Face's library. */
    TOKENIZER("tokenizer.json", Form.JSON, 200) {
        @Override
        public boolean mayEndProcess() {
            return true;
        }

        @Override
        void read(Path directory, Arena arena) {
            try (Tokenizer tokenizer = Tokenizer.open(directory)) {
                int[] ids = tokenizer.encode("The quick brown fox w3 \u00e9\u4e2d\ud83d\ude00");
                tokenizer.decode(ids, false);
                Tokenizer.Stream stream = tokenizer.stream();
                for (int id : ids) {
                    stream.next(id);
                }
                stream.end();
            }
        }
    },
    /** weights.arrow with the linears in it, written and read again. */
    WEIGHTS("weights.arrow", Form.BINARY, 200) {
        @Override
        void read(Path directory, Arena arena) {
            WeightFile found = WeightFile.open(directory.resolve(file()), arena);
            found.weights().forEach(w -> use(w.tensor()));
            QuantizedLinears.names(found).forEach(name -> QuantizedLinears.read(found, name));
            Path copy = directory.resolve("copy.arrow");
            Map<String, String> metadata = new HashMap<>(found.metadata());
            metadata.keySet().removeAll(List.of("format", "format_version"));
            try (WeightFileWriter writer = WeightFileWriter.create(copy, metadata)) {
                for (WeightFile.Weight w : found.weights()) {
                    Tensor t = w.tensor();
                    writer.add(w.name(), w.role(), t.dtype(), t.shape(), w.codebook(), t.data());
                }
                writer.commit();
            }
            WeightFile again = WeightFile.open(copy, arena);
            Map<String, String> other = new HashMap<>(again.metadata());
            other.keySet().removeAll(List.of("format", "format_version"));
            requireSame(metadata, other);
            requireSame(found.names().stream().toList(), again.names().stream().toList());
            for (WeightFile.Weight w : found.weights()) {
                WeightFile.Weight copied = again.get(w.name()).requireIntact();
                requireSame(w.role(), copied.role());
                requireSame(w.codebook().map(Codebook::name), copied.codebook().map(Codebook::name));
                requireSame(w.tensor(), copied.tensor());
            }
        }
    },
    /** A Hessian of four inputs. */
    HESSIAN("0_qkv.safetensors", Form.SAFETENSORS, 200) {
        @Override
        void read(Path directory, Arena arena) {
            new HessianFiles(directory).read(Seeds.GROUP, arena);
        }
    },
    /** The weights of a published checkpoint of E8P12. */
    CHECKPOINT("model.safetensors", Form.SAFETENSORS, 200) {
        @Override
        void prepare(Path directory) throws IOException {
            Seeds.checkpoint().writeWithoutTokenizer(directory);
        }

        @Override
        void read(Path directory, Arena arena) {
            unpack(directory, arena);
        }
    },
    /** The weights of an early checkpoint: 4 bits as bytes, scaled and gathered inputs. */
    EARLY_CHECKPOINT("model.safetensors", Form.SAFETENSORS, 200) {
        @Override
        void prepare(Path directory) throws IOException {
            Seeds.earlyCheckpoint().writeWithoutTokenizer(directory);
        }

        @Override
        void read(Path directory, Arena arena) {
            unpack(directory, arena);
        }
    },
    /** config.json of a published checkpoint whose weights are there. */
    CHECKPOINT_CONFIG("config.json", Form.JSON, 200) {
        @Override
        void prepare(Path directory) throws IOException {
            Seeds.checkpoint().writeWithoutTokenizer(directory);
        }

        @Override
        void read(Path directory, Arena arena) {
            unpack(directory, arena);
        }
    },
    /** A chat template by itself, rendered for a conversation with tools. */
    JINJA("chat_template.jinja", Form.TEXT, 200) {
        @Override
        void read(Path directory, Arena arena) throws IOException {
            ChatTemplate.read(directory);
            String where = directory.resolve(file()).toString();
            Map<String, Object> variables = new HashMap<>(Seeds.VARIABLES);
            variables.put("messages", Seeds.CONVERSATION);
            variables.put("add_generation_prompt", true);
            try {
                // A template is a program: what it takes is bounded by its limits and not by its length.
                JinjaTemplate.parse(where, Files.readString(directory.resolve(file())))
                        .render(variables, Clock.systemUTC(), LIMITS);
            } catch (JinjaException e) {
                throw new FormatException(e.getMessage(), e);
            }
        }
    },
    /** Questions of `eval choice`, one a line. */
    QUESTIONS("questions.jsonl", Form.JSON_LINES, 200) {
        @Override
        void read(Path directory, Arena arena) throws IOException {
            FormatException refused = null;
            boolean accepted = false;
            for (ChoiceFormat format : ChoiceFormat.values()) {
                try {
                    MultipleChoice.read(directory.resolve(file()), format);
                    accepted = true;
                } catch (FormatException e) {
                    refused = e;
                }
            }
            if (!accepted) {
                throw refused;
            }
        }
    },
    /** Documents to calibrate on, one a line. */
    DOCUMENTS("documents.jsonl", Form.JSON_LINES, 200) {
        @Override
        void read(Path directory, Arena arena) {
            TextDocuments.read(List.of(directory.resolve(file())), text -> true);
        }
    };

    private static final ThreadTeam ALONE = new ThreadTeam(1);

    /** Jazzer makes steps slower by ten times and more. */
    private static final JinjaTemplate.Limits LIMITS = new JinjaTemplate.Limits(20_000, 1 << 20);

    private final String file;
    private final Form form;
    private final long bytesPerByte;

    Reader(String file, Form form, long bytesPerByte) {
        this.file = file;
        this.form = form;
        this.bytesPerByte = bytesPerByte;
    }

    /** The name of the file that is the input. */
    public String file() {
        return file;
    }

    /** How the input is built. */
    public Form form() {
        return form;
    }

    /** The reader's name on the command line and in the corpus. */
    public String key() {
        return name().toLowerCase(java.util.Locale.ROOT).replace('_', '-');
    }

    /** The reader of that {@link #key}. */
    public static Reader of(String key) {
        for (Reader reader : values()) {
            if (reader.key().equals(key)) {
                return reader;
            }
        }
        throw new IllegalArgumentException("found the reader '" + key + "', expected one of "
                + java.util.Arrays.stream(values()).map(Reader::key).toList());
    }

    /** How many bytes reading may allocate for each byte of the file, besides {@link Property#CONSTANT}. */
    public long bytesPerByte() {
        return bytesPerByte;
    }

    /**
     * Whether bytes are left that end the whole process, in a library that is not ours. Such a reader is fuzzed only when it
     * is asked for by name, and of its corpus the files alone are read, without changes.
     */
    public boolean mayEndProcess() {
        return false;
    }

    /** Writes what stands beside the input, once. */
    void prepare(Path directory) throws IOException {}

    /**
     * Reads the input and uses what was read.
     *
     * @param arena owns what is mapped and allocated outside the heap
     */
    abstract void read(Path directory, Arena arena) throws IOException;

    private static void use(Tensor tensor) {
        if (tensor.dtype().isFloating()) {
            tensor.requireFinite();
            tensor.toFloatArray();
        }
        if (!tensor.dtype().isCodes() && tensor.elements() == 1) {
            tensor.scalar();
        }
    }

    private static void unpack(Path directory, Arena arena) {
        ModelDirectory model = ModelDirectory.open(directory);
        QuipSharpCheckpoint checkpoint =
                QuipSharpCheckpoint.open(directory, model.config().plan(), arena);
        for (LinearGroup group : model.config().plan().groups()) {
            PublishedLinear linear = checkpoint.linear(group);
            linear.unpack(ALONE, arena);
            linear.inputIndices().ifPresent(PublishedLinear::integers);
            linear.inputScale().ifPresent(Tensor::toFloatArray);
        }
    }

    private static void requireSame(Object written, Object read) {
        if (!written.equals(read)) {
            throw new AssertionError("wrote " + written + ", read " + read);
        }
    }

    private static void requireSame(Tensor written, Tensor read) {
        requireSame(written.dtype(), read.dtype());
        requireSame(written.shape(), read.shape());
        if (written.data().mismatch(read.data()) != -1) {
            throw new AssertionError("tensor " + written.name() + " came back with other bytes");
        }
    }
}

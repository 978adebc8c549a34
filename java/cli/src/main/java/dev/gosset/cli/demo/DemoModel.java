package dev.gosset.cli.demo;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** The bundled model, a Llama of 2.7 million parameters in Hugging Face layout, half precision, trained on {@link SmallWorld}. */
public final class DemoModel {
    /** Its files. */
    public static final List<String> FILES = List.of(
            "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json");

    private DemoModel() {}

    /**
     * Unpacks the model from the jar.
     *
     * @param directory where to; created if it is absent; files of the same names there are kept as they are, and that is an error
     * @return the directory
     * @throws IOException if a file exists already or cannot be written
     */
    public static Path copyTo(Path directory) throws IOException {
        Files.createDirectories(directory);
        for (String file : FILES) {
            try (InputStream in = DemoModel.class.getResourceAsStream("model/" + file)) {
                if (in == null) {
                    throw new FileNotFoundException("the demo model's " + file + " is missing from the jar");
                }
                Files.copy(in, directory.resolve(file));
            }
        }
        return directory;
    }
}

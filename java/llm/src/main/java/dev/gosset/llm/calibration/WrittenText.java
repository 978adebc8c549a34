package dev.gosset.llm.calibration;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import dev.gosset.core.FormatException;
import dev.gosset.core.GossetException;
import dev.gosset.core.memory.Checksum;
import dev.gosset.core.memory.CrashSafeFile;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.Progress;
import dev.gosset.llm.cpu.Transformer;
import dev.gosset.llm.generate.CpuModel;
import dev.gosset.llm.io.Json;
import dev.gosset.llm.sampling.Sampler;
import dev.gosset.llm.sampling.Sampling;
import dev.gosset.llm.session.Engine;
import dev.gosset.llm.session.Session;
import dev.gosset.llm.session.Token;
import dev.gosset.llm.tokenizer.Tokenizer;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeSet;
import java.util.stream.IntStream;
import java.util.zip.CRC32C;

/**
 * Calibration without a text: what the model writes itself, drawn from its own distribution (temperature 1, nothing cut off). Each
 * document begins as the model's texts begin and is drawn with a seed of its own, many at a time; one after the other they are cut into
 * sequences. The same model and tokenizer write the same on one machine, whatever the number of threads.
 *
 * <p>What was written is kept in a file whose name tells model, tokenizer and amount, and read by every later run that asks for
 * the same. Written on the processor.
 */
final class WrittenText {
    /** Documents that are written together. */
    private static final int TOGETHER = 32;

    /** Documents without a token, one after the other, after which the model is given up. */
    private static final int MOST_EMPTY = 256;

    private final Transformer model;
    private final Tokenizer tokenizer;
    private final int count;
    private final int length;
    /** What decides what is written, as it stands in the file. */
    private final Map<String, Object> key = new LinkedHashMap<>();

    WrittenText(Transformer model, String checksum, Tokenizer tokenizer, int count, int length) {
        this.model = model;
        this.tokenizer = tokenizer;
        this.count = count;
        this.length = length;
        key.put("format", "gosset-written-calibration-1");
        key.put("model_crc32c", checksum);
        key.put("opening", opening());
        key.put("leading", tokenizer.leadingToken());
        key.put("end", List.copyOf(new TreeSet<>(endTokens())));
        key.put("sequences", count);
        key.put("context", length);
    }

    /** The sequences, from the file of an earlier run where there is one. */
    List<int[]> sequences(Path directory, ThreadTeam team, Progress progress) {
        CRC32C crc = new CRC32C();
        crc.update(key.toString().getBytes(StandardCharsets.UTF_8));
        Path file = directory.resolve("written-calibration-" + Checksum.text(crc.getValue()) + ".json");
        if (Files.exists(file)) {
            return read(file);
        }
        List<int[]> sequences = write(team, progress);
        Map<String, Object> fields = new LinkedHashMap<>(key);
        fields.put("tokens", sequences);
        try {
            Files.createDirectories(directory);
            CrashSafeFile.write(file, Json.MAPPER.writeValueAsBytes(fields));
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("tokens do not convert to JSON", e);
        } catch (IOException e) {
            throw new GossetException(directory + ": the directory cannot be created: " + CrashSafeFile.reason(e), e);
        }
        return sequences;
    }

    private List<int[]> read(Path file) {
        JsonNode found = Json.readObject(file);
        JsonNode wanted = Json.MAPPER.valueToTree(key);
        for (Map.Entry<String, JsonNode> field : wanted.properties()) {
            if (!field.getValue().toString().equals(found.path(field.getKey()).toString())) {
                throw damaged(file, field.getKey() + " is " + found.path(field.getKey()));
            }
        }
        List<int[]> sequences = new ArrayList<>();
        for (JsonNode row : found.path("tokens")) {
            int[] sequence = new int[row.size()];
            for (int i = 0; i < sequence.length; i++) {
                JsonNode token = row.get(i);
                if (!token.isInt() || token.intValue() < 0 || token.intValue() >= vocabulary()) {
                    throw damaged(file, "sequence " + (sequences.size() + 1) + " has the token " + token);
                }
                sequence[i] = token.intValue();
            }
            if (sequence.length != length) {
                throw damaged(file, "sequence " + (sequences.size() + 1) + " has " + sequence.length + " tokens");
            }
            sequences.add(sequence);
        }
        if (sequences.size() != count) {
            throw damaged(file, "there are " + sequences.size() + " sequences");
        }
        return sequences;
    }

    private FormatException damaged(Path file, String what) {
        return new FormatException(file + ": " + what + ", expected " + count + " sequences of " + length
                + " tokens that this model wrote; delete it, and they are written again");
    }

    private int vocabulary() {
        return model.config().vocabularySize();
    }

    /** The token before a text, -1 where the tokenizer knows none: then texts begin with a word drawn from the vocabulary. */
    private int opening() {
        return IntStream.of(tokenizer.leadingToken(), tokenizer.bosId(), tokenizer.eosId())
                .filter(id -> id >= 0 && id < vocabulary())
                .findFirst()
                .orElse(-1);
    }

    private Set<Integer> endTokens() {
        Set<Integer> end = new TreeSet<>(tokenizer.endIds());
        end.addAll(model.config().eosTokenIds());
        end.removeIf(id -> id < 0 || id >= vocabulary());
        return end;
    }

    private List<int[]> write(ThreadTeam team, Progress progress) {
        int lead = tokenizer.leadingToken() < 0 ? 0 : 1;
        long needed = (long) count * (length - lead);
        Set<Integer> end = endTokens();
        List<int[]> documents = new ArrayList<>();
        progress.start("writing text to calibrate on", count);
        try (CpuModel loaded = new CpuModel(model, team);
                Engine engine = new Engine(loaded.batch(TOGETHER, length), vocabulary())) {
            Queue<Session> running = new ArrayDeque<>();
            long written = 0;
            int empty = 0;
            for (int next = 0; written < needed; ) {
                while (running.size() < TOGETHER) {
                    running.add(open(engine, next++, end));
                }
                int[] document = read(running.remove(), end);
                empty = document.length == 0 ? empty + 1 : 0;
                if (empty == MOST_EMPTY) {
                    throw new FormatException("the model ends its texts before the first word, " + empty
                            + " times in a row: give a text to calibrate on");
                }
                documents.add(document);
                long pieces = written / (length - lead);
                written += document.length;
                for (; pieces < Math.min(count, written / (length - lead)); pieces++) {
                    progress.step("");
                }
            }
            running.forEach(Session::close);
        }
        progress.end();
        return CalibrationSequences.cut(
                documents.stream().flatMapToInt(Arrays::stream).toArray(),
                tokenizer.leadingToken(),
                count,
                length,
                "what the model wrote");
    }

    private Session open(Engine engine, int number, Set<Integer> end) {
        int first = opening();
        SplittableRandom random = new SplittableRandom(number);
        while (first < 0) {
            int drawn = random.nextInt(vocabulary());
            first = end.contains(drawn) || tokenizer.textOf(drawn) == null ? -1 : drawn;
        }
        return engine.admit(new int[] {first}, new Sampler(Sampling.of(1, 0, 1, number)), length, end);
    }

    private static int[] read(Session session, Set<Integer> end) {
        IntStream.Builder tokens = IntStream.builder();
        for (Token token = session.next(); token != null; token = session.next()) {
            if (!end.contains(token.id())) {
                tokens.add(token.id());
            }
        }
        return tokens.build().toArray();
    }
}

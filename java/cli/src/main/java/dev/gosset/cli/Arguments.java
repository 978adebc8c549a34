package dev.gosset.cli;

import dev.gosset.core.FormatException;
import dev.gosset.llm.hub.HubCache;
import dev.gosset.llm.io.Utf8;
import java.io.IOException;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import picocli.CommandLine;

/**
 * The arguments as UTF-8. The JVM decodes them by the locale: in the C locale, which containers have, every byte beyond
 * ASCII becomes U+FFFD, and in ISO-8859-1 two other characters take the place of one; a prompt would become another one.
 */
final class Arguments {
    private static final Path COMMAND_LINE = Path.of("/proc/self/cmdline");
    /** How this JVM decodes arguments and spells file names. */
    private static final Charset SYSTEM =
            Charset.forName(System.getProperty("sun.jnu.encoding", StandardCharsets.UTF_8.name()));

    private Arguments() {}

    /**
     * The arguments of this JVM's main method as UTF-8: from the bytes of the command line, where the system shows them.
     *
     * @throws FormatException where one is not UTF-8, or was damaged and cannot be had otherwise
     */
    static String[] decode(String[] args) {
        if (Arrays.stream(args).allMatch(Arguments::isAscii)) {
            return args;
        }
        List<byte[]> raw;
        try {
            raw = split(Files.readAllBytes(COMMAND_LINE));
        } catch (IOException e) {
            raw = List.of();
        }
        return decode(args, raw, SYSTEM);
    }

    /**
     * @param raw the bytes of the whole command line, those of {@code args} last
     * @param system what {@code args} were decoded with
     */
    static String[] decode(String[] args, List<byte[]> raw, Charset system) {
        String[] decoded = new String[args.length];
        for (int i = 0; i < args.length; i++) {
            String where = i > 0 && args[i - 1].startsWith("--") ? args[i - 1] : "argument " + (i + 1);
            int at = raw.size() - args.length + i;
            if (at >= 0 && new String(raw.get(at), system).equals(args[i])) {
                Utf8.require(where, raw.get(at));
                decoded[i] = new String(raw.get(at), StandardCharsets.UTF_8);
            } else if (isAscii(args[i]) || system.equals(StandardCharsets.UTF_8) && args[i].indexOf('\uFFFD') < 0) {
                decoded[i] = args[i];
            } else {
                throw new FormatException(where + ": the JVM read it as " + system
                        + " and its bytes are lost; start it in a UTF-8 locale, such as LC_ALL=C.UTF-8");
            }
        }
        return decoded;
    }

    /** Cuts at each NUL. */
    static List<byte[]> split(byte[] commandLine) {
        List<byte[]> parts = new ArrayList<>();
        int from = 0;
        for (int i = 0; i < commandLine.length; i++) {
            if (commandLine[i] == 0) {
                parts.add(Arrays.copyOfRange(commandLine, from, i));
                from = i + 1;
            }
        }
        return parts;
    }

    /** A file's name, refused where this JVM would spell it in other bytes than UTF-8. */
    static Path path(String text) {
        if (!SYSTEM.equals(StandardCharsets.UTF_8) && !isAscii(text)) {
            throw new CommandLine.TypeConversionException("'" + text + "': this JVM spells file names in " + SYSTEM
                    + "; start it in a UTF-8 locale, such as LC_ALL=C.UTF-8");
        }
        try {
            return Path.of(text);
        } catch (InvalidPathException e) {
            throw new CommandLine.TypeConversionException(e.getMessage());
        }
    }

    /** A model: a directory, a model's folder of the Hub's cache, or OWNER/NAME[@REVISION] of what the cache has. */
    static final class Model implements CommandLine.ITypeConverter<Path> {
        @Override
        public Path convert(String text) {
            return HubCache.ofEnvironment().resolve(path(text));
        }
    }

    private static boolean isAscii(String text) {
        return text.chars().allMatch(c -> c < 128);
    }
}

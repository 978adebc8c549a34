package dev.gosset.cli;

import dev.gosset.core.DeviceException;
import dev.gosset.core.FormatException;
import dev.gosset.core.GossetException;
import dev.gosset.core.memory.MappedFile;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import picocli.CommandLine;
import picocli.CommandLine.Command;

/**
 * The {@code gosset} command. Exit codes: 0 done, 1 our bug, 2 wrong usage, 3 bad input or an output that cannot be
 * written, 4 device trouble; 141, without a word, where standard output is a pipe that nobody reads any more.
 */
@Command(
        name = "gosset",
        description = "Quantizes transformer language models to 2, 3 or 4 bits per weight and runs them.",
        synopsisSubcommandLabel = "COMMAND",
        versionProvider = Main.Version.class,
        mixinStandardHelpOptions = true,
        subcommands = {
            DemoCommand.class,
            PullCommand.class,
            QuantizeCommand.class,
            HessianCommand.class,
            FinetuneCommand.class,
            EvalCommand.class,
            StudyCommand.class,
            GenerateCommand.class,
            ChatCommand.class,
            ServeCommand.class,
            InspectCommand.class,
            ConvertCommand.class,
            BenchCommand.class,
            DoctorCommand.class,
            CommandLine.HelpCommand.class,
        })
public final class Main implements Runnable {
    static final int BUG = 1;
    static final int USAGE = 2;
    static final int BAD_INPUT = 3;
    static final int DEVICE = 4;
    /** What the shell shows of other programs whose reader has gone: 128 and the number of SIGPIPE. */
    static final int PIPE_CLOSED = 141;

    @CommandLine.Spec
    private CommandLine.Model.CommandSpec spec;

    private Main() {}

    /** Starts the command line and ends the JVM with its exit code. */
    public static void main(String[] args) {
        // Text is UTF-8 and numbers have a decimal point, in every country.
        Locale.setDefault(Locale.ROOT);
        // What libraries log, on one line.
        System.setProperty("java.util.logging.SimpleFormatter.format", "gosset: %4$s: %5$s%n");
        System.setOut(StandardOutput.open());
        System.setErr(new PrintStream(new FileOutputStream(FileDescriptor.err), true, StandardCharsets.UTF_8));
        String[] arguments;
        try {
            arguments = Arguments.decode(args);
        } catch (FormatException e) {
            System.err.println("gosset: " + e.getMessage());
            System.exit(USAGE);
            return;
        }
        System.exit(run(arguments));
    }

    /** Runs one command in this JVM and returns its exit code. */
    public static int run(String... args) {
        List<String> arguments = List.of(args);
        CommandLine line = new CommandLine(new Main());
        line.setCaseInsensitiveEnumValuesAllowed(true);
        // A prompt may begin with @.
        line.setExpandAtFiles(false);
        line.registerConverter(Path.class, Arguments::path);
        line.setOut(new PrintWriter(System.out, true, StandardCharsets.UTF_8));
        line.setErr(new PrintWriter(System.err, true, StandardCharsets.UTF_8));
        line.setParameterExceptionHandler((e, unused) -> {
            if (e.getCause() instanceof GossetException) {
                return failed(e.getCause(), arguments);
            }
            CommandLine c = e.getCommandLine();
            c.getErr().println("gosset: " + oneLine(e.getMessage()));
            CommandLine.UnmatchedArgumentException.printSuggestions(e, c.getErr());
            c.getErr().println("Try '" + c.getCommandSpec().qualifiedName() + " --help'.");
            return USAGE;
        });
        line.setExecutionStrategy(parsed -> {
            try {
                int exit = new CommandLine.RunLast().execute(parsed);
                System.out.flush();
                return exit;
            } catch (CommandLine.ParameterException e) {
                throw e;
            } catch (CommandLine.ExecutionException e) {
                return failed(e.getCause(), arguments);
            } catch (Throwable e) {
                // Errors, and a standard output that is lost while the help is shown.
                return failed(e, arguments);
            }
        });
        return line.execute(args);
    }

    /** Says on one line what ended a command, and returns the exit code. */
    private static int failed(Throwable e, List<String> arguments) {
        if (e instanceof StandardOutput.Lost lost && lost.pipeClosed) {
            return PIPE_CLOSED;
        }
        boolean debug = arguments.contains("--debug");
        if (debug) {
            e.printStackTrace();
        }
        String message = inputProblem(e, arguments);
        if (message != null) {
            System.err.println("gosset: " + oneLine(message));
            return e instanceof DeviceException ? DEVICE : BAD_INPUT;
        }
        System.err.println("gosset: internal error: " + oneLine(String.valueOf(e))
                + (debug ? "" : " (a bug of ours; --debug shows where)"));
        return BUG;
    }

    /** The message of a failure that the input caused, or null. */
    private static String inputProblem(Throwable e, List<String> arguments) {
        return switch (e) {
            case GossetException g -> g.getMessage();
            case NoSuchFileException f -> f.getFile() + ": no such file or directory";
            case AccessDeniedException f -> f.getFile() + ": permission denied";
            case FileSystemException f ->
                f.getFile() + ": " + (f.getReason() == null ? f.getClass().getSimpleName() : f.getReason());
            case java.io.UncheckedIOException u -> inputProblem(u.getCause(), arguments);
            case IOException io ->
                MappedFile.truncated()
                        .map(FormatException::getMessage)
                        .orElse("reading or writing failed: " + io.getMessage());
            // What the JVM makes of the operating system's signal that a map's file has no such bytes.
            case InternalError internal ->
                MappedFile.truncated().map(FormatException::getMessage).orElse(null);
            case OutOfMemoryError oom -> outOfMemory(oom, arguments);
            default -> e.getCause() instanceof OutOfMemoryError oom ? outOfMemory(oom, arguments) : null;
        };
    }

    /** What was asked for, what is there, and what to change. */
    private static String outOfMemory(OutOfMemoryError e, List<String> arguments) {
        long heap = Runtime.getRuntime().maxMemory();
        String asked = String.join(
                " ", arguments.stream().takeWhile(a -> !a.startsWith("-")).toList());
        String there = "the JVM's heap may take " + Sizes.bytes(heap);
        String change = "give it more with GOSSET_JAVA_OPTS=-Xmx" + Math.max(1, heap >> 28) + "g";
        if (ManagementFactory.getOperatingSystemMXBean() instanceof com.sun.management.OperatingSystemMXBean os) {
            there += ", and " + Sizes.bytes(os.getFreeMemorySize()) + " of the machine's "
                    + Sizes.bytes(os.getTotalMemorySize()) + " are free";
        }
        String reason = String.valueOf(e.getMessage());
        if (!reason.contains("heap") && !reason.contains("array") && !reason.contains("GC")) {
            change = "a smaller model, a shorter --context or fewer --threads take less";
        }
        return "out of memory in '" + asked + "' (" + reason + "): " + there + "; " + change;
    }

    private static String oneLine(String message) {
        return message == null ? "no message" : message.strip().replaceAll("\\s*\\R\\s*", " ");
    }

    @Override
    public void run() {
        throw new CommandLine.ParameterException(spec.commandLine(), "a command is missing");
    }

    static final class Version implements CommandLine.IVersionProvider {
        @Override
        public String[] getVersion() {
            String version = Main.class.getPackage().getImplementationVersion();
            return new String[] {"gosset " + (version == null ? "0.1.0-SNAPSHOT" : version)};
        }
    }
}

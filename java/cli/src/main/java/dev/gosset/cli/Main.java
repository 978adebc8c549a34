package dev.gosset.cli;

import dev.gosset.core.DeviceException;
import dev.gosset.core.GossetException;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.util.List;
import picocli.CommandLine;
import picocli.CommandLine.Command;

/** The {@code gosset} command. Exit codes: 0 done, 1 our bug, 2 wrong usage, 3 bad input, 4 device trouble. */
@Command(
        name = "gosset",
        description = "Quantizes transformer language models to 2, 3 or 4 bits per weight and runs them.",
        synopsisSubcommandLabel = "COMMAND",
        versionProvider = Main.Version.class,
        mixinStandardHelpOptions = true,
        subcommands = {
            DemoCommand.class,
            QuantizeCommand.class,
            HessianCommand.class,
            EvalCommand.class,
            GenerateCommand.class,
            ChatCommand.class,
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

    @CommandLine.Spec
    private CommandLine.Model.CommandSpec spec;

    private Main() {}

    /** Starts the command line and ends the JVM with its exit code. */
    public static void main(String[] args) {
        System.exit(run(args));
    }

    /** Runs one command in this JVM and returns its exit code. */
    public static int run(String... args) {
        List<String> arguments = List.of(args);
        CommandLine line = new CommandLine(new Main());
        line.setCaseInsensitiveEnumValuesAllowed(true);
        line.setOut(new PrintWriter(System.out, true, StandardCharsets.UTF_8));
        line.setErr(new PrintWriter(System.err, true, StandardCharsets.UTF_8));
        line.setParameterExceptionHandler((e, unused) -> {
            CommandLine c = e.getCommandLine();
            c.getErr().println("gosset: " + oneLine(e.getMessage()));
            CommandLine.UnmatchedArgumentException.printSuggestions(e, c.getErr());
            c.getErr().println("Try '" + c.getCommandSpec().qualifiedName() + " --help'.");
            return USAGE;
        });
        line.setExecutionExceptionHandler((e, c, unused) -> {
            boolean debug = arguments.contains("--debug");
            if (debug) {
                e.printStackTrace(c.getErr());
            }
            String message = inputProblem(e);
            if (message != null) {
                c.getErr().println("gosset: " + oneLine(message));
                return e instanceof DeviceException ? DEVICE : BAD_INPUT;
            }
            c.getErr()
                    .println("gosset: internal error: " + oneLine(String.valueOf(e))
                            + (debug ? "" : " (a bug of ours; --debug shows where)"));
            return BUG;
        });
        return line.execute(args);
    }

    /** The message of a failure that the input caused, or null. */
    private static String inputProblem(Throwable e) {
        return switch (e) {
            case GossetException g -> g.getMessage();
            case NoSuchFileException f -> f.getFile() + ": no such file or directory";
            case FileSystemException f ->
                f.getFile() + ": " + (f.getReason() == null ? f.getClass().getSimpleName() : f.getReason());
            case java.io.UncheckedIOException u -> inputProblem(u.getCause());
            case IOException io -> "reading or writing failed: " + io.getMessage();
            case OutOfMemoryError oom ->
                "out of memory (" + oom.getMessage() + "): the JVM may use "
                        + (Runtime.getRuntime().maxMemory() >> 20) + " MiB of heap; set GOSSET_JAVA_OPTS=-Xmx...";
            default -> null;
        };
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

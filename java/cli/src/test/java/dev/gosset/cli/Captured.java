package dev.gosset.cli;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** One run of the command line in this JVM: its exit code and what it printed. */
record Captured(int exit, String out, String err) {
    static Captured run(String... args) {
        return withInput("", args);
    }

    static Captured withInput(String input, String... args) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        PrintStream formerOut = System.out;
        PrintStream formerErr = System.err;
        InputStream formerIn = System.in;
        System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
        System.setIn(new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)));
        try {
            int exit = Main.run(args);
            return new Captured(exit, out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
        } finally {
            System.setOut(formerOut);
            System.setErr(formerErr);
            System.setIn(formerIn);
        }
    }

    /** The lines of stderr that report an error; progress and prompts are no errors. */
    List<String> errorLines() {
        return err.lines()
                .filter(l -> !l.isBlank()
                        && !l.matches("(checking weights|quantizing|perplexity|multiple choice|collecting).*"))
                .toList();
    }
}

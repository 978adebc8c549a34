package dev.gosset.cli;

import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.calibration.CalibrationText;
import dev.gosset.llm.quantize.HessianCollection;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code gosset hessian}: the Hessians alone, for several quantizations of one model. */
@Command(name = "hessian", description = "Collects the Hessians of a model, for `quantize --hessians`.")
final class HessianCommand implements Runnable {
    @Spec
    private CommandSpec spec;

    @Mixin
    private CommonOptions common;

    @Mixin
    private CommonOptions.Run run;

    @Mixin
    private CalibrationOptions calibration;

    @Parameters(
            paramLabel = "MODEL",
            converter = Arguments.Model.class,
            description = "Directory of the original model.")
    private Path model;

    @Option(names = "--out", required = true, paramLabel = "DIR", description = "Directory of the Hessians.")
    private Path out;

    @Override
    public void run() {
        run.requireCpu(spec);
        CalibrationText text = calibration.settings(spec, null);
        try (ThreadTeam team = run.team(spec);
                ConsoleProgress progress = new ConsoleProgress()) {
            HessianCollection result = HessianCollection.run(model, run.tokenizerOf(model), text, out, team, progress);
            if (common.json) {
                Map<String, Object> fields = new LinkedHashMap<>();
                fields.put("hessians", out.toString());
                fields.put("files", result.files());
                fields.put("tokens", result.tokens());
                fields.put("seconds", result.seconds());
                common.printJson(fields);
            } else {
                System.out.println(out + ": " + result.files() + " Hessians of " + result.tokens() + " tokens, "
                        + ConsoleProgress.duration(result.seconds()));
            }
        }
    }
}

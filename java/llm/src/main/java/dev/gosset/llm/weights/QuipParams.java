package dev.gosset.llm.weights;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gosset.core.FormatException;
import dev.gosset.core.UnsupportedModelException;
import dev.gosset.core.codebook.Codebook;
import dev.gosset.core.codebook.E8p;
import dev.gosset.core.codebook.E8pResidual;
import dev.gosset.core.memory.Quoted;
import dev.gosset.llm.io.JsonFile;
import java.util.Arrays;
import java.util.List;

/**
 * {@code quip_params} in the config.json of a published QuIP# checkpoint. Source: spec/quip-sharp.md, section 5.
 *
 * @param codebook the codebook of all linears, with the residual scale that {@code resid_scale_override} asks for
 * @param version {@code codebook_version}; a missing one means 0
 * @param rescaled {@code rescale_WH}: whether inputs are divided by {@code scaleWH}
 * @param splitOutliers {@code outlier_channel_split}: whether inputs are first gathered through {@code ocs_dupe_inds}
 */
public record QuipParams(Codebook codebook, int version, boolean rescaled, boolean splitOutliers) {
    /** The key in config.json. */
    public static final String KEY = "quip_params";

    /** Whether a codebook of this published version is one that Gosset reads. */
    private static boolean known(Codebook codebook, int version) {
        return version == codebook.version() || version == 0 && codebook instanceof E8p;
    }

    /**
     * Reads and checks the parameters.
     *
     * @param config config.json
     * @throws FormatException where a value is malformed or the version is another one than the codebook's
     * @throws UnsupportedModelException where the checkpoint was made in a way that Gosset does not know
     */
    public static QuipParams read(JsonFile config) {
        JsonFile params = config.object(KEY);
        String name = params.text("codebook");
        List<String> names = Arrays.asList(Codebook.KNOWN.split(", "));
        if (!names.contains(name)) {
            throw new UnsupportedModelException(config.where() + ": " + KEY + ".codebook: found " + Quoted.of(name)
                    + ", known are " + Codebook.KNOWN);
        }
        Codebook codebook = Codebook.named(name);
        int version = params.integer("codebook_version", 0, Integer.MAX_VALUE, 0);
        if (!known(codebook, version)) {
            throw new FormatException(config.where() + ": " + KEY + ".codebook_version: found "
                    + (params.has("codebook_version") ? "" : "none, which means ") + version + ", expected "
                    + codebook.version() + (codebook instanceof E8p ? " or 0" : "") + " for " + name
                    + ": the checkpoint's codes mean something else in another version");
        }
        int modelVersion = params.integer("model_version", 0, Integer.MAX_VALUE, 0);
        if (modelVersion > 1) {
            throw new UnsupportedModelException(
                    config.where() + ": " + KEY + ".model_version: found " + modelVersion + ", known are 0 and 1");
        }
        if (params.integer("lora_rank", 0, Integer.MAX_VALUE, 0) > 0) {
            throw new UnsupportedModelException(config.where() + ": " + KEY + ".lora_rank: found "
                    + params.integer("lora_rank", 0, Integer.MAX_VALUE)
                    + ", expected 0: low-rank parts beside the codes are not supported");
        }
        if (!params.flag("fused", true)) {
            throw new UnsupportedModelException(config.where() + ": " + KEY
                    + ".fused: found false, expected true: q, k, v and up, gate stacked into one linear each");
        }
        return new QuipParams(
                withScale(codebook, params, config.where()),
                version,
                params.flag("rescale_WH", false),
                params.flag("outlier_channel_split", false));
    }

    private static Codebook withScale(Codebook codebook, JsonFile params, String where) {
        JsonNode scale = params.node().path("resid_scale_override");
        if (scale.isMissingNode() || scale.isNull() || !(codebook instanceof E8pResidual residual)) {
            return codebook;
        }
        if (!scale.isNumber() || !Double.isFinite(scale.doubleValue())) {
            throw new FormatException(where + ": " + KEY + ".resid_scale_override: found " + scale
                    + ", expected a number; 0 or less for the codebook's own");
        }
        return scale.doubleValue() > 0 ? residual.withResidualScale(scale.doubleValue()) : codebook;
    }
}

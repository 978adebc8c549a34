package dev.gosset.llm.study;

import dev.gosset.llm.calibration.CalibrationText;
import java.nio.file.Path;

/**
 * What a study is made of, for one model.
 *
 * @param model directory of the original model
 * @param tokenizer directory with tokenizer.json
 * @param calibration the text that makes the Hessians; null where they are given
 * @param hessians directory of Hessians; null to collect them under {@code work}, once
 * @param tuning text to tune on; null for what follows the calibration's sequences
 * @param tuningSequences how many of these
 * @param work directory for Hessians and models that are on their way
 * @param text what is measured on; null where nothing is
 * @param name of the text, for messages
 * @param context tokens of a chunk; 0 for the model's, 2048 at most
 * @param chunks the most chunks
 */
public record StudyInput(
        Path model,
        Path tokenizer,
        CalibrationText calibration,
        Path hessians,
        CalibrationText tuning,
        int tuningSequences,
        Path work,
        String text,
        String name,
        int context,
        int chunks) {}

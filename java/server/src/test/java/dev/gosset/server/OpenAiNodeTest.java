package dev.gosset.server;

import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A client that nobody here wrote: OpenAI's for Node. */
@Timeout(300)
class OpenAiNodeTest {
    @TempDir
    Path temporary;

    @Test
    void chatsCompletesAndFailsAsElsewhere() throws Exception {
        try (Served served = Served.start(temporary, ServerSettings.of(256).withApiKey("secret"))) {
            Node.script("openai.mjs", served.uri("/v1").toString(), "secret");
            served.awaitIdle(Duration.ofSeconds(5));
        }
    }
}

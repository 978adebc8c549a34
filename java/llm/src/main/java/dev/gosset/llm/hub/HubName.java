package dev.gosset.llm.hub;

import dev.gosset.core.FormatException;
import dev.gosset.core.memory.Quoted;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A model as the Hub names it, {@code OWNER/NAME[@REVISION]}.
 *
 * @param owner the user or organization
 * @param name the repository
 * @param revision a branch, a tag or a commit; {@code main} where none was said
 */
public record HubName(String owner, String name, String revision) {
    private static final Pattern SYNTAX =
            Pattern.compile("([A-Za-z0-9][\\w.-]{0,95})/([A-Za-z0-9][\\w.-]{0,95})(?:@([A-Za-z0-9][\\w./-]{0,254}))?");

    /** The name, or none where the text has not its form. It may still be the path of a directory. */
    public static Optional<HubName> find(String text) {
        Matcher m = SYNTAX.matcher(text);
        // The Hub has no such names, and the cache's folders join their parts by two hyphens.
        if (!m.matches() || text.contains("..") || text.contains("--") || text.contains("//") || text.endsWith("/")) {
            return Optional.empty();
        }
        return Optional.of(new HubName(m.group(1), m.group(2), m.group(3) == null ? "main" : m.group(3)));
    }

    /** @throws FormatException where the text has not the form of a name */
    public static HubName of(String text) {
        return find(text)
                .orElseThrow(() -> new FormatException("found " + Quoted.of(text)
                        + ", expected the name of a model on the Hub, OWNER/NAME[@REVISION]"));
    }

    /** {@code OWNER/NAME}. */
    public String repository() {
        return owner + "/" + name;
    }

    @Override
    public String toString() {
        return revision.equals("main") ? repository() : repository() + "@" + revision;
    }
}

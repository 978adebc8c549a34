package dev.gosset.jinja;

import dev.gosset.jinja.Node.Output;
import dev.gosset.jinja.Node.Statement;
import java.util.Map;

/** The variable {@code self}: a template's blocks by their names, to be written again. */
record Blocks(Map<String, Statement> blocks, Scope scope) {
    Object attribute(String name) {
        Statement block = blocks.get(name);
        return block == null
                ? null
                : Callable.of(
                        name,
                        "",
                        a -> Budget.deeper(() -> {
                            Output out = new Output();
                            block.run(scope.inner(), out);
                            return out.toString();
                        }));
    }

    @Override
    public String toString() {
        return "<TemplateReference None>";
    }
}

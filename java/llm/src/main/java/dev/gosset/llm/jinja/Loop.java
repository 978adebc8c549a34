package dev.gosset.llm.jinja;

import java.util.List;

/** The variable {@code loop}. */
final class Loop {
    private final List<Object> items;
    private int index;

    Loop(List<Object> items) {
        this.items = items;
    }

    void moveTo(int index) {
        this.index = index;
    }

    Object attribute(String name) {
        int n = items.size();
        return switch (name) {
            case "index" -> index + 1L;
            case "index0" -> (long) index;
            case "revindex" -> (long) n - index;
            case "revindex0" -> n - 1L - index;
            case "first" -> index == 0;
            case "last" -> index == n - 1;
            case "length" -> (long) n;
            case "previtem" -> index > 0 ? items.get(index - 1) : new Undefined("loop.previtem");
            case "nextitem" -> index < n - 1 ? items.get(index + 1) : new Undefined("loop.nextitem");
            case "cycle" ->
                (Callable) a -> {
                    if (a.positional().isEmpty()) {
                        throw new TemplateError("loop.cycle needs arguments");
                    }
                    return a.positional().get(index % a.positional().size());
                };
            default -> new Undefined("loop." + name);
        };
    }
}

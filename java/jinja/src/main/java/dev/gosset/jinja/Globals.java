package dev.gosset.jinja;

import java.time.Clock;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The functions that every template sees. */
final class Globals {
    private Globals() {}

    /** @param clock what {@code strftime_now} tells */
    static Map<String, Object> functions(Clock clock) {
        Map<String, Object> functions = new HashMap<>();
        functions.put("range", Callable.named("<function range>", Range::of));
        functions.put("dict", Callable.named("<class 'dict'>", Dict::of));
        functions.put("namespace", Callable.named("<class 'jinja2.utils.Namespace'>", a -> new Namespace(Dict.of(a))));
        functions.put("cycler", Callable.named("<class 'jinja2.utils.Cycler'>", Cycler::new));
        functions.put("joiner", Callable.named("<class 'jinja2.utils.Joiner'>", Joiner::new));
        functions.put("lipsum", Callable.named("<function lipsum>", a -> {
            throw new JinjaException("lipsum would write random text");
        }));
        functions.put("raise_exception", Callable.of("raise_exception", "message", a -> {
            throw new JinjaException(Python.str(a.get("message")));
        }));
        functions.put(
                "strftime_now",
                Callable.of(
                        "strftime_now", "format", a -> Strftime.of(Python.text(a.get("format"), "the format"), clock)));
        return functions;
    }

    /** Gives its items in turn. */
    static final class Cycler {
        private final List<Object> items;
        private int at;

        Cycler(Arguments a) {
            items = a.positional();
            if (items.isEmpty() || !a.named().isEmpty()) {
                throw new JinjaException("cycler takes the items to go through");
            }
        }

        Object attribute(String name) {
            return switch (name) {
                case "items" -> new Tuple(items);
                case "pos" -> (long) at;
                case "current" -> Members.found(items.get(at));
                case "next" ->
                    Callable.of("next", "", a -> {
                        Object current = items.get(at);
                        at = (at + 1) % items.size();
                        return current;
                    });
                case "reset" ->
                    Callable.of("reset", "", a -> {
                        at = 0;
                        return null;
                    });
                default -> null;
            };
        }
    }

    /** Nothing the first time, then the separator. */
    static final class Joiner implements Callable {
        private final Object separator;
        private boolean used;

        Joiner(Arguments a) {
            separator = a.bound("joiner", "sep").get("sep", ", ");
        }

        @Override
        public Object call(Arguments a) {
            a.bound("joiner", "");
            boolean first = !used;
            used = true;
            return first ? "" : separator;
        }

        Object attribute(String name) {
            return switch (name) {
                case "sep" -> Members.found(separator);
                case "used" -> used;
                default -> null;
            };
        }
    }
}

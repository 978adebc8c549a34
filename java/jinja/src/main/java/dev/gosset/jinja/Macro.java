package dev.gosset.jinja;

import dev.gosset.jinja.Node.Expression;
import dev.gosset.jinja.Node.Output;
import dev.gosset.jinja.Node.Statement;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** A macro with the scope it was defined in: a call gives the text it writes. */
final class Macro implements Callable {
    /** The names that mean something special in a macro's body. */
    static final Set<String> SPECIAL = Set.of("caller", "varargs", "kwargs");

    /**
     * A macro as it is written.
     *
     * @param name null for the body of a call block
     * @param special those of {@link #SPECIAL} that the body mentions
     */
    record Definition(
            String name,
            List<String> parameters,
            Map<String, Expression> defaults,
            Statement body,
            Set<String> special) {}

    private final Definition definition;
    private final Scope defined;

    Macro(Definition definition, Scope defined) {
        this.definition = definition;
        this.defined = defined;
    }

    @Override
    public Object call(Arguments arguments) {
        List<String> parameters = definition.parameters();
        int given = arguments.positional().size();
        Scope inner = defined.inner();
        Map<Object, Object> named = new LinkedHashMap<>(arguments.named());
        Map<String, Object> values = new LinkedHashMap<>();
        for (int i = 0; i < parameters.size(); i++) {
            String parameter = parameters.get(i);
            if (i < given) {
                values.put(parameter, arguments.positional().get(i));
            } else if (named.containsKey(parameter)) {
                values.put(parameter, named.remove(parameter));
            }
        }
        if (definition.special().contains("caller") && !parameters.contains("caller")) {
            Object caller = named.remove("caller");
            inner.set("caller", caller == null ? new Undefined("'caller'") : caller);
        }
        if (definition.special().contains("kwargs")) {
            inner.set("kwargs", new Dict(named));
        } else if (!named.isEmpty()) {
            throw new JinjaException(
                    this + " takes no argument " + named.keySet().iterator().next() + "=, or has it twice");
        }
        if (definition.special().contains("varargs")) {
            inner.set("varargs", new Tuple(arguments.after(parameters.size()).positional()));
        } else if (given > parameters.size()) {
            throw new JinjaException(this + " takes at most " + parameters.size() + " arguments, found " + given);
        }
        return Budget.deeper(() -> {
            for (String parameter : parameters) {
                Expression absent = definition.defaults().get(parameter);
                inner.set(
                        parameter,
                        values.containsKey(parameter)
                                ? values.get(parameter)
                                : absent != null
                                        ? absent.value(inner)
                                        : new Undefined("the parameter '" + parameter + "'"));
            }
            Output out = new Output();
            definition.body().run(inner, out);
            return inner.escaping() ? new Markup(out.toString()) : out.toString();
        });
    }

    /** An attribute, or null. */
    Object attribute(String name) {
        return switch (name) {
            case "name" -> Members.found(definition.name());
            case "arguments" -> new Tuple(new ArrayList<>(definition.parameters()));
            case "catch_kwargs" -> definition.special().contains("kwargs");
            case "catch_varargs" -> definition.special().contains("varargs");
            case "caller" -> definition.special().contains("caller");
            default -> null;
        };
    }

    @Override
    public String toString() {
        return definition.name() == null ? "<Macro anonymous>" : "<Macro '" + definition.name() + "'>";
    }
}

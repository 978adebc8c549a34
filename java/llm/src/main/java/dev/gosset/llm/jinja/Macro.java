package dev.gosset.llm.jinja;

import dev.gosset.llm.jinja.Node.Expression;
import dev.gosset.llm.jinja.Node.Output;
import dev.gosset.llm.jinja.Node.Statement;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A macro with the scope it was defined in: a call gives the text it writes. */
final class Macro {
    private final String name;
    private final List<String> parameters;
    private final Map<String, Expression> defaults;
    private final Statement body;
    private final Scope defined;

    Macro(String name, List<String> parameters, Map<String, Expression> defaults, Statement body, Scope defined) {
        this.name = name;
        this.parameters = parameters;
        this.defaults = defaults;
        this.body = body;
        this.defined = defined;
    }

    String call(Arguments arguments, Scope caller) {
        Scope inner = defined.call(caller);
        Map<String, Object> named = new LinkedHashMap<>(arguments.named());
        for (int i = 0; i < parameters.size(); i++) {
            String parameter = parameters.get(i);
            if (i < arguments.positional().size()) {
                inner.set(parameter, arguments.positional().get(i));
            } else if (named.containsKey(parameter)) {
                inner.set(parameter, named.remove(parameter));
            } else if (defaults.containsKey(parameter)) {
                inner.set(parameter, defaults.get(parameter).value(inner));
            } else {
                inner.set(parameter, new Undefined("the parameter '" + parameter + "' of " + name));
            }
        }
        int given = arguments.positional().size();
        inner.set(
                "varargs",
                new Tuple(new ArrayList<>(arguments.positional().subList(Math.min(parameters.size(), given), given))));
        Object calls = named.remove("caller");
        inner.set("caller", calls == null ? new Undefined("'caller'") : calls);
        inner.set("kwargs", new LinkedHashMap<Object, Object>(named));
        Output out = new Output();
        body.run(inner, out);
        return out.toString();
    }
}

package dev.gosset.llm.jinja;

import dev.gosset.llm.jinja.Lexer.Kind;
import dev.gosset.llm.jinja.Lexer.Token;
import dev.gosset.llm.jinja.Node.Expression;
import dev.gosset.llm.jinja.Node.Flow;
import dev.gosset.llm.jinja.Node.Output;
import dev.gosset.llm.jinja.Node.Statement;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Jinja's statements. */
final class Parser extends ExpressionParser {
    private static final int DEEPEST = 100;
    private int depth;

    private Parser(List<Token> tokens) {
        super(tokens);
    }

    static Statement parse(List<Token> tokens) {
        Parser parser = new Parser(tokens);
        Statement all = parser.body(Set.of());
        if (parser.peek().kind() != Kind.END) {
            throw parser.unexpected("the end of the template");
        }
        return all;
    }

    /** Statements up to one of {@code ends}, whose name comes next. */
    private Statement body(Set<String> ends) {
        if (++depth > DEEPEST) {
            throw new TemplateError("statements are nested more than " + DEEPEST + " deep").at(peek().line());
        }
        List<Statement> parts = new ArrayList<>();
        while (true) {
            Token t = peek();
            switch (t.kind()) {
                case DATA -> {
                    next();
                    parts.add((s, out) -> {
                        out.append(t.text());
                        return Flow.NORMAL;
                    });
                }
                case PRINT_BEGIN -> {
                    next();
                    Expression value = tuple(true);
                    expect(Kind.PRINT_END);
                    parts.add(located(t.line(), (s, out) -> {
                        out.append(Python.str(value.value(s)));
                        return Flow.NORMAL;
                    }));
                }
                case BLOCK_BEGIN -> {
                    next();
                    if (peek().kind() == Kind.NAME && ends.contains(peek().text())) {
                        depth--;
                        return sequence(parts);
                    }
                    parts.add(located(t.line(), statement()));
                }
                default -> {
                    if (!ends.isEmpty()) {
                        throw unexpected("one of " + String.join(", ", ends));
                    }
                    depth--;
                    return sequence(parts);
                }
            }
        }
    }

    private static Statement located(int line, Statement statement) {
        return (s, out) -> {
            s.step();
            try {
                return statement.run(s, out);
            } catch (TemplateError e) {
                throw e.at(line);
            }
        };
    }

    private static Statement sequence(List<Statement> parts) {
        return (s, out) -> {
            for (Statement part : parts) {
                Flow flow = part.run(s, out);
                if (flow != Flow.NORMAL) {
                    return flow;
                }
            }
            return Flow.NORMAL;
        };
    }

    private void expect(Kind kind) {
        if (peek().kind() != kind) {
            throw unexpected(kind == Kind.PRINT_END ? "'}}'" : "'%}'");
        }
        next();
    }

    /** A body and its closing tag. */
    private Statement bodyTo(String end) {
        Statement body = body(Set.of(end));
        next();
        expect(Kind.BLOCK_END);
        return body;
    }

    private Statement statement() {
        int line = peek().line();
        String name = expectName();
        switch (name) {
            case "if" -> {
                return conditional();
            }
            case "for" -> {
                return loop();
            }
            case "set" -> {
                return set();
            }
            case "macro" -> {
                return macro();
            }
            case "call" -> {
                return call();
            }
            case "filter" -> {
                return filterBlock();
            }
            case "with" -> {
                return with();
            }
            case "generation" -> {
                expect(Kind.BLOCK_END);
                return bodyTo("endgeneration");
            }
            case "break", "continue" -> {
                expect(Kind.BLOCK_END);
                Flow flow = name.equals("break") ? Flow.BREAK : Flow.CONTINUE;
                return (s, out) -> flow;
            }
            case "print" -> {
                Expression value = tuple(true);
                expect(Kind.BLOCK_END);
                return (s, out) -> {
                    out.append(Python.str(value.value(s)));
                    return Flow.NORMAL;
                };
            }
            default ->
                throw new TemplateError("found the statement '" + name
                                + "', known are if, for, set, macro, call, filter, with, raw, generation, break, continue,"
                                + " print")
                        .at(line);
        }
    }

    private Statement conditional() {
        Expression condition = tuple(false);
        expect(Kind.BLOCK_END);
        Statement then = body(Set.of("elif", "else", "endif"));
        Statement otherwise = switch (next().text()) {
            case "elif" -> conditional();
            case "else" -> {
                expect(Kind.BLOCK_END);
                yield bodyTo("endif");
            }
            default -> {
                expect(Kind.BLOCK_END);
                yield (s, out) -> Flow.NORMAL;
            }
        };
        return (s, out) -> Python.truth(condition.value(s)) ? then.run(s, out) : otherwise.run(s, out);
    }

    /** Where an assignment puts its value. */
    @FunctionalInterface
    private interface Target {
        void assign(Scope scope, Object value);
    }

    private Target target(boolean attributes) {
        List<Target> targets = new ArrayList<>();
        boolean tuple = false;
        do {
            if (acceptOperator("(")) {
                targets.add(target(attributes));
                expectOperator(")");
            } else if (targets.isEmpty() || peek().kind() == Kind.NAME && !isName("in")) {
                targets.add(oneTarget(attributes));
            }
            tuple |= isNext(Kind.OPERATOR, ",");
        } while (acceptOperator(","));
        if (!tuple) {
            return targets.getFirst();
        }
        return (s, v) -> {
            List<Object> items = Python.items(v);
            if (items.size() != targets.size()) {
                throw new TemplateError(
                        items.size() + " values cannot be assigned to " + targets.size() + " variables");
            }
            for (int i = 0; i < items.size(); i++) {
                targets.get(i).assign(s, items.get(i));
            }
        };
    }

    private Target oneTarget(boolean attributes) {
        String name = expectName();
        if (attributes && acceptOperator(".")) {
            String attribute = expectName();
            return (s, v) -> {
                if (!(s.get(name) instanceof Namespace n)) {
                    throw new TemplateError(
                            "only a namespace takes attributes, '" + name + "' is " + Python.described(s.get(name)));
                }
                n.attributes().put(attribute, v);
            };
        }
        return (s, v) -> s.set(name, v);
    }

    private Statement set() {
        Target target = target(true);
        if (acceptOperator("=")) {
            Expression value = tuple(true);
            expect(Kind.BLOCK_END);
            return (s, out) -> {
                target.assign(s, value.value(s));
                return Flow.NORMAL;
            };
        }
        Captured captured = new Captured();
        Expression filtered = filter(captured);
        expect(Kind.BLOCK_END);
        captured.body = bodyTo("endset");
        return (s, out) -> {
            target.assign(s, filtered.value(s));
            return Flow.NORMAL;
        };
    }

    /** The text that a body writes, as an expression; the body is read after the filters that apply to it. */
    private static final class Captured implements Expression {
        private Statement body;

        @Override
        public Object value(Scope scope) {
            Output out = new Output();
            body.run(scope.inner(), out);
            return out.toString();
        }
    }

    private Statement filterBlock() {
        Captured captured = new Captured();
        // The first filter stands without a bar.
        Expression filtered = firstFilter(captured);
        expect(Kind.BLOCK_END);
        captured.body = bodyTo("endfilter");
        return (s, out) -> {
            out.append(Python.str(filtered.value(s)));
            return Flow.NORMAL;
        };
    }

    private Expression firstFilter(Expression operand) {
        Filters.Filter filter = Filters.named(expectName());
        ArgumentList arguments = isNext(Kind.OPERATOR, "(") ? arguments() : ArgumentList.NONE;
        return filter(s -> filter.apply(operand.value(s), arguments.evaluate(s)));
    }

    private Statement with() {
        List<Target> targets = new ArrayList<>();
        List<Expression> values = new ArrayList<>();
        while (peek().kind() != Kind.BLOCK_END) {
            targets.add(oneTarget(false));
            expectOperator("=");
            values.add(expression());
            if (!acceptOperator(",")) {
                break;
            }
        }
        expect(Kind.BLOCK_END);
        Statement body = bodyTo("endwith");
        return (s, out) -> {
            Scope inner = s.inner();
            for (int i = 0; i < targets.size(); i++) {
                targets.get(i).assign(inner, values.get(i).value(s));
            }
            return body.run(inner, out);
        };
    }

    private Statement loop() {
        Target target = target(false);
        if (!accept(Kind.NAME, "in")) {
            throw unexpected("'in'");
        }
        Expression source = tuple(false);
        Expression condition = accept(Kind.NAME, "if") ? expression() : null;
        if (isName("recursive")) {
            throw unexpected("no recursive loop");
        }
        expect(Kind.BLOCK_END);
        Statement body = body(Set.of("else", "endfor"));
        boolean hasElse = next().text().equals("else");
        expect(Kind.BLOCK_END);
        Statement otherwise = hasElse ? bodyTo("endfor") : (s, out) -> Flow.NORMAL;
        return (s, out) -> {
            List<Object> items = Python.items(source.value(s));
            if (condition != null) {
                items = selected(items, target, condition, s);
            }
            if (items.isEmpty()) {
                return otherwise.run(s.inner(), out);
            }
            Loop loop = new Loop(items);
            for (int i = 0; i < items.size(); i++) {
                s.step();
                loop.moveTo(i);
                Scope round = s.inner();
                target.assign(round, items.get(i));
                round.set("loop", loop);
                if (body.run(round, out) == Flow.BREAK) {
                    break;
                }
            }
            return Flow.NORMAL;
        };
    }

    private static List<Object> selected(List<Object> items, Target target, Expression condition, Scope s) {
        List<Object> out = new ArrayList<>();
        for (Object item : items) {
            s.step();
            Scope inner = s.inner();
            target.assign(inner, item);
            if (Python.truth(condition.value(inner))) {
                out.add(item);
            }
        }
        return out;
    }

    private Statement macro() {
        String name = expectName();
        List<String> parameters = new ArrayList<>();
        Map<String, Expression> defaults = new LinkedHashMap<>();
        expectOperator("(");
        parameters(parameters, defaults);
        expect(Kind.BLOCK_END);
        Statement body = bodyTo("endmacro");
        return (s, out) -> {
            s.set(name, new Macro(name, parameters, defaults, body, s));
            return Flow.NORMAL;
        };
    }

    private void parameters(List<String> parameters, Map<String, Expression> defaults) {
        while (!acceptOperator(")")) {
            String parameter = expectName();
            parameters.add(parameter);
            if (acceptOperator("=")) {
                defaults.put(parameter, expression());
            }
            if (!isNext(Kind.OPERATOR, ")")) {
                expectOperator(",");
            }
        }
    }

    private Statement call() {
        List<String> parameters = new ArrayList<>();
        Map<String, Expression> defaults = new LinkedHashMap<>();
        if (acceptOperator("(")) {
            parameters(parameters, defaults);
        }
        String name = expectName();
        ArgumentList arguments = arguments();
        expect(Kind.BLOCK_END);
        Statement body = bodyTo("endcall");
        return (s, out) -> {
            if (!(s.get(name) instanceof Macro m)) {
                throw new TemplateError("'" + name + "' is no macro");
            }
            Arguments given = arguments.evaluate(s);
            Map<String, Object> named = new LinkedHashMap<>(given.named());
            named.put("caller", new Macro("caller", parameters, defaults, body, s));
            out.append(m.call(new Arguments(given.positional(), named), s));
            return Flow.NORMAL;
        };
    }
}

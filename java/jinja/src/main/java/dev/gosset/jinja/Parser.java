package dev.gosset.jinja;

import dev.gosset.jinja.Lexer.Kind;
import dev.gosset.jinja.Lexer.Token;
import dev.gosset.jinja.Node.Expression;
import dev.gosset.jinja.Node.Flow;
import dev.gosset.jinja.Node.Output;
import dev.gosset.jinja.Node.Statement;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Jinja's statements. */
final class Parser extends ExpressionParser {
    private static final int DEEPEST = 100;

    /** What the body of a macro, or of the template, is known to hold so far. */
    private static final class Frame {
        private final Set<String> special = new HashSet<>();
        private int loops;
    }

    private final Deque<Frame> frames = new ArrayDeque<>(List.of(new Frame()));
    private final Map<String, Statement> blocks = new HashMap<>();
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
        return (s, out) -> {
            s.set("self", new Blocks(parser.blocks, s));
            return all.run(s, out);
        };
    }

    @Override
    void mentioned(String name) {
        if (Macro.SPECIAL.contains(name)) {
            frames.forEach(f -> f.special.add(name));
        }
    }

    /** Statements up to one of {@code ends}, whose name comes next. */
    private Statement body(Set<String> ends) {
        if (++depth > DEEPEST) {
            throw new JinjaException("statements are nested more than " + DEEPEST + " deep").at(peek().line());
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
                    parts.add(located(t.line(), print(List.of(value))));
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

    private static Statement print(List<Expression> values) {
        return (s, out) -> {
            for (Expression value : values) {
                out.print(value.value(s), s);
            }
            return Flow.NORMAL;
        };
    }

    private static Statement located(int line, Statement statement) {
        return (s, out) -> {
            Budget.step();
            try {
                return statement.run(s, out);
            } catch (JinjaException e) {
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
            case "block" -> {
                return block();
            }
            case "autoescape" -> {
                Expression escapes = expression();
                expect(Kind.BLOCK_END);
                Statement body = bodyTo("endautoescape");
                return (s, out) -> body.run(s.inner(Python.truth(escapes.value(s))), out);
            }
            case "generation" -> {
                expect(Kind.BLOCK_END);
                // In Jinja2 the body is a macro of its own.
                Macro.Definition definition = body(null, List.of(), Map.of(), "endgeneration");
                return (s, out) -> {
                    out.print(new Macro(definition, s).call(Arguments.NONE), s);
                    return Flow.NORMAL;
                };
            }
            case "break", "continue" -> {
                expect(Kind.BLOCK_END);
                if (frames.peek().loops == 0) {
                    throw new JinjaException("'" + name + "' stands in no loop").at(line);
                }
                Flow flow = name.equals("break") ? Flow.BREAK : Flow.CONTINUE;
                return (s, out) -> flow;
            }
            case "print" -> {
                List<Expression> values = new ArrayList<>();
                while (peek().kind() != Kind.BLOCK_END) {
                    if (!values.isEmpty()) {
                        expectOperator(",");
                    }
                    values.add(expression());
                }
                expect(Kind.BLOCK_END);
                return print(values);
            }
            case "extends", "include", "import", "from" -> {
                return otherTemplate(name);
            }
            default ->
                throw new JinjaException("found the statement '" + name
                                + "', known are if, for, set, macro, call, filter, with, block, raw, autoescape,"
                                + " generation, break, continue, print")
                        .at(line);
        }
    }

    /** Statements that read other templates: a chat template is alone, so they fail, but only where they are reached. */
    private Statement otherTemplate(String name) {
        expression();
        if (name.equals("from")) {
            if (!accept(Kind.NAME, "import")) {
                throw unexpected("'import'");
            }
            boolean first = true;
            while (peek().kind() != Kind.BLOCK_END && !isName("with") && !isName("without")) {
                if (!first) {
                    expectOperator(",");
                }
                first = false;
                expectVariable();
                if (accept(Kind.NAME, "as")) {
                    expectVariable();
                }
            }
        } else if (name.equals("import")) {
            if (!accept(Kind.NAME, "as")) {
                throw unexpected("'as'");
            }
            expectVariable();
        } else if (name.equals("include") && accept(Kind.NAME, "ignore") && !accept(Kind.NAME, "missing")) {
            throw unexpected("'missing'");
        }
        boolean context = !name.equals("extends") && (accept(Kind.NAME, "with") || accept(Kind.NAME, "without"));
        if (context && !accept(Kind.NAME, "context")) {
            throw unexpected("'context'");
        }
        expect(Kind.BLOCK_END);
        return (s, out) -> {
            throw new JinjaException("'" + name + "': a chat template has no other templates to read");
        };
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

    /** A block: it sees the template's variables and, unless it is scoped, not those of the place where it stands. */
    private Statement block() {
        int line = peek().line();
        String name = expectName();
        boolean scoped = accept(Kind.NAME, "scoped");
        boolean required = accept(Kind.NAME, "required");
        expect(Kind.BLOCK_END);
        frames.push(new Frame());
        Statement body = body(Set.of("endblock"));
        frames.pop();
        next();
        accept(Kind.NAME, name);
        expect(Kind.BLOCK_END);
        Statement whole = (s, out) -> {
            if (required) {
                throw new JinjaException("the block " + name + " is required, nothing fills it");
            }
            return body.run(s, out);
        };
        if (blocks.put(name, whole) != null) {
            throw new JinjaException("the block " + name + " is defined twice").at(line);
        }
        return (s, out) -> whole.run((scoped ? s : s.root()).inner(), out);
    }

    // ------------------------------------------------------------------------------------------------------
    // assignments

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
            List<Object> items = Python.list(v);
            if (items.size() != targets.size() || v instanceof Undefined) {
                throw new JinjaException(
                        items.size() + " values cannot be assigned to " + targets.size() + " variables");
            }
            for (int i = 0; i < items.size(); i++) {
                targets.get(i).assign(s, items.get(i));
            }
        };
    }

    private Target oneTarget(boolean attributes) {
        boolean attribute = attributes && isAttributeNext();
        String name = expectVariable();
        if (!attribute) {
            return (s, v) -> s.set(name, v);
        }
        expectOperator(".");
        String member = expectName();
        return (s, v) -> {
            if (!(s.get(name) instanceof Namespace n)) {
                throw new JinjaException(
                        "only a namespace takes attributes, '" + name + "' is " + Python.described(s.get(name)));
            }
            n.attributes().put(member, v);
        };
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
        Expression filtered = acceptOperator("|") ? filter(captured) : captured;
        expect(Kind.BLOCK_END);
        captured.body = bodyTo("endset");
        return (s, out) -> captured.then(s, () -> target.assign(s, filtered.value(s)));
    }

    private Statement filterBlock() {
        Captured captured = new Captured();
        // The first filter stands without a bar.
        Expression filtered = filter(captured);
        expect(Kind.BLOCK_END);
        captured.body = bodyTo("endfilter");
        return (s, out) ->
                captured.then(s, () -> out.append(Python.text(filtered.value(s), "what a filter block writes")));
    }

    /** The text that a body writes, as an expression; the body is read after the filters that apply to it. */
    private static final class Captured implements Expression {
        private Statement body;

        /** Runs the body for its text, then what uses it, unless the body leaves the loop around it. */
        Flow then(Scope s, Runnable use) {
            Output out = new Output();
            Flow flow = body.run(s.inner(), out);
            if (flow == Flow.NORMAL) {
                String text = Budget.made(out.toString());
                s.captured = s.escaping() ? new Markup(text) : text;
                use.run();
            }
            return flow;
        }

        @Override
        public Object value(Scope s) {
            return s.captured;
        }
    }

    private Statement with() {
        List<Target> targets = new ArrayList<>();
        List<Expression> values = new ArrayList<>();
        while (peek().kind() != Kind.BLOCK_END) {
            if (!targets.isEmpty()) {
                expectOperator(",");
            }
            targets.add(oneTarget(false));
            expectOperator("=");
            values.add(expression());
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

    // ------------------------------------------------------------------------------------------------------ loops

    private Statement loop() {
        Target target = target(false);
        if (!accept(Kind.NAME, "in")) {
            throw unexpected("'in'");
        }
        Expression source = tuple(false);
        Expression condition = accept(Kind.NAME, "if") ? expression() : null;
        boolean recursive = accept(Kind.NAME, "recursive");
        expect(Kind.BLOCK_END);
        Frame frame = recursive ? new Frame() : frames.peek();
        if (recursive) {
            // In Jinja2 the body is a function of its own.
            frames.push(frame);
        }
        frame.loops++;
        Statement body = body(Set.of("else", "endfor"));
        frame.loops--;
        boolean hasElse = next().text().equals("else");
        expect(Kind.BLOCK_END);
        Statement otherwise = hasElse ? bodyTo("endfor") : (s, out) -> Flow.NORMAL;
        if (recursive) {
            frames.pop();
            frames.peek().special.addAll(frame.special);
        }
        Rounds rounds = new Rounds(target, condition, body, otherwise, recursive);
        return (s, out) -> rounds.run(source.value(s), 0, s, out);
    }

    /** A loop without its source. */
    private record Rounds(Target target, Expression condition, Statement body, Statement otherwise, boolean recursive) {
        Flow run(Object source, int depth, Scope s, Output out) {
            Iterator<Object> items = Python.iterate(source);
            long length = condition == null ? Python.lengthOf(source) : -1;
            Loop.Recursion recursion = !recursive
                    ? null
                    : (inner, level) -> Budget.deeper(() -> {
                        Output text = new Output();
                        run(inner, level, s, text);
                        return s.escaping() ? new Markup(text.toString()) : text.toString();
                    });
            Loop loop = new Loop(condition == null ? items : selected(items, s), length, recursion, depth);
            // As Jinja2 has it: else is for a loop none of whose rounds came to its end.
            boolean completed = false;
            while (loop.hasNext()) {
                Budget.step();
                Scope round = s.inner();
                target.assign(round, loop.next());
                round.set("loop", loop);
                Flow flow = body.run(round, out);
                completed |= flow == Flow.NORMAL;
                if (flow == Flow.BREAK) {
                    break;
                }
            }
            return completed ? Flow.NORMAL : otherwise.run(s.inner(), out);
        }

        private Iterator<Object> selected(Iterator<Object> items, Scope s) {
            return Filters.filtered(items, item -> {
                Budget.step();
                Scope inner = s.inner();
                target.assign(inner, item);
                return Python.truth(condition.value(inner));
            });
        }
    }

    // ------------------------------------------------------------------------------------------------------ macros

    private Statement macro() {
        String name = expectVariable();
        List<String> parameters = new ArrayList<>();
        Map<String, Expression> defaults = new LinkedHashMap<>();
        expectOperator("(");
        parameters(parameters, defaults);
        expect(Kind.BLOCK_END);
        Macro.Definition definition = body(name, parameters, defaults, "endmacro");
        return (s, out) -> {
            s.set(name, new Macro(definition, s));
            return Flow.NORMAL;
        };
    }

    private Macro.Definition body(String name, List<String> parameters, Map<String, Expression> defaults, String end) {
        if (parameters.contains("caller") && !defaults.containsKey("caller")) {
            throw unexpected("a default for the parameter caller");
        }
        frames.push(new Frame());
        Statement body = bodyTo(end);
        return new Macro.Definition(name, parameters, defaults, body, Set.copyOf(frames.pop().special));
    }

    private void parameters(List<String> parameters, Map<String, Expression> defaults) {
        while (!acceptOperator(")")) {
            String parameter = expectVariable();
            parameters.add(parameter);
            if (acceptOperator("=")) {
                defaults.put(parameter, expression());
            } else if (!defaults.isEmpty()) {
                throw unexpected("a default, as the parameter before has one");
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
        if (!(expression() instanceof Call call)) {
            throw unexpected("a call");
        }
        expect(Kind.BLOCK_END);
        Macro.Definition definition = body(null, parameters, defaults, "endcall");
        return (s, out) -> {
            out.print(call.value(s, new Macro(definition, s)), s);
            return Flow.NORMAL;
        };
    }
}

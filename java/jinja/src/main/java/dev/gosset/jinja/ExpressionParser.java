package dev.gosset.jinja;

import dev.gosset.jinja.Lexer.Kind;
import dev.gosset.jinja.Lexer.Token;
import dev.gosset.jinja.Node.Expression;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Jinja's expressions, from the loosest binding to the tightest. */
class ExpressionParser {
    private static final int DEEPEST = 200;
    private static final Set<String> COMPARISONS = Set.of("==", "!=", "<", "<=", ">", ">=");
    private static final Set<String> CONSTANTS = Set.of("true", "false", "none", "True", "False", "None");

    private final List<Token> tokens;
    private int at;
    private int depth;

    ExpressionParser(List<Token> tokens) {
        this.tokens = tokens;
    }

    // ------------------------------------------------------------------------------------------------------ tokens

    final Token peek() {
        return tokens.get(at);
    }

    final Token next() {
        Token t = tokens.get(at);
        if (at < tokens.size() - 1) {
            at++;
        }
        return t;
    }

    private Token afterNext() {
        return tokens.get(Math.min(at + 1, tokens.size() - 1));
    }

    final boolean isNext(Kind kind, String text) {
        return peek().is(kind, text);
    }

    final boolean isName(String name) {
        return isNext(Kind.NAME, name);
    }

    /** Whether an assignment to an attribute comes next. */
    final boolean isAttributeNext() {
        return peek().kind() == Kind.NAME && afterNext().is(Kind.OPERATOR, ".");
    }

    final boolean accept(Kind kind, String text) {
        if (isNext(kind, text)) {
            next();
            return true;
        }
        return false;
    }

    final boolean acceptOperator(String text) {
        return accept(Kind.OPERATOR, text);
    }

    final void expectOperator(String text) {
        if (!acceptOperator(text)) {
            throw unexpected("'" + text + "'");
        }
    }

    final String expectName() {
        if (peek().kind() != Kind.NAME) {
            throw unexpected("a name");
        }
        return next().text();
    }

    /** A name that can be assigned to. */
    final String expectVariable() {
        if (CONSTANTS.contains(peek().text())) {
            throw unexpected("the name of a variable");
        }
        return expectName();
    }

    final JinjaException unexpected(String expected) {
        return new JinjaException("found '" + peek().text() + "', expected " + expected).at(peek().line());
    }

    private void deeper() {
        if (++depth > DEEPEST) {
            throw new JinjaException("expressions are nested more than " + DEEPEST + " deep").at(peek().line());
        }
    }

    /** A variable is read; macros mind some names. */
    void mentioned(String name) {}

    // ------------------------------------------------------------------------------------------------------ grammar

    /** {@code a, b}: a tuple, or the one expression where there is no comma. */
    final Expression tuple(boolean conditional) {
        Expression first = conditional ? expression() : or();
        if (!isNext(Kind.OPERATOR, ",")) {
            return first;
        }
        List<Expression> items = new ArrayList<>(List.of(first));
        while (acceptOperator(",") && beginsItem()) {
            items.add(conditional ? expression() : or());
        }
        return s -> new Tuple(values(items, s));
    }

    private boolean beginsItem() {
        Token t = peek();
        return switch (t.kind()) {
            case BLOCK_END, PRINT_END, END, DATA -> false;
            case OPERATOR -> !t.text().equals(")");
            case NAME -> !t.text().equals("in") && !t.text().equals("recursive");
            default -> true;
        };
    }

    /** {@code a if b else c}. */
    final Expression expression() {
        deeper();
        Expression value = or();
        while (accept(Kind.NAME, "if")) {
            Expression then = value;
            Expression condition = or();
            Expression otherwise = accept(Kind.NAME, "else") ? expression() : s -> Undefined.NAMELESS;
            value = s -> Python.truth(condition.value(s)) ? then.value(s) : otherwise.value(s);
        }
        depth--;
        return value;
    }

    final Expression or() {
        Expression value = and();
        while (accept(Kind.NAME, "or")) {
            Expression left = value;
            Expression right = and();
            value = s -> {
                Object v = left.value(s);
                return Python.truth(v) ? v : right.value(s);
            };
        }
        return value;
    }

    private Expression and() {
        Expression value = not();
        while (accept(Kind.NAME, "and")) {
            Expression left = value;
            Expression right = not();
            value = s -> {
                Object v = left.value(s);
                return Python.truth(v) ? right.value(s) : v;
            };
        }
        return value;
    }

    private Expression not() {
        if (isName("not") && !afterNext().is(Kind.NAME, "in")) {
            next();
            deeper();
            Expression value = not();
            depth--;
            return s -> !Python.truth(value.value(s));
        }
        return comparison();
    }

    private Expression comparison() {
        Expression first = sum();
        List<String> operators = new ArrayList<>();
        List<Expression> operands = new ArrayList<>();
        while (true) {
            Token t = peek();
            if (t.kind() == Kind.OPERATOR && COMPARISONS.contains(t.text())) {
                operators.add(next().text());
            } else if (accept(Kind.NAME, "in")) {
                operators.add("in");
            } else if (isName("not") && afterNext().is(Kind.NAME, "in")) {
                next();
                next();
                operators.add("not in");
            } else {
                break;
            }
            operands.add(sum());
        }
        if (operators.isEmpty()) {
            return first;
        }
        return s -> {
            Object left = first.value(s);
            for (int i = 0; i < operators.size(); i++) {
                Object right = operands.get(i).value(s);
                if (!holds(operators.get(i), left, right)) {
                    return false;
                }
                left = right;
            }
            return true;
        };
    }

    private static boolean holds(String operator, Object a, Object b) {
        return switch (operator) {
            case "==" -> Python.equal(a, b);
            case "!=" -> !Python.equal(a, b);
            case "in" -> Python.contains(b, a);
            case "not in" -> !Python.contains(b, a);
            default -> Python.ordered(operator, a, b);
        };
    }

    private Expression sum() {
        Expression value = concatenation();
        while (isNext(Kind.OPERATOR, "+") || isNext(Kind.OPERATOR, "-")) {
            value = binary(next().text(), value, concatenation());
        }
        return value;
    }

    private Expression concatenation() {
        Expression value = product();
        while (acceptOperator("~")) {
            Expression left = value;
            Expression right = product();
            value = s -> {
                Object a = left.value(s);
                Object b = right.value(s);
                boolean html = s.escaping() && (a instanceof Markup || b instanceof Markup);
                return Budget.made(
                        html
                                ? new Markup(Python.concatenation(
                                        Markup.of(a).text(), Markup.of(b).text()))
                                : Python.concatenation(Python.str(a), Python.str(b)));
            };
        }
        return value;
    }

    private Expression product() {
        Expression value = power();
        while (peek().kind() == Kind.OPERATOR && Set.of("*", "/", "//", "%").contains(peek().text())) {
            value = binary(next().text(), value, power());
        }
        return value;
    }

    private Expression power() {
        Expression value = unary(true);
        while (acceptOperator("**")) {
            value = binary("**", value, unary(true));
        }
        return value;
    }

    private static Expression binary(String operator, Expression a, Expression b) {
        return s -> {
            Budget.step();
            return Budget.made(Python.arithmetic(operator, a.value(s), b.value(s)));
        };
    }

    private Expression unary(boolean withFilters) {
        deeper();
        Expression value;
        if (isNext(Kind.OPERATOR, "-") || isNext(Kind.OPERATOR, "+")) {
            String sign = next().text();
            Expression operand = unary(false);
            value = s -> Python.signed(sign, operand.value(s));
        } else {
            value = primary();
        }
        value = postfix(value);
        depth--;
        return withFilters ? filtered(value) : value;
    }

    private Expression primary() {
        Token t = next();
        switch (t.kind()) {
            case NAME -> {
                mentioned(t.text());
                return switch (t.text()) {
                    case "true", "True" -> s -> true;
                    case "false", "False" -> s -> false;
                    case "none", "None" -> s -> null;
                    default -> s -> s.get(t.text());
                };
            }
            case STRING -> {
                StringBuilder text = new StringBuilder(t.text());
                while (peek().kind() == Kind.STRING) {
                    text.append(next().text());
                }
                String value = text.toString();
                return s -> value;
            }
            case INTEGER -> {
                Object value = integer(t);
                return s -> value;
            }
            case FLOAT -> {
                double value = Double.parseDouble(t.text());
                return s -> value;
            }
            case OPERATOR -> {
                switch (t.text()) {
                    case "(" -> {
                        if (acceptOperator(")")) {
                            return s -> new Tuple(List.of());
                        }
                        Expression value = tuple(true);
                        expectOperator(")");
                        return value;
                    }
                    case "[" -> {
                        List<Expression> items = new ArrayList<>();
                        while (!acceptOperator("]")) {
                            items.add(expression());
                            if (!isNext(Kind.OPERATOR, "]")) {
                                expectOperator(",");
                            }
                        }
                        return s -> Budget.made(values(items, s));
                    }
                    case "{" -> {
                        return dict();
                    }
                    default -> {}
                }
            }
            default -> {}
        }
        throw new JinjaException("found '" + t.text() + "', expected an expression").at(t.line());
    }

    private static Object integer(Token t) {
        Object value = Numbers.parseInt(t.text(), 0);
        if (value == null) {
            throw new JinjaException("the int " + t.text() + " has too many digits").at(t.line());
        }
        return value;
    }

    private Expression dict() {
        List<Expression> keys = new ArrayList<>();
        List<Expression> values = new ArrayList<>();
        while (!acceptOperator("}")) {
            keys.add(expression());
            expectOperator(":");
            values.add(expression());
            if (!isNext(Kind.OPERATOR, "}")) {
                expectOperator(",");
            }
        }
        return s -> {
            Dict map = new Dict();
            for (int i = 0; i < keys.size(); i++) {
                map.put(keys.get(i).value(s), values.get(i).value(s));
            }
            return Budget.made(map);
        };
    }

    private static List<Object> values(List<Expression> items, Scope s) {
        List<Object> out = new ArrayList<>(items.size());
        for (Expression e : items) {
            out.add(e.value(s));
        }
        return out;
    }

    private Expression postfix(Expression first) {
        Expression value = first;
        while (peek().kind() == Kind.OPERATOR) {
            Expression object = value;
            if (acceptOperator(".")) {
                if (peek().kind() == Kind.INTEGER) {
                    Object index = integer(next());
                    value = s -> Members.subscript(object.value(s), index);
                } else {
                    String name = expectName();
                    value = s -> Members.attribute(object.value(s), name);
                }
            } else if (acceptOperator("[")) {
                value = subscript(object);
            } else if (isNext(Kind.OPERATOR, "(")) {
                value = new Call(object, arguments());
            } else {
                break;
            }
        }
        return value;
    }

    /** {@code callee(arguments)}. */
    record Call(Expression callee, ArgumentList arguments) implements Expression {
        @Override
        public Object value(Scope s) {
            Object f = callee.value(s);
            return invoke(f, arguments.evaluate(s));
        }

        /** With one more argument, {@code caller}. */
        Object value(Scope s, Object caller) {
            Object f = callee.value(s);
            Arguments given = arguments.evaluate(s);
            Map<String, Object> named = new LinkedHashMap<>(given.named());
            if (named.put("caller", caller) != null) {
                throw new JinjaException("a call block gives the argument caller itself");
            }
            return invoke(f, new Arguments(given.positional(), named));
        }

        private static Object invoke(Object f, Arguments given) {
            Budget.step();
            if (f instanceof Callable c) {
                given.positional().forEach(Budget::made);
                return Budget.made(c.call(given));
            }
            throw new JinjaException(Python.described(f) + " cannot be called");
        }
    }

    private Expression subscript(Expression object) {
        Expression from = isNext(Kind.OPERATOR, ":") ? s -> null : expression();
        if (isNext(Kind.OPERATOR, ",")) {
            List<Expression> items = new ArrayList<>(List.of(from));
            while (acceptOperator(",") && !isNext(Kind.OPERATOR, "]")) {
                items.add(expression());
            }
            expectOperator("]");
            return s -> Members.subscript(object.value(s), new Tuple(values(items, s)));
        }
        if (acceptOperator("]")) {
            return s -> Members.subscript(object.value(s), from.value(s));
        }
        expectOperator(":");
        Expression to = isNext(Kind.OPERATOR, ":") || isNext(Kind.OPERATOR, "]") ? s -> null : expression();
        Expression step = acceptOperator(":") && !isNext(Kind.OPERATOR, "]") ? expression() : s -> null;
        expectOperator("]");
        return s -> Budget.made(Python.slice(object.value(s), from.value(s), to.value(s), step.value(s)));
    }

    private Expression filtered(Expression first) {
        Expression value = first;
        while (true) {
            if (acceptOperator("|")) {
                value = filter(value);
            } else if (isName("is")) {
                value = test(value);
            } else if (isNext(Kind.OPERATOR, "(")) {
                value = new Call(value, arguments());
            } else {
                return value;
            }
        }
    }

    /** A name, perhaps with points in it. */
    private String dottedName() {
        StringBuilder name = new StringBuilder(expectName());
        while (acceptOperator(".")) {
            name.append('.').append(expectName());
        }
        return name.toString();
    }

    /** The filter whose name comes next, and all that follow it after a bar. One that nobody knows is refused when it is reached. */
    final Expression filter(Expression first) {
        Expression value = first;
        do {
            Expression operand = value;
            int line = peek().line();
            String name = dottedName();
            Filters.Filter known = Filters.has(name) ? Filters.named(name) : null;
            ArgumentList arguments = isNext(Kind.OPERATOR, "(") ? arguments() : ArgumentList.NONE;
            value = located(line, s -> {
                Budget.step();
                Filters.Filter filter = known == null ? Filters.named(name) : known;
                return filter.apply(operand.value(s), arguments.evaluate(s));
            });
        } while (acceptOperator("|"));
        return value;
    }

    private static Expression located(int line, Expression expression) {
        return s -> {
            try {
                return expression.value(s);
            } catch (JinjaException e) {
                throw e.at(line);
            }
        };
    }

    private Expression test(Expression operand) {
        int line = next().line();
        boolean negated = accept(Kind.NAME, "not");
        String name = dottedName();
        ArgumentList arguments = ArgumentList.NONE;
        Token t = peek();
        if (isNext(Kind.OPERATOR, "(")) {
            arguments = arguments();
        } else if (t.kind() == Kind.STRING
                || t.kind() == Kind.INTEGER
                || t.kind() == Kind.FLOAT
                || isNext(Kind.OPERATOR, "[")
                || isNext(Kind.OPERATOR, "{")
                || t.kind() == Kind.NAME && !Set.of("else", "or", "and").contains(t.text())) {
            if (isName("is")) {
                throw unexpected("no second test");
            }
            arguments = new ArgumentList(List.of(new Argument(Argument.Kind.POSITIONAL, null, postfix(primary()))));
        }
        ArgumentList given = arguments;
        return located(line, s -> Tests.named(name).holds(operand.value(s), given.evaluate(s)) != negated);
    }

    // ------------------------------------------------------------------------------------------------------ arguments

    /** An argument of a call before its value is known. */
    record Argument(Kind kind, String name, Expression value) {
        enum Kind {
            POSITIONAL,
            NAMED,
            LIST,
            DICT
        }
    }

    /** The arguments of a call before their values are known. */
    record ArgumentList(List<Argument> all) {
        static final ArgumentList NONE = new ArgumentList(List.of());

        Arguments evaluate(Scope s) {
            if (all.isEmpty()) {
                return Arguments.NONE;
            }
            List<Object> positional = new ArrayList<>();
            Map<String, Object> named = new LinkedHashMap<>();
            for (Argument a : all) {
                Object v = a.value().value(s);
                switch (a.kind()) {
                    case POSITIONAL -> positional.add(v);
                    case NAMED -> put(named, a.name(), v);
                    case LIST -> Python.iterate(v).forEachRemaining(positional::add);
                    case DICT -> {
                        if (!(v instanceof Map<?, ?> m)) {
                            throw new JinjaException("** takes a dict, found " + Python.described(v));
                        }
                        m.forEach((k, e) -> put(named, Python.text(k, "the name of an argument"), e));
                    }
                }
            }
            return new Arguments(positional, named);
        }

        private static void put(Map<String, Object> named, String name, Object v) {
            if (named.containsKey(name)) {
                throw new JinjaException("the argument " + name + "= is given twice");
            }
            named.put(name, v);
        }
    }

    /** {@code (a, b, name=c, *d, **e)}. */
    final ArgumentList arguments() {
        expectOperator("(");
        List<Argument> all = new ArrayList<>();
        Argument.Kind last = Argument.Kind.POSITIONAL;
        while (!acceptOperator(")")) {
            Argument.Kind kind = isNext(Kind.OPERATOR, "*")
                    ? Argument.Kind.LIST
                    : isNext(Kind.OPERATOR, "**")
                            ? Argument.Kind.DICT
                            : peek().kind() == Kind.NAME && afterNext().is(Kind.OPERATOR, "=")
                                    ? Argument.Kind.NAMED
                                    : Argument.Kind.POSITIONAL;
            boolean late = kind == Argument.Kind.POSITIONAL && last != Argument.Kind.POSITIONAL
                    || kind == Argument.Kind.LIST && last == Argument.Kind.LIST
                    || last == Argument.Kind.DICT;
            if (late) {
                throw unexpected("arguments in the order: by position, by name, *list, **dict");
            }
            String name = kind == Argument.Kind.NAMED ? next().text() : null;
            if (kind != Argument.Kind.POSITIONAL) {
                next();
            }
            all.add(new Argument(kind, name, expression()));
            last = kind;
            if (!isNext(Kind.OPERATOR, ")")) {
                expectOperator(",");
            }
        }
        return new ArgumentList(all);
    }
}

package dev.gosset.llm.jinja;

import dev.gosset.llm.jinja.Lexer.Kind;
import dev.gosset.llm.jinja.Lexer.Token;
import dev.gosset.llm.jinja.Node.Expression;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Jinja's expressions, from the loosest binding to the tightest. */
class ExpressionParser {
    private static final int DEEPEST = 200;
    private static final Set<String> COMPARISONS = Set.of("==", "!=", "<", "<=", ">", ">=");

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

    final boolean isNext(Kind kind, String text) {
        return peek().is(kind, text);
    }

    final boolean isName(String name) {
        return isNext(Kind.NAME, name);
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

    final TemplateError unexpected(String expected) {
        return new TemplateError("found '" + peek().text() + "', expected " + expected).at(peek().line());
    }

    private void deeper() {
        if (++depth > DEEPEST) {
            throw new TemplateError("expressions are nested more than " + DEEPEST + " deep").at(peek().line());
        }
    }

    // ------------------------------------------------------------------------------------------------------ grammar

    /** {@code a, b}: a tuple, or the one expression where there is no comma. */
    final Expression tuple(boolean conditional) {
        Expression first = conditional ? expression() : or();
        if (!isNext(Kind.OPERATOR, ",")) {
            return first;
        }
        List<Expression> items = new ArrayList<>(List.of(first));
        while (acceptOperator(",") && beginsExpression()) {
            items.add(conditional ? expression() : or());
        }
        return s -> new Tuple(values(items, s));
    }

    private boolean beginsExpression() {
        Token t = peek();
        return switch (t.kind()) {
            case BLOCK_END, PRINT_END, END, DATA -> false;
            case OPERATOR -> !Set.of(")", "]", "}", "=", ",").contains(t.text());
            case NAME -> !t.text().equals("in");
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
        if (accept(Kind.NAME, "not")) {
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
            } else if (isName("not") && tokens.get(at + 1).is(Kind.NAME, "in")) {
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
            case "<" -> Python.compare(a, b) < 0;
            case "<=" -> Python.compare(a, b) <= 0;
            case ">" -> Python.compare(a, b) > 0;
            default -> Python.compare(a, b) >= 0;
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
            value = s -> Python.concatenation(Python.str(left.value(s)), Python.str(right.value(s)));
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
            s.step();
            return Python.arithmetic(operator, a.value(s), b.value(s));
        };
    }

    private Expression unary(boolean withFilters) {
        deeper();
        Expression value;
        if (acceptOperator("-")) {
            Expression operand = unary(false);
            value = s -> Python.negative(operand.value(s));
        } else if (acceptOperator("+")) {
            value = unary(false);
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
                long value;
                try {
                    value = Long.parseLong(t.text());
                } catch (NumberFormatException e) {
                    throw new TemplateError("the int " + t.text() + " goes beyond 64 bits").at(t.line());
                }
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
                        return s -> values(items, s);
                    }
                    case "{" -> {
                        return dict();
                    }
                    default -> {}
                }
            }
            default -> {}
        }
        throw new TemplateError("found '" + t.text() + "', expected an expression").at(t.line());
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
            Map<Object, Object> map = new LinkedHashMap<>();
            for (int i = 0; i < keys.size(); i++) {
                map.put(keys.get(i).value(s), values.get(i).value(s));
            }
            return map;
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
                    Object index = Long.parseLong(next().text());
                    value = s -> Members.subscript(object.value(s), index);
                } else {
                    String name = expectName();
                    value = s -> Members.attribute(object.value(s), name);
                }
            } else if (acceptOperator("[")) {
                value = subscript(object);
            } else if (isNext(Kind.OPERATOR, "(")) {
                value = call(object);
            } else {
                break;
            }
        }
        return value;
    }

    private Expression call(Expression callee) {
        ArgumentList arguments = arguments();
        return s -> {
            s.step();
            return switch (callee.value(s)) {
                case Callable c -> c.call(arguments.evaluate(s));
                case Macro m -> m.call(arguments.evaluate(s), s);
                case null -> throw new TemplateError("None cannot be called");
                case Object v -> throw new TemplateError(Python.described(v) + " cannot be called");
            };
        };
    }

    private Expression subscript(Expression object) {
        Expression from = isNext(Kind.OPERATOR, ":") ? s -> null : tuple(true);
        if (acceptOperator("]")) {
            return s -> Members.subscript(object.value(s), from.value(s));
        }
        expectOperator(":");
        Expression to = isNext(Kind.OPERATOR, ":") || isNext(Kind.OPERATOR, "]") ? s -> null : expression();
        Expression step = acceptOperator(":") && !isNext(Kind.OPERATOR, "]") ? expression() : s -> null;
        expectOperator("]");
        return s -> Python.slice(object.value(s), from.value(s), to.value(s), step.value(s));
    }

    private Expression filtered(Expression first) {
        Expression value = first;
        while (true) {
            if (isNext(Kind.OPERATOR, "|")) {
                value = filter(value);
            } else if (isName("is")) {
                value = test(value);
            } else if (isNext(Kind.OPERATOR, "(")) {
                value = call(value);
            } else {
                return value;
            }
        }
    }

    /** One or more {@code | filter}. */
    final Expression filter(Expression first) {
        Expression value = first;
        while (acceptOperator("|")) {
            Expression operand = value;
            int line = peek().line();
            String name = expectName();
            Filters.Filter filter;
            try {
                filter = Filters.named(name);
            } catch (TemplateError e) {
                throw e.at(line);
            }
            ArgumentList arguments = isNext(Kind.OPERATOR, "(") ? arguments() : ArgumentList.NONE;
            value = s -> {
                s.step();
                return filter.apply(operand.value(s), arguments.evaluate(s));
            };
        }
        return value;
    }

    private Expression test(Expression operand) {
        int line = next().line();
        boolean negated = accept(Kind.NAME, "not");
        Tests.Test test;
        try {
            test = Tests.named(expectName());
        } catch (TemplateError e) {
            throw e.at(line);
        }
        ArgumentList arguments = ArgumentList.NONE;
        Token t = peek();
        if (isNext(Kind.OPERATOR, "(")) {
            arguments = arguments();
        } else if (t.kind() == Kind.STRING
                || t.kind() == Kind.INTEGER
                || t.kind() == Kind.FLOAT
                || isNext(Kind.OPERATOR, "[")
                || isNext(Kind.OPERATOR, "{")
                || t.kind() == Kind.NAME
                        && !Set.of("else", "or", "and", "is", "if", "in", "not").contains(t.text())) {
            arguments = new ArgumentList(List.of(postfix(primary())), Map.of());
        }
        ArgumentList given = arguments;
        return s -> test.holds(operand.value(s), given.evaluate(s)) != negated;
    }

    /**
     * The arguments of a call before their values are known.
     *
     * @param positional in their order
     * @param named by their names
     */
    record ArgumentList(List<Expression> positional, Map<String, Expression> named) {
        static final ArgumentList NONE = new ArgumentList(List.of(), Map.of());

        Arguments evaluate(Scope s) {
            if (positional.isEmpty() && named.isEmpty()) {
                return Arguments.NONE;
            }
            Map<String, Object> values = new LinkedHashMap<>();
            named.forEach((name, e) -> values.put(name, e.value(s)));
            return new Arguments(ExpressionParser.values(positional, s), values);
        }
    }

    /** {@code (a, b, name=c)}. */
    final ArgumentList arguments() {
        expectOperator("(");
        List<Expression> positional = new ArrayList<>();
        Map<String, Expression> named = new LinkedHashMap<>();
        while (!acceptOperator(")")) {
            if (peek().kind() == Kind.NAME && tokens.get(at + 1).is(Kind.OPERATOR, "=")) {
                String name = next().text();
                next();
                named.put(name, expression());
            } else if (!named.isEmpty()) {
                throw unexpected("an argument with a name");
            } else {
                positional.add(expression());
            }
            if (!isNext(Kind.OPERATOR, ")")) {
                expectOperator(",");
            }
        }
        return new ArgumentList(positional, named);
    }
}

package dev.gosset.llm.constraint;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Names by their characters, to say which strings are none of them. */
final class NameTree {
    private final TreeMap<Integer, NameTree> children = new TreeMap<>();
    private boolean isName;

    private NameTree() {}

    static NameTree of(Collection<String> names) {
        NameTree root = new NameTree();
        for (String name : names) {
            NameTree node = root;
            for (int c : name.codePoints().toArray()) {
                node = node.children.computeIfAbsent(c, k -> new NameTree());
            }
            node.isName = true;
        }
        return root;
    }

    /** The content of strings that are no name, each character in the one way that JSON has for it. */
    Expression others() {
        Expression any = Expression.repeat(JsonText.codePoints(0, 0x10FFFF, true), 0, Expression.UNBOUNDED);
        return others(any);
    }

    private Expression others(Expression any) {
        List<Expression> options = new ArrayList<>();
        if (!isName) {
            options.add(Expression.sequence());
        }
        int next = 0;
        for (Map.Entry<Integer, NameTree> child : children.entrySet()) {
            int c = child.getKey();
            different(next, c - 1, any, options);
            options.add(Expression.sequence(
                    JsonText.codePoints(c, c, true), child.getValue().others(any)));
            next = c + 1;
        }
        different(next, 0x10FFFF, any, options);
        return Expression.choice(options);
    }

    private static void different(int from, int to, Expression any, List<Expression> options) {
        if (from <= to) {
            options.add(Expression.sequence(JsonText.codePoints(from, to, true), any));
        }
    }
}

package dev.gosset.jinja;

import java.util.AbstractMap;
import java.util.AbstractSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** A Python dict: in the order of insertion, with keys that are equal as Python has it (1, 1.0 and true are one key). */
final class Dict extends AbstractMap<Object, Object> {
    private final Map<Object, Map.Entry<Object, Object>> entries = new LinkedHashMap<>();

    Dict() {}

    Dict(Map<?, ?> from) {
        putAll(from);
    }

    /** With the arguments of {@code dict}: a dict or pairs, and names. */
    static Dict of(Arguments a) {
        if (a.positional().size() > 1) {
            throw new JinjaException("dict takes at most one dict or list of pairs, found "
                    + a.positional().size());
        }
        Dict dict = new Dict();
        for (Object from : a.positional()) {
            if (from instanceof Map<?, ?> m) {
                dict.putAll(m);
            } else {
                Python.iterate(from).forEachRemaining(pair -> {
                    List<Object> two = Python.list(pair);
                    if (two.size() != 2) {
                        throw new JinjaException("dict takes pairs, found " + Python.repr(pair));
                    }
                    dict.put(two.get(0), two.get(1));
                });
            }
        }
        dict.putAll(a.named());
        return dict;
    }

    /** What stands for a key in Java's maps and sets. */
    static Object hashed(Object key) {
        return switch (key) {
            case null -> null;
            case Boolean b -> b ? 1L : 0L;
            case Double d -> Numbers.isWhole(d) ? Numbers.toInt(d) : key;
            case Markup m -> m.text();
            case Undefined u -> Undefined.NAMELESS;
            case Tuple t ->
                // Tuples that share their parts are copied in a time that grows as 2 to their depth.
                new TupleKey(t.items().stream()
                        .map(e -> {
                            Budget.spend(Budget.ITEM);
                            return hashed(e);
                        })
                        .toList());
            case List<?> l -> throw new JinjaException("a list cannot be a key");
            case Map<?, ?> m -> throw new JinjaException("a dict cannot be a key");
            default -> key;
        };
    }

    /**
     * A tuple as a key. Comparable, since Java's maps find keys whose hashes collide in the time of a tree only if they
     * are: ("Aa", "Aa") and ("BB", "BB") collide, and a template makes such tuples by the ten thousand.
     */
    private record TupleKey(List<Object> items) implements Comparable<TupleKey> {
        @Override
        public int compareTo(TupleKey other) {
            int order = Integer.compare(items.size(), other.items.size());
            for (int i = 0; order == 0 && i < items.size(); i++) {
                order = compare(items.get(i), other.items.get(i));
            }
            return order;
        }

        /** Some order of hashed keys: by class, and where the class has one by its own. */
        @SuppressWarnings("unchecked")
        private static int compare(Object a, Object b) {
            if (a == null || b == null || a.getClass() != b.getClass()) {
                return name(a).compareTo(name(b));
            }
            return a instanceof Comparable<?> c ? ((Comparable<Object>) c).compareTo(b) : 0;
        }

        private static String name(Object o) {
            return o == null ? "" : o.getClass().getName();
        }
    }

    @Override
    public Object get(Object key) {
        Map.Entry<Object, Object> entry = entries.get(hashed(key));
        return entry == null ? null : entry.getValue();
    }

    @Override
    public boolean containsKey(Object key) {
        return entries.containsKey(hashed(key));
    }

    @Override
    public Object put(Object key, Object value) {
        Object hashed = hashed(key);
        Map.Entry<Object, Object> old = entries.get(hashed);
        if (old != null) {
            return old.setValue(value);
        }
        entries.put(hashed, new SimpleEntry<>(key, value));
        return null;
    }

    @Override
    public Set<Map.Entry<Object, Object>> entrySet() {
        return new AbstractSet<>() {
            @Override
            public Iterator<Map.Entry<Object, Object>> iterator() {
                return entries.values().iterator();
            }

            @Override
            public int size() {
                return entries.size();
            }
        };
    }

    /** One of the three views of a dict. */
    record View(Map<?, ?> dict, Kind kind) {
        enum Kind {
            KEYS,
            VALUES,
            ITEMS
        }

        List<Object> items() {
            Budget.spend((long) Budget.ITEM * dict.size());
            return switch (kind) {
                case KEYS -> new java.util.ArrayList<>(dict.keySet());
                case VALUES -> new java.util.ArrayList<>(dict.values());
                case ITEMS -> {
                    List<Object> pairs = new java.util.ArrayList<>();
                    dict.forEach((k, v) -> pairs.add(new Tuple(java.util.Arrays.asList(k, v))));
                    yield pairs;
                }
            };
        }
    }
}

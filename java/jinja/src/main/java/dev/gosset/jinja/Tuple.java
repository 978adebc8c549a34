package dev.gosset.jinja;

import java.util.List;

/**
 * A Python tuple.
 *
 * @param items its elements, None as null
 * @param names the elements' names where it is a named tuple, else empty
 */
record Tuple(List<Object> items, List<String> names) {
    Tuple(List<Object> items) {
        this(items, List.of());
    }
}

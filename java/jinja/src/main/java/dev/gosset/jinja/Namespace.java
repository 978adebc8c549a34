package dev.gosset.jinja;

import java.util.Map;

/**
 * What {@code namespace()} makes: attributes that a template may set from any scope.
 *
 * @param attributes the attributes, changed in place
 */
record Namespace(Map<Object, Object> attributes) {}

package dev.gosset.llm.jinja;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.gosset.core.FormatException;
import java.time.Clock;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class JinjaTemplateTest {
    private static String render(String template) {
        return JinjaTemplate.parse("t", template)
                .render(Map.of("x", List.of(1, 2, 3), "s", "text", "m", Map.of("k", 1)), Clock.systemUTC());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '¦',
            quoteCharacter = '`',
            ignoreLeadingAndTrailingWhitespace = true,
            value = {
                "{{ nothing.here }}                  ¦ 'nothing' is undefined",
                "{{ s + 1 }}                         ¦ '+' is not defined for str and int",
                "{{ s | nofilter }}                  ¦ no filter named 'nofilter'",
                "{% if s is notest %}{% endif %}     ¦ no test named 'notest'",
                "{{ s.append(1) }}                   ¦ cannot be called",
                "{{ x.append(1) }}                   ¦ cannot be called",
                "{{ s.__class__.__mro__ }}           ¦ '__class__' of str is undefined",
                "{{ s.getClass() }}                  ¦ cannot be called",
                "{% include 'x' %}                   ¦ found the statement 'include'",
                "{% if s %}                          ¦ expected one of",
                "{{ s                                ¦ a tag is not closed",
                "{{ 'abc }}                          ¦ a string is not closed",
                "{# abc                              ¦ a comment is not closed",
                "{{ 9223372036854775807 + 1 }}       ¦ beyond 64 bits",
                "{{ 1 // 0 }}                        ¦ divides by zero",
                "{{ x[::0] }}                        ¦ must not be 0",
                "{% set s.a = 1 %}                   ¦ only a namespace takes attributes",
                "{% for a, b in x %}{% endfor %}     ¦ cannot be iterated",
                "{{ 1 < s }}                         ¦ have no order",
                "{{ range(10 ** 12) }}               ¦ longer than",
                "{{ 'a' * 10 ** 12 }}                ¦ too long",
                "{{ raise_exception('my words') }}   ¦ t:1: my words",
            })
    void saysWhatIsWrong(String template, String message) {
        assertThatExceptionOfType(FormatException.class)
                .isThrownBy(() -> render(template))
                .withMessageContaining(message);
    }

    @Test
    void namesTheLine() {
        assertThatExceptionOfType(FormatException.class)
                .isThrownBy(() -> render("one\n{# two\n#}\n{%- set a = '\n' %}\n{{ raise_exception('here') }}"))
                .withMessage("t:6: here");
    }

    @ParameterizedTest
    @Timeout(20)
    @ValueSource(
            strings = {
                "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
                "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
                "{% set ns = namespace(t='x') %}{% for a in range(100) %}{% set ns.t = ns.t + ns.t %}{% endfor %}{{ ns.t }}",
                "{% for a in range(100000) %}{{ 'x' * 100000 }}{% endfor %}",
                "{% set ns = namespace(t=[1]) %}{% for a in range(100) %}{% set ns.t = [ns.t, ns.t] %}{% endfor %}{{ ns.t }}",
                "{% set ns = namespace(t=[1]) %}{% for a in range(99) %}{% set ns.t = [ns.t, ns.t] %}{% endfor %}{{ ns.t | tojson }}",
                "{% set ns = namespace(t='xx') %}{% for a in range(100) %}{% set ns.t = ns.t | replace('x', ns.t) %}{% endfor %}",
            })
    void boundsWhatATemplateMayDo(String template) {
        assertThatExceptionOfType(FormatException.class).isThrownBy(() -> render(template));
    }

    @Test
    void boundsTheDepthOfItsText() {
        for (String nested : List.of("(", "[", "not ", "-", "{1:", "x[", "1 if ", "x(")) {
            assertThatExceptionOfType(FormatException.class)
                    .isThrownBy(() -> render("{{ " + nested.repeat(100_000) + " }}"));
        }
        assertThatExceptionOfType(FormatException.class).isThrownBy(() -> render("{% if s %}".repeat(100_000)));
    }

    /** Any mutilation of a template renders or is a FormatException, never anything else. */
    @Test
    void survivesMutilation() {
        String whole =
                "{%- macro f(a, b=2) %}{{ a ~ b|string }}{% endmacro %}{% for i, j in m.items() if j -%} {{ f(i) }}"
                        + "{{ loop.index0 }}{% if not loop.last %}, {% elif x[::-1][0] == 3 %}{{ x | tojson(indent=1) }}{% endif %}"
                        + "{%+ endfor %}{# note -#} {{ {'a': [1, 2.5e3, none]}['a'][1:] }}{% set ns = namespace(v=1) %}"
                        + "{% set ns.v = s.split('e')[0] %}{% raw %}{{ }}{% endraw %}{{ ns.v if s is string else (1, 2) }}";
        Random random = new Random(7);
        int rendered = 0;
        for (int round = 0; round < 20_000; round++) {
            StringBuilder text = new StringBuilder(whole);
            for (int edits = random.nextInt(4); edits >= 0; edits--) {
                int at = random.nextInt(text.length());
                int end = Math.min(text.length(), at + 1 + random.nextInt(6));
                switch (random.nextInt(3)) {
                    case 0 -> text.delete(at, end);
                    case 1 -> text.insert(random.nextInt(text.length()), text.substring(at, end));
                    default -> text.setCharAt(at, "{}%#-+()[]|.'\"~=, a1".charAt(random.nextInt(20)));
                }
            }
            try {
                render(text.toString());
                rendered++;
            } catch (FormatException e) {
                assertThat(e).hasMessageStartingWith("t:");
            }
        }
        assertThat(rendered).isPositive();
    }
}

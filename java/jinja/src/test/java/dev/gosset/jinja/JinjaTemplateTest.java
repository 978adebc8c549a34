package dev.gosset.jinja;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
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
                "{{ s | nofilter }}                  ¦ t:1: no filter named 'nofilter'",
                "{% if s is notest %}{% endif %}     ¦ t:1: no test named 'notest'",
                "{{ s.append(1) }}                   ¦ cannot be called",
                "{{ x.append(1) }}                   ¦ cannot be called",
                "{{ s.__class__.__mro__ }}           ¦ '__class__' of str is undefined",
                "{{ '{0.__class__.__mro__}'.format(s) }} ¦ '__class__' of str is undefined",
                "{{ m.update({}) }}                  ¦ 'update' of dict would change it",
                "{{ m.nothing.more }}                ¦ 'nothing' of dict is undefined",
                "{{ 10 ** 5000 }}                    ¦ more than 4300 digits",
                "{{ 10 ** (10 ** 9) }}               ¦ an int of more than 131072 bits",
                "{{ 1 // 0 }}                        ¦ division by zero",
                "{% break %}                         ¦ 'break' stands in no loop",
                "{% macro a() %}{% endmacro %}{{ a(1) }} ¦ takes at most 0 arguments, found 1",
                "{{ s.split(limit=1) }}              ¦ takes no argument limit=",
                "{{ x | join(',', 'a', 1) }}         ¦ the filter join takes at most 2 arguments, found 3",
                "{{ '%d' | format('a') }}            ¦ %d takes a number, found str",
                "{% call 1 %}{% endcall %}           ¦ expected a call",
                "{% block a %}{% endblock %}{% block a %}{% endblock %} ¦ the block a is defined twice",
                "{{ s.getClass() }}                  ¦ cannot be called",
                "{% include 'x' %}                   ¦ a chat template has no other templates to read",
                "{% if s %}                          ¦ expected one of",
                "{{ s                                ¦ a tag is not closed",
                "{{ 'abc }}                          ¦ a string is not closed",
                "{# abc                              ¦ a comment is not closed",
                "{{ x[::0] }}                        ¦ must not be 0",
                "{% set s.a = 1 %}                   ¦ only a namespace takes attributes",
                "{% for a, b in x %}{% endfor %}     ¦ cannot be iterated",
                "{{ 1 < s }}                         ¦ have no order",
                "{{ range(10 ** 12) }}               ¦ longer than",
                "{{ 'a' * 10 ** 12 }}                ¦ too long",
                "{{ raise_exception('my words') }}   ¦ t:1: my words",
            })
    void saysWhatIsWrong(String template, String message) {
        assertThatExceptionOfType(JinjaException.class)
                .isThrownBy(() -> render(template))
                .withMessageContaining(message);
    }

    static Stream<Arguments> cases() throws IOException {
        try (InputStream in = JinjaTemplateTest.class.getResourceAsStream("/jinja/cases.json")) {
            Map<String, Object> all = new ObjectMapper().readValue(in, new TypeReference<>() {});
            List<?> cases = (List<?>) all.get("cases");
            return cases.stream().map(c -> Arguments.of(((Map<?, ?>) c).get("template"), c, all.get("variables")));
        }
    }

    /** What Jinja2 made of the same templates, see src/test/python/make_jinja_cases.py. */
    @ParameterizedTest(name = "{0}")
    @MethodSource("cases")
    void rendersAsJinja2Does(String template, Map<String, ?> expected, Map<String, Object> variables) {
        Map<String, Object> all = new HashMap<>(variables);
        all.put("documents", null);
        all.put("add_generation_prompt", false);
        Clock clock = Clock.fixed(Instant.parse("2024-07-26T09:05:03Z"), ZoneOffset.UTC);
        if (expected.containsKey("text")) {
            assertThat(JinjaTemplate.parse("t", template).render(all, clock)).isEqualTo(expected.get("text"));
        } else {
            assertThatExceptionOfType(JinjaException.class)
                    .isThrownBy(() -> JinjaTemplate.parse("t", template).render(all, clock))
                    .withMessageStartingWith("t:");
        }
    }

    /** Jinja2 refuses such a template whole unless the place is in an if: nobody is helped by that. */
    @Test
    void refusesUnknownFiltersAndTestsWhereTheyAreReached() {
        assertThat(render("{% for a in [] %}{{ a | nofilter(1) }}{{ a is notest }}{% endfor %}ok"))
                .isEqualTo("ok");
        assertThatExceptionOfType(JinjaException.class)
                .isThrownBy(() -> render("{% for a in x %}\n{{\na | string\n| nofilter }}{% endfor %}"))
                .withMessageStartingWith("t:4: no filter named 'nofilter', known are abs,");
    }

    /** What Java's values become, beyond those that JSON has. */
    @Test
    void takesJavasNumbers() {
        BigInteger large = BigInteger.TWO.pow(100);
        Map<String, Object> numbers = new LinkedHashMap<>();
        numbers.put("a", List.of(large, large.negate(), BigInteger.TEN, (short) 1, 2L, 0.5f, new BigDecimal("0.1")));
        assertThat(JinjaTemplate.parse("t", "{{ a | tojson }}").render(numbers, Clock.systemUTC()))
                .isEqualTo("[" + large + ", -" + large + ", 10, 1, 2, 0.5, 0.1]");
    }

    @Test
    void namesTheLine() {
        assertThatExceptionOfType(JinjaException.class)
                .isThrownBy(() -> render("one\n{# two\n#}\n{%- set a = '\n' %}\n{{ raise_exception('here') }}"))
                .withMessage("t:6: here")
                .satisfies(e -> assertThat(e.line()).isEqualTo(6));
    }

    @ParameterizedTest
    @Timeout(60)
    @ValueSource(
            strings = {
                "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
                "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
                "{% set ns = namespace(t='x') %}{% for a in range(100) %}{% set ns.t = ns.t + ns.t %}{% endfor %}{{ ns.t }}",
                "{% for a in range(100000) %}{{ 'x' * 100000 }}{% endfor %}",
                "{% set ns = namespace(t=[1]) %}{% for a in range(100) %}{% set ns.t = [ns.t, ns.t] %}{% endfor %}{{ ns.t }}",
                "{% set ns = namespace(t=[1]) %}{% for a in range(99) %}{% set ns.t = [ns.t, ns.t] %}{% endfor %}{{ ns.t | tojson }}",
                "{% set ns = namespace(t=[]) %}{% for a in range(1000) %}{% set ns.t = ns.t + ['x' * 60000000 ~ a] %}{% endfor %}",
                "{% for a in range(100000) %}{{ range(100000) | sum }}{% endfor %}",
                "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
                "{% macro m() %}{{ caller() }}{% endmacro %}{% macro n() %}{% call m() %}{{ n() }}{% endcall %}{% endmacro %}{{ n() }}",
                "{% block a %}{{ self.a() }}{% endblock %}",
                "{{ '%9999999s' % 1 }}",
                "{{ '{:9999999}'.format(1) }}",
                "{{ 's'.ljust(10 ** 10) }}",
                "{{ [1] | batch(10 ** 10, 1) | list }}",
                "{{ range(100) | slice(10 ** 10) | list }}",
                "{% set ns = namespace(t=2) %}{% for a in range(100) %}{% set ns.t = ns.t * ns.t %}{% endfor %}",
                "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(90) %}{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a == ns.b }}",
                "{% set ns = namespace(a=(1, 1)) %}{% for i in range(90) %}{% set ns.a = (ns.a, ns.a) %}{% endfor %}{{ {ns.a: 1} }}",
                "{% set ns = namespace(t='xx') %}{% for a in range(100) %}{% set ns.t = ns.t | replace('x', ns.t) %}{% endfor %}",
            })
    void boundsWhatATemplateMayDo(String template) {
        assertThatExceptionOfType(JinjaException.class).isThrownBy(() -> render(template));
    }

    @Test
    void boundsTheDepthOfItsText() {
        for (String nested : List.of("(", "[", "not ", "-", "{1:", "x[", "1 if ", "x(")) {
            assertThatExceptionOfType(JinjaException.class)
                    .isThrownBy(() -> render("{{ " + nested.repeat(100_000) + " }}"));
        }
        assertThatExceptionOfType(JinjaException.class).isThrownBy(() -> render("{% if s %}".repeat(100_000)));
    }

    /** Any mutilation of a template renders or is a JinjaException, never anything else. */
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
            } catch (JinjaException e) {
                assertThat(e).hasMessageStartingWith("t:");
            }
        }
        assertThat(rendered).isPositive();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "{% for i in range(10000) %}{% for j in range(10000) %}{% endfor %}{% endfor %}",
                "{{ (['x' * 6000000] * 6000000) | map('length') | sum }}",
                "{{ (['x'] * 6000000) | map('list') | map('length') | sum }}",
                "{{ ([['x'] * 1000] * 1000000) | select('equalto', ['y'] * 1000) | list }}",
                "{% set b = 'x' * 60000000 %}{% for i in range(100000) %}{% if b ~ 'y' == b ~ 'z' %}{% endif %}{% endfor %}",
                "{% set b = 'x' * 6000000 %}{% for i in range(100000) %}{{ '' if 'xy' in b }}{% endfor %}",
                "{% set b = 'x' * 6000000 %}{% for i in range(100000) %}{{ b.rfind('y') }}{% endfor %}",
                "{{ ('x ' * 30000000).split() | length }}",
                "{{ ('x' * 60000000) | list | length }}",
                "{{ (['x' * 6000000 ~ 'y', 'x' * 6000000 ~ 'z'] * 3000) | sort | length }}",
                "{{ ('x' * 20000000) | wordwrap(1) | length }}",
                "{{ (' x' * 5000000).rsplit(none, 4000000) | length }}",
                "{% for i in range(100000) %}{% set x = 2 ** 131000 // 3 ** 40000 %}{% endfor %}",
                "{% for i in range(100000) %}{% set x = ('9' * 4000) | int %}{% endfor %}",
                "{% set n = namespace(l=[]) %}{% for i in range(99) %}{% set n.l = [n.l, n.l] %}{% endfor %}{{ n.l | pprint }}",
                "{% set b = '\u00e9\ud83d\ude00' * 6000000 %}{% for i in range(100000) %}{{ b[5000000] }}{% endfor %}",
                "{{ (['x' * 1000] * 6000000) | unique | list }}",
                "{{ ([{'a': [1] * 1000}] * 6000000) | map(attribute='a.0') | list | length }}",
            })
    @Timeout(100)
    void workWithoutEndIsRefused(String template) {
        assertThatExceptionOfType(JinjaException.class)
                .isThrownBy(() -> JinjaTemplate.parse("t", template)
                        .render(Map.of(), Clock.systemUTC(), new JinjaTemplate.Limits(2_000_000, 1 << 27)))
                .withMessageContaining("takes more");
    }

    @Test
    @Timeout(100)
    void longTextsAreSearchedInLinearTime() {
        // A needle whose beginning is everywhere: the product of the lengths is 10^14.
        String needle = "{% set n = 'x' * 3000000 ~ 'y' %}{% set b = 'x' * 20000000 %}";
        assertThat(render(needle + "{{ n in b }}")).isEqualTo("False");
        assertThat(render(needle + "{{ (b ~ n ~ b).rfind(n) }}")).isEqualTo("20000000");
        assertThat(render(needle + "{{ b.count(n) }} {{ b.split(n) | length }} {{ b.replace(n, '') == b }}"))
                .isEqualTo("0 1 True");
    }

    @Test
    void searchesAgreeWithJava() {
        Random random = new Random();
        for (int round = 0; round < 300; round++) {
            StringBuilder text = new StringBuilder();
            while (text.length() < 200) {
                text.append((char) ('a' + random.nextInt(2)));
            }
            int from = random.nextInt(150);
            // Periods, so that a search begins again inside of what it has found.
            String sub = (text.substring(from, from + random.nextInt(1, 9))).repeat(random.nextInt(1, 8));
            String around = text + (random.nextBoolean() ? sub : "") + text;
            String found = JinjaTemplate.parse(
                            "t", "{{ s.find(n) }} {{ s.rfind(n) }} {{ s.replace(n, '-') }} {{ n in s }}")
                    .render(Map.of("s", around, "n", sub), Clock.systemUTC());
            assertThat(found)
                    .as("'%s' in '%s'", sub, around)
                    .isEqualTo(around.indexOf(sub) + " " + around.lastIndexOf(sub) + " " + around.replace(sub, "-")
                            + " " + (around.contains(sub) ? "True" : "False"));
        }
    }

    /** 65536 tuples of a text of its own and one of all, whose hashes in Java are all the same. */
    @Test
    @Timeout(10)
    void keysWhoseHashesCollideAreFoundAsFast() {
        String template = "{% set s = namespace(t='|') %}"
                + "{% for i in range(16) %}{% set s.t = s.t.replace('|', 'Aa|') + s.t.replace('|', 'BB|') %}{% endfor %}"
                + "{% set pairs = s.t.replace('|', '|v|').split('|')[:-1] | batch(2) %}"
                + "{{ dict(pairs).items() | unique | list | length }}";
        assertThat(render(template)).isEqualTo("65536");
    }

    @Test
    void limitsAreTheCallers() {
        JinjaTemplate template = JinjaTemplate.parse("t", "{% for i in range(100) %}{{ i }}{% endfor %}");
        assertThat(template.render(Map.of(), Clock.systemUTC(), new JinjaTemplate.Limits(300, 100_000)))
                .startsWith("0123");
        assertThatExceptionOfType(JinjaException.class)
                .isThrownBy(() -> template.render(Map.of(), Clock.systemUTC(), new JinjaTemplate.Limits(100, 100_000)))
                .withMessageContaining("t:1: takes more than 100 steps");
        assertThatExceptionOfType(JinjaException.class)
                .isThrownBy(() -> template.render(Map.of(), Clock.systemUTC(), new JinjaTemplate.Limits(300, 1000)))
                .withMessageContaining("takes more work than the writing of 1000 characters");
    }
}

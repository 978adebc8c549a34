package dev.gosset.core;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class FormatExceptionTest {
    @Test
    void aMessageIsOneLineWithItsBeginningAndItsEnd() {
        String found = "x".repeat(100_000);
        assertThat(new FormatException("config.json: found " + found + ", expected a number"))
                .message()
                .hasSize(1000)
                .startsWith("config.json: found xxx")
                .contains("x ... x")
                .endsWith("xxx, expected a number");
        assertThat(new FormatException("a\nb\u001b[31mc\u0000", null)).hasMessage("a b [31mc ");
        assertThat(new FormatException("1".repeat(1000))).hasMessage("1".repeat(1000));
    }
}

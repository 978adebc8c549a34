package dev.gosset.core.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

final class ConstructionTest {
    @Test
    void whatWasBegunIsCleanedUpAndTheCauseIsThrown() {
        List<String> freed = new ArrayList<>();
        assertThatThrownBy(() -> {
                    try (Construction construction = new Construction(() -> freed.add("memory"))) {
                        fail("no room for the second half");
                        construction.done();
                    }
                })
                .isInstanceOf(OutOfMemoryError.class)
                .hasMessage("no room for the second half")
                .hasNoSuppressedExceptions();
        assertThat(freed).containsExactly("memory");
    }

    @Test
    void aCleanUpThatFailsDoesNotHideTheCause() {
        IllegalStateException second = new IllegalStateException("the stream has failed too");
        assertThatThrownBy(() -> {
                    try (Construction construction = new Construction(() -> {
                        throw second;
                    })) {
                        fail("first");
                        construction.done();
                    }
                })
                .isInstanceOf(OutOfMemoryError.class)
                .hasMessage("first")
                .hasSuppressedException(second);
    }

    private static void fail(String message) {
        throw new OutOfMemoryError(message);
    }

    @Test
    void whatIsWholeStays() {
        List<String> freed = new ArrayList<>();
        try (Construction construction = new Construction(() -> freed.add("memory"))) {
            construction.done();
        }
        assertThat(freed).isEmpty();
    }
}

package dev.gosset.core.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class ClosingTest {
    private final List<String> closed = new ArrayList<>();

    private AutoCloseable resource(String name, Exception failure) {
        return () -> {
            closed.add(name);
            if (failure != null) {
                throw failure;
            }
        };
    }

    @Test
    void everythingIsClosedAndTheFirstFailureCarriesTheOthers() {
        IllegalArgumentException first = new IllegalArgumentException("first");
        IOException second = new IOException("second");
        assertThatThrownBy(() -> Closing.all(
                        List.of(resource("a", null), resource("b", first), resource("c", second), resource("d", null))))
                .isSameAs(first)
                .hasSuppressedException(second);
        assertThat(closed).containsExactly("a", "b", "c", "d");
    }

    @Test
    void aCheckedExceptionIsWrapped() {
        IOException failure = new IOException("failure");
        assertThatThrownBy(() -> Closing.all(List.of(resource("a", failure), resource("b", null))))
                .isInstanceOf(IllegalStateException.class)
                .hasCause(failure);
        assertThat(closed).containsExactly("a", "b");
        Closing.all(List.of());
    }
}

package dev.gosset.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

final class ResourcesTest {
    @Test
    void closesAllAndLosesNoFailure() {
        List<Integer> closed = new ArrayList<>();
        RuntimeException late = new IllegalStateException("2");
        Error first = new OutOfMemoryError("4");
        Exception checked = new Exception("1");
        Resources resources = new Resources();
        for (int i = 0; i < 5; i++) {
            int number = i;
            resources.own(() -> {
                closed.add(number);
                switch (number) {
                    case 1 -> throw checked;
                    case 2 -> throw late;
                    case 4 -> throw first;
                    default -> {}
                }
            });
        }
        assertThatThrownBy(resources::close).isSameAs(first);
        assertThat(first.getSuppressed()).containsExactly(late, checked);
        assertThat(closed).containsExactly(4, 3, 2, 1, 0);
        resources.close();
        assertThat(closed).as("closed once").hasSize(5);
    }
}

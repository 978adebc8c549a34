package dev.gosset.core.parallel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(120)
class ThreadTeamTest {
    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 7})
    void everyTaskRunsOnce(int threads) {
        try (ThreadTeam team = new ThreadTeam(threads)) {
            for (int round = 0; round < 3000; round++) {
                int tasks = round % 23;
                AtomicIntegerArray runs = new AtomicIntegerArray(tasks + 1);
                team.run(tasks, runs::incrementAndGet);
                for (int i = 0; i < tasks; i++) {
                    assertThat(runs.get(i)).isEqualTo(1);
                }
                assertThat(runs.get(tasks)).isZero();
                if (round % 500 == 0) {
                    // long enough for the workers to park
                    LockSupport.parkNanos(2_000_000);
                }
            }
        }
    }

    @Test
    void resultsOfTheTasksAreSeenByTheCaller() {
        int[] written = new int[64];
        try (ThreadTeam team = new ThreadTeam(4)) {
            for (int round = 1; round < 20_000; round++) {
                int value = round;
                team.run(written.length, i -> written[i] = value);
                for (int found : written) {
                    assertThat(found).isEqualTo(value);
                }
            }
        }
    }

    @Test
    void theFirstExceptionArrivesAndTheTeamLivesOn() {
        try (ThreadTeam team = new ThreadTeam(3)) {
            for (int round = 0; round < 200; round++) {
                int bad = round % 10;
                AtomicInteger after = new AtomicInteger();
                assertThatThrownBy(() -> team.run(1000, i -> {
                            if (i == bad) {
                                throw new IllegalStateException("task " + i);
                            }
                            after.incrementAndGet();
                        }))
                        .isInstanceOf(IllegalStateException.class)
                        .hasMessage("task " + bad);
                int ended = after.get();
                LockSupport.parkNanos(1000);
                assertThat(after.get()).as("nothing runs after the return").isEqualTo(ended);
                AtomicInteger count = new AtomicInteger();
                team.run(50, i -> count.incrementAndGet());
                assertThat(count.get()).isEqualTo(50);
            }
            assertThatThrownBy(() -> team.run(2, i -> {
                        throw new StackOverflowError("deep");
                    }))
                    .isInstanceOf(StackOverflowError.class);
        }
    }

    @Test
    void aJobInsideAJobRunsOnItsOwnThread() {
        try (ThreadTeam team = new ThreadTeam(3)) {
            AtomicInteger count = new AtomicInteger();
            team.run(10, i -> {
                Thread here = Thread.currentThread();
                team.run(10, j -> {
                    assertThat(Thread.currentThread()).isSameAs(here);
                    count.incrementAndGet();
                });
            });
            assertThat(count.get()).isEqualTo(100);
        }
    }

    @Test
    void anInterruptedCallerStillWaitsForItsTasks() {
        try (ThreadTeam team = new ThreadTeam(2)) {
            AtomicInteger count = new AtomicInteger();
            Thread.currentThread().interrupt();
            team.run(4, i -> {
                long end = System.nanoTime() + 3_000_000;
                while (System.nanoTime() < end) {
                    Thread.onSpinWait();
                }
                count.incrementAndGet();
            });
            assertThat(Thread.interrupted()).isTrue();
            assertThat(count.get()).isEqualTo(4);
        }
    }

    @Test
    void aClosedTeamEndsItsThreadsAndRunsAlone() {
        ThreadTeam team = new ThreadTeam(4);
        team.run(8, i -> {});
        team.close();
        AtomicInteger count = new AtomicInteger();
        team.run(8, i -> count.incrementAndGet());
        assertThat(count.get()).isEqualTo(8);
        assertThatThrownBy(() -> new ThreadTeam(0)).isInstanceOf(IllegalArgumentException.class);
    }
}

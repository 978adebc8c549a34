package dev.gosset.core.parallel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.gosset.core.memory.FloatMatrix;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

class WorkspaceTest {
    @Test
    void framesDoNotOverlapAndGiveTheirMemoryBack() {
        try (ThreadTeam team = new ThreadTeam(1);
                Workspace workspace = new Workspace(team)) {
            long address;
            try (Workspace.Frame outer = workspace.frame()) {
                FloatMatrix a = outer.matrix(3, 5);
                a.data().fill((byte) 1);
                try (Workspace.Frame inner = workspace.frame()) {
                    MemorySegment b = inner.bytes(100);
                    address = b.address();
                    assertThat(address % 64).isZero();
                    b.fill((byte) 2);
                }
                try (Workspace.Frame inner = workspace.frame()) {
                    assertThat(inner.bytes(100).address()).isEqualTo(address);
                }
                assertThat(a.data().get(ValueLayout.JAVA_BYTE, 59)).isEqualTo((byte) 1);
            }
        }
    }

    @Test
    void repeatedWorkTakesNoMoreMemory() {
        try (ThreadTeam team = new ThreadTeam(1);
                Workspace workspace = new Workspace(team)) {
            long reserved = 0;
            for (int round = 0; round < 5; round++) {
                try (Workspace.Frame frame = workspace.frame()) {
                    frame.bytes(700_000);
                    frame.bytes(3_000_000);
                    try (Workspace.Frame inner = workspace.frame()) {
                        inner.bytes(5_000_000).fill((byte) 3);
                    }
                    frame.bytes(900_000).fill((byte) 4);
                }
                if (round > 0) {
                    assertThat(workspace.reservedBytes()).isEqualTo(reserved);
                }
                reserved = workspace.reservedBytes();
            }
            assertThat(reserved).isLessThan(16_000_000);
        }
    }

    @Test
    void refusesAFrameThatIsNotTheInnermost() {
        try (ThreadTeam team = new ThreadTeam(1);
                Workspace workspace = new Workspace(team)) {
            try (Workspace.Frame outer = workspace.frame()) {
                try (Workspace.Frame inner = workspace.frame()) {
                    assertThat(inner.bytes(1).byteSize()).isEqualTo(1);
                    assertThatExceptionOfType(IllegalStateException.class).isThrownBy(() -> outer.bytes(1));
                }
                assertThatExceptionOfType(IllegalStateException.class).isThrownBy(workspace::close);
            }
        }
    }

    @Test
    void eachRunningTaskHasScratchOfItsOwn() {
        try (ThreadTeam team = new ThreadTeam(4);
                Workspace workspace = new Workspace(team)) {
            AtomicInteger wrong = new AtomicInteger();
            AtomicInteger ran = new AtomicInteger();
            workspace.run(200, 4096, (task, scratch) -> {
                scratch.fill((byte) task);
                Thread.onSpinWait();
                for (long i = 0; i < 4096; i++) {
                    if (scratch.get(ValueLayout.JAVA_BYTE, i) != (byte) task) {
                        wrong.incrementAndGet();
                    }
                }
                ran.incrementAndGet();
            });
            assertThat(wrong).hasValue(0);
            assertThat(ran).hasValue(200);
        }
    }

    @Test
    void eachScratchIsMadeReadyOnceBeforeItsTasks() {
        for (int threads = 1; threads <= 4; threads++) {
            try (ThreadTeam team = new ThreadTeam(threads);
                    Workspace workspace = new Workspace(team)) {
                for (int tasks = 0; tasks < 40; tasks++) {
                    AtomicInteger ready = new AtomicInteger();
                    AtomicInteger done = new AtomicInteger();
                    int number = 1000 + tasks;
                    workspace.run(
                            tasks,
                            8,
                            scratch -> {
                                scratch.set(ValueLayout.JAVA_INT, 0, number);
                                ready.incrementAndGet();
                            },
                            (task, scratch) -> {
                                assertThat(scratch.get(ValueLayout.JAVA_INT, 0)).isEqualTo(number);
                                done.incrementAndGet();
                            });
                    assertThat(done).hasValue(tasks);
                    assertThat(ready.get()).isBetween(Math.min(1, tasks), Math.min(threads, tasks));
                }
            }
        }
    }
}

import com.github.tjake.jlama.model.AbstractModel;
import com.github.tjake.jlama.model.ModelSupport;
import com.github.tjake.jlama.safetensors.DType;
import com.github.tjake.jlama.tensor.AbstractTensor;
import com.github.tjake.jlama.tensor.KvBufferCache;
import java.io.File;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Decodes with Jlama and prints the milliseconds of each token, wall and CPU time. Run as a source file on Jlama's own class
 * path. Rounds, warm-up and arguments are those of ModelRun: directory, threads, most seconds to warm up, tokens of a round.
 */
public final class JlamaRun {
    public static void main(String[] args) throws Exception {
        long warmNanos = 1_000_000_000L * Integer.parseInt(args[2]);
        int timed = Integer.parseInt(args[3]);
        AbstractModel model = ModelSupport.loadModel(
                new File(args[0]), null, DType.F32, DType.I8, Optional.empty(), Optional.of(Integer.parseInt(args[1])));
        var field = AbstractModel.class.getDeclaredField("kvBufferCache");
        field.setAccessible(true);
        KvBufferCache caches = (KvBufferCache) field.get(model);
        long start = System.nanoTime();
        double best = Double.POSITIVE_INFINITY;
        int rested = 0;
        List<Double> millis = new ArrayList<>();
        List<Double> cpu = new ArrayList<>();
        do {
            millis.clear();
            cpu.clear();
            round(model, caches, timed, millis, cpu);
            double quartile = cpu.stream().sorted().toList().get(timed / 4);
            rested = quartile < 0.98 * best ? 0 : rested + 1;
            best = Math.min(best, quartile);
        } while (rested < 3 && System.nanoTime() - start < warmNanos);
        System.out.println("{\"millis\": " + millis + ", \"cpu\": " + cpu + "}");
        System.exit(0);
    }

    private static void round(
            AbstractModel model, KvBufferCache caches, int timed, List<Double> millis, List<Double> cpu) {
        try (KvBufferCache.KvBuffer cache = caches.getEphemeralKvBuffer();
                AbstractTensor logits = model.makeDenseTensor(model.getConfig().vocabularySize)) {
            int next = 3;
            for (int i = 0; i < 16 + 8 + timed; i++) {
                long start = System.nanoTime();
                long before = cpuNanos();
                AbstractTensor output = model.forward(next, i, cache, Optional.empty());
                next = model.sample(output, 0f, 0f, logits);
                output.close();
                cache.incrementContextPosition();
                if (i >= 16 + 8) {
                    millis.add((System.nanoTime() - start) / 1e6);
                    cpu.add((cpuNanos() - before) / 1e6);
                }
            }
        }
    }

    private static long cpuNanos() {
        var threads = ManagementFactory.getThreadMXBean();
        long sum = 0;
        for (long id : threads.getAllThreadIds()) {
            sum += Math.max(0, threads.getThreadCpuTime(id));
        }
        return sum;
    }
}

// Decodes with llama.cpp through node-llama-cpp and prints the milliseconds of each token, wall and CPU time.
// Arguments: directory of node_modules, GGUF file, threads, tokens to warm up with, tokens to time; and, for many sequences at once,
// how many: then it prints the tokens that all of them got in a second while all were running.
import path from "node:path";
import {pathToFileURL} from "node:url";

const [home, file, threads, warm, timed, sequences] = process.argv.slice(2);
const entry = path.join(home, "node_modules/node-llama-cpp/dist/index.js");
const {getLlama, LlamaLogLevel} = await import(pathToFileURL(entry));
const llama = await getLlama({
    gpu: false, build: "never", progressLogs: false, logLevel: LlamaLogLevel.error, maxThreads: Number(threads)
});
const model = await llama.loadModel({modelPath: file, gpuLayers: 0});
const many = Number(sequences ?? 1);
const context = await model.createContext({
    contextSize: 512, threads: Number(threads), batchSize: 64 * many, sequences: many
});
const prompt = Array.from({length: 16}, (_, i) => 3 + i * 7 % 200);
if (sequences) {
    const counts = new Array(many).fill(0);
    let from = 0;
    let to = 0;
    let tokens = 0;
    await Promise.all(counts.map(async (_, i) => {
        const own = prompt.map(t => t + i);
        for await (const token of context.getSequence().evaluate(own, {temperature: 0, yieldEogToken: true})) {
            counts[i]++;
            const least = Math.min(...counts);
            if (from === 0 && least > Number(warm)) {
                from = performance.now();
            } else if (from > 0 && to === 0) {
                tokens++;
                if (tokens === many * Number(timed)) {
                    to = performance.now();
                }
            }
            if (to > 0) {
                break;
            }
        }
    }));
    console.log(JSON.stringify({sequences: many, tokensPerSecond: 1000 * tokens / (to - from)}));
    process.exit(0);
}
const sequence = context.getSequence();
const millis = [];
const cpu = [];
let used = process.cpuUsage();
let count = 0;
let last = performance.now();
for await (const token of sequence.evaluate(prompt, {temperature: 0, yieldEogToken: true})) {
    const now = performance.now();
    // The first token's time is the prompt's.
    if (count++ > Number(warm)) {
        const {user, system} = process.cpuUsage(used);
        millis.push(now - last);
        cpu.push((user + system) / 1000);
    }
    if (millis.length >= Number(timed)) {
        break;
    }
    used = process.cpuUsage();
    last = now;
}
console.log(JSON.stringify({millis, cpu, tokens: count}));
process.exit(0);

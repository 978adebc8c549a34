// Decodes with llama.cpp through node-llama-cpp and prints the milliseconds of each token, wall and CPU time.
// Arguments: directory of node_modules, GGUF file, threads, tokens to warm up with, tokens to time.
import path from "node:path";
import {pathToFileURL} from "node:url";

const [home, file, threads, warm, timed] = process.argv.slice(2);
const entry = path.join(home, "node_modules/node-llama-cpp/dist/index.js");
const {getLlama, LlamaLogLevel} = await import(pathToFileURL(entry));
const llama = await getLlama({
    gpu: false, build: "never", progressLogs: false, logLevel: LlamaLogLevel.error, maxThreads: Number(threads)
});
const model = await llama.loadModel({modelPath: file, gpuLayers: 0});
const context = await model.createContext({contextSize: 512, threads: Number(threads), batchSize: 64});
const sequence = context.getSequence();
const prompt = Array.from({length: 16}, (_, i) => 3 + i * 7 % 200);
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

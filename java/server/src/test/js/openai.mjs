// OpenAI's own client against a running server: node openai.mjs BASE_URL KEY. Exit code 0 where all is as it is elsewhere.
import assert from 'node:assert/strict';
import OpenAI from 'openai';

const [baseURL, apiKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const model = 'tiny';
const messages = [{ role: 'system', content: 'w4' }, { role: 'user', content: 'w5 w6 w7' }];
const chat = { model, messages, max_completion_tokens: 12, temperature: 0 };

const whole = await client.chat.completions.create({ ...chat, logprobs: true, top_logprobs: 2 });
const text = whole.choices[0].message.content;
assert.equal(whole.choices.length, 1);
assert.equal(whole.usage.prompt_tokens, 6);
assert.equal(whole.choices[0].logprobs.content.length, whole.usage.completion_tokens);
for (const token of whole.choices[0].logprobs.content) {
  assert.equal(token.top_logprobs.length, 2);
  assert.equal(token.token, token.top_logprobs[0].token);
}

const stream = await client.chat.completions.create({ ...chat, stream: true, stream_options: { include_usage: true } });
let streamed = '';
let finish;
let usage;
for await (const chunk of stream) {
  streamed += chunk.choices[0]?.delta?.content ?? '';
  finish = chunk.choices[0]?.finish_reason ?? finish;
  usage = chunk.usage ?? usage;
}
assert.equal(streamed, text);
assert.equal(finish, whole.choices[0].finish_reason);
assert.equal(usage.completion_tokens, whole.usage.completion_tokens);

// The client's own way of putting a stream together.
const final = await client.chat.completions.stream(chat).finalChatCompletion();
assert.equal(final.choices[0].message.content, text);

// A word of the answer that stands alone in it.
const words = text.trim().split(/\s+/);
const stop = words.find((word, i) => i > 0 && words.indexOf(word) === i);
const stopped = await client.chat.completions.create({ ...chat, stop: [' ' + stop] });
assert.equal(stopped.choices[0].finish_reason, 'stop');
assert.equal(stopped.choices[0].message.content, text.slice(0, text.indexOf(' ' + stop)));

const completion = await client.completions.create({ model, prompt: 'w5 w6', echo: true, logprobs: 1, max_tokens: 1, temperature: 0 });
assert.ok(completion.choices[0].text.startsWith('w5 w6'));
assert.ok(completion.choices[0].logprobs.tokens.length >= 2);
assert.equal(completion.choices[0].logprobs.token_logprobs[0], null);
const several = await client.completions.create({ model, prompt: ['w5 w6', 'w7'], n: 2, max_tokens: 3, seed: 1 });
assert.deepEqual(several.choices.map((c) => c.index), [0, 1, 2, 3]);

const models = await client.models.list();
assert.deepEqual(models.data.map((m) => m.id), [model]);

await assert.rejects(client.chat.completions.create({ ...chat, n: 1000 }), (e) => e instanceof OpenAI.BadRequestError && e.param === 'n');
await assert.rejects(client.chat.completions.create({ ...chat, model: 'other' }), OpenAI.NotFoundError);
await assert.rejects(new OpenAI({ baseURL, apiKey: 'wrong', maxRetries: 0 }).models.list(), OpenAI.AuthenticationError);

// A client that leaves: the next request is right.
const left = await client.chat.completions.create({ ...chat, max_completion_tokens: 200, stream: true });
for await (const chunk of left) {
  if (chunk.choices[0]?.delta?.content) {
    left.controller.abort();
    break;
  }
}
assert.equal((await client.chat.completions.create(chat)).choices[0].message.content, text);

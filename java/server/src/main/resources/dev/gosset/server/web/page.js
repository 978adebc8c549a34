// The chat: a list of messages, and what is asked with it. All of it is kept in this browser, but for the API key.
import { Failure, events, servedModel } from './api.js';
import { GrowingText } from './markdown.js';

const STORED = 'gosset';
const NUMBERS = ['temperature', 'top_p', 'seed', 'max_tokens'];
const TEXTS = ['system', 'schema'];
const $ = (id) => document.getElementById(id);
const main = document.querySelector('main');

let { messages, settings } = stored();
let key = '';
let model = null;
/** The answer that is being written: {message, text, controller}. */
let running = null;

function stored() {
  try {
    const { messages, settings } = JSON.parse(localStorage.getItem(STORED));
    return {
      messages: messages.filter((m) => ['user', 'assistant'].includes(m.role) && typeof m.content === 'string'),
      settings: Object.fromEntries([...NUMBERS, ...TEXTS].map((name) => [name, String(settings[name] ?? '')])),
    };
  } catch {
    // Nothing yet, or not ours.
    return { messages: [], settings: {} };
  }
}

function store() {
  try {
    localStorage.setItem(STORED, JSON.stringify({ messages, settings }));
  } catch {
    // A browser without storage, or a full one: the chat goes on.
  }
}

function element(tag, properties, ...children) {
  const e = Object.assign(document.createElement(tag), properties);
  e.append(...children);
  return e;
}

function button(text, action) {
  const b = element('button', { type: 'button', textContent: text });
  b.addEventListener('click', action);
  return b;
}

// What is shown.

function show() {
  change(() => {
    $('messages').replaceChildren(...messages.map(shown));
    $('empty').hidden = messages.length > 0;
  }, true);
}

function shown(message) {
  const own = message.role === 'user';
  const name = own ? 'You' : 'Model';
  const text = element('div', { className: 'text' });
  const actions = element('div', { className: 'actions' });
  const item = element('li', { className: message.role }, element('h2', { textContent: name }), text, actions);
  if (own) {
    text.textContent = message.content;
    actions.append(button('Edit', () => edit(item, message)));
  } else {
    if (running?.message === message) {
      running.text = new GrowingText(text);
      item.classList.add('growing');
    } else {
      new GrowingText(text).update(message.content, true);
    }
    actions.append(button('Regenerate', () => answerAfter(messages.indexOf(message))));
  }
  if (navigator.clipboard) {
    actions.append(button('Copy', () => navigator.clipboard.writeText(message.content).then(() => say('Copied.'))));
  }
  return item;
}

function edit(item, message) {
  const box = element('textarea', { value: message.content, rows: Math.min(12, message.content.split('\n').length + 1) });
  box.setAttribute('aria-label', 'Edit the message');
  const form = element('form', { className: 'edit' }, box, element('div', { className: 'buttons' },
    button('Cancel', () => {
      item.replaceWith(shown(message));
      $('input').focus();
    }), element('button', { textContent: 'Send' })));
  form.addEventListener('submit', (e) => {
    e.preventDefault();
    if (written(box.value)) {
      const at = messages.indexOf(message);
      messages[at] = { role: 'user', content: written(box.value) };
      answerAfter(at + 1);
    }
  });
  box.addEventListener('keydown', (e) => {
    sendsOnEnter(e, form);
    if (e.key === 'Escape') {
      e.stopPropagation();
      form.querySelector('button').click();
    }
  });
  item.replaceChildren(item.firstElementChild, form);
  box.focus();
}

function sendsOnEnter(event, form) {
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    form.requestSubmit();
  }
}

/** Changes what is shown, and keeps the end in sight unless the reader has gone elsewhere. */
function change(action, always = false) {
  const follow = always || main.scrollHeight - main.scrollTop - main.clientHeight < 40;
  action();
  if (follow) {
    main.scrollTop = main.scrollHeight;
  }
}

function say(text) {
  $('status').textContent = text;
}

function showError(failure) {
  const parts = [];
  if (failure) {
    parts.push(element('p', { textContent: failure.message }));
    if (failure.status === 401) {
      parts.push(button('Give the API key', () => openSettings($('key'))));
    } else if (messages.at(-1)?.role === 'user') {
      parts.push(button('Try again', () => answerAfter(messages.length)));
    }
  }
  change(() => $('error').replaceChildren(...parts), parts.length > 0);
}

function showUse(usage) {
  const context = model?.max_model_len;
  const used = usage ? usage.prompt_tokens + usage.completion_tokens : 0;
  $('used').textContent = context ? `${used} of ${context} tokens` : '';
  $('context').max = context ?? 1;
  $('context').value = used;
}

function showRunning() {
  $('send').hidden = running !== null;
  $('stop').hidden = running === null;
}

// Asking.

function request(own) {
  const body = { model: model.id, stream: true, stream_options: { include_usage: true, continuous_usage_stats: true } };
  for (const name of NUMBERS) {
    if (settings[name]) {
      body[name] = Number(settings[name]);
    }
  }
  if (settings.schema) {
    const schema = JSON.parse(settings.schema);
    body.response_format = { type: 'json_schema', json_schema: { name: 'answer', strict: true, schema } };
  }
  const before = messages.slice(0, messages.indexOf(own.message));
  if (model.chat) {
    const system = settings.system ? [{ role: 'system', content: settings.system }] : [];
    body.messages = [...system, ...before.map(({ role, content }) => ({ role, content }))];
    return ['v1/chat/completions', body];
  }
  // A model without a form for conversations goes on with the text.
  body.prompt = (settings.system ?? '') + before.map((m) => m.content).join('');
  body.max_tokens ??= 256;
  return ['v1/completions', body];
}

/** Answers the first messages again, without what followed them. */
async function answerAfter(count) {
  stop();
  const own = { message: { role: 'assistant', content: '' }, controller: new AbortController() };
  messages = [...messages.slice(0, count), own.message];
  running = own;
  show();
  showError(null);
  showRunning();
  say('Answering…');
  $('rate').textContent = '';
  $('input').focus();
  let said = '';
  let failure = null;
  try {
    await findModel();
    said = await receive(own, ...request(own));
  } catch (e) {
    failure = e;
  }
  if (running === own) {
    running = null;
  }
  finish(own, failure, said);
}

async function receive(own, path, body) {
  const began = performance.now();
  let first = null;
  let usage = null;
  let reason = null;
  let frame = 0;
  try {
    for await (const event of events(path, body, key, own.controller.signal)) {
      const choice = event.choices[0];
      const piece = choice?.delta?.content ?? choice?.text ?? '';
      reason = choice?.finish_reason ?? reason;
      usage = event.usage ?? usage;
      if (piece && first === null) {
        first = { at: performance.now(), tokens: usage?.completion_tokens ?? 1 };
      }
      own.message.content += piece;
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        change(() => own.text.update(own.message.content));
        if (running === own) {
          $('rate').textContent = rate(first, usage);
          showUse(usage);
        }
      });
    }
  } finally {
    cancelAnimationFrame(frame);
  }
  showUse(usage);
  const facts = [`${usage.completion_tokens} tokens`, rate(first, usage)];
  if (first) {
    facts.push(`first after ${((first.at - began) / 1000).toFixed(2)} s`);
  }
  if (usage.prompt_tokens_details?.cached_tokens) {
    facts.push(`${usage.prompt_tokens_details.cached_tokens} of ${usage.prompt_tokens} prompt tokens cached`);
  }
  return (reason === 'length' ? 'Cut at the most tokens. ' : 'Done. ') + facts.filter(Boolean).join(', ') + '.';
}

function rate(first, usage) {
  const seconds = first ? (performance.now() - first.at) / 1000 : 0;
  const tokens = first ? (usage?.completion_tokens ?? 0) - first.tokens : 0;
  return seconds > 0 && tokens > 0 ? `${(tokens / seconds).toFixed(1)} tokens/s` : '';
}

function finish(own, failure, said) {
  const stopped = failure?.name === 'AbortError';
  if (!own.message.content && failure) {
    messages = messages.filter((m) => m !== own.message);
  }
  store();
  if (running !== null) {
    // Another answer is shown already.
    return;
  }
  change(() => {
    own.text.update(own.message.content, true);
    const item = document.querySelector('.growing');
    item?.classList.remove('growing');
    if (!messages.includes(own.message)) {
      item?.remove();
    }
  });
  $('rate').textContent = '';
  say(stopped ? 'Stopped.' : failure ? '' : said);
  if (failure && !stopped) {
    if (!(failure instanceof Failure)) {
      console.error(failure);
    }
    showError(failure);
  }
  const lost = document.activeElement === $('stop') || document.activeElement === document.body;
  showRunning();
  if (lost) {
    $('input').focus();
  }
}

function stop() {
  if (running) {
    const own = running;
    running = null;
    own.controller.abort();
  }
}

async function findModel() {
  if (!model) {
    model = await servedModel(key);
    $('model').textContent = model.id;
    $('input').placeholder = model.chat ? 'Message' : 'Begin a text';
    document.title = `${model.id} - Gosset`;
    showUse(null);
  }
}

// What the reader does.

/** Where a text is continued, spaces at its ends are a part of it. */
function written(text) {
  return text.trim() && (model?.chat === false ? text : text.trim());
}

$('composer').addEventListener('submit', (e) => {
  e.preventDefault();
  const text = written($('input').value);
  if (text && !running) {
    $('input').value = '';
    messages.push({ role: 'user', content: text });
    answerAfter(messages.length);
  }
});
$('input').addEventListener('keydown', (e) => sendsOnEnter(e, $('composer')));
$('stop').addEventListener('click', stop);
document.addEventListener('keydown', (e) => {
  if (e.key === 'Escape' && !$('settings').open) {
    stop();
  }
});
$('new').addEventListener('click', () => {
  stop();
  messages = [];
  store();
  show();
  showError(null);
  showUse(null);
  say('New chat.');
  $('input').focus();
});
$('export').addEventListener('click', () => {
  const text = JSON.stringify({ model: model?.id, settings, messages }, null, 2);
  const url = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
  element('a', { href: url, download: 'chat.json' }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
});
window.addEventListener('pagehide', store);

function openSettings(focused) {
  for (const name of [...NUMBERS, ...TEXTS]) {
    $(name).value = settings[name] ?? '';
  }
  $('key').value = key;
  $('schema-error').textContent = '';
  $('settings').showModal();
  focused.focus();
}
$('open-settings').addEventListener('click', () => openSettings($('system')));
$('cancel-settings').addEventListener('click', () => $('settings').close());
$('settings-form').addEventListener('submit', (e) => {
  e.preventDefault();
  try {
    const schema = $('schema').value.trim();
    if (schema && typeof JSON.parse(schema) !== 'object') {
      throw new SyntaxError('a schema is an object');
    }
  } catch (error) {
    $('schema-error').textContent = `Not a schema: ${error.message}`;
    $('schema').focus();
    return;
  }
  settings = Object.fromEntries([...NUMBERS, ...TEXTS].map((name) => [name, $(name).value.trim()]));
  key = $('key').value.trim();
  store();
  $('settings').close();
  showError(null);
  start();
});

/** Says which model there is, or why there is none yet. */
async function start() {
  try {
    await findModel();
  } catch (e) {
    showError(e);
  }
}

show();
showUse(null);
start();

// The page in a real Chromium: node page.mjs CHROMIUM URL URL_WITH_KEY URL_WITHOUT_TEMPLATE. Exit code 0 where all is as it should be; pictures of it lie in
// the folder that PICTURES names.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { chromium } from 'playwright-core';

const [executablePath, url, guarded, plain] = process.argv.slice(2);
const axe = await readFile('node_modules/axe-core/axe.min.js', 'utf8');
const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});

/** A page that must make no error, ask nobody else and violate no policy; refusals of the server that the test wants are told apart. */
async function open(address, options = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(15000);
  const wrong = [];
  page.refused = 0;
  page.asked = [];
  page.on('console', (m) => {
    if (/Failed to load resource: (the server responded with a status of 40[01]|net::ERR_FAILED)/.test(m.text()) && page.refused > 0) {
      page.refused--;
    } else if (['error', 'warning'].includes(m.type())) {
      wrong.push(m.text());
    }
  });
  page.on('pageerror', (e) => wrong.push(e.message));
  page.on('request', (r) => {
    if (!r.url().startsWith(address) && !r.url().startsWith('blob:')) {
      wrong.push(`asks ${r.url()}`);
    }
    if (r.method() === 'POST') {
      page.asked.push(r.postDataJSON());
    }
  });
  page.on('dialog', (d) => {
    wrong.push(`dialog ${d.message()}`);
    d.dismiss();
  });
  await page.addInitScript(() => document.addEventListener('securitypolicyviolation',
    (e) => console.error(`policy: ${e.violatedDirective} ${e.blockedURI}`)));
  page.done = async () => {
    assert.deepEqual(wrong, []);
    assert.equal(await page.evaluate(() => window.harmed), undefined);
    await context.close();
  };
  await page.goto(address);
  return page;
}

const status = (page, pattern) => page.waitForFunction((p) => new RegExp(p).test(document.querySelector('#status').textContent), pattern);
const texts = (page) => page.locator('#messages .text').allInnerTexts();
const focused = (page) => page.evaluate(() => document.activeElement.id || document.activeElement.textContent);

async function send(page, text, wanted = '^(Done|Cut)') {
  await page.locator('#input').fill(text);
  await page.keyboard.press('Enter');
  await status(page, wanted);
}

async function accessible(page, what) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  const bad = violations.filter((v) => ['serious', 'critical'].includes(v.impact));
  assert.deepEqual(bad.map((v) => [what, v.id, v.nodes.map((n) => n.html)]), []);
}

async function picture(page, name) {
  if (process.env.PICTURES) {
    await page.screenshot({ path: `${process.env.PICTURES}/${name}.png` });
  }
}

const tests = {
  async sendsAndShowsMarkdown() {
    const page = await open(url);
    await page.waitForFunction(() => document.title === 'scripted - Gosset');
    assert.equal(await focused(page), 'input');
    await accessible(page, 'empty');
    await page.keyboard.type('markdown');
    await page.keyboard.press('Shift+Enter');
    await page.keyboard.type('please');
    await page.keyboard.press('Enter');
    await status(page, '^Done');
    const answer = page.locator('#messages .assistant .text');
    for (const [selector, count] of Object.entries({ h4: 1, strong: 1, em: 1, 'ol > li': 2, 'ul > li': 1, td: 4, blockquote: 1, pre: 1 })) {
      assert.equal(await answer.locator(selector).count(), count, selector);
    }
    assert.equal(await answer.locator('pre').innerText(), 'int x = 1 < 2 ? 3 : 4;\n');
    assert.equal(await answer.locator('a').getAttribute('href'), 'https://example.org/');
    assert.match(await answer.locator('a').getAttribute('rel'), /noopener/);
    assert.equal((await texts(page))[0], 'markdown\nplease');
    assert.match(await page.locator('#status').innerText(), /^Done\. \d+ tokens, [\d.]+ tokens\/s, first after [\d.]+ s\.$/);
    assert.match(await page.locator('#used').innerText(), /^[1-9]\d* of 1024 tokens$/);
    assert.equal(await focused(page), 'input');
    await accessible(page, 'answered');
    await picture(page, 'light');
    await page.emulateMedia({ colorScheme: 'dark' });
    assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), 'rgb(20, 23, 29)');
    await accessible(page, 'dark');
    await picture(page, 'dark');
    // Nothing was said of how to draw, so the model's own way stands.
    assert.deepEqual(Object.keys(page.asked[0]).sort(), ['messages', 'model', 'stream', 'stream_options']);
    await page.done();
  },

  async stopsRegeneratesAndEdits() {
    const page = await open(url);
    await send(page, 'long', '^Answering');
    await page.waitForFunction(() => document.querySelector('.assistant .text').textContent.length > 20);
    assert.ok(await page.locator('#stop').isVisible());
    assert.ok(!(await page.locator('#send').isVisible()));
    await page.keyboard.press('Escape');
    await status(page, '^Stopped');
    const stopped = (await texts(page))[1];
    assert.ok(stopped.length > 20 && stopped.length < 700, stopped);
    await send(page, 'count');
    await page.locator('.assistant').last().getByRole('button', { name: 'Regenerate' }).click();
    await status(page, '^Done');
    const [, , , second] = await texts(page);
    assert.match(second, /^answer \d+$/);
    await page.locator('.assistant').last().getByRole('button', { name: 'Regenerate' }).click();
    await status(page, '^Done');
    assert.equal((await texts(page)).length, 4);
    assert.notEqual((await texts(page))[3], second);
    // Editing the first message forgets what followed it.
    await page.locator('.user').first().getByRole('button', { name: 'Edit' }).click();
    assert.equal(await page.getByLabel('Edit the message').inputValue(), 'long');
    await page.getByLabel('Edit the message').fill('count again');
    await page.keyboard.press('Enter');
    await status(page, '^Done');
    assert.deepEqual((await texts(page))[0], 'count again');
    assert.equal((await texts(page)).length, 2);
    assert.deepEqual(page.asked.at(-1).messages, [{ role: 'user', content: 'count again' }]);
    // By the button, and before anything has come.
    await send(page, 'long', '^Answering');
    await page.locator('#stop').click();
    await status(page, '^Stopped');
    assert.equal(await focused(page), 'input');
    await page.getByRole('button', { name: 'New chat' }).click();
    assert.deepEqual(await texts(page), []);
    await page.done();
  },

  async showsErrorsAndTriesAgain() {
    const page = await open(url);
    page.refused = 3;
    await page.locator('#input').fill('bad');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Try again' }).waitFor();
    assert.match(await page.locator('#error').innerText(), /not this/);
    assert.deepEqual(await texts(page), ['bad']);
    await accessible(page, 'error');
    await picture(page, 'error');
    await page.locator('.user').getByRole('button', { name: 'Edit' }).click();
    await page.getByLabel('Edit the message').fill('x'.repeat(1100));
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => /the prompt has \d+ tokens, the context holds 1024/.test(document.querySelector('#error').textContent));
    await page.locator('.user').getByRole('button', { name: 'Edit' }).click();
    await page.getByLabel('Edit the message').fill('count');
    await page.keyboard.press('Enter');
    await status(page, '^Done');
    assert.equal(await page.locator('#error').innerText(), '');
    // A server that has gone, and one that comes back.
    await page.route('**/v1/chat/completions', (route) => route.abort());
    await page.locator('#input').fill('count');
    await page.keyboard.press('Enter');
    await page.getByText('The server does not answer.').waitFor();
    await page.unroute('**/v1/chat/completions');
    await page.getByRole('button', { name: 'Try again' }).click();
    await status(page, '^Done');
    // A failure in the middle of an answer.
    const event = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: 'half an' } }] })}\n\n`;
    const failure = `data: ${JSON.stringify({ error: { message: 'out of luck' } })}\n\n`;
    for (const [end, message] of [[failure, 'out of luck'], ['', 'The answer broke off.']]) {
      await page.route('**/v1/chat/completions', (route) => route.fulfill({ contentType: 'text/event-stream', body: event + end }));
      await page.locator('#input').fill('count');
      await page.keyboard.press('Enter');
      await page.getByText(message).waitFor();
      assert.equal((await texts(page)).at(-1), 'half an');
      await page.unroute('**/v1/chat/completions');
    }
    await page.done();
  },

  async remembersWhatWasSaidButNoKey() {
    const page = await open(guarded);
    page.refused = 1;
    await page.getByRole('button', { name: 'Give the API key' }).click();
    assert.equal(await focused(page), 'key');
    await page.keyboard.type('secret');
    await page.locator('#temperature').fill('0.5');
    await page.locator('#seed').fill('7');
    await page.locator('#max_tokens').fill('5');
    await page.locator('#system').fill('Be brief.');
    await accessible(page, 'settings');
    await picture(page, 'settings');
    await page.keyboard.press('Enter');
    assert.ok(await page.locator('#settings').isVisible(), 'Enter in a text begins a line');
    await page.locator('#schema').fill('{"type": ');
    await page.getByRole('button', { name: 'Save' }).click();
    assert.match(await page.locator('#schema-error').innerText(), /^Not a schema/);
    assert.equal(await focused(page), 'schema');
    await page.locator('#schema').fill('');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.waitForFunction(() => document.title === 'scripted - Gosset');
    await send(page, 'count');
    assert.match(await page.locator('#status').innerText(), /^Cut at the most tokens\. 5 tokens/);
    const { messages, temperature, seed, max_tokens } = page.asked[0];
    assert.deepEqual({ messages, temperature, seed, max_tokens }, {
      messages: [{ role: 'system', content: 'Be brief.' }, { role: 'user', content: 'count' }], temperature: 0.5, seed: 7, max_tokens: 5,
    });
    const before = await texts(page);
    assert.equal(before.length, 2);
    page.refused = 1;
    await page.reload();
    assert.deepEqual(await texts(page), before);
    await page.getByRole('button', { name: 'Give the API key' }).waitFor();
    assert.ok(!(await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }))).includes('secret'));
    await page.done();
  },

  async sendsASchema() {
    const page = await open(url);
    await page.getByRole('button', { name: 'Settings' }).click();
    await page.locator('#schema').fill('{"type": "object"}');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.route('**/v1/chat/completions', (route) => route.fulfill({ status: 400, json: { error: { message: 'no schemas today' } } }));
    page.refused = 1;
    await page.locator('#input').fill('count');
    await page.keyboard.press('Enter');
    await page.getByText('no schemas today').waitFor();
    assert.deepEqual(page.asked[0].response_format, { type: 'json_schema', json_schema: { name: 'answer', strict: true, schema: { type: 'object' } } });
    const download = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Export' }).click();
    const exported = JSON.parse(await readFile(await (await download).path(), 'utf8'));
    assert.deepEqual(exported.messages, [{ role: 'user', content: 'count' }]);
    await page.done();
  },

  async continuesTextsWhereThereIsNoFormForChats() {
    const page = await open(plain);
    await page.getByPlaceholder('Begin a text').waitFor();
    await send(page, 'count ');
    await send(page, ' more');
    const [, first] = await texts(page);
    assert.deepEqual(page.asked.map((a) => a.prompt), ['count ', `count ${first} more`]);
    await page.done();
  },

  async fitsAPhone() {
    const page = await open(url, { viewport: { width: 360, height: 640 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 });
    await page.locator('#input').fill('markdown');
    await page.locator('#send').tap();
    await status(page, '^Done');
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'scrolls sideways');
    for (const name of ['New chat', 'Export', 'Settings', 'Send']) {
      const box = await page.getByRole('button', { name, exact: true }).boundingBox();
      assert.ok(box.x >= 0 && box.x + box.width <= 360 && box.y >= 0 && box.y + box.height <= 640, name);
    }
    // The end of the answer is in sight.
    assert.ok(await page.evaluate(() => {
      const main = document.querySelector('main');
      return main.scrollHeight > main.clientHeight && main.scrollHeight - main.scrollTop - main.clientHeight < 2;
    }));
    await accessible(page, 'phone');
    await picture(page, 'phone');
    await page.getByRole('button', { name: 'Settings' }).tap();
    assert.ok(await page.evaluate(() => document.querySelector('dialog').getBoundingClientRect().right <= innerWidth));
    await picture(page, 'phone-settings');
    await page.done();
  },

  async obeysTheKeyboardAlone() {
    const page = await open(url);
    await send(page, 'markdown');
    const reached = [];
    for (let i = 0; i < 14; i++) {
      await page.keyboard.press('Shift+Tab');
      const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
      assert.notEqual(outline, 'none', 'what has the focus shows it');
      reached.push(await page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent));
      if (reached.at(-1) === 'Settings') {
        break;
      }
    }
    for (const name of ['Regenerate', 'Copy code', 'Code in java', 'Table', 'Edit', 'Conversation', 'Settings']) {
      assert.ok(reached.includes(name), `${name} among ${reached}`);
    }
    await page.keyboard.press('Enter');
    assert.equal(await focused(page), 'system');
    await page.keyboard.press('Tab');
    await page.keyboard.type('0.25');
    await page.keyboard.press('Enter');
    assert.ok(!(await page.locator('#settings').isVisible()));
    assert.equal(await focused(page), 'open-settings');
    await page.keyboard.press('Enter');
    assert.equal(await page.locator('#temperature').inputValue(), '0.25');
    await page.keyboard.press('Escape');
    assert.ok(!(await page.locator('#settings').isVisible()));
    await page.done();
  },

  async isHarmedByNothingThatAModelWrites() {
    const page = await open(url);
    await send(page, 'hostile');
    const bad = await page.evaluate(async () => {
      const { GrowingText } = await import('/page/markdown.js');
      const hostile = [
        '<img src=x onerror="window.harmed=1">', '<script>window.harmed=1</script>', '<svg onload=window.harmed=1><a xlink:href="javascript:harmed=1">x</a></svg>',
        '[x](javascript:window.harmed=1)', '[x](JaVaScRiPt&#58;window.harmed=1)', '[x](data:text/html,<script>harmed=1</script>)', '![x](https://elsewhere.invalid/a.png)',
        '![x" onerror="harmed=1](y "z")', '<iframe src="https://elsewhere.invalid"></iframe>', '<style>@import url(https://elsewhere.invalid)</style>',
        '<form action="https://elsewhere.invalid"><input><button>x</button></form>', '<a href="vbscript:x" style="position:fixed">x</a>',
        '```"><img src=x onerror=window.harmed=1>\ncode\n```', '```js" onclick="harmed=1\ncode\n```', '`<img src=x onerror=harmed=1>`',
        '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=x onerror=window.harmed=1&gt;">', '<noscript><p title="</noscript><img src=x onerror=harmed=1>">',
        '| <img src=x onerror=harmed=1> | b |\n|---|---|\n| [x](javascript:harmed=1) | <b onclick=harmed=1>c</b> |', '- [ ] <input onfocus=harmed=1 autofocus>',
        '[x][y]\n\n[y]: javascript:window.harmed=1 "<b>"', '<https://example.org/"onclick="harmed=1>', '# <a name="x" id="input" onclick="harmed=1">x</a>', '<base href="https://elsewhere.invalid/">',
        '<meta http-equiv="refresh" content="0;url=https://elsewhere.invalid">', '<object data="javascript:harmed=1"></object>', '<details open ontoggle=window.harmed=1>', '&lt;img src=x onerror=harmed=1&gt;',
        '<p id="messages"></p><a id="status"></a>', '<!-- <img src=x onerror=harmed=1> -->', '<![CDATA[<img src=x onerror=harmed=1>]]>',
      ];
      const elements = new Set('a blockquote br button code del div em h3 h4 h5 h6 hr li ol p pre span strong table tbody td th thead tr ul'.split(' '));
      const attributes = new Set('href title start align class target rel tabindex role aria-label type'.split(' '));
      const found = [];
      for (const text of [...hostile, hostile.join('\n\n'), hostile.join(' ')]) {
        const box = document.createElement('div');
        document.querySelector('main').append(box);
        const growing = new GrowingText(box);
        for (let end = 1; end <= text.length + 1; end++) {
          growing.update(text.slice(0, end), end > text.length);
          for (const e of box.querySelectorAll('*')) {
            const names = e.getAttributeNames();
            if (!elements.has(e.localName) || names.some((n) => !attributes.has(n)) || (e.href && !/^(https?|mailto):/.test(e.href))) {
              found.push(e.outerHTML);
            }
          }
        }
        box.remove();
      }
      return found;
    });
    assert.deepEqual(bad, []);
    assert.equal(await page.locator('main img, main script, main iframe, main style').count(), 0);
    await page.done();
  },

  async showsTheSameWhetherWholeOrInPieces() {
    const page = await open(url);
    const same = await page.evaluate(async () => {
      const { GrowingText } = await import('/page/markdown.js');
      const text = '# a\n\nb [l] c\n===\n\n- x\n- y\n\n    z\n\n```\nq\n```\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n1. a\n\n2. b\n\n[l]: https://example.org\n';
      const grown = document.createElement('div');
      const growing = new GrowingText(grown);
      for (let end = 1; end < text.length; end++) {
        growing.update(text.slice(0, end));
      }
      growing.update(text, true);
      const whole = document.createElement('div');
      new GrowingText(whole).update(text, true);
      return [grown.innerHTML, whole.innerHTML];
    });
    assert.equal(same[0], same[1]);
    assert.ok(same[0].includes('href="https://example.org"'), same[0]);
    await page.done();
  },
};

try {
  for (const [name, test] of Object.entries(tests)) {
    try {
      await test();
    } catch (e) {
      console.error(`in ${name}:`);
      throw e;
    }
  }
} finally {
  await browser.close();
}

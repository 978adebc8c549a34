// The text of a model as elements. Nothing that it writes is trusted: HTML in it is shown as text, what marked makes of the rest
// passes DOMPurify, and only the elements and attributes named here come through.
import { Marked } from './marked.esm.js';

const escaped = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const escape = (text) => text.replace(/[&<>"']/g, (c) => escaped[c]);

const marked = new Marked({
  renderer: {
    html: ({ text }) => escape(text),
    // Nothing is loaded from elsewhere: a picture is a link.
    image: ({ href, text }) => `<a href="${escape(href)}">${escape(text || href)}</a>`,
    checkbox: ({ checked }) => (checked ? '☑ ' : '☐ '),
    // Below the page's own headings.
    heading({ tokens, depth }) {
      const level = Math.min(6, depth + 2);
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>`;
    },
  },
});

const allowed = {
  ALLOWED_TAGS: ['a', 'blockquote', 'br', 'code', 'del', 'em', 'h3', 'h4', 'h5', 'h6', 'hr', 'li', 'ol', 'p', 'pre', 'strong',
    'table', 'tbody', 'td', 'th', 'thead', 'tr', 'ul', '#text'],
  ALLOWED_ATTR: ['href', 'title', 'start', 'align', 'class'],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

function fragment(tokens) {
  const clean = DOMPurify.sanitize(marked.parser(tokens), allowed);
  for (const link of clean.querySelectorAll('a')) {
    link.target = '_blank';
    link.rel = 'noopener noreferrer nofollow';
  }
  for (const pre of clean.querySelectorAll('pre')) {
    pre.replaceWith(codeBlock(pre));
  }
  for (const table of clean.querySelectorAll('table')) {
    const box = document.createElement('div');
    table.replaceWith(box);
    scrollable(box, 'Table').append(table);
  }
  return clean;
}

/** What may be wider than the page scrolls by itself, with the keyboard too. */
function scrollable(element, name) {
  element.tabIndex = 0;
  element.setAttribute('role', 'group');
  element.setAttribute('aria-label', name);
  element.classList.add('scrolls');
  return element;
}

function codeBlock(pre) {
  const language = /(?:^|\s)language-(\S+)/.exec(pre.firstElementChild?.className ?? '')?.[1] ?? '';
  const block = document.createElement('div');
  block.className = 'code';
  const head = document.createElement('div');
  head.append(Object.assign(document.createElement('span'), { textContent: language }));
  if (navigator.clipboard) {
    const copy = Object.assign(document.createElement('button'), { type: 'button', textContent: 'Copy code' });
    copy.addEventListener('click', () => navigator.clipboard.writeText(pre.textContent));
    head.append(copy);
  }
  pre.firstElementChild?.removeAttribute('class');
  block.append(head, scrollable(pre.cloneNode(true), language ? `Code in ${language}` : 'Code'));
  return block;
}

/** A text that grows: blocks that are as they were keep their elements. */
export class GrowingText {
  #element;
  #blocks = [];

  constructor(element) {
    this.#element = element;
  }

  /** Shows a text; the last time with `whole`, for a link may be told behind what names it. */
  update(text, whole = false) {
    const tokens = marked.lexer(text);
    const again = whole && Object.keys(tokens.links).length > 0;
    let same = 0;
    while (!again && same < Math.min(tokens.length, this.#blocks.length) && tokens[same].raw === this.#blocks[same].raw) {
      same++;
    }
    for (const block of this.#blocks.splice(same)) {
      block.nodes.forEach((node) => node.remove());
    }
    for (const token of tokens.slice(same)) {
      const part = fragment(Object.assign([token], { links: tokens.links }));
      this.#blocks.push({ raw: token.raw, nodes: [...part.childNodes] });
      this.#element.append(part);
    }
  }
}

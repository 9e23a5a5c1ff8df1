// Elements are made by h, which takes text as text: nothing here turns text into markup.

// invisible are characters that would change how the text around them is read.
const invisible = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

// visible writes characters that cannot be seen as what they are.
export function visible(text) {
  return String(text).replace(invisible, (c) => `⟨U+${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}⟩`);
}

// h makes an element. Names that begin with "on" are handlers, value is a property, and false,
// null and undefined leave an attribute or a child out.
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith('on')) element[name] = value;
    else if (name === 'value') element.value = value;
    else element.setAttribute(name, value === true ? '' : visible(value));
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === false || child === null || child === undefined) continue;
    element.append(child instanceof Node ? child : visible(child));
  }
}

const handlers = ['onclick', 'onsubmit', 'oninput', 'onchange', 'ontoggle'];

// morph makes the children of an element like some others, and keeps what is the same: the focus,
// what was typed, and which details are open. An element with data-keep is left as it is; children
// with a data-key are told apart by it.
export function morph(element, ...children) {
  const wanted = document.createElement('div');
  append(wanted, children);
  const focused = document.activeElement;
  morphChildren(element, wanted);
  if (focused && focused !== document.activeElement && element.contains(focused)) focused.focus({ preventScroll: true });
}

function morphChildren(element, wanted) {
  const keyed = new Map();
  for (const child of element.children) if (child.dataset.key) keyed.set(child.dataset.key, child);
  let at = element.firstChild;
  for (const want of [...wanted.childNodes]) {
    const key = want.dataset && want.dataset.key;
    const have = key ? keyed.get(key) : at && !(at.dataset && at.dataset.key) ? at : null;
    if (!have || have.nodeName !== want.nodeName) {
      element.insertBefore(want, at);
      continue;
    }
    if (have === at) at = at.nextSibling;
    else element.insertBefore(have, at);
    morphNode(have, want);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function morphNode(have, want) {
  if (have.nodeType === Node.TEXT_NODE) {
    if (have.nodeValue !== want.nodeValue) have.nodeValue = want.nodeValue;
    return;
  }
  if (have.dataset.keep !== undefined) return;
  for (const { name } of [...have.attributes]) {
    if (!want.hasAttribute(name) && !(name === 'open' && have.nodeName === 'DETAILS')) have.removeAttribute(name);
  }
  for (const { name, value } of want.attributes) if (have.getAttribute(name) !== value) have.setAttribute(name, value);
  for (const name of handlers) if (have[name] !== want[name]) have[name] = want[name];
  if (have.nodeName !== 'TEXTAREA') morphChildren(have, want);
}

// table makes a table that becomes a list of cards where there is little room. A column is
// {name, cell, number, wide}; rows have a key.
export function table(caption, columns, rows, keyOf) {
  return h('table', { role: 'table' },
    h('caption', { class: 'hidden' }, caption),
    h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, columns.map((c) => h('th', { role: 'columnheader', scope: 'col', class: c.number && 'number' }, c.name || h('span', { class: 'hidden' }, 'Actions'))))),
    h('tbody', { role: 'rowgroup' }, rows.map((row) => h('tr', { role: 'row', 'data-key': keyOf(row) },
      columns.map((c) => h('td', { role: 'cell', class: [c.number && 'number', c.wide && 'wide', !c.name && 'actions'].filter(Boolean).join(' ') || null, 'data-label': c.name },
        h('div', {}, c.cell(row))))))));
}

// empty says that there is nothing, and what to do.
export function empty(title, ...advice) {
  return h('div', { class: 'empty' }, h('p', { class: 'empty-title' }, title), advice.length > 0 && h('p', {}, advice));
}

// announce has screen readers say something.
export function announce(text) {
  document.getElementById('announcements').textContent = visible(text);
}

// notify shows a message until it is closed or ten others have come.
export function notify(text, kind = 'good') {
  const notices = document.getElementById('notices');
  const notice = h('div', { class: `notice ${kind}` }, h('span', {}, text),
    h('button', { type: 'button', class: 'small quiet', onclick: () => notice.remove() }, 'Close'));
  notices.prepend(notice);
  while (notices.children.length > 3) notices.lastChild.remove();
  if (kind === 'good') setTimeout(() => notice.remove(), 12000);
  announce(text);
}

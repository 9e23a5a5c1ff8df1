// Dialogs are the browser's own: the rest of the page is inert while one is open, Escape closes it,
// and the focus returns to where it was.

import { h, visible } from './dom.js';

let serial = 0;

// openDialog shows a dialog and returns it. When it is closed, it is gone.
export function openDialog(title, ...content) {
  const id = `dialog-${++serial}`;
  const before = document.activeElement;
  const dialog = h('dialog', { 'aria-labelledby': id },
    h('div', { class: 'dialog-head' }, h('h2', { id }, title),
      h('button', { type: 'button', class: 'small quiet', 'aria-label': 'Close', onclick: () => dialog.close() }, '✕')),
    content);
  dialog.addEventListener('close', () => {
    dialog.remove();
    returnFocus(before);
  });
  document.body.append(dialog);
  dialog.showModal();
  const first = dialog.querySelector('[autofocus]') || dialog.querySelector('input, select, textarea, .buttons button');
  if (first) first.focus();
  return dialog;
}

// returnFocus goes to what had the focus, or to the heading where that is gone.
function returnFocus(before) {
  if (document.querySelector('dialog[open]')) return;
  const to = before && before.isConnected ? before : document.querySelector('main h1');
  if (to) to.focus({ preventScroll: true });
}

let fieldSerial = 0;

// field is an input with its label. Its element is field.input.
export function field(label, attributes = {}, help = '') {
  const id = `field-${++fieldSerial}`;
  const tag = attributes.tag || 'input';
  const { tag: _, options, ...rest } = attributes;
  const input = h(tag, { id, autocomplete: 'off', spellcheck: tag === 'textarea' ? null : 'false', 'aria-describedby': help && `${id}-help`, ...rest },
    (options || []).map(([value, text]) => h('option', { value }, text)));
  if (attributes.value !== undefined) input.value = attributes.value;
  const box = h('div', { class: 'field' }, h('label', { for: id }, label), input, help && h('p', { class: 'muted', id: `${id}-help` }, help));
  box.input = input;
  return box;
}

const nameAt = 'onceish name';

// whyFields are those of each change: why it is made, and by whom. values returns what they say.
export function whyFields() {
  const reason = field('Reason', { required: true, maxlength: 1024 }, 'It is logged, and others see it.');
  const by = field('Your name', { maxlength: 256, value: sessionStorage.getItem(nameAt) || '' }, 'Empty: the address you come from.');
  return {
    nodes: [reason, by],
    values: () => {
      sessionStorage.setItem(nameAt, by.input.value.trim());
      return { reason: reason.input.value.trim(), by: by.input.value.trim() || undefined };
    },
  };
}

// typedCount is a field in which a number is to be typed before a button can be used.
export function typedCount(n, button) {
  const box = field(`Type ${n} to confirm`, { inputmode: 'numeric', required: true, class: 'typed' });
  const check = () => { button.disabled = box.input.value.replace(/[\s,.]/g, '') !== String(n); };
  box.input.oninput = check;
  check();
  return box;
}

// changeDialog asks for what a change needs, makes it by submit, and closes. What is wrong is said
// in the dialog, which stays.
export function changeDialog(title, { text, fields = [], confirm, danger, submit, count }) {
  const why = whyFields();
  const button = h('button', { type: 'submit', class: danger ? 'danger' : 'primary' }, confirm);
  const problem = h('p', { class: 'problem', role: 'alert' });
  const typed = count === undefined ? null : typedCount(count, button);
  const form = h('form', {
    onsubmit: async (event) => {
      event.preventDefault();
      if (button.disabled) return;
      button.disabled = true;
      problem.textContent = '';
      form.setAttribute('aria-busy', 'true');
      try {
        await submit(why.values(), dialog);
      } catch (error) {
        problem.textContent = visible(error.message);
        button.disabled = false;
      }
      form.removeAttribute('aria-busy');
    },
  }, text, fields, why.nodes, typed, problem,
  h('div', { class: 'buttons' }, button, h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel')));
  const dialog = openDialog(title, form);
  return dialog;
}

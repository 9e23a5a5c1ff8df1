// Bulk changes of dead letters: what would be changed is counted and shown first, the number is
// typed, and the change goes on as an operation whose progress is shown.

import { call, get } from './api.js';
import { changeDialog, field, openDialog } from './dialog.js';
import { announce, h, morph, notify } from './dom.js';
import { count, plural, state } from './format.js';

// bulk previews a change, and asks for it.
export async function bulk(app, group, verb, filter, done) {
  const counting = openDialog(verb === 'drop' ? 'Drop dead letters' : 'Redrive dead letters', h('p', { role: 'status' }, 'Counting the letters that match…'));
  let preview;
  try {
    preview = await get(['groups', group, 'dead-letter-preview'], filter);
  } catch (error) {
    if (counting.open) counting.close();
    notify(error.message, 'bad');
    return;
  }
  if (!counting.open) return;
  counting.close();
  if (preview.selected === 0) notify('No letter matches: nothing is to be changed.', 'warn');
  else confirmBulk(app, group, verb, filter, preview, done);
}

function confirmBulk(app, group, verb, filter, preview, done) {
  const drops = verb === 'drop';
  const n = preview.selected;
  const perSecond = field('Letters a second', { type: 'number', min: '0', step: 'any', value: '50' }, 'How many at most, so that their receiver keeps up. 0: as many as possible.');
  changeDialog(`${drops ? 'Drop' : 'Redrive'} ${plural(n, 'dead letter')}`, {
    text: [describe(drops, group, filter), sample(preview)],
    fields: drops ? [] : [perSecond],
    confirm: `${drops ? 'Drop' : 'Redrive'} ${plural(n, 'letter')}`,
    danger: drops,
    count: n,
    submit: async (why, dialog) => {
      const selected = Object.keys(filter).length > 0 ? filter : { topic: '>' };
      const body = drops ? { ...why, filter: selected, expect: n } : { ...why, filter: selected, limit: n, per_second: Number(perSecond.input.value) };
      const operation = await call('POST', ['groups', group, drops ? 'dead-letter-drops' : 'dead-letter-redrives'], { body });
      dialog.close();
      showProgress(operation, n, done);
    },
  });
}

const names = { error: 'Error has', id: 'Id is', data: 'Data have', topic: 'Topic is', type: 'Type is', reason: 'Reason has', since: 'Stored since', until: 'Stored until' };

function describe(drops, group, filter) {
  const parts = Object.entries(filter).map(([name, value]) => h('li', {}, h('span', { class: 'muted' }, names[name] || name, ': '), h('code', {}, value)));
  return [h('p', {}, drops
    ? 'They are deleted for good. Their events stay given up, and nobody handles them.'
    : `Their events are published again, under their ids, for the group ${group} alone, and the letters are deleted. What it has handled since it does not handle again.`),
  parts.length > 0 ? h('ul', { class: 'plain' }, parts) : h('p', {}, h('b', {}, 'No filter is set: these are all letters of the group.'))];
}

function sample(preview) {
  return h('div', { class: 'sample' }, h('p', { class: 'muted' }, preview.first.length < preview.selected ? `The first ${preview.first.length} of ${count(preview.selected)}:` : 'These are:'),
    h('ul', { class: 'plain' }, preview.first.map((l) => h('li', {}, h('b', {}, l.id), ' ', h('span', { class: 'muted' }, l.error || l.reason)))));
}

// showProgress follows an operation until it has ended. Closing the dialog does not end it.
export function showProgress(operation, total, done) {
  const body = h('div', {});
  const dialog = openDialog(`${operation.kind === 'drop' ? 'Dropping' : 'Redriving'} dead letters`, body);
  const ended = new AbortController();
  dialog.addEventListener('close', () => { ended.abort(); done(); });
  follow(operation, total, { body, dialog, ended: ended.signal });
}

async function follow(operation, total, { body, dialog, ended }) {
  for (let op = operation; !ended.aborted;) {
    morph(body, progressOf(op, total, dialog));
    const bar = body.querySelector('progress');
    bar.value = Number(bar.dataset.value);
    if (op.state !== 'running') {
      announce(`${op.kind} ${op.state}: ${summary(op)}`);
      body.querySelector('button').focus();
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
    op = await get(['operations', op.id]).catch((error) => ({ ...op, error: error.message }));
  }
}

export const summary = (op) => [`${count(op.done)} done`, op.gone > 0 && `${count(op.gone)} already gone`, op.superseded > 0 && `${count(op.superseded)} passed over because they were edited`,
  op.failed > 0 && `${count(op.failed)} failed`].filter(Boolean).join(', ');

function progressOf(op, total, dialog) {
  const seen = op.done + op.gone + op.failed + op.superseded;
  const running = op.state === 'running';
  return [
    h('p', {}, state(op.state), ' ', summary(op), running && ` of ${count(total)}`),
    h('progress', { max: String(Math.max(total, 1)), 'aria-label': 'Progress', 'data-value': String(seen) }),
    op.error && h('p', { class: 'problem' }, op.error),
    op.errors.length > 0 && h('ul', { class: 'plain problem' }, op.errors.slice(-5).map((e) => h('li', {}, e))),
    running && h('p', { class: 'muted' }, 'It goes on when this is closed: see Operations.'),
    h('div', { class: 'buttons' }, running
      ? h('button', { type: 'button', 'data-key': 'stop', onclick: () => call('DELETE', ['operations', op.id], { query: { reason: 'cancelled in the dashboard' } }).catch((e) => notify(e.message, 'bad')) }, 'Cancel it')
      : h('button', { type: 'button', class: 'primary', 'data-key': 'close', onclick: () => dialog.close() }, 'Close')),
  ];
}

import { call, get, readOnly } from './api.js';
import { changeDialog, field, openDialog } from './dialog.js';
import { empty, h, notify, table } from './dom.js';
import { ago, count, duration, plural, state } from './format.js';
import { payload } from './payload.js';

const listed = 100;
const changedAtOnce = 1000; // what the API takes

// OutboxView shows how much an outbox holds, and its rows.
export class OutboxView {
  constructor(app, params) {
    Object.assign(this, { app, rows: null, problem: '', busy: false });
    this.filter = { status: params.get('status') ?? 'dead', topic: params.get('topic') || '' };
    this.stopped = new AbortController();
  }

  title() { return 'Outbox'; }

  leave() { this.stopped.abort(); }

  async load() {
    this.busy = true;
    this.problem = '';
    try {
      this.rows = await get(['outbox', 'rows'], { ...this.filter, limit: listed }, this.stopped.signal);
    } catch (error) {
      if (this.stopped.signal.aborted) return;
      this.problem = error.message;
    }
    this.busy = false;
    this.app.refresh();
  }

  render() {
    const o = this.app.shown;
    if (!o) return h('p', { class: 'empty' }, 'Reading…');
    if (!o.outbox) {
      return empty('There is no outbox.', 'An outbox is a collection of MongoDB with events that were decided with a write and are to be published. Name a MongoDB by --mongo, and start a worker with an outbox.');
    }
    if (!this.rows && !this.busy && !this.problem) this.load();
    return [this.tiles(o.outbox), this.search(), this.actions(), this.problem && h('p', { class: 'problem', role: 'alert' }, this.problem),
      h('section', { class: 'panel', 'data-key': 'rows', 'aria-busy': this.busy ? 'true' : null }, this.list())];
  }

  tiles({ outbox, pending, dead, scheduled, most, oldest_pending_seconds: oldest, at }) {
    const many = (n) => (n >= most ? `${count(n)} or more` : count(n));
    const tile = (name, value, more) => h('div', { class: 'tile' }, h('dt', {}, name), h('dd', {}, value, more && h('span', { class: 'muted' }, ` ${more}`)));
    return h('section', { class: 'summary', 'data-key': 'summary' }, h('dl', { class: 'tiles' },
      tile('Pending', many(pending)),
      tile('Oldest pending', pending > 0 ? duration(oldest) : 'none'),
      tile('Dead', h('span', { class: dead > 0 && 'bad-text' }, many(dead))),
      scheduled > 0 && tile('Scheduled', many(scheduled), 'due later'),
      this.all && tile('Sent, still kept', count(this.all.sent)),
      this.all && this.all.waiting_documents > 0 && tile('Documents', count(this.all.waiting_documents), 'with events to be moved')),
    h('p', { class: 'muted' }, h('span', { class: 'mono' }, outbox), ', counted ', ago(at), '. ', !this.all && h('button', { type: 'button', class: 'link', onclick: () => this.countAll() }, 'Count the sent ones, too')));
  }

  // countAll counts all rows, which takes its time where they are many.
  async countAll() {
    try {
      this.all = (await get(['outbox'], {}, this.stopped.signal)).counts;
    } catch (error) {
      if (!this.stopped.signal.aborted) notify(error.message, 'bad');
    }
    this.app.refresh();
  }

  search() {
    if (!this.form) {
      const status = field('Status', { tag: 'select', options: [['dead', 'dead'], ['pending', 'pending'], ['scheduled', 'scheduled'], ['sent', 'sent'], ['all', 'all']], value: this.filter.status || 'all' });
      const topic = field('Topic', { value: this.filter.topic, placeholder: 'or a pattern, order.>' });
      const show = (event) => {
        event.preventDefault();
        this.filter = { status: status.input.value === 'all' ? '' : status.input.value, topic: topic.input.value.trim() };
        this.load();
      };
      this.form = h('form', { class: 'search panel', role: 'search', 'aria-label': 'Search rows', 'data-keep': '', 'data-key': 'search', onsubmit: show },
        h('div', { class: 'fields' }, status, topic), h('div', { class: 'buttons' }, h('button', { type: 'submit', class: 'primary' }, 'Show rows')));
    }
    return this.form;
  }

  actions() {
    if (readOnly) return null;
    const dead = this.filter.status === 'dead' && this.rows && this.rows.rows.length > 0;
    return h('div', { class: 'toolbar', 'data-key': 'actions' }, h('div', { class: 'buttons' },
      dead && h('button', { type: 'button', onclick: () => this.changeAll('retry') }, 'Retry all that match…'),
      dead && h('button', { type: 'button', class: 'danger quiet', onclick: () => this.changeAll('drop') }, 'Drop all that match…'),
      h('button', { type: 'button', onclick: () => this.republish() }, 'Republish sent rows…')));
  }

  list() {
    if (!this.rows) return h('p', { class: 'empty' }, 'Reading…');
    const { rows, more } = this.rows;
    if (rows.length === 0) {
      return this.filter.status === 'dead' && !this.filter.topic
        ? empty('No dead rows.', 'A row that the bus refuses for good appears here, with the reason.')
        : empty('No row matches.', 'Choose another status, or another topic.');
    }
    return [table('Rows', [
      { name: 'Added', cell: (r) => ago(r.added) },
      { name: 'Event', wide: true, cell: (r) => [h('button', { type: 'button', class: 'link name', onclick: () => showRow(r) }, r.id), h('p', { class: 'muted mono clip' }, r.topic, r.key && ` · ${r.key}`)] },
      { name: 'State', cell: (r) => state(r.status) },
      { name: 'Reason', wide: true, cell: (r) => h('span', { class: 'error clip2' }, r.reason) },
      { name: 'Attempts', number: true, cell: (r) => count(r.attempts) },
      ...(readOnly ? [] : [{ name: '', cell: (r) => r.status === 'dead' && h('div', { class: 'buttons' },
        h('button', { type: 'button', class: 'small', 'aria-label': `Retry ${r.id}`, onclick: () => this.change('retry', [r]) }, 'Retry…'),
        h('button', { type: 'button', class: 'small danger quiet', 'aria-label': `Drop ${r.id}`, onclick: () => this.change('drop', [r]) }, 'Drop…')) }]),
    ], rows, (r) => `${r.topic} ${r.id}`), more && h('p', { class: 'muted' }, `The first ${listed} are listed: narrow them down by topic.`)];
  }

  // changeAll looks up what matches: those rows are changed, and no others.
  async changeAll(verb) {
    try {
      const { rows, more } = await get(['outbox', 'rows'], { ...this.filter, limit: changedAtOnce });
      if (rows.length > 0) this.change(verb, rows, more);
    } catch (error) {
      notify(error.message, 'bad');
    }
  }

  change(verb, rows, more) {
    const drops = verb === 'drop';
    changeDialog(`${drops ? 'Drop' : 'Retry'} ${plural(rows.length, 'dead row')}`, {
      text: [h('p', {}, drops ? 'They are removed for good: their events are not published.' : 'They are published again, at once. Mend first what their reason says.'),
        more && h('p', {}, h('b', {}, `There are more: these are the first ${count(rows.length)}. Repeat it for the others.`)),
        h('ul', { class: 'plain sample' }, rows.slice(0, 5).map((r) => h('li', {}, h('b', {}, r.id), ' ', h('span', { class: 'muted' }, r.reason))))],
      confirm: `${drops ? 'Drop' : 'Retry'} ${plural(rows.length, 'row')}`,
      danger: drops,
      count: rows.length > 1 ? rows.length : undefined,
      submit: async (why, dialog) => {
        const topic = rows.length === 1 ? rows[0].topic : this.filter.topic || undefined;
        const changed = await call('POST', ['outbox', verb], { body: { ...why, ids: [...new Set(rows.map((r) => r.id))], topic, status: 'dead' } });
        dialog.close();
        notify(`${plural(changed.rows, 'row was', 'rows were')} ${drops ? 'dropped' : 'made pending'}.`);
        this.load();
      },
    });
  }

  republish() {
    const from = field('Sent since', { required: true, placeholder: '30m, or 2026-01-31T15:04:05Z' }, 'Since when events may be lost.');
    const to = field('Sent before', { placeholder: 'now' });
    const topic = field('Topic', { placeholder: 'any, or a pattern' });
    changeDialog('Republish sent rows', {
      text: h('p', {}, 'For events that the bus has lost: rows that were sent in this time go out again under their ids, while they are kept. What consumers have handled they recognise.'),
      fields: [from, to, topic],
      confirm: 'Republish',
      submit: async (why, dialog) => {
        const changed = await call('POST', ['outbox', 'republish'], { body: { ...why, from: from.input.value.trim(), to: to.input.value.trim() || undefined, topic: topic.input.value.trim() || undefined } });
        dialog.close();
        notify(`${plural(changed.rows, 'row is', 'rows are')} published again.`);
        this.load();
      },
    });
  }
}

// showRow shows a row; its event is read when somebody asks.
function showRow(r) {
  const event = h('div', {});
  const show = async () => {
    try {
      event.replaceChildren(h('div', {}, payload(await get(['outbox', 'rows', r.id], { topic: r.topic, payload: true }))));
    } catch (error) {
      event.replaceChildren(h('p', { class: 'problem' }, error.message));
    }
  };
  event.append(h('button', { type: 'button', onclick: show }, 'Show payload'));
  const facts = [['State', state(r.status)], ['Topic', h('span', { class: 'mono' }, r.topic)], ['Key', r.key], ['Type', r.type], ['Added', ago(r.added)], ['Sent', r.sent && ago(r.sent)],
    ['Attempts', count(r.attempts)], ['Reason', r.reason && h('span', { class: 'error' }, r.reason)], ['Size', plural(r.bytes, 'byte')]];
  openDialog(`Row ${r.id}`, h('dl', { class: 'facts' }, facts.filter(([, v]) => v).map(([name, value]) => [h('dt', {}, name), h('dd', {}, value)])), event);
}

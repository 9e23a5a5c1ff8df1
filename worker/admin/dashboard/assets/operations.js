import { call, get, readOnly } from './api.js';
import { summary } from './bulk.js';
import { changeDialog } from './dialog.js';
import { empty, h, table } from './dom.js';
import { ago, duration, state } from './format.js';

// OperationsView lists the bulk changes of the process.
export class OperationsView {
  constructor(app) {
    Object.assign(this, { app, all: null, problem: '', seen: null });
    this.stopped = new AbortController();
  }

  title() { return 'Operations'; }

  leave() { this.stopped.abort(); }

  // load reads all operations: the overview has but the newest.
  async load() {
    try {
      this.all = (await get(['operations'], {}, this.stopped.signal)).operations;
      this.problem = '';
    } catch (error) {
      if (this.stopped.signal.aborted) return;
      this.problem = error.message;
    }
    this.app.refresh();
  }

  render() {
    if (this.app.shown && this.app.shown !== this.seen) {
      this.seen = this.app.shown;
      this.load();
    }
    if (this.problem) return h('p', { class: 'problem', role: 'alert' }, this.problem);
    if (!this.all) return h('p', { class: 'empty' }, 'Reading…');
    if (this.all.length === 0) return empty('No operations.', 'Bulk redrives and drops of dead letters appear here, with how far they are. They are those of this process, and are forgotten when it ends.');
    return h('section', { class: 'panel' }, table('Operations', [
      { name: 'What', wide: true, cell: (o) => [h('span', { class: 'name' }, o.kind), h('p', { class: 'muted clip' }, o.target)] },
      { name: 'State', cell: (o) => state(o.state) },
      { name: 'Letters', wide: true, cell: (o) => [summary(o), o.error && h('p', { class: 'error' }, o.error)] },
      { name: 'Started', cell: (o) => [ago(o.started), o.ended && h('p', { class: 'muted' }, 'took ', duration((Date.parse(o.ended) - Date.parse(o.started)) / 1000))] },
      { name: 'By', wide: true, cell: (o) => [o.by, h('p', { class: 'muted clip' }, o.reason)] },
      ...(readOnly ? [] : [{ name: '', cell: (o) => o.state === 'running' && h('button', { type: 'button', class: 'small', 'aria-label': `Cancel the ${o.kind}`, onclick: () => this.cancel(o) }, 'Cancel…') }]),
    ], this.all, (o) => o.id));
  }

  cancel(o) {
    changeDialog(`Cancel the ${o.kind}`, {
      text: h('p', {}, 'It ends before its next batch. What it has changed stays changed; repeated, it goes on.'),
      confirm: 'Cancel the operation', danger: true,
      submit: async (why, dialog) => {
        await call('DELETE', ['operations', o.id], { query: why });
        dialog.close();
        this.load();
      },
    });
  }
}

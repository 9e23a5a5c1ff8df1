import { get, readOnly } from './api.js';
import { bulk } from './bulk.js';
import { field } from './dialog.js';
import { announce, empty, h, table } from './dom.js';
import { ago, count, plural, route } from './format.js';

const pageSize = 50;
const filters = [
  ['error', 'Error has', 'a part of the error'], ['id', 'Id', 'of the event or the letter'], ['data', 'Data has', 'a part of the event'], ['topic', 'Topic', 'or a pattern, order.>'],
  ['type', 'Type', ''], ['reason', 'Reason has', ''], ['since', 'Since', '2h, or 2026-01-31T15:04:05Z'], ['until', 'Until', '1h, or a time'],
];

// LettersView lists and searches the dead letters of a group. The server searches.
export class LettersView {
  constructor(app, group, params) {
    Object.assign(this, { app, group, page: null, causes: null, problem: '', busy: false, before: [] });
    this.filter = Object.fromEntries(filters.map(([name]) => [name, params.get(name) || '']).filter(([, v]) => v));
    this.after = params.get('after') || '';
    this.byError = params.get('by') === 'error';
    this.stopped = new AbortController();
  }

  title() { return this.group ? `Dead letters of ${this.group}` : 'Dead letters'; }

  enter() { if (this.group) this.load(); }

  leave() { this.stopped.abort(); }

  // load reads a page, or the errors.
  async load() {
    this.busy = true;
    this.problem = '';
    this.app.refresh();
    try {
      const parts = ['groups', this.group, this.byError ? 'dead-letter-errors' : 'dead-letters'];
      const query = this.byError ? this.filter : { ...this.filter, limit: pageSize, after: this.after };
      const found = await get(parts, query, this.stopped.signal);
      this[this.byError ? 'causes' : 'page'] = found;
      announce(this.byError ? plural(found.errors.length, 'error') : plural(found.letters.length, 'letter'));
    } catch (error) {
      if (this.stopped.signal.aborted) return;
      this.problem = error.message;
    }
    this.busy = false;
    this.app.refresh();
  }

  render() {
    const groups = this.app.shown ? this.app.shown.groups : [];
    if (!this.group) return chooseGroup(groups, this.app.shown);
    return [this.selector(groups), this.search(), this.actions(), this.problem && h('p', { class: 'problem', role: 'alert' }, this.problem),
      h('section', { class: 'panel', 'data-key': 'found', 'aria-busy': this.busy ? 'true' : null }, this.byError ? this.errors() : this.list())];
  }

  selector(groups) {
    const g = groups.find((x) => x.group === this.group);
    const others = groups.filter((x) => x.group !== this.group);
    return h('p', { class: 'muted', 'data-key': 'groups' }, g && [plural(g.letters, 'event lies', 'events lie'), ' on its dead-letter topic. '],
      others.length > 0 && ['Other groups: ', others.slice(0, 8).map((x) => [h('a', { href: route(['letters', x.group]) }, x.group), x.letters > 0 && ` (${count(x.letters)})`, ' '])]);
  }

  // search is the form; it is made once, and keeps what is typed.
  search() {
    if (!this.form) {
      const fields = filters.map(([name, label, placeholder]) => [name, field(label, { placeholder, value: this.filter[name] || '' })]);
      const values = () => Object.fromEntries(fields.map(([name, f]) => [name, f.input.value.trim()]).filter(([, v]) => v));
      const more = fields.slice(3).some(([name]) => this.filter[name]);
      this.form = h('form', { class: 'search panel', role: 'search', 'aria-label': 'Search dead letters', 'data-keep': '', 'data-key': 'search', onsubmit: (event) => { event.preventDefault(); this.visit(values()); } },
        h('div', { class: 'fields' }, fields.slice(0, 3).map(([, f]) => f)),
        h('details', { open: more }, h('summary', {}, 'More filters'), h('div', { class: 'fields' }, fields.slice(3).map(([, f]) => f))),
        h('div', { class: 'buttons' }, h('button', { type: 'submit', class: 'primary' }, 'Search'),
          h('button', { type: 'button', onclick: () => this.visit({}) }, 'Clear')));
    }
    return this.form;
  }

  // visit shows the letters of a filter under an address of their own.
  visit(filter, more = {}) {
    const to = route(['letters', this.group], { ...filter, by: this.byError ? 'error' : '', ...more });
    if (to === location.hash) this.load();
    else location.hash = to;
  }

  actions() {
    const has = Object.keys(this.filter).length > 0;
    const what = has ? 'all that match' : 'all';
    const start = (verb) => bulk(this.app, this.group, verb, this.filter, () => this.load());
    const tab = (by, text) => h('a', { href: route(['letters', this.group], { ...this.filter, by }), class: 'tab', 'aria-current': (by === 'error') === this.byError ? 'true' : null }, text);
    return h('div', { class: 'toolbar', 'data-key': 'actions' }, h('div', { class: 'tabs' }, tab('', 'Letters'), tab('error', 'By error')),
      !readOnly && h('div', { class: 'buttons' },
        h('button', { type: 'button', onclick: () => start('redrive') }, `Redrive ${what}…`),
        h('button', { type: 'button', class: 'danger quiet', onclick: () => start('drop') }, `Drop ${what}…`)));
  }

  list() {
    if (!this.page) return h('p', { class: 'empty' }, this.busy ? 'Reading…' : 'Nothing was read.');
    const { letters, next, skipped } = this.page;
    if (letters.length === 0) return this.nothing();
    return [table('Dead letters', [
      { name: 'Given up', cell: (l) => ago(l.died) },
      { name: 'Event', wide: true, cell: (l) => [h('a', { class: 'name', href: route(['letters', this.group, l.letter]) }, l.id), h('p', { class: 'muted mono clip' }, l.topic, l.key && ` · ${l.key}`)] },
      { name: 'Error', wide: true, cell: (l) => [h('span', { class: 'error clip2' }, l.error || l.reason), l.edited && h('p', { class: 'muted' }, 'edit of another letter')] },
      { name: 'Attempts', number: true, cell: (l) => count(l.attempts) },
    ], letters, (l) => l.position),
    h('div', { class: 'pages' }, h('span', { class: 'muted' }, `${plural(letters.length, 'letter')}, the oldest first`, skipped > 0 && `; ${plural(skipped, 'event')} passed over that are no letters`),
      h('div', { class: 'buttons' }, this.after && h('button', { type: 'button', onclick: () => history.back() }, 'Back'),
        next && h('button', { type: 'button', onclick: () => this.visit(this.filter, { after: next }) }, 'Next page')))];
  }

  nothing() {
    if (this.after) return empty('No more letters.', h('a', { href: route(['letters', this.group], this.filter) }, 'Begin with the oldest'), '.');
    return Object.keys(this.filter).length > 0
      ? empty('No letter matches.', 'Parts of texts are compared with their case. Leave a filter out, or ', h('a', { href: route(['letters', this.group]) }, 'see all letters'), '.')
      : empty('No dead letters.', 'What the group gives up appears here, with its error, and can be redriven once its cause is mended.');
  }

  errors() {
    if (!this.causes) return h('p', { class: 'empty' }, this.busy ? 'Counting all letters…' : 'Nothing was counted.');
    if (this.causes.errors.length === 0) return this.nothing();
    return table('Errors', [
      { name: 'Error', wide: true, cell: (c) => h('a', { class: 'error clip2', href: route(['letters', this.group], { ...this.filter, error: c.error }) }, c.error || '(no error)') },
      { name: 'Letters', number: true, cell: (c) => count(c.letters) },
      { name: 'First', cell: (c) => ago(c.first) },
      { name: 'Last', cell: (c) => ago(c.last) },
    ], this.causes.errors, (c) => c.error);
  }
}

function chooseGroup(groups, shown) {
  if (!shown) return h('p', { class: 'empty' }, 'Reading…');
  if (groups.length === 0) return empty('There is no group.', 'Dead letters are listed by the group that gave them up.');
  const sorted = [...groups].sort((a, b) => b.letters - a.letters || a.group.localeCompare(b.group));
  return h('section', { class: 'panel' }, table('Groups', [
    { name: 'Group', wide: true, cell: (g) => h('a', { class: 'name', href: route(['letters', g.group]) }, g.group) },
    { name: 'Dead letters', number: true, cell: (g) => count(g.letters) },
    { name: '', cell: (g) => g.letters > 0 && h('a', { href: route(['letters', g.group], { by: 'error' }) }, 'By error') },
  ], sorted, (g) => g.group));
}

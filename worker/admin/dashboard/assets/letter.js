import { call, get, readOnly } from './api.js';
import { changeDialog, field } from './dialog.js';
import { empty, h, notify, table } from './dom.js';
import { ago, count, duration, route, stamp } from './format.js';
import { payload } from './payload.js';

// LetterView is one dead letter.
export class LetterView {
  constructor(app, group, id) {
    Object.assign(this, { app, group, id, letter: null, problem: '', shown: false });
    this.stopped = new AbortController();
  }

  title() { return this.letter ? `Dead letter of ${this.letter.id}` : 'Dead letter'; }

  heading() {
    return [h('span', { class: 'crumb' }, h('a', { href: route(['letters', this.group]) }, `Dead letters of ${this.group}`), ' / '), this.letter ? this.letter.id : this.id];
  }

  enter() { this.load(false); }

  leave() { this.stopped.abort(); }

  // load reads the letter, with its event where that is asked for.
  async load(withPayload) {
    try {
      this.letter = await get(['groups', this.group, 'dead-letters', this.id], { payload: withPayload }, this.stopped.signal);
      this.shown = withPayload;
      this.problem = '';
    } catch (error) {
      if (this.stopped.signal.aborted) return;
      this.problem = error.message;
    }
    this.app.refresh();
  }

  render() {
    const l = this.letter;
    if (!l) return this.problem ? empty('The letter cannot be shown.', this.problem) : h('p', { class: 'empty' }, 'Reading…');
    return [this.problem && h('p', { class: 'problem', role: 'alert' }, this.problem),
      h('section', { class: 'panel' }, h('p', { class: 'error large' }, l.error || l.reason), l.error && h('p', { class: 'muted' }, l.reason), this.facts(l)),
      this.history(l),
      l.stack && h('section', { class: 'panel' }, h('details', {}, h('summary', {}, 'Where it panicked'), h('pre', {}, l.stack))),
      h('section', { class: 'panel', 'data-key': 'payload' }, h('h2', {}, 'Event'), this.shown ? payload(l) : [
        h('p', { class: 'muted' }, 'Its data and headers may be confidential, and are read when you ask for them.'),
        h('button', { type: 'button', onclick: () => this.load(true) }, 'Show payload')])];
  }

  buttons() {
    const l = this.letter;
    return l && [
      !readOnly && [
        h('button', { type: 'button', class: 'primary', onclick: () => this.redrive(l) }, 'Redrive…'),
        h('button', { type: 'button', onclick: () => this.edit() }, 'Edit…'),
        h('button', { type: 'button', class: 'danger quiet', onclick: () => this.drop(l) }, 'Drop…')],
      h('a', { class: 'button', href: route(['story'], { group: this.group, topic: l.topic, id: l.id, source: l.source }) }, 'Its story')];
  }

  facts(l) {
    const facts = [['Event', h('span', { class: 'mono' }, l.id)], ['Topic', h('span', { class: 'mono' }, l.topic)], ['Key', l.key], ['Type', l.type], ['Source', l.source],
      ['Attempts', count(l.attempts)], ['Crashes', l.crashes > 0 && count(l.crashes)], ['Given up', [stamp(l.died), ' (', ago(l.died), ')']], ['First claimed', l.claimed && stamp(l.claimed)],
      ['Content type', l.content_type], ['Letter', h('span', { class: 'mono' }, l.letter)],
      ['Edit of', l.edited && h('a', { href: route(['letters', this.group, l.edited]) }, l.edited)],
      ['Superseded by', l.superseded_by && h('a', { href: route(['letters', this.group, l.superseded_by]) }, l.superseded_by)]];
    return h('dl', { class: 'facts' }, facts.filter(([, v]) => v).map(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]));
  }

  history(l) {
    if (!l.history || l.history.length === 0) return null;
    return h('section', { class: 'panel' }, h('h2', {}, 'Failed attempts'), table('Failed attempts', [
      { name: 'Attempt', number: true, cell: (a) => count(a.number) },
      { name: 'Ended', cell: (a) => ago(a.ended) },
      { name: 'Took', number: true, cell: (a) => duration(a.took_seconds) },
      { name: 'Process', cell: (a) => h('span', { class: 'mono' }, a.process) },
      { name: 'Error', wide: true, cell: (a) => h('span', { class: 'error' }, a.error) },
    ], l.history, (a) => `${a.number} ${a.token}`));
  }

  path(...more) { return ['groups', this.group, 'dead-letters', this.letter.letter, ...more]; }

  // leaveFor says what was done, and goes to the list, or to another letter.
  leaveFor(dialog, text, letter) {
    dialog.close();
    notify(text);
    location.hash = route(letter ? ['letters', this.group, letter] : ['letters', this.group]);
  }

  redrive(l) {
    changeDialog('Redrive this dead letter', {
      text: h('p', {}, `The event ${l.id} is published again, under its id, for the group ${this.group} alone, and the letter is deleted. What the group has handled since is not handled again.`),
      confirm: 'Redrive',
      submit: async (why, dialog) => {
        await call('POST', this.path('redrive'), { body: why });
        this.leaveFor(dialog, `The event ${l.id} was redriven.`);
      },
    });
  }

  drop(l) {
    changeDialog('Drop this dead letter', {
      text: h('p', {}, `The letter is deleted for good. The event ${l.id} stays given up, and nobody handles it.`),
      confirm: 'Drop', danger: true,
      submit: async (why, dialog) => {
        await call('DELETE', this.path(), { query: why });
        this.leaveFor(dialog, `The dead letter of ${l.id} was dropped.`);
      },
    });
  }

  // edit loads the event first, because it is to be changed.
  async edit() {
    if (!this.shown) await this.load(true);
    const l = this.letter;
    if (!this.shown) return;
    if (l.data === undefined) {
      notify('The data are no text: edit them with worker dlq edit.', 'warn');
      return;
    }
    const data = field('Data', { tag: 'textarea', rows: '12', class: 'mono', value: l.data, spellcheck: 'false' });
    const force = field('Take it even if it is no JSON', { type: 'checkbox' });
    changeDialog(`Edit the event ${l.id}`, {
      text: h('p', {}, 'The edit is a letter of its own, which supersedes this one. Redrive it afterwards: its event keeps its id.'),
      fields: [data, force],
      confirm: 'Store the edit',
      submit: async (why, dialog) => {
        const made = await call('PATCH', this.path(), { body: { ...why, data: data.input.value, force: force.input.checked || undefined } });
        if (!made.changed) throw new Error('Nothing was changed: the data are the same as before.');
        this.leaveFor(dialog, 'The edit is stored. Redrive it to have it handled.', made.letter);
      },
    });
  }
}

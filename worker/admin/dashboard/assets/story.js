import { get } from './api.js';
import { field } from './dialog.js';
import { announce, empty, h } from './dom.js';
import { plural, route, stamp, state } from './format.js';

const names = [['id', 'Id of the event'], ['sequence', 'Sequence in the stream'], ['letter', 'Id of a dead letter']];

// StoryView shows what became of one event in a group.
export class StoryView {
  constructor(app, params) {
    Object.assign(this, { app, story: null, problem: '', busy: false });
    this.query = Object.fromEntries(['group', 'topic', 'id', 'sequence', 'letter', 'source'].map((name) => [name, params.get(name) || '']));
    this.stopped = new AbortController();
  }

  title() { return 'Event story'; }

  enter() { if (this.query.group && this.query.topic && names.some(([name]) => this.query[name])) this.load(); }

  leave() { this.stopped.abort(); }

  async load() {
    this.busy = true;
    this.app.refresh();
    const { group, ...query } = this.query;
    try {
      this.story = await get(['groups', group, 'story'], query, this.stopped.signal);
      announce(this.story.summary);
    } catch (error) {
      if (this.stopped.signal.aborted) return;
      this.problem = error.message;
    }
    this.busy = false;
    this.app.refresh();
  }

  render() {
    return [this.search(), this.problem && h('p', { class: 'problem', role: 'alert' }, this.problem), this.busy && h('p', { class: 'empty' }, 'Looking in the stream, the store, the letters and the outbox…'),
      !this.story && !this.busy && !this.problem && empty('What became of an event?', 'Name its group, its topic and its id: you see when it was published, each attempt, what it waits for, and where that is known from.'),
      this.story && this.tell(this.story)];
  }

  search() {
    if (!this.form) {
      const named = names.find(([name]) => this.query[name]) || names[0];
      const group = field('Group', { required: true, value: this.query.group, list: 'story-groups' });
      const topic = field('Topic', { required: true, value: this.query.topic, placeholder: 'order.placed' });
      const kind = field('Named by', { tag: 'select', options: names, value: named[0] });
      const id = field('Which', { required: true, value: this.query[named[0]] });
      const show = (event) => {
        event.preventDefault();
        const to = route(['story'], { group: group.input.value.trim(), topic: topic.input.value.trim(), [kind.input.value]: id.input.value.trim() });
        if (to === location.hash) this.load();
        else location.hash = to;
      };
      const known = this.app.shown ? this.app.shown.groups.map((g) => g.group) : [];
      this.form = h('form', { class: 'search panel', role: 'search', 'aria-label': 'Find an event', 'data-keep': '', 'data-key': 'search', onsubmit: show },
        h('div', { class: 'fields' }, group, topic, kind, id, h('datalist', { id: 'story-groups' }, known.map((name) => h('option', { value: name })))),
        h('div', { class: 'buttons' }, h('button', { type: 'submit', class: 'primary' }, 'Show its story')));
    }
    return this.form;
  }

  tell(s) {
    return [
      h('section', { class: 'panel', 'data-key': 'standing' }, h('h2', {}, h('span', { class: 'mono' }, s.id || this.query.sequence), ' ', state(s.state)), h('p', { class: 'large' }, s.summary),
        s.waits.length > 0 && [h('h3', {}, 'It waits for'), h('ul', { class: 'plain' }, s.waits.map((w) => h('li', {}, w.text)))],
        s.letter && h('p', {}, h('a', { href: route(['letters', s.group, s.letter]) }, 'See its dead letter'))),
      s.timeline.length > 0 && h('section', { class: 'panel', 'data-key': 'timeline' }, h('h2', {}, 'What happened'), h('ol', { class: 'timeline' }, s.timeline.map((l) => this.line(s, l)))),
      s.missing.length > 0 && h('section', { class: 'panel', 'data-key': 'missing' }, h('h2', {}, `Not known (${plural(s.missing.length, 'thing')})`), h('ul', { class: 'plain' }, s.missing.map((m) => h('li', { class: 'muted' }, m))))];
  }

  line(s, l) {
    return h('li', {}, h('span', { class: 'when' }, l.time ? stamp(l.time) : 'time not known'), h('span', { class: `what ${kinds[l.event] || ''}` }, l.event),
      h('span', { class: 'details' }, l.text, l.letter && [' ', h('a', { href: route(['letters', s.group, l.letter]) }, 'letter')]), h('span', { class: 'muted from' }, l.source));
  }
}

const kinds = { failed: 'bad', 'given up': 'bad', dead: 'bad', 'dead-lettered': 'bad', refused: 'bad', handled: 'good', sent: 'good', published: 'accent', redriven: 'accent', replayed: 'accent' };

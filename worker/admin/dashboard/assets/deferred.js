import { call, get, readOnly } from './api.js';
import { changeDialog } from './dialog.js';
import { empty, h, notify, table } from './dom.js';
import { ago, count, plural } from './format.js';

const listed = 100;

// isDeferred says whether a topic is one where deferred events wait.
const isDeferred = (topic) => topic.startsWith('deferred.');

// DeferredPanel shows what a group has deferred, which is looked up when somebody asks.
export class DeferredPanel {
  constructor(app, group) {
    Object.assign(this, { app, group, found: new Map() });
  }

  // render returns nothing for a group that defers nothing.
  render(g) {
    return g.topics.map((t) => t.topic).filter(isDeferred).map((topic) => this.panel(topic));
  }

  panel(topic) {
    const found = this.found.get(topic);
    return h('section', { class: 'panel', 'data-key': `deferred ${topic}` }, h('div', { class: 'panel-head' }, h('h2', {}, 'Deferred: ', h('span', { class: 'mono' }, topic)),
      h('div', { class: 'buttons' },
        h('button', { type: 'button', class: 'small', 'aria-label': `Look at ${topic}`, onclick: () => this.look(topic) }, found ? 'Look again' : 'Look'),
        !readOnly && h('button', { type: 'button', class: 'small', onclick: () => this.flush(topic) }, 'Flush…'))),
    !found && h('p', { class: 'muted' }, 'What waits for its summary is looked up in the stream and in the store when you ask.'),
    found && found.busy && h('p', { class: 'muted' }, 'Looking…'),
    found && found.problem && h('p', { class: 'problem', role: 'alert' }, found.problem),
    found && found.keys && this.list(found));
  }

  list(found) {
    if (found.count === 0) return empty('Nothing waits.', 'What exceeds the limit of its key appears here until it is summed up.');
    return [h('p', {}, `${plural(found.events, 'event')} of ${plural(found.count, 'key')}`, found.keys.length < found.count && `; the ${count(found.keys.length)} that wait longest:`),
      table('Deferred', [
        { name: 'Key', wide: true, cell: (k) => h('span', { class: 'name mono clip' }, k.key) },
        { name: 'Events', number: true, cell: (k) => count(k.events) },
        { name: 'Oldest', number: true, cell: (k) => ago(k.oldest) },
      ], found.keys, (k) => k.key)];
  }

  async look(topic) {
    this.found.set(topic, { busy: true });
    this.app.refresh();
    try {
      this.found.set(topic, await get(['groups', this.group, 'deferred'], { topic, limit: listed }));
    } catch (error) {
      this.found.set(topic, { problem: error.message });
    }
    this.app.refresh();
  }

  flush(topic) {
    changeDialog(`Flush ${topic}`, {
      text: h('p', {}, 'All that is deferred by now is summed up at once, by the process of the group that makes summaries.'),
      fields: [],
      confirm: 'Flush',
      submit: async (why, dialog) => {
        await call('POST', ['groups', this.group, 'deferred', 'flush'], { body: { ...why, topic } });
        dialog.close();
        notify(`Summaries of what waits on ${topic} are due now.`, 'good');
        this.look(topic);
      },
    });
  }
}

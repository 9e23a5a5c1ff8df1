import { call } from './api.js';
import { changeDialog, field } from './dialog.js';
import { h, notify } from './dom.js';
import { plural, topicName } from './format.js';

const lengths = [['', 'until it is resumed'], ['5m', '5 minutes'], ['30m', '30 minutes'], ['2h', '2 hours'], ['1d', '1 day'], ['7d', '7 days']];

// changePause asks how a group is to be paused, or whether a pause is to end. p has the topic, and
// the revision of a pause that was seen: where it is another one by now, nothing is changed.
export function changePause(app, g, verb, p) {
  const scope = field('What', { tag: 'select', options: scopes(g), value: p.topic || '' });
  const length = field('For how long', { tag: 'select', options: lengths });
  const pauses = verb === 'pause';
  changeDialog(pauses ? `Pause ${g.group}` : `Resume ${topicName(p.topic)} of ${g.group}`, {
    text: h('p', {}, pauses
      ? 'What runs finishes, and nothing new starts, in any process of the group. No event is lost, and no attempt is used up.'
      : p.text),
    fields: pauses ? [scope, length] : [],
    confirm: pauses ? 'Pause' : 'Resume',
    submit: async (why, dialog) => {
      const topic = pauses ? scope.input.value : p.topic || '';
      const seen = g.pauses.find((x) => (x.topic || '') === topic);
      const body = { ...why, topic: topic === '$outbox' ? undefined : topic || undefined, outbox: topic === '$outbox' || undefined };
      if (pauses && length.input.value) body.for = length.input.value;
      const result = await call('POST', ['groups', g.group, verb], { body, match: seen && seen.revision !== '0' ? seen.revision : undefined });
      dialog.close();
      report(g, topic, pauses, result);
      app.refresh();
    },
  });
}

// scopes are what can be paused: the group, and what it is subscribed to.
function scopes(g) {
  const topics = g.topics.map((t) => t.topic);
  if (!topics.includes('$outbox')) topics.push('$outbox');
  return [['', 'the whole group'], ...topics.map((t) => [t, t === '$outbox' ? 'the outbox' : `topic ${t}`])];
}

function report(g, topic, pauses, result) {
  const all = result.confirmed.length + result.missing.length;
  const what = `${topicName(topic)} of ${g.group} ${pauses ? 'is paused' : 'is resumed'}`;
  const missing = result.missing.map((m) => `${m.host}:${m.pid}`).join(', ');
  const text = result.complete
    ? `${what}: ${plural(all, 'process has', 'processes have')} confirmed.`
    : `${what}, and ${result.missing.length} of ${plural(all, 'process', 'processes')} have not confirmed: ${missing}. They do as soon as they reach the server.`;
  notify([text, ...result.warnings].join(' '), result.complete ? 'good' : 'warn');
}

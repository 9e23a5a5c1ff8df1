import { get, readOnly } from './api.js';
import { chart, sum } from './charts.js';
import { DeferredPanel } from './deferred.js';
import { empty, h, table } from './dom.js';
import { ago, count, duration, plural, rate, route, state, topicName } from './format.js';
import { changePause } from './pause.js';

const rank = ['unreadable', 'unhealthy', 'unavailable', 'stopped', 'silent', 'paused', 'limited', 'joining', 'draining', 'running'];

// worst is the state of most concern.
export const worst = (names) => rank.find((name) => names.includes(name)) || names[0] || 'stopped';

const reading = () => h('p', { class: 'empty' }, 'Reading…');

// histories are those that the page has, of what is shown.
const histories = (app) => (app.follower ? [...app.follower.history.values()] : []);

// GroupsView is all groups at a glance.
export class GroupsView {
  constructor(app) { this.app = app; }

  title() { return 'Groups'; }

  render() {
    const o = this.app.shown;
    if (!o) return reading();
    if (o.groups.length === 0) {
      return empty('Nothing consumes events yet.', 'Start a worker, and its group appears here: ', h('code', {}, 'worker run --topic TOPIC --group GROUP …'));
    }
    const { times, rates, waiting } = this.total();
    return [
      h('div', { class: 'charts' }, chart('all-rates', 'Throughput', 'events/s', times, rates), chart('all-waiting', 'Waiting', 'events', times, waiting)),
      h('section', { class: 'panel' }, table('Groups', [
        { name: 'Group', wide: true, cell: (g) => [h('a', { class: 'name', href: route(['groups', g.group]) }, g.group), this.why(g)] },
        { name: 'State', cell: (g) => state(worst(g.topics.map((t) => t.state))) },
        { name: 'Events/s', number: true, cell: (g) => rate(g.rate) },
        { name: 'Waiting', number: true, cell: (g) => count(g.pending + g.unsettled) },
        { name: 'In flight', number: true, cell: (g) => count(g.in_flight) },
        { name: 'Processes', number: true, cell: (g) => count(g.members.length + (g.omitted || 0)) },
        { name: 'Dead letters', number: true, cell: (g) => (g.letters > 0 ? h('a', { class: 'bad-text', href: route(['letters', g.group]) }, count(g.letters)) : '0') },
      ], o.groups, (g) => g.group)),
      operations(o),
    ];
  }

  why(g) {
    if (g.pauses.length > 0) return h('p', { class: 'muted clip' }, g.pauses[0].text);
    const t = g.topics.find((t) => t.state === worst(g.topics.map((x) => x.state)));
    return t && t.state !== 'running' && t.why && h('p', { class: 'muted clip' }, topicName(t.topic), ': ', t.why);
  }

  total() {
    const now = this.frozenAt();
    return now || (this.kept = sum(histories(this.app)));
  }

  frozenAt() { return this.app.frozen && this.kept; }

  charts() {
    if (!this.app.shown || !this.kept) return {};
    const { times, rates, waiting } = this.kept;
    return { 'all-rates': { times, values: rates, stroke: '--accent' }, 'all-waiting': { times, values: waiting, stroke: '--warn' } };
  }
}

function operations(o) {
  const running = o.operations.filter((op) => op.state === 'running');
  return running.length > 0 && h('p', { class: 'banner' }, plural(running.length, 'operation runs', 'operations run'), ': ', h('a', { href: '#/operations' }, 'see how far'), '.');
}

// GroupView is one group.
export class GroupView {
  constructor(app, name) {
    Object.assign(this, { app, name, all: false, lag: null, deferred: new DeferredPanel(app, name) });
  }

  title() { return this.name; }

  heading() { return [h('span', { class: 'crumb' }, h('a', { href: '#/' }, 'Groups'), ' / '), this.name]; }

  group() { return this.app.shown && this.app.shown.groups.find((g) => g.group === this.name); }

  render() {
    const g = this.group();
    if (!this.app.shown) return reading();
    if (!g) return empty(`There is no group “${this.name}”.`, 'Its last consumer was removed, or its name is another one. ', h('a', { href: '#/' }, 'See all groups'), '.');
    const { times, rates, waiting } = this.history();
    return [
      this.pauses(g), this.tiles(g),
      h('div', { class: 'charts', 'data-key': 'charts' }, chart('group-rates', 'Throughput', 'events/s', times, rates), chart('group-waiting', 'Waiting', 'events', times, waiting)),
      this.subscriptions(g), this.oldest(g), this.deferred.render(g), this.members(g),
    ];
  }

  history() {
    if (!this.app.frozen || !this.kept) {
      const found = histories(this.app).find((g) => g.group === this.name) || { times: [], rates: [], waiting: [] };
      this.kept = { times: [...found.times], rates: [...found.rates], waiting: [...found.waiting] };
    }
    return this.kept;
  }

  charts() {
    if (!this.group()) return {};
    const { times, rates, waiting } = this.kept;
    return { 'group-rates': { times, values: rates, stroke: '--accent' }, 'group-waiting': { times, values: waiting, stroke: '--warn' } };
  }

  pauses(g) {
    return g.pauses.map((p) => h('div', { class: 'banner held', 'data-key': `pause ${p.topic}` },
      h('p', {}, h('b', {}, 'Paused: '), p.text),
      !readOnly && !String(p.topic).startsWith('$breaker.') && h('button', { type: 'button', onclick: () => changePause(this.app, g, 'resume', p) }, 'Resume…')));
  }

  tiles(g) {
    const tile = (name, value, more) => h('div', { class: 'tile' }, h('dt', {}, name), h('dd', {}, value, more && h('span', { class: 'muted' }, ` ${more}`)));
    return h('section', { class: 'summary', 'data-key': 'summary' },
      h('dl', { class: 'tiles' },
        tile('State', state(worst(g.topics.map((t) => t.state)))),
        tile('Throughput', rate(g.rate), 'events/s'),
        tile('Waiting', count(g.pending + g.unsettled), g.unsettled > 0 ? `${count(g.unsettled)} delivered` : 'events'),
        tile('In flight', count(g.in_flight)),
        tile('Processes', count(g.members.length + (g.omitted || 0))),
        tile('Dead letters', g.letters > 0 ? h('a', { class: 'bad-text', href: route(['letters', g.group]) }, count(g.letters)) : '0')));
  }

  buttons() {
    const g = this.group();
    return g && !readOnly && h('button', { type: 'button', onclick: () => changePause(this.app, g, 'pause', {}) }, 'Pause…');
  }

  subscriptions(g) {
    return h('section', { class: 'panel', 'data-key': 'subscriptions' }, h('h2', {}, 'Subscriptions'), g.topics.length === 0
      ? empty('It is subscribed to nothing.', 'Its processes only publish from an outbox, or have none of their own.')
      : table('Subscriptions', [
        { name: 'Topic', wide: true, cell: (t) => [h('span', { class: 'name mono' }, topicName(t.topic)), t.stream && h('p', { class: 'muted' }, 'stream ', t.stream)] },
        { name: 'State', wide: true, cell: (t) => [state(t.state, t.affected > 0 && t.affected < t.members && `${count(t.affected)} of ${count(t.members)}`), t.why && h('p', { class: 'muted' }, t.why)] },
        { name: 'Events/s', number: true, cell: (t) => rate(t.rate) },
        { name: 'Waiting', number: true, cell: (t) => count(t.pending + t.unsettled) },
        { name: 'In flight', number: true, cell: (t) => [count(t.in_flight), t.concurrency > 0 && h('span', { class: 'muted' }, ` of ${count(t.concurrency)}`)] },
        { name: 'Processes', number: true, cell: (t) => count(t.members) },
        ...(readOnly ? [] : [{ name: '', cell: (t) => h('button', { type: 'button', class: 'small', 'aria-label': `Pause ${topicName(t.topic)}`, onclick: () => changePause(this.app, g, 'pause', { topic: t.topic }) }, 'Pause…') }]),
      ], g.topics, (t) => t.topic));
  }

  // oldest says what the oldest event waits for, which is looked up when somebody asks.
  oldest(g) {
    return h('section', { class: 'panel', 'data-key': 'oldest' }, h('div', { class: 'panel-head' }, h('h2', {}, 'What the oldest event waits for'),
      h('button', { type: 'button', class: 'small', onclick: () => this.findLag() }, this.lag ? 'Look again' : 'Look')),
    !this.lag && h('p', { class: 'muted' }, 'It is looked up in the stream and in the store when you ask.'),
    this.lag && this.lag.problem && h('p', { class: 'problem' }, this.lag.problem),
    this.lag && this.lag.busy && h('p', { class: 'muted' }, 'Looking…'),
    this.lag && this.lag.subscriptions && h('ul', { class: 'plain' }, this.lag.subscriptions.map((s) => this.lagOf(g, s))));
  }

  lagOf(g, s) {
    return h('li', {}, h('p', {}, h('b', { class: 'mono' }, s.topic), ': ', s.oldest
      ? [h('a', { href: route(['story'], { group: g.group, topic: s.oldest.topic || s.topic, id: s.oldest.id }) }, s.oldest.id), ` is ${duration(s.seconds_behind)} old`]
      : 'nothing waits'), s.waits.map((w) => h('p', { class: 'muted' }, w.text || w.summary || w.kind)), s.missing.map((m) => h('p', { class: 'muted' }, m)));
  }

  async findLag() {
    this.lag = { busy: true };
    this.app.refresh();
    try {
      this.lag = await get(['groups', this.name, 'lag']);
    } catch (error) {
      this.lag = { problem: error.message };
    }
    this.app.refresh();
  }

  members(g) {
    const now = Date.parse(this.app.shown.now || this.app.shown.at);
    const all = g.members.map((m) => ({ ...m, shown: memberState(m, now) }))
      .sort((a, b) => rank.indexOf(a.shown) - rank.indexOf(b.shown) || (a.host + a.pid).localeCompare(b.host + b.pid));
    const few = this.all ? all : all.slice(0, 25);
    const total = all.length + (g.omitted || 0);
    return h('section', { class: 'panel', 'data-key': 'members' }, h('h2', {}, `Processes (${count(total)})`), total === 0
      ? empty('No process of the group is alive.', 'One that has drained is gone at once, one that died within 30 seconds. Start a worker of the group.')
      : table('Processes', memberColumns(now), few, (m) => m.id),
    few.length < all.length && h('button', { type: 'button', onclick: () => { this.all = true; this.app.refresh(); } }, `Show all ${count(all.length)}`),
    this.all && g.omitted > 0 && h('p', { class: 'muted' }, plural(g.omitted, 'more process is', 'more processes are'), ' not listed.'));
  }
}

// memberState is that of a process: what holds its subscriptions back, or that it is silent.
function memberState(m, now) {
  if (now - Date.parse(m.renewed) > 15000) return 'silent';
  return m.state === 'running' && m.subscriptions.length > 0 ? worst(m.subscriptions.map((s) => s.state)) : m.state;
}

// partitions are how many a process owns; nothing where none of its topics has any.
function partitions(m) {
  const parts = m.subscriptions.filter((s) => (s.order || '').startsWith('partitions:'));
  return parts.length === 0 ? '' : count(parts.reduce((n, s) => n + (s.partitions || []).length, 0));
}

function memberColumns(now) {
  return [
    { name: 'Process', wide: true, cell: (m) => [h('span', { class: 'name' }, m.name || `${m.host}:${m.pid}`), h('p', { class: 'muted' }, m.name && `${m.host}:${m.pid} · `, m.version)] },
    { name: 'State', cell: (m) => state(m.shown, m.shown === 'silent' && `for ${duration((now - Date.parse(m.renewed)) / 1000)}`) },
    { name: 'Events/s', number: true, cell: (m) => rate(m.subscriptions.reduce((n, s) => n + s.rate, 0)) },
    { name: 'In flight', number: true, cell: (m) => count(m.in_flight) },
    { name: 'Partitions', number: true, cell: (m) => partitions(m) },
    { name: 'Started', number: true, cell: (m) => ago(m.started, now) },
    { name: 'Subscriptions', wide: true, cell: (m) => h('details', {}, h('summary', {}, plural(m.subscriptions.length + (m.omitted || 0), 'subscription')),
      h('ul', { class: 'plain' }, m.subscriptions.map((s) => h('li', {}, h('span', { class: 'mono' }, topicName(s.topic)), ' ', state(s.state), s.why && h('span', { class: 'muted' }, ` ${s.why}`))))) },
  ];
}

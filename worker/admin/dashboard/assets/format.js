import { h } from './dom.js';

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

export const count = (n) => whole.format(n || 0);
export const rate = (n) => (n >= 100 ? whole : tenth).format(n || 0);
export const short = (n) => compact.format(n || 0);

// plural is a number with its noun.
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

const units = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];

// duration is a time in seconds in its two largest units.
export function duration(seconds) {
  if (!(seconds >= 1)) return `${Math.max(0, Math.round((seconds || 0) * 1000))} ms`;
  const first = units.findIndex(([n]) => seconds >= n);
  const [size, unit] = units[first];
  const n = Math.floor(seconds / size);
  const next = units[first + 1];
  const rest = next && n < 10 ? Math.floor((seconds - n * size) / next[0]) : 0;
  return `${n} ${unit}${rest > 0 ? ` ${rest} ${next[1]}` : ''}`;
}

const pad = (n) => String(n).padStart(2, '0');

// clock is the time of a day, here.
export function clock(at) {
  const d = new Date(at);
  return `${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}`;
}

// stamp is a date and a time, here.
export function stamp(at) {
  const d = new Date(at);
  return Number.isNaN(d.getTime()) ? '' : `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())} ${clock(d)}`;
}

// ago says how long ago a time was, by a clock; the whole time is its title.
export function ago(at, now = Date.now()) {
  const d = new Date(at);
  if (!at || d.getTime() <= 0 || Number.isNaN(d.getTime())) return h('span', { class: 'muted' }, 'not known');
  const seconds = Math.max(0, (new Date(now) - d) / 1000);
  return h('time', { datetime: d.toISOString(), title: stamp(d) }, seconds < 1 ? 'just now' : `${duration(seconds)} ago`);
}

// States, with a sign for who does not see colours.
const states = {
  running: ['good', '●'], limited: ['warn', '◐'], paused: ['held', '‖'], draining: ['held', '↓'], joining: ['held', '↑'], stopped: ['off', '○'],
  unavailable: ['bad', '▲'], unhealthy: ['bad', '✕'], unreadable: ['bad', '?'], 'silent': ['warn', '…'],
  done: ['good', '✓'], failed: ['bad', '✕'], cancelled: ['off', '○'], pending: ['warn', '◐'], retrying: ['warn', '↻'], dead: ['bad', '✕'],
  sent: ['good', '✓'], settled: ['good', '✓'], 'dead-lettering': ['bad', '▲'], 'not found': ['off', '?'], 'not subscribed': ['off', '○'],
};

// state is a state in colour and in words.
export function state(name, suffix) {
  const [kind, sign] = states[name] || ['off', '?'];
  return h('span', { class: `state ${kind}` }, h('span', { class: 'sign', 'aria-hidden': 'true' }, sign), name, suffix && h('span', { class: 'suffix' }, ` ${suffix}`));
}

// route is a link within the page.
export function route(parts, query) {
  const params = new URLSearchParams(Object.entries(query || {}).filter(([, v]) => v));
  const text = params.toString();
  return `#/${parts.map(encodeURIComponent).join('/')}${text ? `?${text}` : ''}`;
}

// topicName is a topic for people.
export const topicName = (topic) => (topic === '$outbox' ? 'outbox' : topic || 'the whole group');

// Charts of what was seen lately. Each says the same in words.

import { h } from './dom.js';
import { rate, short } from './format.js';

const height = 150;
const charts = new Map(); // by id
const dark = matchMedia('(prefers-color-scheme: dark)');
dark.addEventListener('change', () => {
  for (const id of [...charts.keys()]) dropChart(id);
});

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function dropChart(id) {
  const chart = charts.get(id);
  chart.plot.destroy();
  chart.observer.disconnect();
  charts.delete(id);
}

// chart is a figure with a line over time. Its values are drawn by drawCharts.
export function chart(id, title, unit, times, values) {
  const now = values.length > 0 ? values.at(-1) : 0;
  const most = values.reduce((a, b) => Math.max(a, b), 0);
  return h('figure', { class: 'chart', 'data-key': id },
    h('figcaption', {}, h('span', {}, title), h('span', { class: 'chart-now' }, h('b', {}, rate(now)), ` ${unit} now, ${rate(most)} at most`)),
    h('div', { class: 'plot', 'data-keep': '', id, role: 'img', 'aria-label': `${title} in the last 15 minutes` }),
    values.length < 2 && h('p', { class: 'chart-wait muted' }, 'A line appears with the second look, in about two seconds.'));
}

// drawCharts draws what is in the page: a map from ids to {times, values, fill}.
export function drawCharts(wanted) {
  for (const [id, { plot }] of charts) if (!wanted[id] || !plot.root.isConnected) dropChart(id);
  for (const [id, data] of Object.entries(wanted)) {
    const place = document.getElementById(id);
    if (!place || place.clientWidth === 0) continue;
    if (!charts.has(id)) charts.set(id, newPlot(place, data));
    charts.get(id).plot.setData([data.times, data.values]);
  }
}

function newPlot(place, { stroke }) {
  const ink = color('--muted');
  const axis = { stroke: ink, font: '11px system-ui, sans-serif', grid: { stroke: color('--line'), width: 1 }, ticks: { show: false } };
  const plot = new uPlot({
    width: place.clientWidth, height, legend: { show: false }, padding: [8, 8, 0, 0],
    cursor: { drag: { x: false, y: false } },
    scales: { y: { range: (u, low, high) => [0, high > 0 ? high * 1.15 : 1] } },
    axes: [
      { ...axis, space: 70, size: 24, values: (u, at) => at.map((t) => new Date(t * 1000).toTimeString().slice(0, at.length > 1 && at[1] - at[0] < 60 ? 8 : 5)) },
      { ...axis, size: 46, space: 34, values: (u, all) => all.map(short) },
    ],
    series: [{}, { stroke: color(stroke), fill: `${color(stroke)}22`, width: 1.75, points: { show: false } }],
  }, [[], []], place);
  const observer = new ResizeObserver(() => place.clientWidth > 0 && plot.setSize({ width: place.clientWidth, height }));
  observer.observe(place);
  return { plot, observer };
}

// sum adds the histories of all groups, by time.
export function sum(histories) {
  const at = new Map();
  for (const g of histories) {
    g.times.forEach((t, i) => {
      const total = at.get(t) || [0, 0];
      at.set(t, [total[0] + g.rates[i], total[1] + g.waiting[i]]);
    });
  }
  const times = [...at.keys()].sort((a, b) => a - b);
  return { times, rates: times.map((t) => at.get(t)[0]), waiting: times.map((t) => at.get(t)[1]) };
}

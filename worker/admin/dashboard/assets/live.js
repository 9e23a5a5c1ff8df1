// One tab of a browser follows the overview, and gives it to the others: over HTTP/1.1 a browser
// has six connections to a server, and a stream takes one. Where streams are refused or lost it
// asks now and then, and tries the stream again.

import { address, get, headers, read, base } from './api.js';

const silence = 25000; // ms without a word after which a stream is lost
const pollEvery = 3000; // ms
const longestRetry = 30000; // ms
const hiddenFor = 30000; // ms after which a tab that nobody sees lets go
const keptSeconds = 900;

const wait = (ms, signal) => new Promise((resolve) => {
  const timer = setTimeout(resolve, ms);
  signal.addEventListener('abort', () => { clearTimeout(timer); resolve(); }, { once: true });
});

// Follower keeps the last overview and the history. It calls onOverview with each overview, and
// onStatus with "live", "polling" or "offline" and since when.
export class Follower {
  constructor(onOverview, onStatus) {
    this.onOverview = onOverview;
    this.onStatus = onStatus;
    this.history = new Map();
    this.overview = null;
    this.status = 'connecting';
    this.heardAt = Date.now();
  }

  // start follows until stop is called.
  start() {
    this.stopped = new AbortController();
    const name = `onceish overview ${base.pathname}`;
    this.channel = 'BroadcastChannel' in window ? new BroadcastChannel(name) : null;
    if (this.channel) {
      this.channel.onmessage = ({ data }) => this.hear(data);
      this.channel.postMessage({ asks: true });
    }
    this.watchVisibility(name);
  }

  stop() {
    this.stopped.abort();
    if (this.leading) this.leading.abort();
    if (this.channel) this.channel.close();
    this.channel = null;
    this.leads = false;
  }

  // watchVisibility takes part while somebody sees the tab.
  watchVisibility(name) {
    let timer;
    const change = () => {
      clearTimeout(timer);
      if (!document.hidden) this.lead(name);
      else timer = setTimeout(() => this.leading && this.leading.abort(), hiddenFor);
    };
    const { signal } = this.stopped;
    document.addEventListener('visibilitychange', change, { signal });
    window.addEventListener('pagehide', () => this.leading && this.leading.abort(), { signal }); // the browser may keep the page
    window.addEventListener('pageshow', change, { signal });
    this.lead(name);
    this.watchLeader(signal);
  }

  // watchLeader asks by itself where the tab that follows for all says nothing.
  async watchLeader(signal) {
    while (!signal.aborted) {
      await wait(5000, signal);
      if (!signal.aborted && !this.leads && !document.hidden && Date.now() - this.heardAt > silence) await this.poll(signal);
    }
  }

  // lead waits for its turn, and then follows for all tabs.
  async lead(name) {
    if (this.leading && !this.leading.signal.aborted) return;
    const turn = new AbortController();
    this.leading = turn;
    const run = async () => {
      this.leads = true;
      await this.follow(turn.signal).catch((error) => console.warn('the overview is not followed any more:', error));
      this.leads = false;
    };
    if (!navigator.locks || !this.channel) return run();
    return navigator.locks.request(name, { signal: turn.signal }, run).catch(() => {}); // let go before its turn
  }

  // follow reads the stream, and asks while there is none.
  async follow(signal) {
    for (let failures = 0; !signal.aborted;) {
      const begun = Date.now();
      const heard = await this.readStream(signal).catch(() => false);
      if (signal.aborted) return;
      failures = heard && Date.now() - begun > 10000 ? 0 : failures + 1;
      const retryAt = Date.now() + Math.min(longestRetry, 1000 * 2 ** failures);
      do {
        await this.poll(signal);
        await wait(Math.min(pollEvery, Math.max(500, retryAt - Date.now())), signal);
      } while (Date.now() < retryAt && !signal.aborted);
    }
  }

  // readStream reads events until the stream ends. It returns whether there were any.
  async readStream(signal) {
    const lost = new AbortController();
    const end = () => lost.abort();
    signal.addEventListener('abort', end, { once: true });
    let timer = setTimeout(end, silence);
    try {
      const answer = await fetch(address(['overview', 'stream']), { headers: headers({ Accept: 'text/event-stream' }), signal: lost.signal, cache: 'no-store' });
      if (!answer.ok) await read(answer);
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = '';
      let heard = false;
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return heard;
        clearTimeout(timer);
        timer = setTimeout(end, silence);
        text += value;
        const events = text.split('\n\n');
        text = events.pop();
        for (const event of events) heard = this.take(event) || heard;
      }
    } finally {
      clearTimeout(timer);
      lost.abort();
      signal.removeEventListener('abort', end);
    }
  }

  // take reads an event of the stream.
  take(event) {
    const data = event.split('\n').filter((line) => line.startsWith('data: ')).map((line) => line.slice(6)).join('\n');
    if (!data) return false;
    this.setStatus('live');
    this.accept(JSON.parse(data));
    return true;
  }

  async poll(signal) {
    try {
      this.accept(await get(['overview'], { history: this.history.size === 0 }, signal));
      this.setStatus('polling');
    } catch (error) {
      if (!signal.aborted && error.status !== 401) this.setStatus('offline');
    }
  }

  // accept keeps an overview, and gives it to this tab and the others.
  accept(overview) {
    this.remember(overview);
    this.onOverview(overview);
    if (this.leads) this.tell({ overview, status: this.status });
  }

  tell(message) {
    if (this.channel) this.channel.postMessage(message);
  }

  // hear takes what another tab says.
  hear({ asks, overview, status }) {
    if (asks && this.leads && this.overview) this.tell({ overview: { ...this.overview, history: [...this.history.values()] }, status: this.status });
    if (asks || this.leads) return;
    this.heardAt = Date.now();
    if (status && status !== this.status) this.setStatus(status);
    if (overview) this.accept(overview);
  }

  setStatus(status) {
    if (status !== this.status) {
      this.status = status;
      this.since = Date.now();
      if (this.leads) this.tell({ status });
    }
    this.onStatus(status, this.since);
  }

  // remember adds an overview to the history.
  remember(overview) {
    const isNew = !this.overview || overview.groups_at !== this.overview.groups_at;
    this.overview = overview;
    if (overview.history) this.history = new Map(overview.history.map((g) => [g.group, { ...g, times: [...g.times], rates: [...g.rates], waiting: [...g.waiting] }]));
    if (!isNew || !overview.groups_at) return;
    const at = Date.parse(overview.groups_at) / 1000;
    for (const g of overview.groups) {
      if (!this.history.has(g.group)) this.history.set(g.group, { group: g.group, times: [], rates: [], waiting: [] });
      const kept = this.history.get(g.group);
      if (kept.times.length > 0 && kept.times.at(-1) >= at) continue;
      kept.times.push(at);
      kept.rates.push(g.rate);
      kept.waiting.push(g.pending + g.unsettled);
      while (kept.times[0] < at - keptSeconds) for (const list of [kept.times, kept.rates, kept.waiting]) list.shift();
    }
  }
}

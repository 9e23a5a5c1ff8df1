// The API is where the page is. The token is sent as a header with each request, which no other
// site can have a browser do; a cookie would go to every server on the same host.

export const base = new URL('.', location.href.split('#')[0]);
export const readOnly = document.body.dataset.readOnly === 'true';
export const needsToken = document.body.dataset.token === 'true';

const place = `onceish token ${base.pathname}`;
let onRefused = () => {};

// Problem is an answer that says what is wrong.
export class Problem extends Error {
  constructor(status, body) {
    const details = (body.errors || []).map((e) => [e.location, e.message].filter(Boolean).join(': '));
    super([body.detail || body.title || `status ${status}`, ...details].join('; '));
    this.status = status;
  }
}

export const token = () => sessionStorage.getItem(place) || '';

export function setToken(text) {
  if (text) sessionStorage.setItem(place, text);
  else sessionStorage.removeItem(place);
}

// onTokenRefused says what to do when the token is missing or another one. It is told why, if that
// is known.
export function onTokenRefused(f) { onRefused = f; }

export function headers(more) {
  const all = new Headers(more);
  if (token()) all.set('Authorization', `Bearer ${token()}`);
  return all;
}

// address is that of a path of the API. Parts are encoded, and what is empty is left out.
export function address(parts, query) {
  const url = new URL(['v1', ...parts.map(encodeURIComponent)].join('/'), base);
  for (const [name, value] of Object.entries(query || {})) {
    for (const v of [value].flat()) if (v !== '' && v !== null && v !== undefined && v !== false) url.searchParams.append(name, v === true ? '1' : v);
  }
  return url;
}

// call makes a request, and returns what the answer has. It throws a Problem.
export async function call(method, parts, { query, body, match, signal } = {}) {
  const head = headers({ Accept: 'application/json' });
  if (body) head.set('Content-Type', 'application/json');
  if (match) head.set('If-Match', `"${match}"`);
  let answer;
  try {
    answer = await fetch(address(parts, query), { method, headers: head, body: body && JSON.stringify(body), signal, redirect: 'error' });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Problem(0, { detail: 'the server cannot be reached: try again when it is back' });
  }
  return read(answer);
}

export async function read(answer) {
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  if (answer.status === 401) {
    setToken('');
    onRefused();
  }
  throw new Problem(answer.status, body);
}

export const get = (parts, query, signal) => call('GET', parts, { query, signal });

// A tab that is opened later is given the token by the others: it is typed once.
const tabs = 'BroadcastChannel' in window ? new BroadcastChannel(place) : null;
if (tabs) {
  tabs.onmessage = ({ data }) => {
    if (data.asks && token()) tabs.postMessage({ token: token() });
    if (data.ended) {
      setToken('');
      onRefused('You have signed out in another tab.');
    }
  };
}

// askTabs takes the token of another tab, if one has it.
export function askTabs() {
  if (!tabs || token()) return Promise.resolve();
  return new Promise((resolve) => {
    const given = ({ data }) => {
      if (!data.token) return;
      setToken(data.token);
      done();
    };
    const timer = setTimeout(done, 200);
    function done() {
      clearTimeout(timer);
      tabs.removeEventListener('message', given);
      resolve();
    }
    tabs.addEventListener('message', given);
    tabs.postMessage({ asks: true });
  });
}

// signOut forgets the token, in all tabs.
export function signOut() {
  setToken('');
  if (tabs) tabs.postMessage({ ended: true });
  onRefused('You are signed out.');
}

import { h } from './dom.js';

const shownAtMost = 200000; // characters

// payload is what is in an event, for people: JSON is indented.
export function payload(p) {
  const headers = Object.entries(p.headers || {});
  return [
    headers.length > 0 && h('details', {}, h('summary', {}, `Headers (${headers.length})`), h('dl', { class: 'facts mono' }, headers.map(([name, values]) => [h('dt', {}, name), h('dd', {}, values.join(', '))]))),
    p.data === undefined
      ? [h('p', { class: 'muted' }, 'The data are no text; in base64:'), h('pre', {}, cut(p.data_base64 || ''))]
      : p.data === '' ? h('p', { class: 'muted' }, 'There are no data.') : h('pre', { tabindex: '0', 'aria-label': 'Data' }, cut(indented(p.data)))];
}

function cut(text) {
  return text.length > shownAtMost ? `${text.slice(0, shownAtMost)}\n… ${text.length - shownAtMost} more characters` : text;
}

// indented leaves text as it is that is no JSON, or has numbers that JavaScript cannot hold.
function indented(text) {
  if (/\d{16}|\d\.\d{15}|\d[eE]/.test(text)) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

import { askTabs, get, needsToken, onTokenRefused, setToken, signOut, token } from './api.js';
import { drawCharts } from './charts.js';
import { announce, h, morph } from './dom.js';
import { clock, plural } from './format.js';
import { GroupView, GroupsView } from './groups.js';
import { LetterView } from './letter.js';
import { LettersView } from './letters.js';
import { Follower } from './live.js';
import { OperationsView } from './operations.js';
import { OutboxView } from './outbox.js';
import { StoryView } from './story.js';

const main = document.getElementById('main');
const freeze = document.getElementById('freeze');
const signOutButton = document.getElementById('sign-out');
const statusLine = document.getElementById('status');

const sections = [['', 'Groups'], ['letters', 'Dead letters'], ['outbox', 'Outbox'], ['story', 'Event story'], ['operations', 'Operations']];

// app is what views know of the page.
const app = {
  shown: null, // the overview that is shown
  held: 0, // overviews that have come while frozen
  frozen: false,
  follower: null,
  refresh: render,
};

let view = null;

// newView returns the view that the address names.
function newView() {
  const [path, query] = location.hash.slice(2).split('?');
  const parts = path.split('/').map((part) => { try { return decodeURIComponent(part); } catch { return part; } });
  const params = new URLSearchParams(query);
  switch (parts[0]) {
    case 'groups': return parts[1] ? new GroupView(app, parts[1]) : new GroupsView(app);
    case 'letters': return parts[2] ? new LetterView(app, parts[1], parts[2], params) : new LettersView(app, parts[1] || '', params);
    case 'outbox': return new OutboxView(app, params);
    case 'story': return new StoryView(app, params);
    case 'operations': return new OperationsView(app);
    default: return new GroupsView(app);
  }
}

function section() {
  const first = location.hash.slice(2).split(/[/?]/)[0];
  return first === 'groups' ? '' : first;
}

// go shows the view of the address, and moves the focus to its heading: but for the first one of
// a page, whose first stop is the link that skips the navigation.
function go(isFirst) {
  if (!app.follower) return;
  if (view && view.leave) view.leave();
  view = newView();
  main.replaceChildren();
  render();
  if (view.enter) view.enter();
  const heading = main.querySelector('h1');
  if (heading && isFirst !== true) heading.focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

function render() {
  renderNav();
  renderStatus();
  if (!view) return;
  document.title = `${view.title()} · Onceish`;
  const heading = h('h1', { tabindex: '-1' }, view.heading ? view.heading() : view.title());
  morph(main, h('div', { class: 'head', 'data-key': 'head' }, heading, view.buttons && h('div', { class: 'buttons' }, view.buttons())), warnings(), view.render());
  drawCharts(view.charts ? view.charts() : {});
}

function warnings() {
  const missing = app.shown ? app.shown.missing : [];
  return missing.length > 0 && h('div', { class: 'banner bad', role: 'status' }, missing.map((text) => h('p', {}, 'Could not be read: ', text)));
}

function renderNav() {
  morph(document.getElementById('nav'), sections.map(([name, text]) => h('a', { href: `#/${name}`, 'aria-current': section() === name && 'page' }, text, badge(name))));
}

// badge is what is new in a section.
function badge(name) {
  if (!app.shown) return null;
  const running = app.shown.operations.filter((o) => o.state === 'running').length;
  return name === 'operations' && running > 0 && h('span', { class: 'badge' }, running, h('span', { class: 'hidden' }, ' running'));
}

const words = { live: ['good', 'Live'], polling: ['warn', 'Polling'], offline: ['bad', 'Offline'], connecting: ['off', 'Connecting'] };

function renderStatus() {
  if (!app.follower) return morph(statusLine);
  const { status, since } = app.follower;
  const [kind, text] = app.frozen ? ['held', 'Frozen'] : words[status];
  const more = app.frozen ? ` at ${clock(app.shown ? app.shown.at : Date.now())}` : status === 'offline' ? ` since ${clock(since)}` : '';
  statusLine.dataset.state = app.frozen ? 'frozen' : status;
  morph(statusLine, h('span', { class: `dot ${kind}`, 'aria-hidden': 'true' }), `${text}${more}`);
  freeze.title = app.frozen && app.held > 0 ? `${plural(app.held, 'update')} held back` : 'Stop updating what is shown';
}

freeze.onclick = () => {
  app.frozen = !app.frozen;
  freeze.setAttribute('aria-pressed', String(app.frozen));
  freeze.textContent = app.frozen ? 'Unfreeze' : 'Freeze';
  if (!app.frozen) app.shown = app.follower.overview || app.shown;
  app.held = 0;
  announce(app.frozen ? 'Frozen: what is shown stays as it is.' : 'Updating again.');
  render();
};

// openPage follows the overview, and shows what the address names.
function openPage() {
  app.follower = new Follower((overview) => {
    if (app.frozen) app.held++;
    else app.shown = overview;
    render();
  }, renderStatus);
  freeze.hidden = false;
  signOutButton.hidden = !needsToken;
  app.follower.start();
  go(true);
}

function closePage() {
  if (app.follower) app.follower.stop();
  if (view && view.leave) view.leave();
  for (const dialog of document.querySelectorAll('dialog')) dialog.close();
  Object.assign(app, { follower: null, shown: null, frozen: false, held: 0 });
  view = null;
  freeze.hidden = signOutButton.hidden = true;
  freeze.textContent = 'Freeze';
  document.getElementById('nav').replaceChildren();
  renderStatus();
}

// askForToken shows what signs in.
function askForToken(why) {
  closePage();
  const field = h('input', { id: 'token', type: 'password', autocomplete: 'off', required: true, 'aria-describedby': 'token-help', spellcheck: 'false' });
  const problem = h('p', { class: 'problem', role: 'alert' }, why);
  const form = h('form', { class: 'sign-in panel', onsubmit: (event) => { event.preventDefault(); signIn(field, problem); } },
    h('h1', {}, 'Sign in'),
    h('label', { for: 'token' }, 'Token of the admin API'), field,
    h('p', { class: 'muted', id: 'token-help' }, 'It is what the server was started with, in a file or in ONCEISH_ADMIN_TOKEN. It is kept until this tab is closed.'),
    problem, h('button', { type: 'submit', class: 'primary' }, 'Sign in'));
  document.title = 'Sign in · Onceish';
  main.replaceChildren(form);
  field.focus();
}

async function signIn(field, problem) {
  setToken(field.value.trim());
  try {
    await get(['overview']);
  } catch (error) {
    setToken('');
    problem.textContent = error.status === 401 ? 'The token is another one: look for spaces, and for the end of it.' : error.message;
    field.select();
    return;
  }
  openPage();
  main.focus();
  announce('Signed in.');
}

onTokenRefused((why = 'The token is needed again.') => {
  if (app.follower) askForToken(why);
});
signOutButton.onclick = signOut;
document.querySelector('.skip').onclick = (event) => {
  event.preventDefault();
  main.focus();
};
window.addEventListener('hashchange', go);

await askTabs();
if (needsToken && !token()) askForToken('');
else openPage();

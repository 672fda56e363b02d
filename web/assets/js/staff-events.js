// Events for staff: the list, and one event with its markets, prices, scores and result.

import { $, $$, apiAmountText, codeOf, el, lineText, marketNames, priceText, toast } from './dom.js';
import { call, explain } from './api.js';

const jurisdiction = () => $('#jurisdiction').value;

function failed(problem) {
  if (problem.code === 'unauthenticated') location.href = '/staff/sign-in';
  toast(explain(problem), { bad: true });
}

// run does one change, says so, and reads the page's data again.
async function run(button, text, change, after) {
  button.disabled = true;
  try {
    await change();
    await after();
    toast(text);
  } catch (problem) {
    failed(problem);
  } finally {
    button.disabled = false;
  }
}

const when = (text) => new Date(text).toLocaleString([], { weekday: 'short', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });
const statusTag = (status) => el('span', { class: { live: 'tag bad', ended: 'tag', scheduled: 'tag won', open: 'tag won', suspended: 'tag open', void: 'tag bad' }[status] ?? 'tag' },
  { live: 'In play', ended: 'Ended', scheduled: 'To come' }[status] ?? status);

export function startEvents() {
  let status = '';
  let next = '';

  const load = async (more = false) => {
    const query = new URLSearchParams({ jurisdiction: jurisdiction(), limit: '50' });
    if (status) query.set('status', status);
    if (more && next) query.set('cursor', next);
    try {
      const page = await call('GET', `/v1/operator/events?${query}`);
      const rows = page.items.map((event) => eventRow(event, load));
      if (more) $('#events').append(...rows);
      else $('#events').replaceChildren(...(rows.length > 0 ? rows : [el('tr', {}, el('td', { colspan: 6, class: 'muted' }, 'No events here.'))]));
      next = page.next ?? '';
      $('#more').hidden = !next;
    } catch (problem) {
      failed(problem);
    }
  };

  for (const chip of $$('[data-status]')) {
    chip.addEventListener('click', () => {
      status = chip.dataset.status;
      for (const other of $$('[data-status]')) other.setAttribute('aria-pressed', String(other === chip));
      load();
    });
  }
  $('#jurisdiction').addEventListener('change', () => load());
  $('#more').addEventListener('click', () => load(true));
  load();
}

function eventRow(event, reload) {
  const href = `/staff/events/${encodeURIComponent(event.id)}`;
  const inputs = ['away', 'home'].map((side) => {
    const input = el('input', { inputmode: 'numeric', maxlength: 3, 'aria-label': `Score of ${event[side]}`, disabled: event.status === 'ended' });
    input.value = String(event[`${side}_score`]);
    return input;
  });
  const save = el('button', {
    type: 'button', class: 'btn slim', disabled: event.status === 'ended',
    onclick: () => run(save, 'Score saved', () => call('POST', `/v1/operator/events/${encodeURIComponent(event.id)}/score`, { body: score(...inputs) }), reload),
  }, 'Save');
  const counts = {};
  for (const market of event.markets) counts[market.status] = (counts[market.status] ?? 0) + 1;
  const suspended = (counts.suspended ?? 0) > 0 && !counts.open;
  const toggle = el('button', {
    type: 'button', class: 'btn slim', disabled: event.status === 'ended' || !(counts.open || counts.suspended),
    onclick: () => run(toggle, suspended ? 'Markets open again' : 'Markets suspended', () => call('POST', `/v1/operator/events/${encodeURIComponent(event.id)}/suspension`, { body: { suspended: !suspended } }), reload),
  }, suspended ? 'Resume' : 'Suspend');
  return el('tr', { 'data-row': event.id },
    el('td', { class: 'muted' }, when(event.starts_at)), el('td', {}, el('a', { href }, event.name), el('div', { class: 'muted small' }, event.competition)),
    el('td', {}, statusTag(event.status)),
    el('td', { class: 'small' }, Object.entries(counts).map(([state, count]) => `${count} ${state}`).join(', ') || 'none'),
    el('td', {}, el('span', { class: 'edit' }, inputs[0], '–', inputs[1], save)),
    el('td', { class: 'num' }, el('span', { class: 'edit' }, toggle, el('a', { class: 'btn slim primary', href }, event.status === 'ended' ? 'Correct' : 'Result'))));
}

// confirm asks before something that cannot be taken back; with reason it asks for that too.
function confirm({ title, text, yes, reason = false }, then) {
  const dialog = $('#confirm');
  $('#confirm-title').textContent = title;
  $('#confirm-text').textContent = text;
  $('#confirm-yes').textContent = yes;
  $('#confirm-field').hidden = !reason;
  const input = $('#confirm-reason');
  input.required = reason;
  input.value = '';
  dialog.returnValue = '';
  dialog.onclose = () => {
    if (dialog.returnValue === 'yes') then(input.value.trim());
  };
  dialog.showModal();
}

// score reads two inputs as the API wants them; it throws what failed can show.
function score(away, home) {
  const values = [away, home].map((input) => (/^\d{1,3}$/.test(input.value.trim()) ? Number(input.value) : null));
  if (values.includes(null)) throw Object.assign(new Error('A score is a whole number from 0 to 999.'), { code: 'invalid' });
  return { away_score: values[0], home_score: values[1] };
}

export function startEvent() {
  const id = $('[data-event]').dataset.event;
  const path = `/v1/operator/events/${encodeURIComponent(id)}`;

  const load = async () => {
    try {
      const event = await call('GET', `${path}?jurisdiction=${encodeURIComponent(jurisdiction())}`);
      showEvent(event, load);
      showExposure((await call('GET', `/v1/operator/exposure?event_id=${encodeURIComponent(id)}`)).items, event);
    } catch (problem) {
      failed(problem);
    }
  };

  $('#jurisdiction').addEventListener('change', load);
  $('#suspend').addEventListener('click', (e) => run(e.target, 'All markets are suspended', () => call('POST', `${path}/suspension`, { body: { suspended: true } }), load));
  $('#resume').addEventListener('click', (e) => run(e.target, 'Markets are open again', () => call('POST', `${path}/suspension`, { body: { suspended: false } }), load));
  $('#score-form').addEventListener('submit', (e) => {
    e.preventDefault();
    run($('button', e.target), 'Score saved', async () => call('POST', `${path}/score`, { body: score(e.target.elements.away, e.target.elements.home) }), load);
  });
  $('#result-form').addEventListener('submit', (e) => {
    e.preventDefault();
    let body;
    try {
      // A correction names the result it corrects: the one this page has shown.
      body = { ...score(e.target.elements.away, e.target.elements.home), expected_result_version: Number(e.target.dataset.version) };
    } catch (problem) {
      failed(problem);
      return;
    }
    const names = $$('#result-form label').map((label) => label.textContent);
    confirm({
      title: 'Enter this result?', yes: 'Enter result',
      text: `${names[0]} ${body.away_score}, ${names[1]} ${body.home_score}. Every open bet on this game is graded and paid.`,
    }, () => run($('button', e.target), 'Result entered. Bets are being settled.', () => call('POST', `${path}/result`, { body }), load));
  });
  load();
}

function showEvent(event, reload) {
  document.title = `${event.name} · Matchday`;
  $('#event-name').textContent = event.name;
  $('#event-facts').textContent = `${event.competition} · ${when(event.starts_at)} · ${{ live: 'in play', ended: 'ended', scheduled: 'to come' }[event.status]}${event.status === 'ended' ? ` · result entered ${event.away_score}–${event.home_score}` : ''}`;
  $('#result-form').dataset.version = event.result_version;
  for (const label of $$('label[data-side]')) label.textContent = event[label.dataset.side];
  for (const form of [$('#score-form'), $('#result-form')]) {
    if (form.dataset.filled) continue;
    form.dataset.filled = 'yes';
    form.elements.away.value = event.status === 'scheduled' && form.id === 'result-form' ? '' : event.away_score;
    form.elements.home.value = event.status === 'scheduled' && form.id === 'result-form' ? '' : event.home_score;
  }
  const typed = new Map($$('#markets input').filter((input) => input.value !== input.dataset.was).map((input) => [input.id, input.value]));
  $('#markets').replaceChildren(...(event.markets.length === 0 ? [el('div', { class: 'card empty' }, el('p', { class: 'muted' }, 'This event has no markets.'))]
    : event.markets.map((market) => marketCard(market, reload))));
  // What somebody is typing elsewhere on the page stays.
  for (const [id, text] of typed) {
    const input = document.getElementById(id);
    if (input) input.value = text;
  }
}

// edited makes the input of a price or line; was is what the platform has.
function edited(id, label, text) {
  const input = el('input', { id, 'aria-label': label, autocomplete: 'off', 'data-was': text });
  input.value = text;
  return input;
}

function marketCard(market, reload) {
  const set = (status) => call('POST', `/v1/operator/markets/${encodeURIComponent(market.id)}/status`, { body: { status } });
  const actions = el('div', { class: 'staff-actions' }, statusTag(market.status));
  if (market.status === 'open' || market.status === 'suspended') {
    const to = market.status === 'open' ? 'suspended' : 'open';
    const button = el('button', { type: 'button', class: 'btn slim', onclick: () => run(button, `Market ${to}`, () => set(to), reload) }, to === 'open' ? 'Open' : 'Suspend');
    actions.append(button);
  }
  if (market.status !== 'void') {
    const button = el('button', {
      type: 'button', class: 'btn slim danger',
      onclick: () => confirm({ title: `Void ${marketNames[market.type] ?? market.type}?`, text: 'Every stake on it goes back. This cannot be undone.', yes: 'Void the market', reason: true },
        (reason) => run(button, 'Market void', () => call('POST', `/v1/operator/markets/${encodeURIComponent(market.id)}/void`, { body: { reason } }), reload)),
    }, 'Void');
    actions.append(button);
  }
  return el('section', { class: 'card', 'data-market-card': market.id },
    el('div', { class: 'panel-head' }, el('h2', {}, marketNames[market.type] ?? market.type), actions),
    ...market.selections.map((selection) => selectionRow(market, selection, reload)));
}

function selectionRow(market, selection, reload) {
  const name = el('span', {}, selection.name, ' ', el('span', { class: 'muted' }, lineText(market.type, codeOf(selection.id), selection.line)));
  if (market.status !== 'open' && market.status !== 'suspended') {
    return el('div', { class: 'sel-row' }, name, el('span', { class: 'muted' }, priceText(selection.price)));
  }
  const line = selection.line === null ? null : edited(`line-${selection.id}`, `Line of ${selection.name}`, selection.line);
  const price = edited(`price-${selection.id}`, `Price of ${selection.name}`, selection.price);
  const body = () => ({ price: price.value.trim(), ...(line ? { line: line.value.trim() } : {}), jurisdiction: jurisdiction() });
  const save = el('button', {
    type: 'button', class: 'btn slim',
    onclick: () => run(save, `${selection.name} now ${priceText(price.value)}`, async () => {
      await call('POST', `/v1/operator/selections/${encodeURIComponent(selection.id)}/price`, { body: body() });
      for (const input of [line, price]) if (input) input.dataset.was = input.value;
    }, reload),
  }, 'Set');
  return el('div', { class: 'sel-row', 'data-sel-row': selection.id },
    name,
    el('span', { class: 'edit wide' }, line, price, save));
}

function showExposure(items, event) {
  const names = new Map(event.markets.flatMap((market) => market.selections.map((s) => [s.id, `${s.name} ${lineText(market.type, s.code, s.line)}`])));
  const rows = items.filter((row) => row.bets > 0 && row.jurisdiction === jurisdiction());
  $('#exposure').replaceChildren(...(rows.length === 0 ? [el('tr', {}, el('td', { colspan: 4, class: 'muted' }, 'No open bets here.'))] : rows.map((row) => el('tr', {},
    el('td', {}, names.get(row.selection_id) ?? row.selection_id), el('td', { class: 'num' }, String(row.bets)),
    el('td', { class: 'num' }, apiAmountText(row.stake)), el('td', { class: 'num' }, apiAmountText(row.payout))))));
}

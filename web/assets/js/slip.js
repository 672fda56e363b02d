// The bet slip: singles and parlays, stakes, what they would pay, and their way to the platform.
//
// A bet is sent with a key of its own that is kept, together with exactly what was asked, until an
// answer has judged the bet; so neither a lost answer, nor a session that ended meanwhile, nor an
// impatient second press places it twice.

import { $, $$, amountText, codeOf, currency, decimal, el, icon, lineText, marketNames, parseAmount, priceText, say, shout } from './dom.js';
import { explain, insist, call, newKey } from './api.js';
import { available, showBalance } from './account.js';
import { on } from './live.js';
import { better, combined, payout } from './odds.js';

const page = document.body.dataset;
const signedIn = 'signedIn' in page;
const limits = {
  minStake: BigInt(page.minStake ?? 0), maxStake: BigInt(page.maxStake ?? 0),
  maxPayout: BigInt(page.maxPayout ?? 0), maxLegs: Number(page.maxLegs ?? 20),
};
const storePrefix = 'matchday-slip:';
const storeName = `${storePrefix}${page.jurisdiction}`;
const maxPicks = 30;

const fresh = () => ({ picks: [], mode: 'single', stake: '', policy: 'none', pending: {}, player: page.player ?? '' });
let state = fresh();
let receipts = [];
let notes = {}; // by selection id, or "parlay": {text, kind, link}
let busy = false;

// load takes the saved slip. It stays its player's while nobody is signed in, so that a session that
// ended loses no key; another player who signs in finds an empty slip.
function load() {
  state = fresh();
  try {
    const saved = JSON.parse(localStorage.getItem(storeName));
    if (Array.isArray(saved?.picks)) state = { ...fresh(), ...saved };
  } catch {
    // What cannot be read is no slip.
  }
  if (!page.player) return;
  if (state.player && state.player !== page.player) state = fresh();
  state.player = page.player;
}

function save() {
  try {
    localStorage.setItem(storeName, JSON.stringify(state));
  } catch {
    // Private windows may refuse storage; the slip then lasts as long as the page.
  }
}

// forgetSlips drops the slips of all jurisdictions: who signs out leaves none to the next person.
export function forgetSlips() {
  state = fresh();
  notes = {};
  try {
    for (const name of Object.keys(localStorage)) if (name.startsWith(storePrefix)) localStorage.removeItem(name);
  } catch {
    // Nothing was saved where storage is refused.
  }
}

// ---- picks

const pickOf = (id) => state.picks.find((pick) => pick.id === id);
const nowPrice = (pick) => pick.nowPrice ?? pick.price;
const nowLine = (pick) => (pick.nowLine === undefined ? pick.line : pick.nowLine);
const lineMoved = (pick) => nowLine(pick) !== pick.line;
const moved = (pick) => nowPrice(pick) !== pick.price || lineMoved(pick);
const isOpen = (pick) => (pick.status ?? 'open') === 'open' && nowPrice(pick) !== '';
const lineOf = (pick, line) => lineText(pick.type, codeOf(pick.id), line);

function nameOf(pick, line = nowLine(pick)) {
  const text = lineOf(pick, line).replace(/^[OU] /, '');
  return text ? `${pick.name} ${text}` : pick.name;
}

// accepts says whether the player's policy takes what has moved.
function accepts(pick) {
  if (!moved(pick) || state.policy === 'any') return true;
  return state.policy === 'better' && !lineMoved(pick) && better(nowPrice(pick), pick.price);
}

function toggle(button) {
  const data = button.dataset;
  if (busy) return;
  if (pickOf(data.selection)) {
    remove(data.selection);
    say(`${data.name} taken off the slip`);
    return;
  }
  if (state.picks.length >= maxPicks) {
    shout(`A slip holds at most ${maxPicks} selections.`);
    return;
  }
  receipts = [];
  state.picks.push({
    id: data.selection, market: data.market, event: data.event, eventName: data.eventName, type: data.type, name: data.name,
    line: data.line ?? null, price: data.price, status: data.status, stake: '',
  });
  if (state.picks.length > 1 && state.picks.every((pick) => pick.stake === '')) state.mode = conflict() ? 'single' : 'parlay';
  say(`${data.name} added to the slip, price ${priceText(data.price)}. ${state.picks.length} on the slip.`);
  changed();
}

function remove(id) {
  state.picks = state.picks.filter((pick) => pick.id !== id);
  delete notes[id];
  delete notes.parlay;
  delete state.pending[id];
  delete state.pending.parlay;
  if (state.picks.length < 2) state.mode = 'single';
  changed();
}

// conflict says why the picks make no parlay, or ''.
function conflict() {
  const events = new Set(state.picks.map((pick) => pick.event));
  if (events.size < state.picks.length) return 'Two selections of one game cannot be in the same parlay.';
  if (state.picks.length > limits.maxLegs) return `A parlay has at most ${limits.maxLegs} legs.`;
  return '';
}

function changed() {
  save();
  render();
}

// ---- bets of the slip

// bets lists what pressing the button would place: [{id, stake, picks}].
function bets() {
  if (state.mode === 'parlay' && state.picks.length > 1) {
    const stake = parseAmount(state.stake);
    return stake ? [{ id: 'parlay', stake, picks: state.picks }] : [];
  }
  return state.picks.map((pick) => ({ id: pick.id, stake: parseAmount(pick.stake), picks: [pick] })).filter((bet) => bet.stake);
}

const returns = (bet) => payout(bet.stake, bet.picks.map(nowPrice));

function requestOf(bet) {
  return {
    stake: { amount: decimal(bet.stake), currency },
    legs: bet.picks.map((pick) => ({ selection_id: pick.id, price: pick.price, line: pick.line })),
    price_change: state.policy,
  };
}

// objection says what is wrong with a bet before it is sent, or ''.
function objection(bet) {
  if (!bet.picks.every(isOpen)) return 'This market takes no bets at the moment.';
  if (bet.stake < limits.minStake) return `The smallest stake is ${amountText(limits.minStake)}.`;
  if (limits.maxStake > 0n && bet.stake > limits.maxStake) return `The largest stake is ${amountText(limits.maxStake)}.`;
  if (limits.maxPayout > 0n && returns(bet) > limits.maxPayout) return `A bet pays at most ${amountText(limits.maxPayout)}.`;
  return '';
}

// place sends every bet of the slip, one after the other.
async function place() {
  if (busy) return;
  if (!signedIn) {
    save();
    location.href = `/sign-in?next=${encodeURIComponent(location.pathname + location.search + '#slip')}`;
    return;
  }
  notes = {};
  const wanted = bets();
  if (wanted.length === 0) {
    shout('Enter a stake first.');
    $('#slip-body .stake-in')?.focus();
    return;
  }
  if (state.mode === 'parlay' && conflict()) return;
  const objections = wanted.filter((bet) => !state.pending[bet.id] && objection(bet));
  for (const bet of objections) notes[bet.id] = { text: objection(bet), kind: 'bad' };
  if (objections.length > 0) {
    shout(notes[objections[0].id].text);
    render();
    return;
  }
  const changes = wanted.filter((bet) => !state.pending[bet.id]).flatMap((bet) => bet.picks).filter((pick) => !accepts(pick));
  if (changes.length > 0) {
    askAboutPrices(changes);
    return;
  }
  await send(wanted);
}

async function send(wanted) {
  busy = true;
  render();
  let refused = null;
  for (const bet of wanted) {
    const pending = state.pending[bet.id] ?? { key: newKey(), body: requestOf(bet) };
    state.pending[bet.id] = pending;
    save();
    try {
      accepted(bet, await insist('POST', '/v1/bets', { body: pending.body, key: pending.key }));
    } catch (problem) {
      refused = handle(bet, problem) || refused;
    }
  }
  busy = false;
  changed();
  if (refused) {
    askAboutPrices(refused);
  } else if (receipts.length > 0 && state.picks.length === 0) {
    $('#slip .receipt-links a')?.focus({ preventScroll: true });
  }
}

function accepted(bet, receipt) {
  delete state.pending[bet.id];
  receipts.push(receipt);
  const placed = new Set(bet.picks.map((pick) => pick.id));
  state.picks = state.picks.filter((pick) => !placed.has(pick.id));
  if (bet.id === 'parlay') {
    state.stake = '';
    state.mode = 'single';
  }
  const balance = parseAmount(receipt.balance.amount);
  if (balance !== null) showBalance(balance);
  say(`Bet accepted. Stake ${amountText(parseAmount(receipt.stake.amount))}, to return ${amountText(parseAmount(receipt.potential_payout.amount))}.`);
}

// handle notes why a bet was not accepted; for moved prices it returns the picks to ask about.
function handle(bet, problem) {
  if (problem.unknown) {
    notes[bet.id] = { text: 'We have not heard back yet. Press the button to ask again: the bet cannot be placed twice.', kind: 'bad' };
    shout(notes[bet.id].text);
    return null;
  }
  if (problem.judged) delete state.pending[bet.id];
  if (problem.code === 'price_changed' && problem.changes.length > 0) {
    for (const change of problem.changes) {
      const pick = pickOf(change.selection_id);
      if (!pick) continue;
      pick.nowPrice = change.now_price;
      pick.nowLine = change.now_line;
    }
    return bet.picks.filter(moved);
  }
  const note = { text: explain(problem), kind: 'bad' };
  if (problem.code === 'insufficient_funds') note.link = { href: '/account#deposit', text: 'Deposit' };
  if (problem.code === 'unauthenticated') note.link = { href: '/sign-in?next=/%23slip', text: 'Sign in' };
  if (problem.code === 'suspended') readAgain(bet.picks);
  notes[bet.id] = note;
  shout(note.text);
  return null;
}

// readAgain asks for the offer of some picks: what the stream did not tell while we were away.
async function readAgain(picks) {
  const own = signedIn ? '' : `?jurisdiction=${encodeURIComponent(page.jurisdiction)}`;
  for (const event of new Set(picks.map((pick) => pick.event))) {
    try {
      takeEvent(await call('GET', `/v1/events/${encodeURIComponent(event)}${own}`));
    } catch (problem) {
      if (problem.code === 'not_found') for (const pick of picks) if (pick.event === event) pick.status = 'closed';
    }
  }
  changed();
}

function takeEvent(event) {
  for (const market of event.markets ?? []) {
    for (const selection of market.selections) {
      const pick = pickOf(selection.id);
      if (!pick) continue;
      pick.status = market.status;
      pick.nowPrice = selection.price;
      pick.nowLine = selection.line;
    }
  }
}

// ---- the dialogue about moved prices

let asked = new Map(); // what the dialogue shows, by selection id: {price, line}

function askAboutPrices(picks) {
  drawQuestion(picks);
  const dialog = $('#price-dialog');
  dialog.returnValue = '';
  dialog.showModal();
  $('#price-dialog-title').focus();
}

// drawQuestion lists what has moved. It is drawn again while it stands open and prices move on: what
// is accepted is what was shown.
function drawQuestion(picks) {
  asked = new Map(picks.map((pick) => [pick.id, { price: nowPrice(pick), line: nowLine(pick) }]));
  const gone = picks.filter((pick) => !isOpen(pick));
  $('#price-dialog-text').textContent = gone.length > 0
    ? 'One of your selections is no longer on offer.'
    : 'Nothing has been placed yet. Do you want the bet as it is now?';
  $('#price-dialog-list').replaceChildren(...picks.map((pick) => el('div', { class: 'change' },
    el('div', {}, el('div', { class: 'pick-name' }, nameOf(pick)), el('div', { class: 'pick-sub' }, pick.eventName)),
    el('div', { class: 'num' },
      el('s', { 'aria-label': 'was' }, [lineMoved(pick) ? lineOf(pick, pick.line) : '', priceText(pick.price)].join(' ').trim()),
      el('span', { class: `now ${nowPrice(pick) && better(nowPrice(pick), pick.price) ? 'up' : 'down'}` },
        nowPrice(pick) ? [lineMoved(pick) ? lineOf(pick, nowLine(pick)) : '', priceText(nowPrice(pick))].join(' ').trim() : 'off')))));
  const wanted = bets();
  const sum = wanted.reduce((total, bet) => total + (bet.picks.every((pick) => nowPrice(pick)) ? returns(bet) : 0n), 0n);
  $('#price-accept').textContent = sum > 0n ? `Accept and place, to return ${amountText(sum)}` : 'Accept and place';
  $('#price-accept').disabled = gone.length > 0;
}

function acceptPrices() {
  for (const [id, shown] of asked) Object.assign(pickOf(id) ?? {}, shown);
  $('#price-dialog').close();
  changed();
  place();
}

// ---- drawing

function stakeInput(value, label, locked, oninput, focus) {
  const input = el('input', {
    class: 'input stake-in', inputmode: 'decimal', autocomplete: 'off', placeholder: '0.00', 'aria-label': label, 'data-focus': focus,
    disabled: locked || busy,
    oninput: (event) => { oninput(event.target.value); save(); sums(); },
    onkeydown: (event) => { if (event.key === 'Enter') place(); },
  });
  input.value = value;
  return el('div', { class: 'money-in' }, el('span', { class: 'cur', 'aria-hidden': 'true' }, page.symbol ?? '$'), input);
}

function noteNode(id) {
  const note = notes[id];
  if (!note) return null;
  const node = el('p', { class: `pick-note ${note.kind}`, 'data-note': id }, note.text);
  if (note.link) node.append(' ', el('a', { href: note.link.href }, note.link.text));
  return node;
}

function pickNode(pick) {
  const price = el('div', { class: 'pick-price' });
  if (moved(pick) && nowPrice(pick)) price.append(el('s', {}, priceText(pick.price)), priceText(nowPrice(pick)));
  else price.append(priceText(pick.price));
  const node = el('div', { class: 'pick', 'data-pick': pick.id },
    el('div', { class: 'pick-top' },
      el('div', {}, el('div', { class: 'pick-name' }, nameOf(pick)), el('div', { class: 'pick-sub' }, `${marketNames[pick.type] ?? ''} · ${pick.eventName}`)),
      price,
      el('button', { type: 'button', class: 'iconbtn', 'aria-label': `Remove ${nameOf(pick)}`, 'data-focus': `x-${pick.id}`, disabled: busy, onclick: () => remove(pick.id) }, icon('close'))));
  if (state.mode !== 'parlay' || state.picks.length < 2) {
    node.append(el('div', { class: 'pick-stake' },
      stakeInput(pick.stake, `Stake on ${nameOf(pick)}`, Boolean(state.pending[pick.id]), (text) => { pick.stake = text; }, `stake-${pick.id}`),
      el('div', { class: 'to-win', 'data-returns': pick.id })));
  }
  if (!isOpen(pick)) node.append(el('p', { class: 'pick-note bad' }, 'Suspended. This market takes no bets at the moment.'));
  else if (lineMoved(pick)) node.append(el('p', { class: 'pick-note' }, `The line moved from ${lineOf(pick, pick.line)} to ${lineOf(pick, nowLine(pick))}.`));
  else if (moved(pick)) node.append(el('p', { class: 'pick-note' }, `The price moved from ${priceText(pick.price)} to ${priceText(nowPrice(pick))}.`));
  const note = noteNode(pick.id);
  if (note) node.append(note);
  return node;
}

function receiptNode(receipt) {
  const legs = receipt.legs.map((leg) => `${leg.selection_name}${leg.line ? ` ${lineText(leg.market, leg.selection, leg.line).replace(/^[OU] /, '')}` : ''} ${priceText(leg.price)}`);
  return el('div', { class: 'receipt', 'data-receipt': receipt.id },
    el('p', { class: 'receipt-top' }, icon('check'), 'Bet accepted'),
    el('p', { class: 'small muted' }, legs.join(' · ')),
    el('dl', {}, el('dt', {}, 'Stake'), el('dd', {}, amountText(parseAmount(receipt.stake.amount))),
      el('dt', {}, 'To return'), el('dd', {}, amountText(parseAmount(receipt.potential_payout.amount)))),
    el('p', { class: 'receipt-links small' }, el('a', { href: `/bets?at=${encodeURIComponent(receipt.position)}` }, 'See it in My bets')));
}

function modeSwitch() {
  const button = (mode, text) => el('button', {
    type: 'button', 'aria-pressed': String(state.mode === mode), 'data-focus': `mode-${mode}`, disabled: busy,
    onclick: () => { state.mode = mode; changed(); },
  }, text);
  return el('div', { class: 'seg', role: 'group', 'aria-label': 'Kind of bet' }, button('single', `Singles (${state.picks.length})`), button('parlay', `Parlay (${state.picks.length} legs)`));
}

function policyNode() {
  const options = [['none', 'Ask me first'], ['better', 'Take better prices'], ['any', 'Take any change']];
  const select = el('select', { id: 'price-policy', 'data-focus': 'policy', disabled: busy, onchange: (event) => { state.policy = event.target.value; changed(); } },
    ...options.map(([value, text]) => el('option', { value, selected: state.policy === value }, text)));
  return el('div', { class: 'policy' }, el('label', { for: 'price-policy' }, 'If prices change'), select);
}

function render() {
  const body = $('#slip-body');
  if (body) draw(body);
  for (const count of $$('[data-slip-count]')) {
    count.textContent = String(state.picks.length);
    count.dataset.n = String(state.picks.length);
  }
  for (const button of $$('[data-selection]')) button.setAttribute('aria-pressed', String(Boolean(pickOf(button.dataset.selection))));
  const fab = $('.slip-fab');
  if (fab) fab.hidden = state.picks.length === 0;
}

function draw(body) {
  const focused = document.activeElement?.dataset?.focus;
  const caret = document.activeElement?.selectionStart;
  const parts = receipts.map(receiptNode);
  const parlay = state.mode === 'parlay' && state.picks.length > 1;
  if (state.picks.length > 1) parts.push(modeSwitch());
  parts.push(...state.picks.map(pickNode));
  if (parlay) {
    const why = conflict();
    parts.push(el('div', { class: 'pick' },
      el('div', { class: 'pick-top' }, el('div', { class: 'pick-name' }, `${state.picks.length}-leg parlay`), el('div', { class: 'pick-price' }, why ? '' : combined(state.picks.map(nowPrice).filter(Boolean)))),
      why ? el('p', { class: 'pick-note bad' }, why)
        : el('div', { class: 'total-stake' }, stakeInput(state.stake, 'Stake of the parlay', Boolean(state.pending.parlay), (text) => { state.stake = text; }, 'stake-parlay'), el('div', { class: 'to-win', 'data-returns': 'parlay' })),
      noteNode('parlay')));
  }
  if (state.picks.length > 0) parts.push(policyNode());
  if (parts.length === 0) parts.push(empty());
  body.replaceChildren(...parts);
  $('#slip-clear').hidden = state.picks.length === 0 || busy;
  drawFoot();
  sums();
  if (focused && document.activeElement === document.body) {
    const again = $(`[data-focus="${CSS.escape(focused)}"]`, body.parentElement);
    again?.focus({ preventScroll: true });
    if (caret !== null && caret !== undefined && again?.setSelectionRange) again.setSelectionRange(caret, caret);
  }
}

function empty() {
  return el('div', { class: 'slip-empty' }, el('p', {}, el('strong', {}, 'Your slip is empty')), el('p', { class: 'small' }, 'Press a price to add it. Add several for a parlay.'));
}

function drawFoot() {
  const foot = $('#slip-foot');
  if (state.picks.length === 0) {
    foot.className = '';
    foot.replaceChildren();
    return;
  }
  foot.className = 'slip-foot';
  foot.replaceChildren(
    el('p', { class: 'sum' }, el('span', {}, 'Total stake'), el('span', { id: 'slip-stake' })),
    el('p', { class: 'sum' }, el('span', {}, 'To return'), el('b', { id: 'slip-returns' })),
    el('p', { class: 'pick-note', id: 'slip-funds', hidden: true }, 'This is more than your balance. ', el('a', { href: '/account#deposit' }, 'Deposit')),
    el('button', { type: 'button', class: 'btn primary wide', id: 'place', 'data-focus': 'place', 'aria-busy': String(busy), disabled: busy, onclick: place }, signedIn ? 'Place bet' : 'Sign in to bet'));
}

// sums writes what depends on the stakes, without touching the inputs.
function sums() {
  if (!$('#slip-stake')) return;
  const wanted = bets();
  const stake = wanted.reduce((total, bet) => total + bet.stake, 0n);
  const total = wanted.reduce((sum, bet) => sum + returns(bet), 0n);
  $('#slip-stake').textContent = amountText(stake);
  $('#slip-returns').textContent = amountText(total);
  for (const node of $$('[data-returns]')) {
    const bet = wanted.find((one) => one.id === node.dataset.returns);
    node.replaceChildren(...(bet ? ['To return', el('b', {}, amountText(returns(bet)))] : []));
  }
  $('#slip-funds').hidden = !signedIn || stake <= available();
  const button = $('#place');
  if (!signedIn || busy) return;
  if (Object.keys(state.pending).length > 0) button.textContent = 'Ask again';
  else button.textContent = wanted.length > 1 ? `Place ${wanted.length} bets, ${amountText(stake)}` : stake > 0n ? `Place bet, ${amountText(stake)}` : 'Place bet';
}

// ---- the sheet on a phone

const narrow = matchMedia('(max-width: 64rem)');
let opener = null;

function openSheet() {
  if (!narrow.matches) return;
  opener = document.activeElement;
  const slip = $('#slip');
  slip.classList.add('open');
  slip.setAttribute('role', 'dialog');
  slip.setAttribute('aria-modal', 'true');
  $('.slip-shade').hidden = false;
  setInert(true);
  $('[data-slip-close]', slip).focus();
}

function closeSheet() {
  const slip = $('#slip');
  if (!slip?.classList.contains('open')) return;
  slip.classList.remove('open');
  slip.removeAttribute('role');
  slip.removeAttribute('aria-modal');
  $('.slip-shade').hidden = true;
  setInert(false);
  opener?.focus?.();
}

function setInert(inert) {
  const slip = $('#slip');
  for (const node of [$('.bar'), $('.foot'), $('.tabbar'), $('.slip-fab'), ...slip.parentElement.children]) {
    if (node && node !== slip && !node.matches('.slip-shade, dialog')) node.inert = inert;
  }
}

// ---- start

function followOffer() {
  on('price', (change) => {
    const pick = pickOf(change.selection_id);
    if (!pick) return;
    pick.nowPrice = change.price;
    pick.nowLine = change.line;
    if (busy) return;
    if (moved(pick)) say(`${pick.name}: price now ${priceText(change.price)}`);
    if ($('#price-dialog')?.open) drawQuestion(state.picks.filter((one) => moved(one) || asked.has(one.id)));
    changed();
  });
  on('market', (change) => {
    const touched = state.picks.filter((pick) => pick.market === change.market_id);
    for (const pick of touched) pick.status = change.status;
    if (touched.length === 0 || busy) return;
    shout(change.status === 'open' ? `${touched[0].name} is open again` : `${touched[0].name} is suspended`);
    changed();
  });
  on('again', () => readAgain(state.picks));
}

export function startSlip() {
  load();
  save();
  document.addEventListener('click', (event) => {
    const price = event.target.closest('.price[data-selection]');
    if (price) toggle(price);
    if (event.target.closest('[data-slip-open]')) openSheet();
    if (event.target.closest('[data-slip-close]')) closeSheet();
  });
  $('#slip-clear')?.addEventListener('click', () => {
    state = { ...fresh(), policy: state.policy };
    receipts = [];
    notes = {};
    changed();
    say('The slip is empty');
  });
  $('#price-accept')?.addEventListener('click', acceptPrices);
  $('#price-keep')?.addEventListener('click', () => $('#price-dialog').close());
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && !$('#price-dialog')?.open) closeSheet();
  });
  addEventListener('storage', (event) => { // another tab changed the slip
    if (event.key !== storeName || busy) return;
    load();
    render();
  });
  narrow.addEventListener('change', closeSheet);
  document.addEventListener('region', render);
  document.addEventListener('balance', sums);
  followOffer();
  render();
  if (state.picks.length > 0) readAgain(state.picks);
  if (location.hash === '#slip') openSheet();
}

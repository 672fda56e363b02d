// Price buttons follow the live stream: a moved price flashes, a suspended market locks.

import { $, $$, codeOf, el, icon, lineText, marketNames, priceText } from './dom.js';
import { on } from './live.js';
import { better } from './odds.js';
import { refresh } from './regions.js';

const isOpen = (button) => button.dataset.status === 'open' && button.dataset.price !== '';

// paint draws a button from its data.
function paint(button) {
  const { name, type, lineText: line, price } = button.dataset;
  const open = isOpen(button);
  const named = $('.nm', button) !== null;
  const parts = [];
  if (named) parts.push(el('span', { class: 'nm' }, name, el('span', { class: 'ln' }, line.replace(/^[OU] /, ''))));
  else if (line) parts.push(el('span', { class: 'ln' }, line));
  parts.push(el('span', { class: 'pr' }, open ? priceText(price) : icon('lock', 'lock')));
  button.replaceChildren(...parts);
  button.disabled = !open;
  const what = `${button.dataset.eventName}, ${marketNames[type]}, ${name}${line ? ` ${line}` : ''}`;
  button.setAttribute('aria-label', open ? `${what}, price ${priceText(price)}` : `${what}, ${button.dataset.status}`);
}

function flash(button, rose) {
  button.classList.remove('rise', 'fall');
  void button.offsetWidth; // starts the animation again
  button.classList.add(rose ? 'rise' : 'fall');
  setTimeout(() => button.classList.remove('rise', 'fall'), 1700);
}

function movePrice(change) {
  const code = codeOf(change.selection_id);
  for (const button of $$(`[data-selection="${CSS.escape(change.selection_id)}"]`)) {
    if (Number(button.dataset.version) > change.version) continue;
    const before = button.dataset.price;
    button.dataset.price = change.price;
    button.dataset.version = change.version;
    if (change.line === null) delete button.dataset.line;
    else button.dataset.line = change.line;
    button.dataset.lineText = lineText(button.dataset.type, code, change.line);
    paint(button);
    if (isOpen(button) && before && before !== change.price) flash(button, better(change.price, before));
  }
}

function moveMarket(change) {
  const buttons = $$(`[data-market="${CSS.escape(change.market_id)}"]`);
  for (const button of buttons) {
    button.dataset.status = change.status;
    paint(button);
  }
  if ($(`[data-live-region="event"][data-game="${CSS.escape(change.event_id)}"]`)) refresh();
}

function moveScore(change) {
  const games = $$(`[data-game="${CSS.escape(change.event_id)}"]`);
  if (games.length === 0) {
    // A game that is new, or newly on offer here.
    if (change.status === 'scheduled' && change.result_version === 0 && $('[data-live-region="games"]')) refresh();
    return;
  }
  const ended = change.status === 'ended';
  const live = change.status === 'live';
  for (const game of games) {
    if (('ended' in game.dataset) !== ended || ('live' in game.dataset) !== live) {
      refresh();
      return;
    }
    for (const [side, score] of [['home', change.home_score], ['away', change.away_score]]) {
      for (const node of $$(`[data-score="${side}"]`, game)) node.textContent = String(score);
    }
  }
}

export function followPrices() {
  on('price', movePrice);
  on('market', moveMarket);
  on('score', moveScore);
}

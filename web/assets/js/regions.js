// Live regions: parts of a page that are rendered by the server and fetched again when something
// happened, so that there is one way to draw a bet, a game or a statement.

import { $, $$, later } from './dom.js';

let running = false;
let wanted = false;

async function refreshNow() {
  const old = $('[data-live-region]');
  if (!old) return;
  if (running) {
    wanted = true;
    return;
  }
  running = true;
  try {
    const url = new URL(location.href);
    url.searchParams.delete('at');
    const answer = await fetch(url, { credentials: 'same-origin', cache: 'no-store' });
    if (!answer.ok || answer.redirected) return;
    const fresh = $('[data-live-region]', new DOMParser().parseFromString(await answer.text(), 'text/html'));
    if (!fresh || fresh.dataset.liveRegion !== old.dataset.liveRegion) return;
    swap(old, fresh);
  } catch {
    // The stream tells us when the connection is back, and then everything is read again.
  } finally {
    running = false;
    if (wanted) {
      wanted = false;
      refresh();
    }
  }
}

// swap replaces a region, keeps the focus where it was and marks bets that changed.
function swap(old, fresh) {
  const before = new Map($$('[data-bet]', old).map((bet) => [bet.dataset.bet, bet.dataset.betVersion]));
  const focused = document.activeElement;
  const selection = old.contains(focused) ? focused.dataset.selection : undefined;
  const href = old.contains(focused) ? focused.getAttribute('href') : undefined;
  const node = document.importNode(fresh, true);
  old.replaceWith(node);
  if (before.size > 0) {
    for (const bet of $$('[data-bet]', node)) {
      if (before.get(bet.dataset.bet) !== bet.dataset.betVersion) bet.classList.add('fresh');
    }
  }
  if (selection) $(`[data-selection="${CSS.escape(selection)}"]`, node)?.focus({ preventScroll: true });
  else if (href) $(`a[href="${CSS.escape(href)}"]`, node)?.focus({ preventScroll: true });
  document.dispatchEvent(new CustomEvent('region'));
}

// refresh fetches the page's region soon; many calls are one fetch.
export const refresh = later(refreshNow, 350);

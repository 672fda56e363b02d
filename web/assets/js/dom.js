// Small tools for the other modules: elements, messages, amounts, prices as people read them.

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

// el makes an element: el('p', {class: 'muted'}, 'text', otherElement). Text is never parsed as HTML.
export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? '' : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const drawings = {
  close: ['M6 6l12 12M18 6L6 18'],
  check: ['M4 12.500l5 5L20 6.500'],
  lock: ['M5 11h14v9H5z', 'M8 11V8a4 4 0 0 1 8 0v3'],
};

export function icon(name, className = '') {
  const space = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(space, 'svg');
  const attributes = { viewBox: '0 0 24 24', fill: 'none', stroke: 'currentColor', 'stroke-width': '2.2', 'stroke-linecap': 'round', 'stroke-linejoin': 'round', 'aria-hidden': 'true' };
  for (const [key, value] of Object.entries(attributes)) svg.setAttribute(key, value);
  if (className) svg.setAttribute('class', className);
  for (const d of drawings[name]) {
    const path = document.createElementNS(space, 'path');
    path.setAttribute('d', d);
    svg.append(path);
  }
  return svg;
}

// say tells a screen reader; shout interrupts it.
export const say = (text) => tell('say', text);
export const shout = (text) => tell('shout', text);

function tell(id, text) {
  const node = document.getElementById(id);
  if (!node) return;
  node.textContent = '';
  requestAnimationFrame(() => { node.textContent = text; });
}

export function toast(text, { bad = false, ms = 6000 } = {}) {
  const node = el('div', { class: bad ? 'toast bad' : 'toast' }, text);
  const box = $('#toasts');
  while (box.children.length > 2) box.firstChild.remove();
  box.append(node);
  setTimeout(() => node.remove(), ms);
  (bad ? shout : say)(text);
}

// Amounts are BigInt minor units, so that no sum is ever rounded by the browser.
const page = document.body.dataset;
export const currency = page.currency || 'USD';
export const symbol = page.symbol || '$';
const digits = Number(page.digits ?? 2);

// parseAmount reads "25", "25.5", "25.50" and returns minor units, or null.
export function parseAmount(text, places = digits) {
  const match = /^(\d{1,12})(?:\.(\d+))?$/.exec(String(text).trim().replace(/,/g, ''));
  if (!match) return null;
  const fraction = match[2] ?? '';
  if (fraction.length > places) return null;
  return BigInt(match[1] + fraction.padEnd(places, '0'));
}

// decimal writes minor units as the API reads them: "25.00".
export function decimal(minor, places = digits) {
  const negative = minor < 0n;
  const text = String(negative ? -minor : minor).padStart(places + 1, '0');
  const whole = text.slice(0, text.length - places);
  const out = places ? `${whole}.${text.slice(-places)}` : whole;
  return negative ? `-${out}` : out;
}

// amountText writes minor units for people: "$1,250.00".
export function amountText(minor, sign = symbol) {
  const [whole, fraction] = decimal(minor < 0n ? -minor : minor).split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',');
  return `${minor < 0n ? '−' : ''}${sign}${grouped}${fraction ? `.${fraction}` : ''}`;
}

// apiAmountText writes an amount of the API, {"amount","currency"}, for people.
export function apiAmountText(value) {
  const [whole, fraction] = value.amount.replace('-', '').split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',');
  const sign = { USD: '$', CAD: 'C$', GBP: '£', EUR: '€', JPY: '¥' }[value.currency] ?? `${value.currency} `;
  return `${value.amount.startsWith('-') ? '−' : ''}${value.currency === currency ? symbol : sign}${grouped}${fraction ? `.${fraction}` : ''}`;
}

export const priceText = (price) => price.replace('-', '−');

// lineText writes a line as the board does: "+3.5", "−3.5", "PK", "O 46.5".
export function lineText(type, code, line) {
  if (line === null || line === undefined || line === '') return '';
  const plain = String(line).replace('-', '−').replace('+', '');
  if (type === 'total') return `${code === 'over' ? 'O' : 'U'} ${plain}`;
  if (Number(line) === 0) return 'PK';
  return Number(line) > 0 ? `+${plain}` : plain;
}

// codeOf returns the code of a selection id: home, away, over or under.
export const codeOf = (selectionID) => selectionID.slice(selectionID.lastIndexOf(':') + 1);

export const marketNames = { spread: 'Spread', total: 'Total points', moneyline: 'Winner' };

// later returns fn delayed: calls within ms are one call.
export function later(fn, ms) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(fn, ms);
  };
}

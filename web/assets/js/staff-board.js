// The game-day board: rates, exposure, settlements, shards, audit.

import { $, $$, apiAmountText, el, parseAmount, toast } from './dom.js';
import { call, explain } from './api.js';
import { drawChart } from './chart.js';
import { refresh } from './regions.js';
import { applied, catchingUp } from './staff-shards.js';

const number = new Intl.NumberFormat('en');

const problems = new Map(); // by panel, of those that are not up to date

// every calls fn again and again, each time ms after it ended, and not while the page is hidden.
function every(ms, fn) {
  const round = async () => {
    if (!document.hidden) await fn().then(() => problems.delete(fn), (problem) => problems.set(fn, problem));
    showState();
    setTimeout(round, ms);
  };
  round();
}

function showState() {
  const [problem] = problems.values();
  if (problem?.code === 'unauthenticated') location.href = '/staff/sign-in';
  $('#board-state').textContent = problem ? `Not up to date: ${explain(problem)}` : `Live, ${new Date().toLocaleTimeString()}`;
}

async function rates() {
  const data = await call('GET', '/v1/operator/rates');
  for (const tile of $$('[data-rate]')) {
    const values = data[tile.dataset.rate] ?? [];
    // The last step is still filling: the figure is that of the last five full seconds.
    const last = values.slice(-6, -1);
    const now = last.reduce((sum, value) => sum + value, 0) / Math.max(1, last.length) / data.step_seconds;
    $('[data-now]', tile).textContent = now > 0 && now < 10 ? now.toFixed(1) : number.format(Math.round(now));
    $('[data-peak]', tile).textContent = `peak ${number.format(Math.max(0, ...values))}`;
    drawChart($('.chart', tile), values.slice(0, -1));
  }
}

const emptyRow = (columns, text) => el('tr', {}, el('td', { colspan: columns, class: 'muted' }, text));

// sumNodes shows the sum of a column by currency, in whole units: a dollar of Ontario is not one of
// New Jersey.
function sumNodes(sums) {
  return Object.entries(sums).sort().reverse().map(([code, minor]) => el('span', { class: 'sums' }, apiAmountText({ amount: String(minor / 100n), currency: code })));
}

function addTo(sums, amount) {
  sums[amount.currency] = (sums[amount.currency] ?? 0n) + (parseAmount(amount.amount, 2) ?? 0n);
}

// worstCase is what a game can cost: one selection of each market wins, the dearest one.
function worstCase(rows) {
  const dearest = new Map();
  for (const row of rows) {
    const key = `${row.market_id} ${row.jurisdiction}`;
    const minor = parseAmount(row.payout.amount, 2) ?? 0n;
    if (minor >= (dearest.get(key)?.minor ?? 0n)) dearest.set(key, { minor, currency: row.payout.currency });
  }
  const sums = {};
  for (const { minor, currency } of dearest.values()) sums[currency] = (sums[currency] ?? 0n) + minor;
  return sums;
}

// shareText is a share as staff read it; what is not nothing is not shown as nothing.
function shareText(share) {
  if (share > 0 && share < 0.001) return '<0.1%';
  return `${(share * 100).toFixed(share < 0.1 ? 1 : 0)}%`;
}

async function exposure() {
  const { items } = await call('GET', '/v1/operator/exposure');
  const games = new Map();
  for (const row of items) {
    const game = games.get(row.event_id) ?? { id: row.event_id, name: row.event_name || row.event_id, bets: 0, stake: {}, markets: [], share: 0 };
    game.bets += row.bets;
    addTo(game.stake, row.stake);
    game.markets.push(row);
    const limit = Number(row.limit.amount);
    if (limit > 0) game.share = Math.max(game.share, Number(row.payout.amount) / limit);
    games.set(row.event_id, game);
  }
  const rows = [...games.values()].filter((game) => game.bets > 0).sort((a, b) => b.share - a.share || b.bets - a.bets).slice(0, 40);
  $('#exposure').replaceChildren(...(rows.length === 0 ? [emptyRow(5, 'No open bets.')] : rows.map((game) => {
    const meter = el('div', { class: game.share > 0.8 ? 'meter high' : 'meter', role: 'img', 'aria-label': `${(game.share * 100).toFixed(1)} per cent of the limit` }, el('i'));
    meter.firstChild.style.width = `${Math.min(100, Math.max(game.share * 100, game.share > 0 ? 1.5 : 0))}%`;
    return el('tr', {},
      el('td', {}, el('a', { href: `/staff/events/${encodeURIComponent(game.id)}` }, game.name)),
      el('td', { class: 'num' }, number.format(game.bets)), el('td', { class: 'num' }, ...sumNodes(game.stake)),
      el('td', { class: 'num' }, ...sumNodes(worstCase(game.markets))), el('td', {}, el('div', { class: 'share' }, meter, el('span', {}, shareText(game.share)))));
  })));
  $('#exposure-sum').textContent = rows.length > 0 ? `${rows.length} ${rows.length === 1 ? 'game' : 'games'} with open bets` : '';
}

async function settlements() {
  const { items } = await call('GET', '/v1/operator/settlements');
  const rows = items.slice().sort((a, b) => b.started_at.localeCompare(a.started_at)).slice(0, 8);
  $('#settlements').replaceChildren(...(rows.length === 0 ? [emptyRow(4, 'No results entered yet.')] : rows.map((one) => {
    const share = one.bets > 0 ? one.paid / one.bets : 1;
    const done = Boolean(one.done_at);
    const meter = el('div', { class: 'meter', role: 'img', 'aria-label': `${Math.round(share * 100)} per cent` }, el('i'));
    meter.firstChild.style.width = `${done ? 100 : Math.min(100, share * 100)}%`;
    const seconds = (new Date(one.done_at ?? Date.now()) - new Date(one.started_at)) / 1000;
    return el('tr', {},
      el('td', {}, one.event_name || one.event_id, one.version > 1 ? el('span', { class: 'tag' }, `correction ${one.version - 1}`) : null),
      el('td', { class: 'num' }, number.format(one.bets)),
      el('td', {}, done ? el('span', { class: 'tag won' }, 'Paid') : meter),
      el('td', { class: 'num' }, `${seconds.toFixed(seconds < 10 ? 2 : 0)} s`));
  })));
}

async function shards() {
  const [shardList, lagList] = await Promise.all([call('GET', '/v1/operator/shards'), call('GET', '/v1/operator/lag')]);
  const lags = new Map(lagList.items.map((lag) => [lag.shard, lag]));
  $('#shards').replaceChildren(...shardList.items.map((shard) => {
    const lag = lags.get(shard.shard);
    const behind = lag ? lag.head - lag.position : 0;
    return el('tr', {},
      el('td', {}, String(shard.shard)), el('td', { class: 'num' }, number.format(shard.position)),
      el('td', { class: 'num' }, number.format(shard.queued_interactive + shard.queued_bulk)),
      el('td', { class: 'num' }, lag ? `${behind > 0 ? `${number.format(behind)} · ` : ''}${lagText(lag.lag_seconds)}` : '–',
        lag && (lag.trouble || !lag.here) ? applied(lag) : null, lag ? catchingUp(lag) : null));
  }));
}

// The steps of a commit in their order, as staff read them. A debit goes through all but the bulk queue.
const steps = [
  ['queue_interactive', 'Queue'], ['load', 'Load'], ['apply', 'Apply'], ['sql', 'SQL'], ['sync', 'Sync'], ['answer', 'Answer'],
];
const busiestShards = 8; // rows of the panel
const slowShown = 5;
const statementsShown = 5;

const mean = (step) => (step && step.count > 0 ? step.total_seconds / step.count : 0);

function timeText(seconds) {
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  return seconds < 1 ? `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms` : `${seconds.toFixed(1)} s`;
}

// stepBar stacks the mean of each step; longest is what fills the width.
function stepBar(means, longest) {
  const text = steps.map(([id, name]) => `${name} ${timeText(means.get(id))}`).join(', ');
  const bar = el('div', { class: 'steps', role: 'img', 'aria-label': text, title: text });
  for (const [id] of steps) {
    const part = el('i', { class: `step-${id}` });
    part.style.width = `${longest > 0 ? (100 * means.get(id)) / longest : 0}%`;
    bar.append(part);
  }
  return bar;
}

async function commits() {
  const { shards: all, slow } = await call('GET', '/v1/operator/commits');
  const rows = all.filter((shard) => shard.batches > 0).sort((a, b) => b.batches - a.batches).slice(0, busiestShards).sort((a, b) => a.shard - b.shard)
    .map((shard) => {
      const byName = new Map(shard.steps.map((step) => [step.step, step]));
      const means = new Map(steps.map(([id]) => [id, mean(byName.get(id))]));
      return { shard, byName, means, whole: [...means.values()].reduce((sum, one) => sum + one, 0) };
    });
  const longest = Math.max(0, ...rows.map((row) => row.whole));
  $('#commits').replaceChildren(...(rows.length === 0 ? [emptyRow(5, 'Nothing committed within the last minute.')] : rows.map(({ shard, means, whole }) => el('tr', {},
    el('td', {}, String(shard.shard)), el('td', { class: 'num' }, number.format(shard.batches)),
    el('td', { class: 'num' }, number.format(Math.round(shard.transfers / shard.batches))),
    el('td', {}, stepBar(means, longest)), el('td', { class: 'num' }, timeText(whole))))));
  $('#steps-key').replaceChildren(...steps.map(([id, name]) => {
    const p99 = Math.max(0, ...rows.map((row) => row.byName.get(id)?.p99_seconds ?? 0));
    return el('li', {}, el('i', { class: `step-${id}` }), `${name}, p99 ${timeText(p99)}`);
  }));
  $('#slow-batches').replaceChildren(...slow.slice(0, slowShown).map((batch) => {
    const worst = batch.steps.filter((step) => !step.step.startsWith('queue')).sort((a, b) => b.seconds - a.seconds)[0];
    return el('p', {}, `${new Date(batch.at).toLocaleTimeString()}: shard ${batch.shard}, ${number.format(batch.last_position - batch.first_position + 1)} transfers took ${timeText(batch.took_seconds)}, ${timeText(worst.seconds)} of it ${worst.step}`);
  }));
}

async function statements() {
  const { items } = await call('GET', '/v1/operator/statements');
  $('#statements').replaceChildren(...items.length === 0 ? [] : [el('p', {}, `Slowest SQL of the last five minutes: ${items.slice(0, statementsShown)
    .map((one) => `${one.db} ${one.name} ${timeText(one.max_seconds)}${one.slow > 0 ? ` (${number.format(one.slow)} slow)` : ''}`).join('; ')}.`)]);
}

function lagText(seconds) {
  if (seconds < 0.0005) return 'none';
  return seconds < 1 ? `${Math.max(1, Math.round(seconds * 1000))} ms` : `${Number(seconds).toFixed(1)} s`;
}

async function audit() {
  showAudit(await call('GET', '/v1/operator/audit'));
}

function showAudit(report) {
  const words = { never: 'Not run yet.', running: 'Running…', clean: 'Clean: every invariant holds.', broken: 'BROKEN', stopped: 'Stopped.' };
  const progress = report.status === 'running' ? ` ${report.progress.map((p) => `shard ${p.shard}: ${number.format(p.seq)} of ${number.format(p.head)}`).join(', ')}` : '';
  const when = report.done_at ? ` ${new Date(report.done_at).toLocaleTimeString()}, by ${report.started_by}` : '';
  $('#audit').replaceChildren(el('p', { class: report.status === 'broken' ? 'down' : '' }, (words[report.status] ?? report.status) + progress + when),
    ...(report.findings ?? []).map((finding) => el('p', { class: 'down' }, finding)));
  $('#audit-start').disabled = report.status === 'running';
}

export function startBoard() {
  every(1000, rates);
  every(2000, exposure);
  every(1500, settlements);
  every(1000, shards);
  every(2000, commits);
  every(5000, statements);
  every(3000, audit);
  if ($('[data-live-region]')) every(5000, async () => refresh());
  $('#audit-start').addEventListener('click', async () => {
    try {
      showAudit(await call('POST', '/v1/operator/audit'));
    } catch (problem) {
      toast(explain(problem), { bad: true });
    }
  });
}

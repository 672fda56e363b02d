// Shards: who writes each, how far it is and what is wrong with it.

import { $, el } from './dom.js';
import { call, explain } from './api.js';

const number = new Intl.NumberFormat('en');
const states = { writing: 'tag won', elsewhere: 'tag', trouble: 'tag bad', quarantined: 'tag bad' };

function sizeText(bytes) {
  if (bytes === 0) return '–';
  const mebibytes = bytes / (1 << 20);
  return mebibytes < 1024 ? `${mebibytes.toFixed(1)} MiB` : `${(mebibytes / 1024).toFixed(1)} GiB`;
}

// applied says which process applies the log of a shard to the bet history, or why the one that should does not.
export function applied(lag) {
  if (lag.trouble) return el('div', { class: 'down small' }, `not applied here: ${lag.trouble}`);
  return el('div', { class: 'muted small' }, lag.here ? 'applied here' : 'applied by another process');
}

// catchingUp says how long a history that is far behind still takes; nothing of one that is not.
export function catchingUp(lag) {
  const way = lag.catching_up;
  if (!way) return null;
  const seconds = Math.max(1, Math.round(way.left_seconds));
  const rest = seconds < 90 ? `${seconds} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
  return el('div', { class: 'muted small' }, way.left_seconds > 0 ? `${rest} left at ${number.format(way.rate)} a second` : 'no end known yet');
}

const count = (value) => el('td', { class: 'num' }, value === null ? '–' : number.format(value));

function row(shard, lag) {
  const written = shard.owner ? ` by ${shard.owner}` : '';
  return el('tr', { 'data-shard': shard.shard },
    el('td', {}, String(shard.shard)),
    el('td', {}, el('span', { class: states[shard.state] ?? 'tag' }, shard.state), el('span', { class: 'muted small' }, written),
      shard.trouble ? el('div', { class: 'down small' }, shard.trouble) : null),
    el('td', {}, shard.engine), count(shard.buckets), count(shard.epoch), count(shard.position), count(shard.transfers_last_minute),
    count(shard.queued_interactive + shard.queued_bulk),
    count(shard.stream_position === null ? null : Math.max(0, shard.position - shard.stream_position)),
    el('td', { class: 'num' }, lag ? number.format(Math.max(0, lag.head - lag.position)) : '–',
      lag ? applied(lag) : null, lag ? catchingUp(lag) : null),
    el('td', { class: 'num' }, sizeText(shard.bytes)),
    el('td', { class: 'muted small' }, shard.last_commit ? new Date(shard.last_commit).toLocaleString() : '–'));
}

async function load() {
  const [shards, lags] = await Promise.all([call('GET', '/v1/operator/shards'), call('GET', '/v1/operator/lag')]);
  const behind = new Map(lags.items.map((lag) => [lag.shard, lag]));
  $('#shards').replaceChildren(...shards.items.map((shard) => row(shard, behind.get(shard.shard))));
  const wrong = shards.items.filter((shard) => shard.trouble).length;
  const barred = lags.items.filter((lag) => lag.trouble).length;
  const written = wrong > 0 ? `${wrong} of ${shards.items.length} in trouble` : 'All can be written';
  $('#shards-state').textContent = `${written}${barred > 0 ? `, bets of ${barred} not shown further` : ''}, ${new Date().toLocaleTimeString()}`;
}

export function startShards() {
  const round = async () => {
    try {
      if (!document.hidden) await load();
    } catch (problem) {
      if (problem.code === 'unauthenticated') location.href = '/staff/sign-in';
      $('#shards-state').textContent = `Not up to date: ${explain(problem)}`;
    }
    setTimeout(round, 2000);
  };
  round();
}

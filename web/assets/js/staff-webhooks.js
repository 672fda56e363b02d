// Webhooks: who hears of what happened, and whether they do.

import { $, el, say, toast } from './dom.js';
import { call, explain } from './api.js';

const states = { active: 'tag won', paused: 'tag', disabled: 'tag bad', delivered: 'tag won', queued: 'tag', dead: 'tag bad' };
const tag = (state) => el('span', { class: states[state] ?? 'tag' }, state);
const pathOf = (id) => `/v1/operator/webhooks/${encodeURIComponent(id)}`;

// attempt runs one change and tells why it failed; it reports whether it went well.
async function attempt(work) {
  try {
    await work();
    return true;
  } catch (problem) {
    if (problem.code === 'unauthenticated') location.href = '/staff/sign-in';
    toast([explain(problem), ...(problem.fields ?? []).map((field) => `${field.location} ${field.message}`)].join(' '), { bad: true });
    return false;
  }
}

function button(text, work) {
  const one = el('button', { class: 'btn slim', type: 'button' }, text);
  one.addEventListener('click', async () => {
    one.disabled = true;
    await attempt(work);
    one.disabled = false;
  });
  return one;
}

function showSecret(secret) {
  $('#secret').textContent = secret;
  $('#secret-card').hidden = false;
  say('The secret is shown once. Copy it now.');
}

async function load() {
  const { items } = await call('GET', '/v1/operator/webhooks');
  const change = (hook, text, step) => button(text, async () => {
    await call('POST', `${pathOf(hook.id)}/${step}`);
    await load();
  });
  const rows = items.map((hook) => el('tr', { 'data-webhook': hook.id },
    el('td', {}, el('div', { class: 'url' }, hook.url), el('div', { class: 'muted small' }, `${hook.types.join(', ')} · ${hook.jurisdiction ?? 'everywhere'}`),
      hook.reason ? el('div', { class: 'down small' }, hook.reason) : null,
      el('div', { class: 'staff-actions' },
        hook.state === 'active' ? change(hook, 'Pause', 'pause') : change(hook, 'Resume', 'resume'),
        change(hook, 'Test', 'ping'),
        button('Deliveries', () => deliveries(hook)),
        button('New secret', async () => {
          if (confirm('The old secret signs for another 24 hours. Make a new one?')) showSecret((await call('POST', `${pathOf(hook.id)}/secret`)).secret);
        }),
        button('Delete', async () => {
          if (!confirm(`End the subscription of ${hook.url} and drop what waits for it?`)) return;
          await call('DELETE', pathOf(hook.id));
          $('#deliveries-card').hidden = true;
          await load();
        }))),
    el('td', {}, tag(hook.state)), el('td', { class: 'num' }, String(hook.queued)), el('td', { class: 'num' }, String(hook.dead))));
  $('#webhooks').replaceChildren(...(rows.length > 0 ? rows : [el('tr', {}, el('td', { colspan: 4, class: 'muted' }, 'Nobody subscribes yet.'))]));
}

let shown = null; // the subscription whose deliveries are shown

async function deliveries(hook) {
  shown = hook;
  const { items } = await call('GET', `${pathOf(hook.id)}/deliveries?limit=50`);
  if (shown !== hook) return;
  const rows = items.map((one) => el('tr', {},
    el('td', {}, one.type, el('div', { class: 'muted small' }, one.event_id)), el('td', {}, tag(one.state)),
    el('td', { class: 'num' }, String(one.attempts)),
    el('td', { class: 'muted small' }, new Date(one.queued_at).toLocaleString(), one.detail ? el('div', { class: 'down' }, one.detail) : null),
    el('td', {}, one.state === 'queued' ? null : button('Send again', async () => {
      await call('POST', `${pathOf(hook.id)}/deliveries/${one.id}/redeliver`);
      await deliveries(hook);
    }))));
  $('#deliveries').replaceChildren(...(rows.length > 0 ? rows : [el('tr', {}, el('td', { colspan: 5, class: 'muted' }, 'Nothing has been delivered yet.'))]));
  $('#deliveries-of').textContent = hook.url;
  $('#deliveries-card').hidden = false;
}

export function startWebhooks() {
  $('#webhook-form').addEventListener('submit', async (event) => {
    event.preventDefault();
    const form = event.target;
    const body = { url: $('#webhook-url').value.trim(), types: $('#webhook-types').value.split(/[\s,]+/).filter(Boolean) };
    if ($('#webhook-where').value) body.jurisdiction = $('#webhook-where').value;
    const save = $('button', form);
    save.disabled = true;
    await attempt(async () => {
      showSecret((await call('POST', '/v1/operator/webhooks', { body })).secret);
      form.reset();
      await load();
    });
    save.disabled = false;
  });
  const refresh = () => {
    if (!document.hidden) attempt(async () => { await load(); if (shown && !$('#deliveries-card').hidden) await deliveries(shown); });
  };
  $('#refresh').addEventListener('click', refresh);
  attempt(load);
}

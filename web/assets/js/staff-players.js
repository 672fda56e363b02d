// The list of players of one jurisdiction.

import { $, el, toast } from './dom.js';
import { call, explain } from './api.js';

export function startPlayers() {
  let next = '';
  const load = async (more = false) => {
    const where = $('#jurisdiction').value;
    const query = new URLSearchParams({ jurisdiction: where, limit: '50' });
    if (more && next) query.set('cursor', next);
    try {
      const page = await call('GET', `/v1/operator/players?${query}`);
      const rows = page.items.map((player) => el('tr', {},
        el('td', {}, el('a', { href: `/staff/players/${encodeURIComponent(where)}/${encodeURIComponent(player.id)}` }, player.display_name)), el('td', { class: 'muted' }, player.email),
        el('td', {}, el('span', { class: player.status === 'active' ? 'tag won' : 'tag bad' }, player.status)),
        el('td', { class: 'muted' }, new Date(player.created_at).toLocaleString()), el('td', { class: 'muted small' }, player.id)));
      if (more) $('#players').append(...rows);
      else $('#players').replaceChildren(...(rows.length > 0 ? rows : [el('tr', {}, el('td', { colspan: 5, class: 'muted' }, 'No players here yet.'))]));
      next = page.next ?? '';
      $('#more').hidden = !next;
    } catch (problem) {
      if (problem.code === 'unauthenticated') location.href = '/staff/sign-in';
      toast(explain(problem), { bad: true });
    }
  };
  $('#jurisdiction').addEventListener('change', () => load());
  $('#more').addEventListener('click', () => load(true));
  load();
}

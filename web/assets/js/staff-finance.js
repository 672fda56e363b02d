// Finance: revenue over a period and the trial balance, straight from the ledger, and both as CSV.

import { $, apiAmountText, el, toast } from './dom.js';
import { call, explain } from './api.js';

const number = new Intl.NumberFormat('en');
const day = (date) => date.toISOString().slice(0, 10);
const money = (amount, currency) => el('td', { class: 'num' }, apiAmountText({ amount, currency }));
const none = (columns, text) => el('tr', {}, el('td', { colspan: columns, class: 'muted' }, text));

// period is the chosen days as the API wants them: whole days in UTC, the end not included.
function period() {
  const end = new Date(`${$('#finance-to').value}T00:00:00Z`);
  end.setUTCDate(end.getUTCDate() + 1);
  return { from: `${$('#finance-from').value}T00:00:00Z`, to: end.toISOString() };
}

// paths are where both reports are, as JSON or, for the links, as CSV.
function paths(csv) {
  const where = $('#finance-where').value;
  const shared = { ...(where ? { jurisdiction: where } : {}), ...(csv ? { format: 'csv' } : {}) };
  return {
    ggr: `/v1/operator/ggr?${new URLSearchParams({ ...period(), ...shared })}`,
    trial: `/v1/operator/trial-balance?${new URLSearchParams({ at: period().to, ...shared })}`,
  };
}

// momentText is a moment of a report: "Nov 1, 2026, 12:00 AM UTC". Reports go by days of UTC.
function momentText(text) {
  return `${new Date(text).toLocaleString('en', { timeZone: 'UTC', dateStyle: 'medium', timeStyle: 'short' })} UTC`;
}

function showRevenue(report) {
  $('#ggr').replaceChildren(...(report.lines.length === 0 ? [none(9, 'Nothing was staked or settled in this period.')] : report.lines.map((line) => el('tr', {},
    el('td', {}, line.jurisdiction), el('td', {}, line.product), money(line.handle, line.currency), money(line.stakes, line.currency),
    money(line.payouts, line.currency), money(line.ggr, line.currency), money(line.voided, line.currency), money(line.corrections, line.currency),
    el('td', { class: 'num' }, number.format(line.settled))))));
  $('#ggr-period').textContent = `From ${momentText(report.from)} until before ${momentText(report.to)}. Corrections of earlier settlements count when they are made.`;
}

function showBalance(report) {
  $('#trial').replaceChildren(...(report.lines.length === 0 ? [none(4, 'There are no accounts yet.')] : report.lines.map((line) => el('tr', {},
    el('td', {}, line.jurisdiction), el('td', {}, [line.type, line.name].filter(Boolean).join(' ')),
    money(line.debit, line.currency), money(line.credit, line.currency)))));
  $('#trial-totals').replaceChildren(...report.totals.map((total) => el('tr', {},
    el('th', { scope: 'row', colspan: 2 }, `Total ${total.currency}`), money(total.debit, total.currency), money(total.credit, total.currency))));
  $('#trial-at').textContent = `After the last commit before ${momentText(report.at)}.`;
}

async function load() {
  const csv = paths(true);
  $('#ggr-csv').href = csv.ggr;
  $('#trial-csv').href = csv.trial;
  const { ggr, trial } = paths(false);
  const [revenue, balance] = await Promise.all([call('GET', ggr), call('GET', trial)]);
  showRevenue(revenue);
  showBalance(balance);
}

export function startFinance() {
  const now = new Date();
  $('#finance-to').value = day(now);
  $('#finance-from').value = day(new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), 1)));
  const show = () => load().catch((problem) => {
    if (problem.code === 'unauthenticated') location.href = '/staff/sign-in';
    toast([explain(problem), ...(problem.fields ?? []).map((field) => `${field.location} ${field.message}`)].join(' '), { bad: true });
  });
  $('#finance-form').addEventListener('submit', (event) => {
    event.preventDefault();
    show();
  });
  show();
}

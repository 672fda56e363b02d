// Balance in the header, deposits and withdrawals.

import { $, $$, amountText, currency, decimal, parseAmount, say, toast } from './dom.js';
import { call, explain, insist, newKey } from './api.js';
import { on } from './live.js';
import { refresh } from './regions.js';

let minor = BigInt(document.body.dataset.available ?? '0');

export const available = () => minor;

export function showBalance(value) {
  minor = value;
  for (const node of [$('#balance'), ...$$('[data-balance]')]) {
    if (node) node.textContent = amountText(value);
  }
  document.dispatchEvent(new CustomEvent('balance'));
}

export function followBalance() {
  on('balance', (balance) => {
    const value = parseAmount(balance.available.amount);
    if (value === null || value === minor) return;
    showBalance(value);
    if ($('[data-live-region="account"]')) refresh();
  });
}

export function wirePayments() {
  for (const form of $$('form[data-payment]')) new PaymentForm(form);
}

const storePrefix = 'matchday-payment:';

// forgetPayments drops the keys of payments without answer: they are the player's who signs out.
export function forgetPayments() {
  try {
    for (const name of Object.keys(sessionStorage)) if (name.startsWith(storePrefix)) sessionStorage.removeItem(name);
  } catch {
    // Nothing was saved where storage is refused.
  }
}

// PaymentForm sends one kind of payment. Its key stays the same until an answer has judged the
// payment, also over a reload or a session that ended.
class PaymentForm {
  constructor(form) {
    this.form = form;
    this.storeName = storePrefix + form.dataset.payment;
    this.path = form.dataset.payment === 'deposit' ? '/v1/me/deposits' : '/v1/me/withdrawals';
    this.button = $('[type="submit"]', form);
    this.input = $('[name="amount"]', form);
    this.wrong = $('[data-wrong]', form);
    this.outcome = $('[data-outcome]', form);
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.send();
    });
    this.input.addEventListener('input', () => this.complain(''));
    for (const button of $$('[data-amount]', form)) {
      button.addEventListener('click', () => {
        const now = parseAmount(this.input.value) ?? 0n;
        this.input.value = decimal(now + parseAmount(button.dataset.amount));
        this.complain('');
      });
    }
    this.resume();
  }

  // keep notes what is being sent and its key; nothing once it has been judged.
  keep(pending) {
    this.pending = pending;
    try {
      if (pending) sessionStorage.setItem(this.storeName, JSON.stringify(pending));
      else sessionStorage.removeItem(this.storeName);
    } catch {
      // Private windows may refuse storage; the key then lasts as long as the page.
    }
  }

  // resume shows a payment of this player that had no answer when the page was left.
  resume() {
    let pending;
    try {
      pending = JSON.parse(sessionStorage.getItem(this.storeName));
    } catch {
      return; // what cannot be read is no payment
    }
    if (!pending?.key || pending.player !== document.body.dataset.player) return;
    this.pending = pending;
    this.input.value = pending.body.amount.amount;
    this.form.elements.method.value = pending.body.method;
    this.tell('We have not heard back about this payment yet. Press the button to ask again: it cannot be made twice.', 'bad');
  }

  complain(text) {
    this.wrong.textContent = text;
    this.wrong.hidden = !text;
    if (text) this.input.setAttribute('aria-invalid', 'true');
    else this.input.removeAttribute('aria-invalid');
  }

  tell(text, kind = '') {
    this.outcome.textContent = text;
    this.outcome.className = `notice ${kind}`;
    this.outcome.hidden = !text;
    say(text);
  }

  async send() {
    const amount = parseAmount(this.input.value);
    if (amount === null || amount === 0n) {
      this.complain('Enter an amount such as 25 or 25.50.');
      this.input.focus();
      return;
    }
    const body = { amount: { amount: decimal(amount), currency }, method: this.form.elements.method.value };
    if (JSON.stringify(this.pending?.body) !== JSON.stringify(body)) {
      this.keep({ key: newKey(), body, player: document.body.dataset.player });
    }
    this.button.setAttribute('aria-busy', 'true');
    this.button.disabled = true;
    this.tell('');
    try {
      const payment = await insist('POST', this.path, { body, key: this.pending.key });
      this.keep(undefined);
      await this.follow(payment);
    } catch (problem) {
      if (problem.judged) this.keep(undefined);
      if (problem.code === 'invalid' || problem.code === 'limit_reached') this.complain(explain(problem));
      else if (problem.code === 'insufficient_funds') this.complain('Your balance is too low for this.');
      else this.tell(explain(problem), 'bad');
    } finally {
      this.button.removeAttribute('aria-busy');
      this.button.disabled = false;
      refresh();
    }
  }

  // follow waits for a payment that is on its way, up to half a minute; the page shows the rest.
  async follow(payment) {
    for (let i = 0; payment.status === 'pending' && i < 30; i++) {
      if (i === 0) this.tell('On its way. This can take a few seconds.');
      await new Promise((done) => setTimeout(done, 1000));
      payment = await call('GET', `${this.path}/${payment.id}`).catch(() => payment);
    }
    const amount = amountText(parseAmount(payment.amount.amount));
    const isDeposit = payment.direction === 'deposit';
    if (payment.status === 'completed') {
      this.tell(isDeposit ? `${amount} is in your balance.` : `${amount} has been paid out.`, 'good');
      this.input.value = '';
    } else if (payment.status === 'pending') {
      this.tell(`${amount} is still on its way. It will show here when it is done.`);
    } else {
      this.tell(isDeposit ? 'The bank declined this deposit. Nothing was charged.' : 'The bank refused this withdrawal. The money is back in your balance.', 'bad');
    }
    await readBalance();
  }
}

export async function readBalance() {
  try {
    const balance = await call('GET', '/v1/me/balance');
    showBalance(parseAmount(balance.available.amount) ?? minor);
  } catch (problem) {
    if (problem.code === 'unauthenticated') toast('Your session has ended. Sign in again.', { bad: true });
  }
}

// Entry of the players' pages.

import { $, apiAmountText, toast } from './dom.js';
import { followBalance, forgetPayments, readBalance, wirePayments } from './account.js';
import { connect, on } from './live.js';
import { followPrices } from './prices.js';
import { refresh } from './regions.js';
import { forgetSlips, startSlip } from './slip.js';

const signedIn = 'signedIn' in document.body.dataset;

$('#where')?.addEventListener('change', (event) => event.target.form.submit());
document.addEventListener('submit', (event) => {
  if (!event.target.matches('form[action="/sign-out"]')) return;
  forgetSlips();
  forgetPayments();
});

startSlip();
followPrices();
if (signedIn) {
  followBalance();
  wirePayments();
  on('bet', (bet) => {
    if ($('[data-live-region="bets"]')) refresh();
    if (bet.status === 'won') toast(`You won ${apiAmountText(bet.payout)}. It is in your balance.`);
    else if (bet.status === 'push' || bet.status === 'void') toast(`Stake back: ${apiAmountText(bet.payout)}.`);
  });
}
on('again', () => {
  refresh();
  if (signedIn) readBalance();
});
connect();

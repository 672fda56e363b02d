// Payout arithmetic, the same as the platform's: exact fractions, rounded down once at the end.

// fraction returns the decimal odds of an American price, stake included, as [numerator, denominator].
export function fraction(price) {
  const american = BigInt(String(price).replace('+', ''));
  return american > 0n ? [american + 100n, 100n] : [100n - american, -american];
}

// payout returns stake times all prices in minor units, rounded down once.
export function payout(stakeMinor, prices) {
  let numerator = stakeMinor;
  let denominator = 1n;
  for (const price of prices) {
    const [n, d] = fraction(price);
    numerator *= n;
    denominator *= d;
  }
  return numerator / denominator;
}

// better reports whether price a pays more than price b.
export function better(a, b) {
  const [an, ad] = fraction(a);
  const [bn, bd] = fraction(b);
  return an * bd > bn * ad;
}

// combined returns the American price of a parlay, for display only.
export function combined(prices) {
  let [n, d] = [1n, 1n];
  for (const price of prices) {
    const [pn, pd] = fraction(price);
    n *= pn;
    d *= pd;
  }
  const profit = n - d;
  if (profit <= 0n) return '';
  return profit >= d ? `+${(profit * 100n) / d}` : `−${(d * 100n) / profit}`;
}

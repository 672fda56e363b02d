// One small chart: a filled line over time in an SVG with the view box 600 by 100.

// ceiling returns a round number at or above the largest value, so that the scale is steady.
export function ceiling(values) {
  const most = Math.max(4, ...values);
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((step) => step >= most);
}

export function drawChart(svg, values) {
  const top = ceiling(values);
  const step = 600 / Math.max(1, values.length - 1);
  const points = values.map((value, i) => `${(i * step).toFixed(1)} ${(99.5 - (value / top) * 99).toFixed(1)}`);
  const line = points.length > 0 ? `M${points.join('L')}` : '';
  svg.querySelector('.trace').setAttribute('d', line);
  svg.querySelector('.area').setAttribute('d', line ? `${line}L600 100L0 100Z` : '');
}

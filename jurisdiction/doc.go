// Package jurisdiction knows the licensed territories the platform serves: name, currency, minimum
// age, limits and products of each, from the configuration.
//
// Invariants:
//   - A Registry never changes after New, so a Jurisdiction read from it may be kept.
//   - Nothing outside this package decides by the code of a jurisdiction: rules are data.
//
// Not guaranteed: that a person is inside the territory. Where somebody is belongs to geolocation.
//
// Source: shared/research/jurisdictions.md, section 2a "Products, age, tax, bet restrictions"
// (minimum ages of NJ, PA and ON). The money limits are ours, not a regulator's.
package jurisdiction

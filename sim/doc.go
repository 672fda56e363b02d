// Package sim plays the outside world against the platform: a simulated game day through the real
// HTTP API, the benchmarks, and the crash test.
//
// Invariants:
//   - Everything random comes from one seed, which is printed first.
//   - Load is open-loop: a request's latency counts from the moment it was due, so waiting in a
//     queue of ours is part of the figure.
//   - What the platform acknowledged is kept on our side of the wire and compared at the end; bets are
//     graded a second time straight from the season file, by code that shares nothing with the
//     sportsbook's.
//
// Not guaranteed: equal runs for equal seeds. The seed fixes who does what and when it is due; which
// request arrives first is up to the machine.
package sim

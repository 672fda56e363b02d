// Package client calls Matchday's ledger from other services. It needs nothing but the standard
// library.
//
//	ledger, err := client.New(client.Config{URL: "https://matchday.example", Key: os.Getenv("MATCHDAY_KEY")})
//	result, err := ledger.Transfer(ctx, client.Transfer{Key: "payout-4711", Kind: "settlement", ...})
//
// # Retries
//
// Every write carries a key of the caller's, which the ledger keeps for ever: the same key with the
// same request answers as the first time. So a call that ends in a time-out, a lost connection or
// "unavailable" is sent again by itself, with the same key, after a growing pause or the one that the
// server asks for, until Config.Attempts or the context end it. When it still fails with code
// unavailable the outcome is open: ask again with the same key, never with another.
//
// Keys are the service's own: two services may use the same key for different things.
//
// # Reading what was written
//
// Answers to writes say at which position of the log they are visible. A Client remembers the latest
// of each player it wrote for, and sends it with its reads, so that they include its own writes even
// when a replica answers. Another process of the same service does not share this memory: pass on
// Result.Position and give it to [Client.Saw].
//
// # Errors
//
// Everything that the server refuses is an [*Error] with a stable code, for example
// insufficient_funds. A refusal by the balances is final under its key.
//
// # Not guaranteed
//
// An order between concurrent calls; that a [Batcher] sends transfers of different calls together.
package client

// Command grouptransfer pays from one player to another: two transfers of which both commit or none,
// whatever shards the players live on.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"matchday/client"
)

func main() {
	at := flag.String("url", "http://127.0.0.1:8080", "`address` of the server")
	from := flag.String("from", "", "`id` of the player who pays")
	to := flag.String("to", "", "`id` of the player who is paid")
	amount := flag.String("amount", "1.00", "dollars")
	key := flag.String("key", "", "`key` of the payment; a fresh one if empty. After a failure run again with the same")
	flag.Parse()
	if *key == "" {
		*key = client.NewKey()
	}
	fmt.Println("key:", *key)
	if err := run(context.Background(), *at, *key, *from, *to, *amount); err != nil {
		fmt.Fprintln(os.Stderr, "grouptransfer:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, at, key, from, to, amount string) error {
	ledger, err := client.New(client.Config{URL: at, Key: os.Getenv("MATCHDAY_KEY")})
	if err != nil {
		return err
	}
	send := func(end, player, source, target string) client.Transfer {
		return client.Transfer{Key: key + end, Kind: "player_transfer", Player: player, Jurisdiction: "US-NJ", Currency: "USD",
			Postings: []client.Posting{{Account: source, Amount: "-" + amount}, {Account: target, Amount: amount}}}
	}
	cash := func(player string) string { return "player/" + player + "/US-NJ/cash" }
	results, err := ledger.Group(ctx, key, []client.Transfer{
		send("-out", from, cash(from), "transit/US-NJ"), send("-in", to, "transit/US-NJ", cash(to)),
	})
	if err != nil {
		return err
	}
	fmt.Println("paid at positions", results[0].Position, "and", results[1].Position)
	return nil
}

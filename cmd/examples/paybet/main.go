// Command paybet shows a bet's money: a deposit, a stake, and the payout of a win. Run again it changes
// nothing: its keys come from the bet's id.
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
	player := flag.String("player", "plr_01jb2m7k3v9q8w5x4y6z7a0b1c", "`id` of the player")
	bet := flag.String("bet", "example-1", "`id` of the bet; a new one is a new bet")
	flag.Parse()
	if err := run(context.Background(), *at, *player, *bet); err != nil {
		fmt.Fprintln(os.Stderr, "paybet:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, at, player, bet string) error {
	ledger, err := client.New(client.Config{URL: at, Key: os.Getenv("MATCHDAY_KEY")})
	if err != nil {
		return err
	}
	cash := "player/" + player + "/US-NJ/cash"
	for _, t := range []client.Transfer{
		{Key: bet + "-deposit", Kind: "deposit", Postings: []client.Posting{{Account: "psp/bank/US-NJ", Amount: "-20.00"}, {Account: cash, Amount: "20.00"}}},
		{Key: bet + "-stake", Kind: "stake", Postings: []client.Posting{{Account: cash, Amount: "-10.00"}, {Account: "bets/US-NJ/casino", Amount: "10.00"}}},
		{Key: bet + "-win", Kind: "settlement", Postings: []client.Posting{
			{Account: "bets/US-NJ/casino", Amount: "-10.00"}, {Account: "revenue/US-NJ/casino", Amount: "-15.00"}, {Account: cash, Amount: "25.00"}}},
	} {
		t.Player, t.Jurisdiction, t.Currency = player, "US-NJ", "USD"
		result, err := ledger.Transfer(ctx, t)
		if err != nil {
			return fmt.Errorf("%s: %w", t.Key, err)
		}
		fmt.Printf("%-20s position %s, replayed %t\n", t.Key, result.Position, result.Replayed)
	}
	balance, err := ledger.Balance(ctx, cash)
	if err != nil {
		return err
	}
	fmt.Println("available:", balance.Available.Amount, balance.Available.Currency)
	return nil
}

// Command monthend prints the month's gross gaming revenue and the trial balance at its end.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"matchday/client"
)

func main() {
	at := flag.String("url", "http://127.0.0.1:8080", "`address` of the server")
	month := flag.String("month", "2026-11", "the `month`")
	flag.Parse()
	if err := run(context.Background(), *at, *month); err != nil {
		fmt.Fprintln(os.Stderr, "monthend:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, at, month string) error {
	from, err := time.Parse("2006-01", month)
	if err != nil {
		return fmt.Errorf("%q is not a month such as 2026-11", month)
	}
	to := from.AddDate(0, 1, 0)
	ledger, err := client.New(client.Config{URL: at, Key: os.Getenv("MATCHDAY_KEY")})
	if err != nil {
		return err
	}
	lines, err := ledger.GGR(ctx, from, to)
	if err != nil {
		return err
	}
	fmt.Println("Gross gaming revenue of", month)
	for _, l := range lines {
		fmt.Printf("  %-6s %-12s handle %14s  stakes %14s  payouts %14s  ggr %14s %s\n", l.Jurisdiction, l.Product, l.Handle, l.Stakes, l.Payouts, l.GGR, l.Currency)
	}
	trial, err := ledger.TrialBalance(ctx, to.Add(-time.Microsecond))
	if err != nil {
		return err
	}
	fmt.Println("Trial balance at its end")
	for _, l := range trial.Lines {
		fmt.Printf("  %-6s %-12s %-12s debit %14s  credit %14s %s\n", l.Jurisdiction, l.Type, l.Name, l.Debit, l.Credit, l.Currency)
	}
	for _, t := range trial.Totals {
		fmt.Printf("  total  debit %s, credit %s %s\n", t.Debit, t.Credit, t.Currency)
	}
	return nil
}

package client_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"matchday/client"
)

// ledger is a client of the server that TestMain starts. The players are new ones.
var ledger *client.Client

const alice, bob = "plr_01jb2m7k3v9q8w5x4y6z7a0b1c", "plr_01jb2m7k3v9q8w5x4y6z7a0b1d"

// TestMain runs the examples against a real server, which it builds and starts.
func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		fmt.Println("examples left out with -short: they build and start a server")
		_ = flag.Set("test.skip", "^Example")
		os.Exit(m.Run())
	}
	code, err := withServer(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, "start a server for the examples:", err)
		code = 1
	}
	os.Exit(code)
}

// withServer calls run while a server is up, in a folder that goes away with it.
func withServer(run func() int) (code int, err error) {
	dir, err := os.MkdirTemp("", "matchday-client-")
	if err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program := filepath.Join(dir, "matchday")
	if text, err := exec.Command("go", "build", "-o", program, "../cmd/matchday").CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build: %w\n%s", err, text)
	}
	server := exec.Command(program, "up", "--data", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0")
	server.Stderr = os.Stderr
	out, err := server.StdoutPipe()
	if err != nil {
		return 1, err
	}
	if err := server.Start(); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, server.Wait()) }()
	defer func() { err = errors.Join(err, server.Process.Signal(syscall.SIGINT)) }()
	var at, key string
	lines := bufio.NewScanner(out)
	for (at == "" || key == "") && lines.Scan() {
		for _, word := range strings.Fields(lines.Text()) {
			switch {
			case at == "" && strings.HasPrefix(word, "http://"):
				at = strings.TrimSuffix(word, "/")
			case strings.HasPrefix(word, "mdk_"):
				key = word
			}
		}
	}
	go func() {
		for lines.Scan() { // so that it never waits for a reader
		}
	}()
	if ledger, err = client.New(client.Config{URL: at, Key: key, Timeout: time.Minute}); err != nil {
		return 1, fmt.Errorf("the server said no address and key: %w", err)
	}
	return run(), nil
}

// move is a transfer of a player in New Jersey.
func move(key, kind, player, from, to, amount string) client.Transfer {
	return client.Transfer{
		Key: key, Kind: kind, Player: player, Jurisdiction: "US-NJ", Currency: "USD",
		Postings: []client.Posting{{Account: from, Amount: "-" + amount}, {Account: to, Amount: amount}},
	}
}

func cash(player string) string { return "player/" + player + "/US-NJ/cash" }

// A transfer moves money once, however often it is sent: its key is kept for ever.
func ExampleClient_Transfer() {
	ctx := context.Background()
	deposit := move("transfer-1", "deposit", alice, "psp/bank/US-NJ", cash(alice), "100.00")
	for range 2 {
		result, err := ledger.Transfer(ctx, deposit)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("balance", result.Balances[1], "replayed", result.Replayed)
	}
	// Output:
	// balance 100.00 replayed false
	// balance 100.00 replayed true
}

// Errors are decided by their code. A refusal is final under its key.
func ExampleCodeOf() {
	ctx := context.Background()
	_, err := ledger.Transfer(ctx, move("codeof-1", "stake", bob, cash(bob), "bets/US-NJ/casino", "1000000.00"))
	fmt.Println(client.CodeOf(err), client.IsFinal(err))
	// Output: insufficient_funds true
}

// Many transfers in one call stand each for itself.
func ExampleClient_Transfers() {
	ctx := context.Background()
	player := "plr_01jb2m7k3v9q8w5x4y6z7a0b1e"
	items, err := ledger.Transfers(ctx, []client.Transfer{
		move("many-1", "deposit", player, "psp/bank/US-NJ", cash(player), "10.00"),
		move("many-2", "stake", player, cash(player), "bets/US-NJ/casino", "25.00"),
		move("many-3", "stake", player, cash(player), "bets/US-NJ/casino", "4.00"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, item := range items {
		fmt.Printf("%q\n", client.CodeOf(item.Err))
	}
	balance, _ := ledger.Balance(ctx, cash(player))
	fmt.Println(balance.Available.Amount)
	// Output:
	// ""
	// "insufficient_funds"
	// ""
	// 6.00
}

// A hold reserves money; posting it moves what is asked for and releases the rest.
func ExampleClient_Hold() {
	ctx := context.Background()
	player := "plr_01jb2m7k3v9q8w5x4y6z7a0b1f"
	if _, err := ledger.Transfer(ctx, move("hold-money", "deposit", player, "psp/card/US-NJ", cash(player), "50.00")); err != nil {
		fmt.Println(err)
		return
	}
	terms := move("", "", player, cash(player), "bets/US-NJ/casino", "20.00")
	_, err := ledger.Hold(ctx, client.Hold{
		Key: "hold-1", Player: player, Jurisdiction: "US-NJ", Currency: "USD", Postings: terms.Postings, ExpiresAt: time.Now().Add(time.Hour),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	held, _ := ledger.Balance(ctx, cash(player))
	fmt.Println("held", held.Held.Amount, "available", held.Available.Amount)
	_, err = ledger.Post(ctx, "hold-1", client.Resolution{Key: "hold-1-post", Player: player, Jurisdiction: "US-NJ", Currency: "USD", Amount: "15.00"})
	if err != nil {
		fmt.Println(err)
		return
	}
	after, _ := ledger.Balance(ctx, cash(player))
	fmt.Println("held", after.Held.Amount, "available", after.Available.Amount)
	// Output:
	// held 20.00 available 30.00
	// held 0.00 available 35.00
}

// The transfers of a group commit all or none: a payment between players.
func ExampleClient_Group() {
	ctx := context.Background()
	from, to := "plr_01jb2m7k3v9q8w5x4y6z7a0b1g", "plr_01jb2m7k3v9q8w5x4y6z7a0b1h"
	if _, err := ledger.Transfer(ctx, move("group-money", "deposit", from, "psp/card/US-NJ", cash(from), "50.00")); err != nil {
		fmt.Println(err)
		return
	}
	pay := func(key, amount string) error {
		_, err := ledger.Group(ctx, key, []client.Transfer{
			move(key+"-out", "player_transfer", from, cash(from), "transit/US-NJ", amount),
			move(key+"-in", "player_transfer", to, "transit/US-NJ", cash(to), amount),
		})
		return err
	}
	fmt.Printf("%q %q\n", client.CodeOf(pay("group-1", "30.00")), client.CodeOf(pay("group-2", "30.00")))
	for _, player := range []string{from, to} {
		balance, _ := ledger.Balance(ctx, cash(player))
		fmt.Println(balance.Available.Amount)
	}
	// Output:
	// "" "insufficient_funds"
	// 20.00
	// 30.00
}

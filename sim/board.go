package sim

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"matchday/sim/internal/wire"
	"matchday/sim/workload"
)

// selection is one thing to bet on, as the API last showed it.
type selection struct {
	id     string
	market string
	code   string
	line   string // "" for a moneyline
	price  string
}

// offer is what one jurisdiction was last shown: the open selections of each game of the day, in the
// day's order.
type offer struct {
	games [][]selection
}

// board keeps the offer of every jurisdiction as players' screens would, a little behind the truth.
type board struct {
	addr   string
	games  map[string]int // event id to index of the day's game
	n      int
	offers []atomic.Pointer[offer] // by territory
}

func newBoard(addr string, games []Game) *board {
	b := &board{addr: addr, games: make(map[string]int, len(games)), n: len(games), offers: make([]atomic.Pointer[offer], len(workload.Territories()))}
	for i, g := range games {
		b.games[g.ID] = i
	}
	for i := range b.offers {
		b.offers[i].Store(&offer{games: make([][]selection, len(games))})
	}
	return b
}

// at returns the offer of a territory.
func (b *board) at(territory int) *offer { return b.offers[territory].Load() }

// shownEvents is what the generator reads of GET /v1/events.
type shownEvents struct {
	Items []struct {
		ID      string `json:"id"`
		Markets []struct {
			Type       string `json:"type"`
			Status     string `json:"status"`
			Selections []struct {
				ID    string  `json:"id"`
				Code  string  `json:"code"`
				Line  *string `json:"line"`
				Price string  `json:"price"`
			} `json:"selections"`
		} `json:"markets"`
	} `json:"items"`
	Next string `json:"next"`
}

// maxEventPages bounds the pages of one refresh.
const maxEventPages = 50

// refresh reads the offer of a territory.
func (b *board) refresh(ctx context.Context, client *wire.Client, territory int) error {
	fresh := &offer{games: make([][]selection, b.n)}
	query := "?limit=200&jurisdiction=" + string(workload.Territories()[territory].Code)
	cursor := ""
	for range maxEventPages {
		var page shownEvents
		if err := call(ctx, client, &wire.Request{Method: "GET", Path: "/v1/events" + query + cursor}, &page); err != nil {
			return fmt.Errorf("read the offer: %w", err)
		}
		b.take(fresh, &page)
		if page.Next == "" {
			break
		}
		cursor = "&cursor=" + page.Next
	}
	b.offers[territory].Store(fresh)
	return nil
}

func (b *board) take(fresh *offer, page *shownEvents) {
	for _, event := range page.Items {
		game, ok := b.games[event.ID]
		if !ok {
			continue
		}
		for _, market := range event.Markets {
			if market.Status != "open" {
				continue
			}
			for _, s := range market.Selections {
				shown := selection{id: s.ID, market: market.Type, code: s.Code, price: s.Price}
				if s.Line != nil {
					shown.line = *s.Line
				}
				if s.Price != "" {
					fresh.games[game] = append(fresh.games[game], shown)
				}
			}
		}
	}
}

// follow refreshes all territories until ctx is done, one in turn.
func (b *board) follow(ctx context.Context, every time.Duration) {
	client := wire.New(b.addr, requestTimeout)
	defer client.Close()
	tick := time.NewTicker(every / time.Duration(len(b.offers)))
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
			_ = b.refresh(ctx, client, i%len(b.offers)) // the old screen stays until the next turn
		case <-ctx.Done():
			return
		}
	}
}

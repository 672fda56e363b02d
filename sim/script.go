package sim

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"time"

	"matchday/errs"
	"matchday/sim/internal/wire"
)

// action is one thing that staff or a feed does at a moment of the run.
type action struct {
	at  time.Duration
	run func(ctx context.Context, client *wire.Client) error
}

// movesPerGame is how often each game's prices move before its kick-off.
const movesPerGame = 40

// importSlate uploads the day's games, with kick-offs where the run will have them, as staff would.
func (s *sunday) importSlate(ctx context.Context) error {
	var file bytes.Buffer
	if err := s.slate.WriteCSV(&file, s.day.games, s.remap); err != nil {
		return err
	}
	client := wire.New(s.p.addr, requestTimeout)
	defer client.Close()
	request := wire.Request{Method: "POST", Path: "/v1/operator/events/import", Token: s.p.staff, Type: "text/csv", Body: file.Bytes()}
	if err := call(ctx, client, &request, nil); err != nil {
		return fmt.Errorf("import the slate: %w", err)
	}
	return nil
}

// remap returns when a real moment is in the run, as the uploaded file has it. Files have whole seconds:
// later rather than earlier, so that no bet of the plan comes too late.
func (s *sunday) remap(real time.Time) time.Time {
	return s.start.Add(s.day.offset(real) + time.Second - time.Nanosecond).Truncate(time.Second)
}

// kickoff returns when a game kicks off in the run.
func (s *sunday) kickoff(g Game) time.Time { return s.remap(g.Kickoff) }

// runScript does what staff and feeds do: prices move, scores come in, results are entered.
func (s *sunday) runScript(ctx context.Context) error {
	actions, err := s.script()
	if err != nil {
		return err
	}
	client := wire.New(s.p.addr, requestTimeout)
	defer client.Close()
	for _, a := range actions {
		pause(ctx, time.Until(s.start.Add(a.at)))
		if ctx.Err() != nil {
			return fmt.Errorf("the script was cut short at %s", a.at)
		}
		if err := a.run(ctx, client); err != nil {
			return err
		}
		s.latency["operator"].since(s.start.Add(a.at))
	}
	return nil
}

func (s *sunday) script() ([]action, error) {
	moves := map[string][]move{}
	if path := quotesBeside(s.o.Slate); path != "" {
		var err error
		if moves, err = openMoves(path, s.day.games); err != nil {
			return nil, fmt.Errorf("quotes: %w", err)
		}
	}
	rng := s.draws(drawsOfScript, 0)
	var actions []action
	for i, g := range s.day.games {
		actions = append(actions, s.priceScript(rng, i, g, moves[g.ID])...)
	}
	for _, p := range s.day.plays {
		actions = append(actions, action{at: s.day.offset(p.at), run: func(ctx context.Context, client *wire.Client) error {
			return s.enterPlay(ctx, client, p)
		}})
	}
	slices.SortStableFunc(actions, func(a, b action) int { return int(a.at - b.at) })
	return actions, nil
}

// priceScript spreads a game's price moves over the time before its kick-off.
func (s *sunday) priceScript(rng *rand.Rand, game int, g Game, quotes []move) []action {
	until := s.day.offset(g.Kickoff.Add(-s.day.guard()))
	actions := make([]action, 0, movesPerGame)
	for i := range movesPerGame {
		at := time.Duration(rng.Int64N(max(int64(until), 1)))
		pick, drawn := rng.Uint64(), s.draws(drawsOfScript, 1+game*movesPerGame+i)
		actions = append(actions, action{at: at, run: func(ctx context.Context, client *wire.Client) error {
			shown := s.board.at(0).games[game]
			m, ok := drawMove(drawn, shown)
			if len(quotes) > 0 {
				m, ok = quotes[pick%uint64(len(quotes))], true
			}
			if !ok {
				return nil
			}
			return s.setPrice(ctx, client, shown, m)
		}})
	}
	return actions
}

// setPrice moves the price of the selection that a move is about; a quote for another line than ours
// is passed over.
func (s *sunday) setPrice(ctx context.Context, client *wire.Client, shown []selection, m move) error {
	for _, sel := range shown {
		if sel.market != m.market || sel.code != m.code || sel.line != m.line {
			continue
		}
		body := fmt.Appendf(nil, `{"price":%q`, strconv.Itoa(m.price))
		if sel.line != "" {
			body = fmt.Appendf(body, `,"line":%q`, sel.line)
		}
		body = append(body, '}')
		request := wire.Request{Method: "POST", Path: "/v1/operator/selections/" + url.PathEscape(sel.id) + "/price", Token: s.p.staff, Body: body}
		err := persist(ctx, client, &request, nil)
		if err != nil && !errs.Is(err, errs.CodeConflict) { // the market closed before a late move
			return fmt.Errorf("set the price of %s: %w", sel.id, err)
		}
		return nil
	}
	return nil
}

// enterPlay sends a score in play, or the result at the final whistle.
func (s *sunday) enterPlay(ctx context.Context, client *wire.Client, p play) error {
	game := s.day.games[p.game].ID
	request := scoreRequest(game, p.home, p.away, s.p.staff)
	if p.final {
		request = resultRequest(game, p.home, p.away, s.p.staff)
	}
	err := persist(ctx, client, &request, nil)
	if err != nil && (!p.final || !errs.Is(err, errs.CodeConflict)) { // a conflict is our own earlier try
		return fmt.Errorf("enter %d-%d of %s: %w", p.home, p.away, game, err)
	}
	if p.final {
		s.mu.Lock()
		s.games[p.game].entered = time.Now()
		s.mu.Unlock()
	}
	return nil
}

// scoreRequest sends a score in play.
func scoreRequest(game string, home, away int, token string) wire.Request {
	return wire.Request{
		Method: "POST", Path: "/v1/operator/events/" + url.PathEscape(game) + "/score", Token: token,
		Body: fmt.Appendf(nil, `{"home_score":%d,"away_score":%d}`, home, away),
	}
}

// resultRequest enters the first result of a game; a second one is refused, so it can be repeated.
func resultRequest(game string, home, away int, token string) wire.Request {
	return wire.Request{
		Method: "POST", Path: "/v1/operator/events/" + url.PathEscape(game) + "/result", Token: token,
		Body: fmt.Appendf(nil, `{"home_score":%d,"away_score":%d,"expected_result_version":0}`, home, away),
	}
}

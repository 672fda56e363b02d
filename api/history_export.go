package api

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"matchday/history"
	"matchday/id"
)

// betFile is a kind of file that a player's bets are exported as.
type betFile struct {
	mime, name string
	head       func() ([]byte, error) // what comes before the bets
	bet        func(b exportedBet) ([]byte, error)
	end        func(t exportTrailer) ([]byte, error)
}

// exportedBet is a line of an export.
type exportedBet struct {
	Bet
	Settlements []BetSettlement `json:"settlements,omitempty"`
}

// exportTrailer is the last line of an export that is whole.
type exportTrailer struct {
	Trailer struct {
		Bets     int       `json:"bets"`
		Position string    `json:"position"`
		FreshAt  time.Time `json:"fresh_at"`
	} `json:"trailer"`
}

// ndjsonBets has one JSON object a line.
var ndjsonBets = betFile{
	mime: "application/x-ndjson", name: "matchday-bets.ndjson",
	head: func() ([]byte, error) { return nil, nil },
	bet:  func(b exportedBet) ([]byte, error) { return jsonLine(b) },
	end:  func(t exportTrailer) ([]byte, error) { return jsonLine(t) },
}

func jsonLine(v any) ([]byte, error) {
	body, err := json.Marshal(v, json.DefaultOptionsV2())
	return append(body, '\n'), err
}

// csvHead names the columns of a table of bets.
var csvHead = []string{"record", "bet", "status", "version", "placed_at", "settled_at", "product", "currency", "stake", "potential_payout", "payout",
	"legs", "settlements"}

// csvBets is a table for spreadsheets, as RFC 4180 has it.
var csvBets = betFile{
	mime: "text/csv; charset=utf-8; header=present", name: "matchday-bets.csv",
	head: func() ([]byte, error) { return csvRow(csvHead) },
	bet: func(b exportedBet) ([]byte, error) {
		settled, payout := "", ""
		if b.SettledAt != nil {
			settled = b.SettledAt.Format(time.RFC3339Nano)
		}
		if b.Payout != nil {
			payout = b.Payout.Amount
		}
		return csvRow([]string{"bet", b.ID, b.Status, strconv.Itoa(b.Version), b.PlacedAt.Format(time.RFC3339Nano), settled, b.Product,
			b.Stake.Currency, b.Stake.Amount, b.PotentialPayout.Amount, payout, legsText(b.Legs), settlementsText(b.Settlements)})
	},
	end: func(t exportTrailer) ([]byte, error) {
		row := make([]string, len(csvHead))
		row[0], row[1] = "end", strconv.Itoa(t.Trailer.Bets)
		row[len(row)-1] = "whole up to " + t.Trailer.Position + ", fresh at " + t.Trailer.FreshAt.Format(time.RFC3339Nano)
		return csvRow(row)
	},
}

// csvRow writes one row.
func csvRow(fields []string) ([]byte, error) {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	w.UseCRLF = true
	row := make([]string, len(fields))
	for i, text := range fields {
		row[i] = notFormula(text)
	}
	if err := w.Write(row); err != nil {
		return nil, err
	}
	w.Flush()
	return out.Bytes(), w.Error()
}

// notFormula keeps a spreadsheet from taking a text for a formula: names of events and selections come from
// feeds, and a formula could send what else is in the sheet elsewhere.
func notFormula(text string) string {
	if text == "" || !strings.ContainsRune("=+-@\t\r\n\x00＝＋－＠", []rune(text)[0]) {
		return text
	}
	return "'" + text
}

// legsText writes the legs of a bet for people.
func legsText(legs []Leg) string {
	out := make([]string, len(legs))
	for i, l := range legs {
		out[i] = l.EventName + ": " + l.SelectionName + " (" + l.Market
		if l.Line != nil {
			out[i] += " " + *l.Line
		}
		out[i] += ") at " + l.Price
		if l.Outcome != "" {
			out[i] += ", " + l.Outcome
		}
	}
	return strings.Join(out, "; ")
}

// settlementsText writes the settlements of a bet that had more than one.
func settlementsText(list []BetSettlement) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = s.At.Format(time.RFC3339Nano) + " " + s.Status + " " + s.Payout.Amount
	}
	return strings.Join(out, "; ")
}

// exportAs returns the end of a route that streams a player's bets as a file. Once something was sent an error
// can only be told by the stream's end.
func (a *API) exportAs(f betFile) func(ctx context.Context, c *call) error {
	return func(ctx context.Context, c *call) error {
		of, err := a.ownerOf(ctx, c)
		if err != nil {
			return err
		}
		after, err := c.queryBet("after")
		if err != nil {
			return err
		}
		done, err := a.exports.take()
		if err != nil {
			return err
		}
		defer done()
		w := &lateWriter{w: c.w, rc: http.NewResponseController(c.w), now: a.deps.Clock.Now}
		asked, err := a.writeBets(ctx, of, after, f, func(from history.Freshness, line []byte) error {
			if !w.began {
				c.setHistory(from)
				h := c.w.Header()
				h["Cache-Control"] = noStore
				h.Set("Content-Type", f.mime)
				h.Set("Content-Disposition", `attachment; filename="`+f.name+`"`)
			}
			_, err := w.Write(line)
			return err
		})
		switch {
		case err != nil && w.began:
			a.log.WarnContext(ctx, "export of bets cut off", "request_id", c.requestID, "error", err)
			_ = w.rc.SetWriteDeadline(a.deps.Clock.Now().Add(-time.Second)) // so that it does not end as if it were whole
			return nil
		case err != nil:
			c.setHistory(asked)
			return fmt.Errorf("export bets of player %s: %w", of.player, err)
		}
		_ = w.rc.SetWriteDeadline(time.Time{}) // the connection lives on
		return nil
	}
}

// writeBets hands over a file piece by piece. The first comes with the first bet, so that what fails before it
// is an answer of its own. It returns which history it asked.
func (a *API) writeBets(ctx context.Context, of owner, after id.Bet, f betFile, write func(history.Freshness, []byte) error) (history.Freshness, error) {
	head, err := f.head()
	if err != nil {
		return history.Freshness{}, err
	}
	piece := func(from history.Freshness, line []byte, err error) error {
		if err != nil {
			return err
		}
		line, head = append(head, line...), nil
		return write(from, line)
	}
	var end exportTrailer
	fresh, err := a.deps.History.Export(ctx, of.player, of.home.Code, after, of.at, func(b history.BetLife) error {
		end.Trailer.Bets++
		line, err := f.bet(exportedBet{betOf(b.Bet), settlementsOf(b.Settlements)})
		return piece(b.Freshness, line, err)
	})
	if err != nil {
		return fresh, err
	}
	end.Trailer.Position, end.Trailer.FreshAt = fresh.Position.String(), fresh.FreshAt
	line, err := f.end(end)
	return fresh, piece(fresh, line, err)
}

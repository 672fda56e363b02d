package sim

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"matchday/app"
	"matchday/history"
	"matchday/id"
	"matchday/ledger"
	"matchday/sim/workload"
	"matchday/stream"
)

// maxNamed bounds how many wrong bets a check names.
const maxNamed = 5

// verdicts gathers what the comparison of history with our side found.
type verdicts struct {
	shown, unknown, doubled, different, misgraded, late int64
	named                                               []string
	outcomes                                            map[string]int64
	expected                                            []int64 // cash of each player
}

func (v *verdicts) name(format string, args ...any) {
	if len(v.named) < maxNamed {
		v.named = append(v.named, fmt.Sprintf(format, args...))
	}
}

// checkRunning makes every check that needs the running platform and writes the tables.
func (s *sunday) checkRunning(ctx context.Context) error {
	s.progress.line("checking: grading every bet from the season file, comparing history, balances and books")
	v, err := s.compareHistory(ctx)
	if err != nil {
		return err
	}
	lost := int64(s.bets.count()) - v.shown
	named := strings.Join(v.named, "; ")
	s.expected = v.expected
	r := s.report
	r.check("no bet lost", lost == 0, "%s accepted, %d not in history", thousands(int64(s.bets.count())), lost)
	r.check("no bet doubled", v.unknown+v.doubled == 0 && s.bets.doubled == 0 && len(s.unresolved) == 0,
		"%d in history that nobody was told of, %d twice, %d ids answered for two keys, %d requests without an answer", v.unknown, v.doubled, s.bets.doubled, len(s.unresolved))
	r.check("bets are as accepted", v.different == 0, "%d differ from the receipt in player, stake, line or price", v.different)
	r.check("bets are graded as the results say", v.misgraded == 0, "%d differ from the second grading; %d void in whole or part, committed after a kick-off. %s", v.misgraded, v.late, named)
	r.check("every result was entered", s.allEntered(), "%d games", len(s.day.games))
	r.check("a read at the position of a bet shows the bet", s.stale.Load() == 0, "%s reads, %d without the bet", thousands(s.fresh.Load()+s.stale.Load()), s.stale.Load())
	missing := int64(s.o.Bets) - int64(s.bets.count())
	r.check("the day took all its bets", missing == 0, "%s of %s; %d arrivals found nothing to bet on or nobody to pay until the last kick-off",
		thousands(int64(s.bets.count())), thousands(int64(s.o.Bets)), s.short.Load())
	r.Bets.Outcomes = v.outcomes
	if err := s.checkMoney(ctx, v); err != nil {
		return err
	}
	if err := s.checkSportsbook(ctx); err != nil {
		return err
	}
	return s.writeTransfers(ctx)
}

func (s *sunday) allEntered() bool {
	for _, g := range s.games {
		if g.entered.IsZero() {
			return false
		}
	}
	return true
}

// compareHistory walks history once: writes bets.csv, and holds every bet against the receipt and
// against a grading of our own.
func (s *sunday) compareHistory(ctx context.Context) (*verdicts, error) {
	v := &verdicts{outcomes: make(map[string]int64), expected: make([]int64, len(s.crowd.players))}
	for i := range v.expected {
		p := &s.crowd.players[i]
		v.expected[i] = p.deposited.Load() - p.staked.Load()
	}
	grade := newGrader(s.day.games)
	header := []string{"bet_id", "player_id", "jurisdiction", "currency", "placed_at", "stake_minor", "legs", "outcome", "payout_minor"}
	err := s.writeTable("bets.csv", header, func(write func(row []string) error) error {
		return s.p.History.ForEach(ctx, func(b history.Bet) error {
			if err := s.compareBet(&b, grade, v); err != nil {
				return err
			}
			row, err := betRow(&b)
			if err != nil {
				return err
			}
			return write(row)
		})
	})
	return v, err
}

func (s *sunday) compareBet(b *history.Bet, grade *grader, v *verdicts) error {
	known := s.bets.byID[string(b.ID)]
	switch {
	case known == nil:
		v.unknown++
		v.name("bet %s of player %s was never acknowledged", b.ID, b.Player)
		return nil
	case known.checked:
		v.doubled++
		v.name("bet %s is in history twice", b.ID)
		return nil
	}
	known.checked = true
	v.shown++
	v.outcomes[string(b.Status)]++
	if !sameBet(b, known, s.crowd.players[known.player].id) {
		v.different++
		v.name("bet %s is not as accepted: %+v, accepted %+v", b.ID, b, known)
	}
	standing := s.standing(b, known)
	outcome, payout := stream.OutcomeVoid, known.stake
	if len(standing) < len(known.legs) {
		v.late++
	}
	if len(standing) > 0 {
		var err error
		if outcome, payout, err = grade.bet(known.stake, standing); err != nil {
			return fmt.Errorf("grade bet %s: %w", b.ID, err)
		}
	}
	v.expected[known.player] += payout
	if string(b.Status) != outcome || b.Payout.Minor() != payout {
		v.misgraded++
		v.name("bet %s is %s for %d, the results say %s for %d", b.ID, b.Status, b.Payout.Minor(), outcome, payout)
	}
	return nil
}

// standing returns the legs that count: all but those on games that had kicked off when the bet
// committed. They are void by rule.
func (s *sunday) standing(b *history.Bet, known *trackedBet) []gradedLeg {
	late := func(leg gradedLeg) bool { return b.PlacedAt.After(s.kickoff(s.day.games[s.board.games[leg.Game]])) }
	if !slices.ContainsFunc(known.legs, late) {
		return known.legs
	}
	return slices.DeleteFunc(slices.Clone(known.legs), late)
}

// sameBet reports whether a bet in history is what its receipt said.
func sameBet(b *history.Bet, known *trackedBet, player string) bool {
	if string(b.Player) != player || b.Stake.Minor() != known.stake || len(b.Legs) != len(known.legs) {
		return false
	}
	for i, leg := range b.Legs {
		want, line := known.legs[i], ""
		if leg.Line != nil {
			line = *leg.Line
		}
		price, err := strconv.Atoi(leg.Price)
		if err != nil || leg.EventID != want.Game || leg.Market != want.Market || leg.Selection != want.Selection || line != want.Line || price != want.Price {
			return false
		}
	}
	return true
}

// tableLeg is a leg in the legs column of bets.csv.
type tableLeg struct {
	GameID    string  `json:"game_id"`
	Market    string  `json:"market"`
	Selection string  `json:"selection"`
	Line      *string `json:"line"`
	Price     string  `json:"price"`
}

func betRow(b *history.Bet) ([]string, error) {
	legs := make([]tableLeg, len(b.Legs))
	for i, leg := range b.Legs {
		legs[i] = tableLeg{GameID: leg.EventID, Market: leg.Market, Selection: leg.Selection, Line: leg.Line, Price: leg.Price}
	}
	text, err := json.Marshal(legs)
	if err != nil {
		return nil, fmt.Errorf("bet %s: %w", b.ID, err)
	}
	return []string{
		string(b.ID), string(b.Player), string(b.Jurisdiction), string(b.Stake.Currency()), b.PlacedAt.UTC().Format(time.RFC3339Nano),
		strconv.FormatInt(b.Stake.Minor(), 10), string(text), string(b.Status), strconv.FormatInt(b.Payout.Minor(), 10),
	}, nil
}

// checkMoney compares every player's balance with deposits, stakes and our own grading, and the escrow
// with nothing.
func (s *sunday) checkMoney(ctx context.Context, v *verdicts) error {
	wrong, detail := 0, ""
	for i := range s.crowd.players {
		p := &s.crowd.players[i]
		if p.deposited.Load() == 0 {
			continue
		}
		account := ledger.PlayerCash(id.Player(p.id), workload.Territories()[p.territory].Code)
		balance, err := s.p.Ledger.Balance(ctx, account)
		if err != nil {
			return fmt.Errorf("balance of %s: %w", account, err)
		}
		if balance.PostedMinor != v.expected[i] {
			wrong++
			detail = fmt.Sprintf("%s has %d, expected %d", account, balance.PostedMinor, v.expected[i])
		}
	}
	s.report.check("every balance is deposits less stakes plus payouts", wrong == 0, "%s players, %d wrong %s", thousands(int64(len(s.crowd.players))), wrong, detail)
	open := []string{}
	for _, t := range workload.Territories() {
		balance, err := s.p.Ledger.Balance(ctx, ledger.Bets(t.Code, "sportsbook"))
		if err != nil {
			return fmt.Errorf("escrow of %s: %w", t.Code, err)
		}
		if balance.PostedMinor != 0 {
			open = append(open, fmt.Sprintf("%s %d", t.Code, balance.PostedMinor))
		}
	}
	s.report.check("no stake is left in escrow", len(open) == 0, "after the last game: %d jurisdictions with open stakes %s", len(open), strings.Join(open, ", "))
	return nil
}

// checkSportsbook runs the sportsbook's own audit.
func (s *sunday) checkSportsbook(ctx context.Context) error {
	report, err := s.p.Sportsbook.Audit(ctx)
	if err != nil {
		return fmt.Errorf("sportsbook audit: %w", err)
	}
	found := "agree with the log, the results and the escrow"
	if len(report.Findings) > 0 {
		found = fmt.Sprintf("%+v", report.Findings)
	}
	s.report.check("sportsbook audit", len(report.Findings) == 0, "%s bets %s", thousands(report.Bets), found)
	return nil
}

// auditFolder runs `matchday audit` on the folder that the stopped platform left.
func (s *sunday) auditFolder(ctx context.Context, dir string) error {
	s.progress.line("auditing the books: balances, sequences, seals, bets, history")
	report, err := app.Audit(ctx, s.p.Config, func(string) {})
	if err != nil {
		return fmt.Errorf("audit of %s: %w", dir, err)
	}
	found := "sound"
	if err := report.Err(); err != nil {
		found = err.Error()
	}
	s.report.check("matchday audit", report.Err() == nil, "%s: %s", strings.Join(strings.Fields(report.String()), " "), found)
	return nil
}

// writeTransfers writes transfers.csv: every transfer of every shard, refusals included.
func (s *sunday) writeTransfers(ctx context.Context) error {
	header := []string{"shard", "seq", "key", "kind", "at", "jurisdiction", "currency", "state", "code", "postings"}
	return s.writeTable("transfers.csv", header, func(write func(row []string) error) error {
		return s.p.Ledger.ExportTransfers(ctx, func(t ledger.ExportedTransfer) error {
			type line struct {
				Account     ledger.Address `json:"account"`
				AmountMinor int64          `json:"amount_minor"`
			}
			lines := make([]line, len(t.Postings))
			for i, p := range t.Postings {
				lines[i] = line{p.Account, p.AmountMinor}
			}
			postings, err := json.Marshal(lines)
			if err != nil {
				return err
			}
			return write([]string{strconv.Itoa(t.Shard), strconv.FormatInt(t.Seq, 10), t.Key, t.Kind.String(), t.At.UTC().Format(time.RFC3339Nano),
				string(t.Jurisdiction), string(t.Currency), t.State, string(t.Code), string(postings)})
		})
	})
}

// writeTable writes a CSV file into the output folder, row by row.
func (s *sunday) writeTable(name string, header []string, rows func(write func(row []string) error) error) (err error) {
	f, err := os.Create(filepath.Join(s.o.Out, name))
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	buffered := bufio.NewWriterSize(f, 1<<20)
	out := csv.NewWriter(buffered)
	if err := out.Write(header); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := rows(out.Write); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	out.Flush()
	return errors.Join(out.Error(), buffered.Flush())
}

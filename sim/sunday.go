package sim

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"matchday/app"
	"matchday/player"
	"matchday/sim/internal/wire"
)

// sunday is one game day under way.
type sunday struct {
	o        SundayOptions
	out      io.Writer
	seed     uint64
	slate    Slate
	day      *gameDay
	p        *platform
	pool     *pool
	crowd    *crowd
	board    *board
	bets     *ledgerOfBets
	report   *SundayReport
	start    time.Time // of the compressed day
	bin      time.Duration
	progress *progress

	deposits, accepted, reads, payouts *meter
	lag, betP99, readP99               *gauge
	history                            *latency // lag
	shown                              *latency // of settlements, from commit to visible
	windowBets, windowReads            *latency // since the last sample
	latency                            map[string]*latency

	mu         sync.Mutex
	refused    map[string]int64
	unresolved []slip
	pending    map[string]pendingDeposit
	short      atomic.Int64 // arrivals that found no bet to place
	retried    atomic.Int64
	replayed   atomic.Int64
	stale      atomic.Int64 // reads with a position that did not show the bet
	fresh      atomic.Int64 // those that did
	declined   atomic.Int64
	slow       atomic.Int64 // nanoseconds of the slowest placement of late; fades
	failures   firstError
	games      []gameProgress
	settled    atomic.Int64
	expected   []int64 // each player's cash at the end, by our own books
}

// firstError keeps the first error of many goroutines.
type firstError struct{ p atomic.Pointer[error] }

func (f *firstError) note(err error) {
	if err != nil {
		f.p.CompareAndSwap(nil, &err)
	}
}

func (f *firstError) err() error {
	if p := f.p.Load(); p != nil {
		return *p
	}
	return nil
}

// gameProgress is how far the settlement of a game is, as history shows it.
type gameProgress struct {
	entered time.Time // result acknowledged
	last    time.Time // last bet of it seen settled
	decided int64
}

// binsOfTheDay is how many steps the report's curves have, unless that makes them too short to count in.
const binsOfTheDay = 600

// binWidth returns the length of one step of the curves.
func binWidth(span time.Duration) time.Duration { return max(span/binsOfTheDay, 200*time.Millisecond) }

// Sunday plays one game day through the HTTP API of a platform of its own, writes the report and the
// tables into o.Out, and returns an error if a bet was lost, doubled or graded otherwise than the
// season file says, or if an audit finds anything.
func Sunday(ctx context.Context, o SundayOptions, out io.Writer) error {
	if err := o.Validate(); err != nil {
		return err
	}
	s, err := newSunday(o, out)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return fmt.Errorf("sunday: %w", err)
	}
	if o.Dir != "" {
		return s.runIn(ctx, o.Dir)
	}
	return inTempDir("", func(dir string) error { return s.runIn(ctx, dir) })
}

func newSunday(o SundayOptions, out io.Writer) (*sunday, error) {
	seed := o.Seed
	if seed == 0 {
		var raw [8]byte
		_, _ = rand.Read(raw[:]) // never fails
		seed = binary.LittleEndian.Uint64(raw[:]) >> 16
	}
	slate, err := loadSlate(o.Slate, o.Week)
	if err != nil {
		return nil, err
	}
	games, date, err := slate.Day(o.Week)
	if err != nil {
		return nil, err
	}
	o.Shards, o.Workers = orDefault(o.Shards, 2), orDefault(o.Workers, 192)
	span := time.Duration(o.Minutes * float64(time.Minute))
	s := &sunday{
		o: o, out: out, seed: seed, slate: slate, bin: binWidth(span),
		day:   newGameDay(games, date, span, mathrand.New(mathrand.NewPCG(seed, 1))), // #nosec: not for secrets
		crowd: newCrowd(o.Players), bets: newLedgerOfBets(o.Bets),
		refused: make(map[string]int64), pending: make(map[string]pendingDeposit), games: make([]gameProgress, len(games)),
		history: newLatency(), shown: newLatency(), windowBets: newLatency(), windowReads: newLatency(), latency: make(map[string]*latency),
	}
	for _, name := range []string{"sign_up", "deposit", "place_bet", "balance", "history", "bet_after_write", "operator"} {
		s.latency[name] = newLatency()
	}
	s.report = &SundayReport{
		Name: "sunday", Machine: machine(), Commit: commit(), Command: joinCommand(), Seed: seed, Slate: slateName(o.Slate),
		Week: o.Week, Date: date.Format(time.DateOnly), Minutes: o.Minutes, Compression: s.day.scale(), Players: o.Players,
		WallSeconds: make(map[string]float64),
		Notes: []string{
			"argon2id runs with lowered parameters (64 KiB, one pass), so that twenty thousand sign-ups do not hide the game day behind password hashing.",
			"The limit of sign-ins per address is off: all players come from one.",
			"Load generator, platform and streams share the cores of one machine. Sign-ups run before the day and are not in the curves.",
		},
	}
	s.progress = newProgress(out)
	s.progress.line("seed %d: %d games of %s, %s players, %s bets in %.1f minutes (1 s is %.0f s)", seed, len(games),
		s.report.Date, thousands(int64(o.Players)), thousands(int64(o.Bets)), o.Minutes, s.day.scale())
	return s, nil
}

// runIn plays the day on a platform in dir and proves it.
func (s *sunday) runIn(ctx context.Context, dir string) error {
	if err := s.phase("start_s", func() (err error) {
		s.p, err = startPlatform(ctx, dir, s.o.Shards, simulationConfig)
		return err
	}); err != nil {
		return err
	}
	err := s.play(ctx)
	if err == nil {
		err = s.phase("checks_s", func() error { return s.checkRunning(ctx) })
	}
	if err = errors.Join(err, s.p.close()); err != nil {
		return err
	}
	if err := s.phase("audit_s", func() error { return s.auditFolder(ctx, dir) }); err != nil {
		return err
	}
	s.fillReport()
	if err := s.report.save(s.o.Out); err != nil {
		return err
	}
	s.printSummary()
	return s.report.broken()
}

// simulationConfig makes passwords cheap: the report says so.
func simulationConfig(c *app.Config) {
	c.Player.Argon2 = player.Argon2{MemoryKiB: 64, Passes: 1, Lanes: 1}
}

// phase runs one part of the day and notes how long it took.
func (s *sunday) phase(name string, f func() error) error {
	start := time.Now()
	err := f()
	s.report.WallSeconds[name] = round(time.Since(start).Seconds())
	return err
}

// play signs players up, plays the compressed day, and waits until every bet is settled and visible.
func (s *sunday) play(ctx context.Context) error {
	workers, cancel := context.WithCancel(ctx)
	defer cancel()
	s.pool = newPool(workers, s.p.addr, s.o.Workers, requestTimeout)
	s.board = newBoard(s.p.addr, s.day.games)
	err := s.phase("sign_up_s", func() error { return s.signUps(ctx) })
	if err == nil {
		err = s.phase("day_s", func() error { return s.playDay(ctx) })
	}
	if err == nil {
		err = s.phase("settle_s", func() error { return s.finish(ctx) })
	}
	cancel()
	s.pool.close()
	return errors.Join(err, s.failures.err())
}

func (s *sunday) signUps(ctx context.Context) error {
	var done atomic.Int64
	stop := s.progress.every(func() string {
		return fmt.Sprintf("signing up: %s of %s players", thousands(done.Load()), thousands(int64(s.o.Players)))
	})
	defer stop()
	return s.crowd.signUpAll(ctx, s.pool, func() { done.Add(1) })
}

// playDay runs the compressed day: the pacer for players, a script for staff, and samplers.
func (s *sunday) playDay(ctx context.Context) error {
	s.start = time.Now().Add(2 * time.Second).Truncate(time.Second)
	s.report.StartedAt = s.start.UTC()
	s.makeMeters()
	if err := s.importSlate(ctx); err != nil {
		return err
	}
	client := wire.New(s.p.addr, requestTimeout)
	defer client.Close()
	for territory := range s.board.offers {
		if err := s.board.refresh(ctx, client, territory); err != nil {
			return err
		}
	}
	pause(ctx, time.Until(s.start))
	day, stopDay := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { s.board.follow(day, 900*time.Millisecond) })
	wg.Go(func() { s.failures.note(s.runScript(day)) })
	stopWatch := s.watch(ctx)
	stopLines := s.progress.every(s.status)
	s.pacer().play(day, s.day.span)
	stopDay()
	wg.Wait()
	stopLines()
	err := poll(ctx, "last requests of the day", time.Minute, func() (bool, error) { return s.pool.waiting() == 0, s.failures.err() })
	if err == nil {
		err = s.settleUp(ctx)
	}
	stopWatch()
	return err
}

// makeMeters makes the curves, with room for what comes after the last whistle.
func (s *sunday) makeMeters() {
	for _, m := range []**meter{&s.deposits, &s.accepted, &s.reads, &s.payouts} {
		*m = newMeter(s.start, s.bin, s.day.span)
	}
	for _, g := range []**gauge{&s.lag, &s.betP99, &s.readP99} {
		*g = newGauge(s.start, s.bin, s.day.span)
	}
}

// pacer plans the arrivals of the day: bets, the deposits ahead of them, and the saw-tooth of reads.
func (s *sunday) pacer() *pacer {
	const readsPerBet = 0.4
	deposits := s.o.Players + s.o.Players/2
	return &pacer{start: s.start, pool: s.pool, tracks: []track{
		{curve: newCurve(deposits, s.day.span, s.day.depositDensity), run: s.deposit},
		{curve: newCurve(s.o.Bets, s.day.span, s.day.betDensity), run: s.bet},
		{curve: newCurve(int(readsPerBet*float64(s.o.Bets)), s.day.span, s.day.readDensity), run: s.read},
	}}
}

// status is the progress line of the running day.
func (s *sunday) status() string {
	now := time.Since(s.start)
	at := s.day.realAt(max(now, 0)).In(s.day.date.Location())
	bins := max(int(time.Second/s.bin), 1)
	last := int(now / s.bin)
	rate := func(m *meter) string {
		sum := int64(0)
		for i := max(last-bins, 0); i < last && i < len(m.bins); i++ {
			sum += m.bins[i].Load()
		}
		return thousands(sum)
	}
	return fmt.Sprintf("%s ET  bets %s/s of %s  deposits %s/s  reads %s/s  payouts %s/s  settled %s  lag %d ms  queue %d",
		at.Format("15:04"), rate(s.accepted), thousands(s.accepted.total.Load()), rate(s.deposits), rate(s.reads), rate(s.payouts),
		thousands(s.settled.Load()), s.historyLag().Milliseconds(), s.pool.waiting())
}

// historyLag returns the lag of the shard that is furthest behind.
func (s *sunday) historyLag() time.Duration {
	worst := time.Duration(0)
	for _, l := range s.p.History.Lag() {
		worst = max(worst, l.Lag)
	}
	return worst
}

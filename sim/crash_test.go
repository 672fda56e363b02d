package sim

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/ledger"
	"matchday/sim/internal/wire"
	"matchday/sim/workload"
	"matchday/stream"
)

const (
	crashRounds    = 20
	crashPlayers   = 24
	crashWorkers   = 10
	crashWeeks     = 8 // of fictional games, so that every round has results to enter
	crashLimit     = 25 * time.Minute
	roundOfLoss    = 1 // the streams are deleted in this round, and in one of four others
	roundOfMistake = 2 // the result of the first game, entered in round 0, is corrected under load
	heldMinor      = 5
	answerLimit    = 5 * time.Minute
)

// crashConfig lowers the cost of passwords, which is not what the test is about.
const crashConfig = `
slate: none
player:
  argon2: {memory_kib: 64, passes: 1, lanes: 1}
api:
  sign_ins_per_minute: -1
`

// TestCrash kills the platform with SIGKILL at random moments under load, in at least one round
// with its streams deleted, and proves after each restart that every acknowledged operation is there once,
// that retries of unanswered ones have one outcome, and in the end that balances, holds, bets (those of a
// corrected result too) and books agree.
func TestCrash(t *testing.T) {
	if testing.Short() {
		t.Skip("kills whole platforms under load: left out with -short")
	}
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("SEED: %v", err)
		}
	}
	t.Logf("seed %d (SEED=%d repeats the draws)", seed, seed)
	ctx, cancel := context.WithTimeout(t.Context(), crashLimit)
	defer cancel()
	c := newCrash(ctx, t, seed)
	c.start(ctx)
	c.open(ctx)
	for round := range crashRounds {
		c.loadUntilKilled(ctx, round)
		if c.rng.IntN(4) == 0 || round == roundOfLoss {
			t.Logf("round %d: the streams are deleted", round)
			if err := os.RemoveAll(filepath.Join(c.data, "stream")); err != nil {
				t.Fatal(err)
			}
		}
		killed := time.Now()
		c.start(ctx)
		ready := time.Now()
		c.resolve(ctx)
		c.verify(ctx, false)
		t.Logf("round %d: ready again after %s, checked in %s; %d operations acknowledged so far, %d of them after a retry",
			round, ready.Sub(killed).Round(time.Millisecond), time.Since(ready).Round(time.Millisecond), len(c.journal), c.retried)
	}
	c.settleAll(ctx)
	c.awaitCorrection(ctx)
	c.verify(ctx, true)
	c.checkBets(ctx)
	c.checkBalances(ctx)
	c.stop()
	c.audit(ctx)
}

// crash is the child process and our side's journal of what it acknowledged.
type crash struct {
	t          *testing.T
	rng        *rand.Rand
	binary     string
	data       string
	cmd        *exec.Cmd
	exited     chan struct{}
	addr       string
	staff      string
	key        string // of the ledger API
	crowd      *crowd
	games      []Game
	board      *board
	mu         sync.Mutex
	next       int
	journal    []*operation         // acknowledged
	unanswered []*operation         // unanswered
	held       []*operation         // acknowledged holds that are neither posted nor released
	entered    map[string]time.Time // when the first request with a game's result was sent
	retried    int
	verified   int // journal entries before this one were repeated in an earlier round
	late       int // bets that were void because they committed after a result
}

// operation is one request with its key, and its answer once there is one.
type operation struct {
	request wire.Request
	player  int
	minor   int64  // of a deposit, stake or hold
	hold    string // key of the hold it is about
	answer  answerOf
	done    bool
}

// answerOf is what the test compares of an answer.
type answerOf struct {
	ID       string          `json:"id"`
	Position string          `json:"position"`
	Status   string          `json:"status"`
	Replayed bool            `json:"replayed"`
	Legs     json.RawMessage `json:"legs"`
	Results  []struct {
		Key    string `json:"key"`
		Result *struct {
			Position string `json:"position"`
			Replayed bool   `json:"replayed"`
		} `json:"result"`
		Error *struct {
			Code string `json:"code"`
		} `json:"error"`
	} `json:"results"`
}

func newCrash(ctx context.Context, t *testing.T, seed uint64) *crash {
	t.Helper()
	dir := t.TempDir()
	c := &crash{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), binary: filepath.Join(dir, "matchday"), data: filepath.Join(dir, "data"),
		crowd: newCrowd(crashPlayers), entered: make(map[string]time.Time),
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", c.binary, "matchday/cmd/matchday")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(crashConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if c.cmd != nil {
			_ = c.cmd.Process.Kill()
			<-c.exited
		}
	})
	return c
}

var docsLine = regexp.MustCompile(`http://([0-9.]+:[0-9]+)/docs`)

// start starts the child and signs the staff account in.
func (c *crash) start(ctx context.Context) {
	c.t.Helper()
	cmd := exec.CommandContext(ctx, c.binary, "up", "--data", c.data, "--listen", "127.0.0.1:0", "--config", filepath.Join(filepath.Dir(c.data), "config.yaml"))
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	addr := make(chan string, 1)
	c.cmd, c.exited = cmd, make(chan struct{})
	go func(exited chan struct{}) {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if found := docsLine.FindStringSubmatch(lines.Text()); found != nil {
				addr <- found[1]
			}
		}
		_ = cmd.Wait() // killed on purpose, or its absence is noticed by the caller
		close(exited)
	}(c.exited)
	select {
	case c.addr = <-addr:
	case <-c.exited:
		c.t.Fatalf("the platform did not start:\n%s", complaints.String())
	case <-time.After(answerLimit):
		c.t.Fatalf("the platform was not ready within %s:\n%s", answerLimit, complaints.String())
	}
	var secrets struct {
		StaffPassword string `json:"staff_password"`
		ServiceKey    string `json:"service_key"`
	}
	text, err := os.ReadFile(filepath.Join(c.data, "secrets.json"))
	if err == nil {
		err = json.Unmarshal(text, &secrets)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.key = secrets.ServiceKey
	if c.staff, err = staffToken(ctx, c.addr, "staff", secrets.StaffPassword); err != nil {
		c.t.Fatal(err)
	}
	if c.board != nil {
		c.board.addr = c.addr
	}
}

// kill ends the child as a power cut of the process would.
func (c *crash) kill() {
	if err := c.cmd.Process.Kill(); err != nil {
		c.t.Fatalf("kill: %v", err)
	}
	<-c.exited
}

// stop ends the child as an operator would.
func (c *crash) stop() {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		c.t.Fatalf("stop: %v", err)
	}
	select {
	case <-c.exited:
	case <-time.After(answerLimit):
		c.t.Fatal("the platform did not stop on SIGTERM")
	}
	if code := c.cmd.ProcessState.ExitCode(); code != 0 {
		c.t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
}

// open signs the players up and uploads the games.
func (c *crash) open(ctx context.Context) {
	c.t.Helper()
	client := wire.New(c.addr, answerLimit)
	defer client.Close()
	for n := range c.crowd.players {
		if err := c.crowd.signUp(ctx, client, n); err != nil {
			c.t.Fatal(err)
		}
		p := &c.crowd.players[n]
		body := append(appendAmount([]byte(`{"amount":`), 2_000_000, p.territory), `,"method":"card"}`...)
		c.do(ctx, client, &operation{player: n, minor: 2_000_000, request: wire.Request{
			Method: "POST", Path: "/v1/me/deposits", Token: p.token, Key: "first", Body: body}})
	}
	for week := 1; week <= crashWeeks; week++ {
		slate, err := fictionSlate(week)
		if err != nil {
			c.t.Fatal(err)
		}
		var file bytes.Buffer
		tomorrow := time.Now().Add(24 * time.Hour)
		if err := slate.WriteCSV(&file, slate.Games, func(time.Time) time.Time { return tomorrow }); err != nil {
			c.t.Fatal(err)
		}
		request := wire.Request{Method: "POST", Path: "/v1/operator/events/import", Token: c.staff, Type: "text/csv", Body: file.Bytes()}
		if err := call(ctx, client, &request, nil); err != nil {
			c.t.Fatal(err)
		}
		c.games = append(c.games, slate.Games...)
	}
	c.board = newBoard(c.addr, c.games)
}

// loadUntilKilled runs every kind of operation until the child is killed at a random moment.
func (c *crash) loadUntilKilled(ctx context.Context, round int) {
	c.t.Helper()
	load, stop := context.WithCancel(ctx)
	client := wire.New(c.addr, answerLimit)
	for territory := range c.board.offers {
		if err := c.board.refresh(ctx, client, territory); err != nil {
			c.t.Fatal(err)
		}
	}
	client.Close()
	var wg sync.WaitGroup
	for i := range crashWorkers {
		rng := rand.New(rand.NewPCG(c.rng.Uint64(), uint64(i))) // #nosec: not for secrets
		wg.Go(func() {
			client := wire.New(c.addr, answerLimit)
			defer client.Close()
			for load.Err() == nil {
				if !c.do(load, client, c.draw(rng)) {
					return // the child is gone
				}
			}
		})
	}
	wg.Go(func() { c.enterResults(load, round) })
	pause(ctx, 300*time.Millisecond+time.Duration(c.rng.Int64N(int64(1200*time.Millisecond))))
	c.kill()
	stop()
	wg.Wait()
}

// draw returns a fresh operation: mostly bets, then ledger batches, holds, deposits and withdrawals.
func (c *crash) draw(rng *rand.Rand) *operation {
	c.mu.Lock()
	c.next++
	n := c.next
	c.mu.Unlock()
	player := rng.IntN(len(c.crowd.players))
	p := &c.crowd.players[player]
	key := "k" + strconv.Itoa(n)
	switch kind := rng.IntN(12); {
	case kind >= 10:
		return c.hold(rng, player, key)
	case kind < 2:
		method := [...]string{"card", "card", "card-timeout"}[rng.IntN(3)]
		body := append(appendAmount([]byte(`{"amount":`), 10_00, p.territory), `,"method":"`+method+`"}`...)
		return &operation{player: player, minor: 10_00, request: wire.Request{Method: "POST", Path: "/v1/me/deposits", Token: p.token, Key: key, Body: body}}
	case kind < 4:
		return c.batch(rng, key)
	case kind == 4:
		body := append(appendAmount([]byte(`{"amount":`), 3_00, p.territory), `,"method":"card"}`...)
		return &operation{player: player, minor: 3_00, request: wire.Request{Method: "POST", Path: "/v1/me/withdrawals", Token: p.token, Key: key, Body: body}}
	}
	shown := c.board.at(p.territory)
	s := slip{player: player, stake: drawStake(rng, 1), policy: "any", key: key}
	legs := drawLegs(rng, 60)
	games := rng.Perm(len(shown.games))
	if rng.IntN(4) == 0 {
		games = append([]int{0}, slices.DeleteFunc(games, func(g int) bool { return g == 0 })...) // the one whose result is corrected
	}
	for _, g := range games {
		if len(shown.games[g]) > 0 && len(s.legs) < legs {
			s.legs = append(s.legs, drawSelection(rng, shown.games[g]))
		}
	}
	request, _ := s.request(p, nil)
	return &operation{player: player, minor: s.stake, request: request}
}

// batch returns a batch of adjustments that give and take the same money, so that balances stay as
// bets and deposits leave them.
func (c *crash) batch(rng *rand.Rand, key string) *operation {
	b := []byte(`{"transfers":[`)
	for i := range 20 {
		p := &c.crowd.players[rng.IntN(len(c.crowd.players))]
		for j, minor := range []int64{7, -7} {
			if i+j > 0 {
				b = append(b, ',')
			}
			t := workload.Adjustment(fmt.Sprintf("%s-%d-%d", key, i, j), id.Player(p.id), workload.Territories()[p.territory], minor)
			b = workload.AppendTransfer(b, &t)
		}
	}
	b = append(b, `]}`...)
	return &operation{player: -1, request: wire.Request{Method: "POST", Path: "/v1/ledger/transfers/batch", Token: c.key, Body: b}}
}

// hold returns an operation on holds: a fresh one, or the end of one that was acknowledged.
func (c *crash) hold(rng *rand.Rand, player int, key string) *operation {
	c.mu.Lock()
	defer c.mu.Unlock()
	path, rest := "/v1/ledger/holds", ""
	op := &operation{player: player, minor: heldMinor, hold: key}
	if n := len(c.held); n > 0 && rng.IntN(2) == 0 {
		first := c.held[n-1]
		c.held = c.held[:n-1]
		op.player, op.hold = first.player, first.hold
		path += "/" + first.hold + [...]string{"/post", "/release"}[rng.IntN(2)]
	}
	p := &c.crowd.players[op.player]
	t := workload.Territories()[p.territory]
	if op.hold == key {
		rest = fmt.Sprintf(`,"expires_at":%q,"postings":[{"account":%q,"amount":"-0.05"},{"account":%q,"amount":"0.05"}]`,
			time.Now().Add(time.Hour).UTC().Format(time.RFC3339), ledger.PlayerCash(id.Player(p.id), t.Code), ledger.Bets(t.Code, "crash"))
	}
	body := fmt.Appendf(nil, `{"key":%q,"player_id":%q,"jurisdiction":%q,"currency":%q%s}`, key, p.id, t.Code, t.Currency, rest)
	op.request = wire.Request{Method: "POST", Path: path, Token: c.key, Body: body}
	return op
}

// acknowledge files an operation that was answered. The caller holds mu or is alone.
func (c *crash) acknowledge(op *operation) {
	op.done = true
	c.journal = append(c.journal, op)
	if op.request.Path == "/v1/ledger/holds" {
		c.held = append(c.held, op)
	}
}

// do sends an operation once and files it as acknowledged or unanswered; a refusal is dropped. It
// returns false if there was no answer.
func (c *crash) do(ctx context.Context, client *wire.Client, op *operation) bool {
	err := call(ctx, client, &op.request, &op.answer)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
		c.acknowledge(op)
	case retryable(err):
		c.unanswered = append(c.unanswered, op)
		_, answered := errors.AsType[*problem](err)
		return answered
	case !errs.Is(err, errs.CodeSuspended) && !errs.Is(err, errs.CodePriceChanged) && !errs.Is(err, errs.CodeInsufficientFunds) && !errs.Is(err, errs.CodeInvalid):
		c.t.Errorf("%s %s with key %s: %v", op.request.Method, op.request.Path, op.request.Key, err)
	}
	return true
}

// enterResults enters the results of three games of the round while the load runs, and once a correction.
func (c *crash) enterResults(ctx context.Context, round int) {
	client := wire.New(c.addr, answerLimit)
	defer client.Close()
	if round == roundOfMistake {
		pause(ctx, 100*time.Millisecond)
		request := c.correction()
		_ = call(ctx, client, &request, nil) // settleAll repeats it
	}
	for i := range 3 {
		pause(ctx, 200*time.Millisecond)
		g := c.games[(3*round+i)%len(c.games)]
		if _, again := c.entered[g.ID]; !again {
			c.entered[g.ID] = time.Now()
		}
		request := resultRequest(g.ID, g.HomeScore, g.AwayScore, c.staff)
		_ = call(ctx, client, &request, nil) // settleAll enters what the kill cut off
	}
}

// corrected returns the first game as it is corrected.
func (c *crash) corrected() Game {
	g := c.games[0]
	g.HomeScore, g.AwayScore = g.AwayScore+7, g.HomeScore
	return g
}

// correction replaces the first result of the first game by the corrected one.
func (c *crash) correction() wire.Request {
	g := c.corrected()
	request := resultRequest(g.ID, g.HomeScore, g.AwayScore, c.staff)
	request.Body = bytes.Replace(request.Body, []byte(`"expected_result_version":0`), []byte(`"expected_result_version":1`), 1)
	return request
}

// resolve repeats what had no answer, under the same keys, until it has one.
func (c *crash) resolve(ctx context.Context) {
	c.t.Helper()
	client := wire.New(c.addr, answerLimit)
	defer client.Close()
	open := c.unanswered
	c.unanswered = nil
	for _, op := range open {
		err := persist(ctx, client, &op.request, &op.answer)
		switch {
		case err == nil:
			c.retried++
			c.acknowledge(op)
		case retryable(err):
			c.t.Fatalf("retry of key %s: %v", op.request.Key, err)
		}
	}
}

// verify repeats acknowledged operations, those of the last round or all of them: each must answer as
// the first time.
func (c *crash) verify(ctx context.Context, all bool) {
	c.t.Helper()
	client := wire.New(c.addr, answerLimit)
	defer client.Close()
	from := c.verified
	if all {
		from = 0
	}
	for _, op := range c.journal[from:] {
		var again answerOf
		if err := persist(ctx, client, &op.request, &again); err != nil {
			c.t.Fatalf("acknowledged %s %s with key %s is lost: %v", op.request.Method, op.request.Path, op.request.Key, err)
		}
		c.compare(op, &again)
	}
	c.verified = len(c.journal)
}

func (c *crash) compare(op *operation, again *answerOf) {
	c.t.Helper()
	first := &op.answer
	if again.ID != first.ID {
		c.t.Fatalf("key %s was acknowledged as %s and is now %s", op.request.Key, first.ID, again.ID)
	}
	if (op.request.Path == "/v1/bets" || op.hold != "") && (again.Position != first.Position || !again.Replayed) {
		c.t.Fatalf("%s with key %s was at %s, its repetition at %s (replayed %v)", op.request.Path, op.request.Key, first.Position, again.Position, again.Replayed)
	}
	for i, r := range first.Results {
		switch same := again.Results[i]; {
		case (r.Error == nil) != (same.Error == nil), r.Error != nil && r.Error.Code != same.Error.Code:
			c.t.Fatalf("transfer %s answered %+v and then %+v", r.Key, r, same)
		case r.Result != nil && (same.Result.Position != r.Result.Position || !same.Result.Replayed):
			c.t.Fatalf("transfer %s was at %s, its repetition at %s (replayed %v)", r.Key, r.Result.Position, same.Result.Position, same.Result.Replayed)
		}
	}
}

// settleAll enters the results that are missing and waits until no bet is open.
func (c *crash) settleAll(ctx context.Context) {
	c.t.Helper()
	client := wire.New(c.addr, answerLimit)
	defer client.Close()
	for _, g := range c.games {
		request := resultRequest(g.ID, g.HomeScore, g.AwayScore, c.staff)
		if err := persist(ctx, client, &request, nil); err != nil && !errs.Is(err, errs.CodeConflict) {
			c.t.Fatal(err)
		}
	}
	request := c.correction()
	if err := persist(ctx, client, &request, nil); err != nil && !errs.Is(err, errs.CodeConflict) {
		c.t.Fatal(err)
	}
	c.games[0] = c.corrected()
	for n := range c.crowd.players {
		p := &c.crowd.players[n]
		err := poll(ctx, "settlement of the bets of "+p.id, time.Minute, func() (bool, error) {
			var page shownBets
			err := call(ctx, client, &wire.Request{Method: "GET", Path: "/v1/me/bets?status=open&limit=1", Token: p.token}, &page)
			return err == nil && len(page.Items) == 0, err
		})
		if err != nil {
			c.t.Fatal(err)
		}
	}
}

// shownBets is what the test reads of GET /v1/me/bets.
type shownBets struct {
	Items []shownBet `json:"items"`
	Next  string     `json:"next"`
}

type shownBet struct {
	ID       string    `json:"id"`
	Status   string    `json:"status"`
	PlacedAt time.Time `json:"placed_at"`
	Payout   *struct {
		Amount string `json:"amount"`
	} `json:"payout"`
	Legs []struct {
		Outcome string `json:"outcome"`
	} `json:"legs"`
}

// checkBets compares every player's history with the journal and with our own grading.
func (c *crash) checkBets(ctx context.Context) {
	c.t.Helper()
	client := wire.New(c.addr, answerLimit)
	defer client.Close()
	wanted := make(map[string]*operation)
	for _, op := range c.journal {
		if op.request.Path == "/v1/bets" {
			wanted[op.answer.ID] = op
		}
	}
	grade, total := newGrader(c.games), len(wanted)
	for n := range c.crowd.players {
		for cursor := ""; ; {
			var page shownBets
			if err := call(ctx, client, &wire.Request{Method: "GET", Path: "/v1/me/bets?limit=100" + cursor, Token: c.crowd.players[n].token}, &page); err != nil {
				c.t.Fatal(err)
			}
			for _, b := range page.Items {
				op := wanted[b.ID]
				if op == nil || op.player != n {
					c.t.Fatalf("bet %s of player %d is in history twice, or was never acknowledged", b.ID, n)
				}
				delete(wanted, b.ID)
				c.checkPayout(grade, op, &b)
			}
			if page.Next == "" {
				break
			}
			cursor = "&cursor=" + page.Next
		}
	}
	for lost := range wanted {
		c.t.Fatalf("%d of %d acknowledged bets are not in history, for example %s", len(wanted), total, lost)
	}
	c.t.Logf("%d bets, each in history once and graded as the results say; %d void, placed while the result came in", total, c.late)
}

// awaitCorrection waits until the bets on the corrected game are shown as the second result says.
func (c *crash) awaitCorrection(ctx context.Context) {
	c.t.Helper()
	client := wire.New(c.addr, answerLimit)
	defer client.Close()
	grade, count := newGrader(c.games), 0
	for _, op := range c.journal {
		if op.request.Path != "/v1/bets" || !bytes.Contains(op.answer.Legs, []byte(strconv.Quote(c.games[0].ID))) {
			continue
		}
		count++
		err := poll(ctx, "correction of bet "+op.answer.ID, time.Minute, func() (bool, error) {
			var shown shownBet
			if err := call(ctx, client, &wire.Request{Method: "GET", Path: "/v1/bets/" + op.answer.ID, Token: op.request.Token}, &shown); err != nil {
				return false, err
			}
			want, _ := c.grading(grade, op, &shown)
			return shown.outcome() == want, nil
		})
		if err != nil {
			c.t.Fatal(err)
		}
	}
	c.t.Logf("%d bets on the game whose result was corrected", count)
}

// outcome is status and payout as the test compares them.
func (b *shownBet) outcome() string {
	if b.Payout == nil {
		return b.Status
	}
	return b.Status + " " + b.Payout.Amount
}

// checkPayout compares a bet with our own grading, and books it on our side.
func (c *crash) checkPayout(grade *grader, op *operation, shown *shownBet) {
	c.t.Helper()
	want, payout := c.grading(grade, op, shown)
	if got := shown.outcome(); got != want {
		c.t.Fatalf("bet %s is %s, want %s", op.answer.ID, got, want)
	}
	if strings.HasPrefix(want, stream.OutcomeVoid) {
		c.late++
	}
	c.crowd.players[op.player].spare.Add(payout - op.minor)
}

// grading grades a bet again. A leg may be void only if the bet committed after the result of its
// game was sent: it came too late, and counts as never struck.
func (c *crash) grading(grade *grader, op *operation, shown *shownBet) (want string, payout int64) {
	c.t.Helper()
	r := receipt{ID: op.answer.ID}
	if err := json.Unmarshal(op.answer.Legs, &r.Legs); err != nil {
		c.t.Fatal(err)
	}
	b, err := r.tracked(op.player, op.minor)
	if err != nil {
		c.t.Fatal(err)
	}
	standing := b.legs[:0:0]
	for i, leg := range b.legs {
		sent, known := c.entered[leg.Game]
		if shown.Legs[i].Outcome != stream.OutcomeVoid {
			standing = append(standing, leg)
		} else if !known || shown.PlacedAt.Before(sent.Add(-time.Millisecond)) {
			c.t.Fatalf("bet %s of %s has a void leg on %s, which was open until %s", b.id, shown.PlacedAt, leg.Game, sent)
		}
	}
	outcome := stream.OutcomeVoid
	payout = b.stake
	if len(standing) > 0 {
		if outcome, payout, err = grade.bet(b.stake, standing); err != nil {
			c.t.Fatalf("grade bet %s: %v", b.id, err)
		}
	}
	return fmt.Sprintf("%s %d.%02d", outcome, payout/100, payout%100), payout
}

// checkBalances compares every balance with deposits, stakes and payouts.
func (c *crash) checkBalances(ctx context.Context) {
	c.t.Helper()
	client := wire.New(c.addr, answerLimit)
	defer client.Close()
	for _, op := range c.journal {
		switch path := op.request.Path; {
		case strings.HasPrefix(path, "/v1/me/"):
			c.awaitPayment(ctx, client, op)
		case strings.HasSuffix(path, "/post"):
			c.crowd.players[op.player].spare.Add(-op.minor)
		}
	}
	open := make([]int64, len(c.crowd.players))
	for _, op := range c.held {
		open[op.player] += op.minor
	}
	shown := func(minor int64) string { return fmt.Sprintf("%d.%02d", minor/100, minor%100) }
	for n := range c.crowd.players {
		p := &c.crowd.players[n]
		var balance struct {
			Posted struct {
				Amount string `json:"amount"`
			} `json:"posted"`
			Held struct {
				Amount string `json:"amount"`
			} `json:"held"`
		}
		if err := call(ctx, client, &wire.Request{Method: "GET", Path: "/v1/me/balance", Token: p.token}, &balance); err != nil {
			c.t.Fatal(err)
		}
		if got, want := balance.Posted.Amount, shown(p.spare.Load()); got != want {
			c.t.Errorf("player %d has %s, want %s", n, got, want)
		}
		if got, want := balance.Held.Amount, shown(open[n]); got != want {
			c.t.Errorf("player %d has %s in holds, want %s", n, got, want)
		}
	}
}

// awaitPayment waits for the end of a deposit or withdrawal and books it on our side.
func (c *crash) awaitPayment(ctx context.Context, client *wire.Client, op *operation) {
	c.t.Helper()
	p, sign := &c.crowd.players[op.player], int64(1)
	if op.request.Path == "/v1/me/withdrawals" {
		sign = -1
	}
	err := poll(ctx, "end of payment "+op.answer.ID, time.Minute, func() (bool, error) {
		var now payment
		err := call(ctx, client, &wire.Request{Method: "GET", Path: op.request.Path + "/" + op.answer.ID, Token: p.token}, &now)
		if now.Status == "completed" {
			p.spare.Add(sign * op.minor)
		}
		return now.Status != "" && now.Status != "pending", err
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

// audit runs the audit command on what the child left.
func (c *crash) audit(ctx context.Context) {
	c.t.Helper()
	cmd := exec.CommandContext(ctx, c.binary, "audit", "--data", c.data)
	cmd.Stderr = io.Discard
	out, err := cmd.Output()
	if err != nil {
		c.t.Errorf("audit: %v\n%s", err, out)
	}
}

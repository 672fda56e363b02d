package faults

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/goccy/go-yaml"

	"matchday/errs"
	"matchday/history"
	"matchday/id"
	"matchday/internal/mariadb"
	"matchday/internal/natsnode"
)

// BetsRow is what a fault cost the bet history.
type BetsRow struct {
	Outcome
	CatchUpS float64 `json:"catch_up_s"` // until the history showed what was committed when the fault was over
	Since    string  `json:"catch_up_from"`
	betsProof
}

// Line is the row in one line.
func (r *BetsRow) Line() string {
	return r.line(fmt.Sprintf("caught up %.2f s from %s, %d bets with %d settlements, nothing lost, doubled or out of order",
		r.CatchUpS, r.Since, r.Bets, r.Settlements))
}

// betsFault is one row of the history's table.
type betsFault struct {
	name, what, since string
	only              string // an engine; "" is each
	run               betsRun
}

// betsRun makes a fault, from the begin of the stage on.
type betsRun struct {
	fault func(ctx context.Context, s *betsStage) error
	nodes bool // on three stream nodes instead of an embedded server

	shared   bool // a second process has the same books and history
	onServer bool // the books are on a server if the history is; of files, who hangs with a lock is killed by the others
}

// betsFaults are the rows in the order of the table.
var betsFaults = []betsFault{
	{"relay stopped", "the relays of all shards stop for two seconds", "they run again", "", betsRun{fault: relayStopped}},
	{"bets process killed", "the process with relays, stream and history gets SIGKILL and is started again at once", "the start", "", betsRun{fault: betsKilled}},
	{"bets process hung", "it gets SIGSTOP for three seconds", "it runs on", "", betsRun{fault: betsHung}},
	{"stream deleted", "it is killed and comes back without its streams", "the start", "", betsRun{fault: streamDeleted}},
	{"stream truncated", "it is killed and the last blocks of its streams end in their middle", "the start", "", betsRun{fault: streamTruncated}},
	{"stream sequences reused", "it is killed and comes back with streams of before: their next sequences were taken already", "the start", "", betsRun{fault: sequencesReused}},
	{"payout burst", "as many bets as --burst are placed and settled as fast as the ledger takes them", "the last of them", "", betsRun{fault: payoutBurst}},
	{"large DBTx", "a shard's log grows by one DBTx with all that as many bets as --burst leave there, and the process is started on it", "the start", "", betsRun{fault: largeDBTx, onServer: true}},
	{"clock stepped", "its clock steps an hour forward and then two hours back", "the second step", "", betsRun{fault: clockStepped}},
	{"stream leader killed", "of three stream nodes the one that leads gets SIGKILL, and is started again after two seconds", "the kill", "", betsRun{fault: leaderKilled, nodes: true}},
	{"stream leader hung", "of three stream nodes the one that leads gets SIGSTOP for three seconds", "the stop", "", betsRun{fault: leaderHung, nodes: true}},
	{"streams cut off", "the process cannot reach its stream nodes for eight seconds: relays and sinks give up", "the end of the cut", "", betsRun{fault: streamsCutOff, nodes: true}},
	{"history database killed", "the history's database server gets SIGKILL and is started again at once", "it runs again", engineMySQL, betsRun{fault: historyDatabaseKilled}},
	{"history database hung", "the history's database server gets SIGSTOP for three seconds", "it runs on", engineMySQL, betsRun{fault: historyDatabaseHung}},
	{"history cut off", "history and database cannot reach each other for three seconds", "the end of the cut", engineMySQL, betsRun{fault: historyCutOff}},
	{"history process killed", "of two processes that share books and history, each of which applies a shard's log, one gets SIGKILL for good", "the kill", engineMySQL, betsRun{fault: historyProcessKilled, nodes: true, shared: true, onServer: true}},
	{"history process frozen", "one of the two gets SIGSTOP, and runs on when the other has taken its shards over", "the stop", engineMySQL, betsRun{fault: historyProcessFrozen, nodes: true, shared: true, onServer: true}},
	{"copying process killed", "of two processes that share books and history, and copy it to a second one, one gets SIGKILL for good in the middle of its part", "the kill", engineMySQL, betsRun{fault: copyingProcessKilled, nodes: true, shared: true, onServer: true}},
}

// betsStage is what a fault of the history happens on.
type betsStage struct {
	*stage
	engine   string
	onServer bool // the books are on the history's server, if it has one
	server   *mariadb.Server
	link     *link             // to the server
	nodes    *natsnode.Cluster // of the streams; nil: they are embedded
	links    []*link           // to the nodes
	history  history.Config
	beside   history.Config // a second history, to be audited too; without a folder there is none
	client   *betsClient
	bets     *betLoad
	process  *process
	second   *process // that shares books and history with it, or nil

	healed time.Time
	due    []int64       // the log's heads at that moment
	took   time.Duration // until the history showed them; 0: it is still to be measured
}

// RunBets makes every fault of the history in turn. A row with a problem is an error at the end, after all rows.
func RunBets(ctx context.Context, o Options, progress func(BetsRow)) ([]BetsRow, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	var rows []BetsRow
	var problems []error
	for _, f := range betsFaults {
		for _, engine := range []string{engineSQLite, engineMySQL} {
			if !o.wants(fault{name: f.name, engine: engine}) || f.only != "" && f.only != engine || ctx.Err() != nil {
				continue
			}
			row, err := o.oneOfBets(ctx, f, engine)
			row.fail(err)
			if row.Problem != "" {
				problems = append(problems, fmt.Errorf("%s: %s", f.name, row.Problem))
			}
			rows = append(rows, row)
			if progress != nil {
				progress(row)
			}
		}
	}
	return rows, errors.Join(problems...)
}

// oneOfBets makes one fault.
func (o Options) oneOfBets(ctx context.Context, f betsFault, engine string) (row BetsRow, err error) {
	row = BetsRow{Outcome: Outcome{Fault: f.name, Engine: engine, What: f.what}, Since: f.since}
	dir, err := os.MkdirTemp(o.Dir, "matchday-faults-")
	if err != nil {
		return row, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s := &betsStage{stage: &stage{Options: o, dir: dir, books: filepath.Join(dir, "ledger")}, engine: engine}
	defer func() { err = errors.Join(err, s.close()) }()
	s.shared, s.onServer = f.run.shared, f.run.onServer
	if f.run.nodes {
		if err := s.streamNodes(ctx); err != nil {
			return row, err
		}
	}
	if err := s.beginBets(ctx); err != nil {
		return row, err
	}
	defer s.bets.end()
	if err := f.run.fault(ctx, s); err != nil {
		return row, err
	}
	return row, s.concludeBets(ctx, &row)
}

// beginBets starts the process and its players, and returns when they have played for a while.
func (s *betsStage) beginBets(ctx context.Context) error {
	text := fmt.Sprintf("dir: %q\nread_wait: 5s\n", filepath.Join(s.dir, "history"))
	if s.engine == engineMySQL {
		more, err := s.historyServer(ctx)
		if err != nil {
			return err
		}
		text += more
	}
	if err := yaml.Unmarshal([]byte(text), &s.history); err != nil {
		return err
	}
	streams := fmt.Sprintf("dir: %q", s.streams())
	if s.nodes != nil {
		var urls []string
		for _, l := range s.links {
			urls = append(urls, "nats://"+l.addr())
		}
		streams += fmt.Sprintf("\n    transport: nats\n    nats: {urls: [\"%s\"], tls: \"off\"}", strings.Join(urls, `", "`))
	}
	s.extra = fmt.Sprintf("bets:\n  streams:\n    %s\n  history:\n    %s\n", streams, strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    "))
	s.client = &betsClient{addr: func() string { return cmp.Or(s.next(), "127.0.0.1:1") },
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	s.bets = &betLoad{client: s.client, players: s.Players, seed: s.Seed, bets: map[id.Bet]*knownBet{}, stop: func() {}, end: func() {}}
	begin := s.startBets
	if s.shared {
		begin = s.startShared
	}
	if err := begin(ctx); err != nil {
		return err
	}
	if err := s.bets.begin(ctx, s.Clients); err != nil {
		return err
	}
	return s.settleBets(ctx)
}

// streamNodes starts three nodes for the streams, each behind a link.
func (s *betsStage) streamNodes(ctx context.Context) (err error) {
	if s.nodes, err = natsnode.Start(ctx, natsnode.Options{Dir: filepath.Join(s.dir, "nodes")}); err != nil {
		return err
	}
	s.onEnd(s.nodes.Close)
	for _, url := range s.nodes.URLs() {
		l, err := s.linkTo(strings.TrimPrefix(url, "nats://"))
		if err != nil {
			return err
		}
		s.links = append(s.links, l)
	}
	return nil
}

// streams is the folder of the streams.
func (s *betsStage) streams() string { return filepath.Join(s.dir, "streams") }

// historyServer starts the history's database behind a link and returns its configuration.
func (s *betsStage) historyServer(ctx context.Context) (text string, err error) {
	if s.server, err = s.stage.server(ctx, mariadb.Options{}); err != nil {
		return "", err
	}
	if s.link, err = s.linkTo(s.server.Addr()); err != nil {
		return "", err
	}
	if s.onServer {
		if err := s.onCluster("none", s.server.Addr()); err != nil {
			return "", err
		}
	}
	secret := filepath.Join(s.dir, "history-password")
	if err := os.WriteFile(secret, []byte(mariadb.Password), 0o600); err != nil {
		return "", err
	}
	return fmt.Sprintf(`clusters:
  - name: history
    shards: "0-%d"
    nodes: ["%s"]
    database: history
    user: %s
    password_file: %q
    timeout: 2s
`, shards-1, s.link.addr(), mariadb.User, secret), nil
}

// startBets starts the process on what is there, again when it ended because its database did not answer in time, as what
// supervises it in production does.
func (s *betsStage) startBets(ctx context.Context) (err error) {
	for limit := time.Now().Add(resolveLimit); ; pause(ctx, time.Second) {
		if s.process, err = s.write(ctx); err == nil {
			s.send(s.process.addr)
			return nil
		}
		if !strings.Contains(err.Error(), string(errs.CodeUnavailable)) || ctx.Err() != nil || time.Now().After(limit) {
			return err
		}
	}
}

// settleBets lets players play for a while, and longer if little was placed, settled and read in it.
func (s *betsStage) settleBets(ctx context.Context) error {
	tally := func() (int, int, int) {
		s.bets.mu.Lock()
		defer s.bets.mu.Unlock()
		return len(s.bets.order), s.bets.settled, s.bets.reads
	}
	bets, settled, reads := tally()
	pause(ctx, s.length())
	return s.await(ctx, "bets", func() bool {
		b, t, r := tally()
		s.bets.mu.Lock()
		defer s.bets.mu.Unlock()
		return s.bets.problem != nil || b >= maxBets || b > bets+20 && t > settled+20 && r > reads+20
	})
}

// over notes that the fault is over, and what the history is to show by then.
func (s *betsStage) over(ctx context.Context) error {
	a, err := s.status(ctx)
	s.healed, s.due = time.Now(), a.Heads
	return err
}

// caughtUp waits until the history shows the heads.
func (s *betsStage) caughtUp(ctx context.Context, heads []int64) error {
	var problem error
	err := s.awaitMoving(ctx, "the history to catch up", func(ctx context.Context) (at int64, done bool) {
		var a betReply
		if a, problem = s.status(ctx); problem != nil {
			return 0, ctx.Err() == nil
		}
		done = true
		for n, head := range heads {
			at += a.Shown[n]
			done = done && a.Shown[n] >= head
		}
		return at, done
	})
	return errors.Join(err, problem)
}

// concludeBets waits for the history, lets players play on, ends everything and proves what is left.
func (s *betsStage) concludeBets(ctx context.Context, row *BetsRow) error {
	if err := s.caughtUp(ctx, s.due); err != nil {
		return err
	}
	row.CatchUpS, row.Note = cmp.Or(s.took, time.Since(s.healed)).Seconds(), s.note
	if err := s.settleBets(ctx); err != nil {
		return err
	}
	if err := s.bets.halt(); err != nil {
		return err
	}
	a, err := s.status(ctx)
	if err != nil {
		return err
	}
	if err := s.caughtUp(ctx, a.Heads); err != nil {
		return err
	}
	shown, err := s.client.readAll(ctx)
	if err != nil {
		return err
	}
	if err := s.stopWriters(); err != nil {
		return err
	}
	books := s.config()
	books.InternalListen = "" // nobody shares them any more
	histories := []history.Config{s.history}
	if s.beside.Dir != "" {
		histories = append(histories, s.beside)
	}
	err = row.prove(ctx, books, histories, s.bets, shown)
	row.Problem = row.problem()
	return err
}

// again kills the process, does something to what it leaves, and starts it.
func (s *betsStage) again(ctx context.Context, harm func() error) error {
	if err := s.process.kill(); err != nil {
		return err
	}
	if err := harm(); err != nil {
		return err
	}
	if err := s.startBets(ctx); err != nil {
		return err
	}
	return s.over(ctx)
}

func relayStopped(ctx context.Context, s *betsStage) error {
	if _, err := s.client.must(ctx, &betOp{Do: doRelaysOff}); err != nil {
		return err
	}
	pause(ctx, 2*time.Second)
	if _, err := s.client.must(ctx, &betOp{Do: doRelaysOn}); err != nil {
		return err
	}
	return s.over(ctx)
}

func betsKilled(ctx context.Context, s *betsStage) error {
	return s.again(ctx, func() error { return nil })
}

func betsHung(ctx context.Context, s *betsStage) error {
	if err := s.process.freeze(ctx); err != nil {
		return err
	}
	pause(ctx, 3*time.Second)
	if err := s.process.signal(syscall.SIGCONT); err != nil {
		return err
	}
	return s.over(ctx)
}

func streamDeleted(ctx context.Context, s *betsStage) error {
	return s.withLess(ctx, func() error { return os.RemoveAll(s.streams()) })
}

// withLess is again with harm that takes something away that the streams had.
func (s *betsStage) withLess(ctx context.Context, harm func() error) error {
	if err := s.over(ctx); err != nil {
		return err
	}
	if err := s.caughtUp(ctx, s.due); err != nil {
		return err
	}
	if err := s.again(ctx, harm); err != nil {
		return err
	}
	a, err := s.client.must(ctx, &betOp{Do: doStatus})
	if err == nil && a.Missing == 0 {
		err = errors.New("the streams came back whole: no harm was done")
	}
	s.note = fmt.Sprintf("the streams came back without %d transfers that the history had shown", a.Missing)
	return err
}

// streamTruncated cuts the newest block of each stream in its middle, as a disk does that lost its last writes.
func streamTruncated(ctx context.Context, s *betsStage) error {
	return s.withLess(ctx, func() error {
		blocks, err := filepath.Glob(filepath.Join(s.streams(), "jetstream", "*", "streams", "ledger-*", "msgs", "*.blk"))
		if err != nil || len(blocks) == 0 {
			return errors.Join(errors.New("the streams have no blocks"), err)
		}
		newest := map[string]string{}
		for _, file := range blocks {
			at := filepath.Dir(file)
			if have := newest[at]; len(file) > len(have) || len(file) == len(have) && file > have {
				newest[at] = file
			}
		}
		for _, file := range newest {
			info, err := os.Stat(file)
			if err != nil {
				return err
			}
			if err := os.Truncate(file, info.Size()/2); err != nil {
				return err
			}
		}
		return nil
	})
}

// sequencesReused brings back what the streams were some time ago.
func sequencesReused(ctx context.Context, s *betsStage) error {
	old := filepath.Join(s.dir, "streams-before")
	if err := s.again(ctx, func() error { return os.CopyFS(old, os.DirFS(s.streams())) }); err != nil {
		return err
	}
	if err := s.caughtUp(ctx, s.due); err != nil {
		return err
	}
	if err := s.settleBets(ctx); err != nil {
		return err
	}
	return s.withLess(ctx, func() error {
		return errors.Join(os.RemoveAll(s.streams()), os.Rename(old, s.streams()))
	})
}

// burstLimit bounds a burst.
const burstLimit = time.Hour

func payoutBurst(ctx context.Context, s *betsStage) error {
	a := s.client.ask(ctx, burstLimit, &betOp{Do: doBurst, N: s.Burst})
	if a.Unknown || a.Problem != "" {
		return errors.New("the burst did not come to its end: " + a.Problem)
	}
	return s.over(ctx)
}

func clockStepped(ctx context.Context, s *betsStage) error {
	for _, step := range []int{3600, -2 * 3600} {
		a := s.client.ask(ctx, resolveLimit, &betOp{Do: doClock, Seconds: step})
		if a.Unknown || a.Problem != "" {
			return errors.New("the clock was not stepped: " + a.Problem)
		}
		if err := s.settleBets(ctx); err != nil {
			return err
		}
	}
	return s.over(ctx)
}

func streamsCutOff(ctx context.Context, s *betsStage) error {
	for _, l := range s.links {
		l.cut(true)
	}
	pause(ctx, 8*time.Second)
	for _, l := range s.links {
		l.cut(false)
	}
	return s.over(ctx)
}

func historyDatabaseKilled(ctx context.Context, s *betsStage) error {
	if err := s.server.Kill(); err != nil {
		return err
	}
	if err := s.server.Restart(ctx); err != nil {
		return err
	}
	return s.over(ctx)
}

func historyDatabaseHung(ctx context.Context, s *betsStage) error {
	if err := s.server.Pause(); err != nil {
		return err
	}
	pause(ctx, 3*time.Second)
	if err := s.server.Resume(); err != nil {
		return err
	}
	return s.over(ctx)
}

func historyCutOff(ctx context.Context, s *betsStage) error {
	s.link.cut(true)
	pause(ctx, 3*time.Second)
	s.link.cut(false)
	return s.over(ctx)
}

// ledStream is the stream whose leader is harmed.
const ledStream = "ledger-0"

// noteCatchUp waits for the history, and notes how long it took: what the row does after that is not counted.
func (s *betsStage) noteCatchUp(ctx context.Context) error {
	err := s.caughtUp(ctx, s.due)
	s.took = time.Since(s.healed)
	return err
}

// withoutLeader harms the leading node for a while. The history is to go on with the two that are left.
func (s *betsStage) withoutLeader(ctx context.Context, d time.Duration, harm, undo func(n int) error) error {
	n, err := s.nodes.Leader(ctx, ledStream)
	if err != nil {
		return err
	}
	if err := harm(n); err != nil {
		return err
	}
	if err := s.over(ctx); err != nil {
		return err
	}
	if err := s.noteCatchUp(ctx); err != nil {
		return err
	}
	pause(ctx, d-s.took)
	return undo(n)
}

func leaderKilled(ctx context.Context, s *betsStage) error {
	return s.withoutLeader(ctx, 2*time.Second, s.nodes.Kill, s.nodes.Restart)
}

func leaderHung(ctx context.Context, s *betsStage) error {
	return s.withoutLeader(ctx, 3*time.Second, s.nodes.Freeze, s.nodes.Thaw)
}

// betsNames lists the rows of the history.
func betsNames() []string {
	var names []string
	for _, f := range betsFaults {
		if !slices.Contains(names, f.name) {
			names = append(names, f.name)
		}
	}
	return names
}

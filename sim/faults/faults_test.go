package faults

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/internal/clock"
	"matchday/internal/mariadb"
	"matchday/internal/natsnode"
	"matchday/ledger"
	"matchday/sim/serial"
)

// writerFile tells a child process of these tests to be a writer.
const writerFile = "MATCHDAY_FAULTS_WRITER"

func TestMain(m *testing.M) {
	if file := os.Getenv(writerFile); file != "" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		err := RunWriter(ctx, file, os.Stdout)
		stop()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if isNode, err := natsnode.Main(); isNode {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	if err := mariadb.Cleanup(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func writer(file string) *exec.Cmd {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), writerFile+"="+file)
	return c
}

// TestFaults makes every fault once, small.
func TestFaults(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts and breaks processes: left out with -short")
	}
	for _, f := range faults {
		t.Run(f.engine+"/"+f.name, func(t *testing.T) {
			t.Parallel()
			if f.name == "disk full" && f.engine == engineMySQL {
				t.Skip("MariaDB looks for space once a minute: `matchday faults` makes this row")
			}
			o := Options{
				Only: []string{f.name}, Engine: f.engine, Players: 12, Clients: 6, Seconds: 1, Dir: t.TempDir(), Writer: writer,
			}
			rows, err := Run(t.Context(), o, nil)
			if err != nil {
				t.Fatal(err)
			}
			row := rows[0]
			if row.Skipped != "" {
				if f.engine == engineMySQL && os.Getenv("CI") == "true" {
					t.Fatal(row.Skipped)
				}
				t.Skip(row.Skipped)
			}
			if row.Acknowledged == 0 || (row.RecoverS > 0) != (f.since != "") || row.AwayS <= 0 || row.History.Operations == 0 {
				t.Errorf("the row says little: %+v", row)
			}
			t.Logf("recovered in %.2f s, away %.2f s, %d operations, %d tries unanswered; %s",
				row.RecoverS, row.AwayS, row.Operations, row.History.Unanswered, row.Note)
		})
	}
}

// TestPlainHistory checks a ledger that nothing happens to.
func TestPlainHistory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "ledger")
	c := ledger.Config{Dir: dir, Shards: 2, CachedAccounts: 5}
	l := loadOn(t, c, func(b books) target { return b })
	p, err := prove(t.Context(), c, l.history, l.players)
	if err != nil {
		t.Fatal(err)
	}
	if problem := p.problem(); problem != "" {
		t.Fatal(problem)
	}
	if p.Acknowledged < 100 || p.Refused == 0 {
		t.Errorf("too little was tried: %+v", p)
	}
	actions := map[serial.Action]int{}
	replays, conflicts := 0, 0
	for _, o := range l.history.History() {
		actions[o.Action]++
		if o.Answer.Replayed {
			replays++
		}
		if o.Answer.Code == "conflict" {
			conflicts++
		}
	}
	if len(actions) != 7 || replays == 0 || conflicts == 0 {
		t.Errorf("%d actions, %d replays, %d conflicts: the load leaves something out: %v", len(actions), replays, conflicts, actions)
	}
}

// loadOn runs a load on a ledger in this process until it has done enough.
func loadOn(t *testing.T, c ledger.Config, wrap func(books) target) *load {
	t.Helper()
	service, err := ledger.Open(t.Context(), c, ledger.Deps{
		Clock: clock.System{}, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	run, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- service.Run(run) }()
	l := newLoad(wrap(books{service}), 6, 1)
	l.begin(t.Context(), 6)
	for limit := time.Now().Add(10 * time.Minute); l.ops.Load() < 1_500 && time.Now().Before(limit); {
		pause(t.Context(), 10*time.Millisecond)
	}
	if err := l.halt(); err != nil {
		t.Error(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := service.Close(); err != nil {
		t.Error(err)
	}
	return l
}

// liar breaks the answers of a ledger the way a faulty one would, now and then.
type liar struct {
	target
	lie func(o *serial.Op, a *serial.Answer)
}

func (l *liar) do(ctx context.Context, o *serial.Op) (serial.Answer, bool) {
	a, notTaken := l.target.do(ctx, o)
	if !a.Unknown {
		l.lie(o, &a)
	}
	return a, notTaken
}

// TestLiesAreNoticed proves that the checks can fail: a ledger that answers wrongly once in a run is
// found out.
func TestLiesAreNoticed(t *testing.T) {
	t.Parallel()
	lies := map[string]func(told *bool, o *serial.Op, a *serial.Answer){
		"an acknowledgement that was a refusal": func(told *bool, o *serial.Op, a *serial.Answer) {
			if o.Action == serial.Debit && a.Code != "" && a.Code != "conflict" && !a.Replayed {
				a.Code, *told = "", true
			}
		},
		"a stale balance": func(told *bool, o *serial.Op, a *serial.Answer) {
			if o.Action == serial.Read && a.Posted > 0 {
				a.Posted, *told = a.Posted-1, true
			}
		},
		"a replay that says it was the first": func(told *bool, _ *serial.Op, a *serial.Answer) {
			if a.Replayed {
				a.Replayed, *told = false, true
			}
		},
	}
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := ledger.Config{Dir: filepath.Join(t.TempDir(), "ledger"), Shards: 1}
			told := make(chan bool, 1)
			told <- false
			l := loadOn(t, c, func(b books) target {
				return &liar{target: b, lie: func(o *serial.Op, a *serial.Answer) {
					once := <-told
					if !once {
						lie(&once, o, a)
					}
					told <- once
				}}
			})
			if !<-told {
				t.Fatal("the run gave no occasion to lie")
			}
			p, err := prove(t.Context(), c, l.history, l.players)
			if err != nil {
				t.Fatal(err)
			}
			if p.problem() == "" {
				t.Error("nobody noticed")
			}
		})
	}
}

// TestLostOperationsAreCounted opens books that lack what clients were told.
func TestLostOperationsAreCounted(t *testing.T) {
	t.Parallel()
	l := loadOn(t, ledger.Config{Dir: filepath.Join(t.TempDir(), "ledger"), Shards: 1}, func(b books) target { return b })
	p, err := prove(t.Context(), ledger.Config{Dir: filepath.Join(t.TempDir(), "other"), Shards: 1}, l.history, l.players)
	if err == nil && (p.Lost == 0 || p.problem() == "") {
		t.Errorf("empty books pass: %+v", p)
	}
}

func TestOptionsNameWhatIsWrong(t *testing.T) {
	t.Parallel()
	err := Options{Engine: "oracle", Only: []string{"nothing"}, Players: -1, Clients: 1e6, Seconds: -1}.Validate()
	for _, field := range []string{"engine", "only", "players", "clients", "seconds"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("Validate = %v, want it to name %s", err, field)
		}
	}
}

// TestNamesCanBeAskedFor keeps commas out of the names of rows: --only separates them by commas.
func TestNamesCanBeAskedFor(t *testing.T) {
	t.Parallel()
	for _, name := range Names() {
		if strings.Contains(name, ",") || strings.TrimSpace(name) != name {
			t.Errorf("nobody can ask for the row %q", name)
		}
	}
}

func TestReportTable(t *testing.T) {
	t.Parallel()
	r := Report{Commit: "abc", Rows: []Row{
		{Outcome: Outcome{Fault: "killed", Engine: "sqlite", Note: "longest pause 77 ms"}, RecoverS: 1.25, Since: "the kill", Operations: 7},
		{Outcome: Outcome{Fault: "moved", Engine: "sqlite"}, AwayS: 0.5, Operations: 6},
		{Outcome: Outcome{Fault: "hung", Engine: "sqlite", Problem: "lost"}},
		{Outcome: Outcome{Fault: "disk full", Engine: "sqlite", Skipped: "no root"}},
	}}
	var out bytes.Buffer
	if err := r.Write(&out, false); err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(tableLine(out.String(), "moved")); len(got) < 6 || !slices.Equal(got[2:6], []string{"-", "-", "0.50", "6"}) {
		t.Errorf("a row in which nothing breaks is %q, want no time to recover", got)
	}
	for _, want := range []string{"1.25", "PROBLEM: lost", "skipped: no root", "commit abc", "killed, sqlite: longest pause 77 ms"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, &out)
		}
	}
}

// tableLine returns the line that begins with the name.
func tableLine(table, name string) string {
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, name) {
			return line
		}
	}
	return ""
}

package mariadb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"

	"matchday/internal/freeport"
)

// Options of Start; the zero value is a server with the settings that production needs.
type Options struct {
	Dir      string   // a data folder, made if it is empty or missing; "" is a fresh one that goes with the server
	ServerID int      // for replication, 0 is a number no other server of the process has
	Args     []string // further settings, for example --innodb-buffer-pool-size=1G
	Unsafe   bool     // MariaDB's own defaults instead, which may lose commits: no binlog, no strict GTIDs
}

// Over TCP everybody is this account, which may do everything.
const (
	User     = "tester"
	Password = "tester-password"
)

// Server is one MariaDB process and its folder.
type Server struct {
	dir    string
	fresh  bool // the folder goes with the server
	port   int
	args   []string
	admin  *sql.DB
	number atomic.Int64 // of databases handed out

	mu      sync.Mutex
	command *exec.Cmd
	exited  chan struct{}
	role    []string // settings a restart must keep: those of replication
}

// logFileSize is that of the template, so that a start need not resize it.
const logFileSize = "--innodb-log-file-size=64M"

// startTimeout bounds a start on a slow machine.
const startTimeout = 2 * time.Minute

var serverIDs atomic.Int64

// Start starts a server and returns when it answers. The server outlives ctx: Stop or Kill ends it,
// or the end of the process.
func Start(ctx context.Context, o Options) (*Server, error) {
	s := &Server{dir: o.Dir}
	var err error
	if o.Dir == "" {
		s.fresh = true
		if s.dir, err = newFolder(ctx); err != nil {
			return nil, err
		}
	} else if err := ensure(ctx, o.Dir); err != nil {
		return nil, err
	}
	if o.ServerID == 0 {
		o.ServerID = int(serverIDs.Add(1)) + 100
	}
	s.args = settings(s.dir, o)
	c := mysql.NewConfig()
	c.User, c.Net, c.Addr = "root", "unix", s.socket()
	c.MultiStatements, c.Timeout, c.Logger = true, 5*time.Second, silent{}
	connect, err := mysql.NewConnector(c)
	if err != nil {
		return nil, fmt.Errorf("configure root's pool: %w", err)
	}
	s.admin = sql.OpenDB(connect)
	s.admin.SetMaxOpenConns(4)
	s.admin.SetConnMaxIdleTime(time.Minute)
	for attempt := 0; ; attempt++ {
		if s.port, err = freeport.Find(ctx); err != nil {
			return nil, err
		}
		if err = s.launch(ctx); err == nil {
			break
		}
		if attempt == 3 || ctx.Err() != nil { // another process may have taken the port meanwhile
			return nil, errors.Join(err, s.Stop())
		}
	}
	const users = `
		SET sql_log_bin = 0;
		CREATE USER IF NOT EXISTS '` + User + `'@'127.0.0.1' IDENTIFIED BY '` + Password + `';
		GRANT ALL PRIVILEGES ON *.* TO '` + User + `'@'127.0.0.1' WITH GRANT OPTION;
		CREATE USER IF NOT EXISTS '` + replicator + `'@'127.0.0.1' IDENTIFIED BY '` + Password + `';
		GRANT REPLICATION SLAVE ON *.* TO '` + replicator + `'@'127.0.0.1';
		SET sql_log_bin = 1`
	if _, err := s.admin.ExecContext(ctx, users); err != nil {
		return nil, errors.Join(fmt.Errorf("create users: %w", err), s.Stop())
	}
	return s, nil
}

// silent drops what the driver would log when a server is killed.
type silent struct{}

func (silent) Print(...any) {}

// ensure makes dir a data folder if it is none.
func ensure(ctx context.Context, dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "ibdata1")); err == nil {
		return nil
	}
	return install(ctx, dir)
}

// settings are the server's arguments but for the port.
func settings(dir string, o Options) []string {
	out := []string{
		"--no-defaults", "--datadir=" + dir, "--tmpdir=" + dir, "--socket=" + filepath.Join(dir, "s"),
		"--pid-file=" + filepath.Join(dir, "pid"), "--log-error=" + filepath.Join(dir, "error.log"),
		"--bind-address=127.0.0.1", "--skip-name-resolve", fmt.Sprintf("--server-id=%d", o.ServerID),
		"--performance-schema=OFF", logFileSize, "--max-allowed-packet=64M", "--innodb-buffer-pool-size=128M",
	}
	if os.Getuid() == 0 {
		out = append(out, "--user=root")
	}
	if !o.Unsafe {
		out = append(out, "--log-bin="+filepath.Join(dir, "binlog"), "--log-slave-updates", "--binlog-format=ROW",
			"--binlog-row-image=FULL", "--binlog-row-metadata=FULL", "--sync-binlog=1",
			"--innodb-flush-log-at-trx-commit=1", "--gtid-strict-mode=ON")
	}
	return append(out, o.Args...)
}

// launch starts the process and waits until it answers. The goroutine that starts it keeps its
// thread until the process ends: the kernel ends a child with the thread that made it.
func (s *Server) launch(ctx context.Context, extra ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	path, err := exec.LookPath("mariadbd")
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/mariadbd") // no part of the path of everybody on Debian
	}
	if err != nil {
		return errors.Join(ErrMissing, err)
	}
	args := append(append(append([]string{}, s.args...), s.role...), extra...)
	command := exec.Command(path, append(args, fmt.Sprintf("--port=%d", s.port))...) // #nosec: our own arguments
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, exited := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(exited)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		started <- err
		if err == nil {
			_ = command.Wait() // killed servers end with an error; those that wait look at the log
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start mariadbd: %w", err)
	}
	s.command, s.exited = command, exited
	return s.ready(ctx)
}

// ready waits until the server answers.
func (s *Server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		err := s.admin.PingContext(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-look.C:
		case <-s.exited:
			return fmt.Errorf("mariadbd ended at its start: %s", s.errors())
		case <-ctx.Done():
			return fmt.Errorf("mariadbd does not answer: %w: %s", errors.Join(ctx.Err(), err), s.errors())
		}
	}
}

// errors returns the end of the server's log.
func (s *Server) errors() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "error.log"))
	if err != nil {
		return err.Error()
	}
	return last(string(text), 2000)
}

func (s *Server) socket() string { return filepath.Join(s.dir, "s") }

// Addr returns host and port.
func (s *Server) Addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// Dir returns the data folder.
func (s *Server) Dir() string { return s.dir }

// Admin returns root's pool, over the socket, with several statements in one call allowed. It is
// shared: do not close it.
func (s *Server) Admin() *sql.DB { return s.admin }

// DSN returns the data source name of a database over TCP, as [User].
func (s *Server) DSN(database string) string {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName = User, Password, "tcp", s.Addr(), database
	return c.FormatDSN()
}

// Kill ends the process at once, as a power cut does but for what the system has not yet written;
// it returns when the process is gone.
func (s *Server) Kill() error { return s.end(syscall.SIGKILL) }

// Pause stops the process from running, with its connections open. It returns when all its threads have
// stopped: after the signal those that are on a processor, or wait for one, may still answer.
func (s *Server) Pause() error {
	if err := s.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	look, limit := time.NewTicker(time.Millisecond), time.NewTimer(startTimeout)
	defer look.Stop()
	defer limit.Stop()
	for !stopped(s.PID()) {
		select {
		case <-look.C:
		case <-limit.C:
			return errors.New("mariadbd does not stop")
		}
	}
	return nil
}

// stopped reports whether each thread of a process is stopped or gone.
func stopped(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, name := range threads {
		stat, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue
		}
		_, state, _ := strings.Cut(string(stat), ") ") // after the thread's name
		if err != nil || !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return true
}

// Resume lets a paused process run on.
func (s *Server) Resume() error { return s.signal(syscall.SIGCONT) }

// Stop shuts the server down and removes its folder if Start made it.
func (s *Server) Stop() error {
	_ = s.admin.Close() // first, while there is somebody to take leave of; a killed server has nobody
	err := s.end(syscall.SIGTERM)
	if s.fresh {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

// Restart starts the server again on its port, after Kill, or shuts it down first. Extra settings
// hold for this run only.
func (s *Server) Restart(ctx context.Context, extra ...string) error {
	if err := s.end(syscall.SIGTERM); err != nil {
		return err
	}
	return s.launch(ctx, extra...)
}

func (s *Server) signal(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.command == nil {
		return errors.New("the server is not running")
	}
	if err := s.command.Process.Signal(sig); err != nil {
		return fmt.Errorf("signal mariadbd: %w", err)
	}
	return nil
}

// end ends the process and waits until it is gone; a server that has ended is fine.
func (s *Server) end(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.command == nil {
		return nil
	}
	if err := s.command.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end mariadbd: %w", err)
	}
	if sig != syscall.SIGKILL {
		_ = s.command.Process.Signal(syscall.SIGCONT) // a paused one would never hear of it
	}
	limit := time.NewTimer(startTimeout)
	defer limit.Stop()
	select {
	case <-s.exited:
	case <-limit.C:
		return errors.New("mariadbd does not end")
	}
	s.command = nil
	return nil
}

// PID returns the number of the process, 0 when none runs.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.command == nil {
		return 0
	}
	return s.command.Process.Pid
}

package mariadb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// replicator is the account that replicas read the binlog with.
const replicator = "replicator"

// semiSyncPrimary are the settings under which no commit is answered before a replica has it: the
// wait never falls back to none, and comes before the commit is visible to anybody.
var semiSyncPrimary = []string{
	"rpl-semi-sync-master-enabled=ON", "rpl-semi-sync-master-wait-point=AFTER_SYNC",
	"rpl-semi-sync-master-timeout=4294967295", "rpl-semi-sync-master-wait-no-slave=ON",
}

// Replicate makes s a read-only replica of from, with semi-synchronous replication if asked for, and
// returns when it is connected. A server that was a primary itself follows from where its own log
// ends. The settings of both survive a restart.
func (s *Server) Replicate(ctx context.Context, from *Server, semiSync bool) error {
	role := []string{"--read-only=ON"}
	if semiSync {
		role = append(role, "--rpl-semi-sync-slave-enabled=ON")
		if err := from.set(ctx, semiSyncPrimary); err != nil {
			return fmt.Errorf("make %s wait for replicas: %w", from.Addr(), err)
		}
		from.keep(semiSyncPrimary)
	}
	s.mu.Lock()
	s.role = role
	s.mu.Unlock()
	const stop = `
		STOP SLAVE;
		RESET SLAVE ALL;
		SET GLOBAL read_only = ON, GLOBAL rpl_semi_sync_master_enabled = OFF, GLOBAL rpl_semi_sync_slave_enabled = ?`
	if _, err := s.admin.ExecContext(ctx, strings.ReplaceAll(stop, "?", onOff(semiSync))); err != nil {
		return fmt.Errorf("end replication: %w", err)
	}
	var own string
	if err := s.admin.QueryRowContext(ctx, `SELECT @@global.gtid_binlog_pos`).Scan(&own); err != nil {
		return fmt.Errorf("read own position: %w", err)
	}
	demote := ""
	if own != "" {
		demote = ", MASTER_DEMOTE_TO_SLAVE = 1" // it was a primary, or a replica with a binlog of its own
	}
	change := fmt.Sprintf(`
		CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = %d, MASTER_USER = '%s', MASTER_PASSWORD = '%s',
			MASTER_CONNECT_RETRY = 1, MASTER_USE_GTID = slave_pos%s;
		START SLAVE`, from.port, replicator, Password, demote)
	if _, err := s.admin.ExecContext(ctx, change); err != nil {
		return fmt.Errorf("replicate from %s: %w", from.Addr(), err)
	}
	return s.connected(ctx, from, semiSync)
}

// connected waits until replication runs, and until the primary counts its replica.
func (s *Server) connected(ctx context.Context, from *Server, semiSync bool) error {
	return poll(ctx, func() (bool, error) {
		status, err := s.ReplicaStatus(ctx)
		if err != nil {
			return false, err
		}
		if status["Last_IO_Errno"] != "0" && status["Slave_IO_Running"] == "No" {
			return false, fmt.Errorf("replication from %s: %s", from.Addr(), status["Last_IO_Error"])
		}
		if status["Slave_IO_Running"] != "Yes" || status["Slave_SQL_Running"] != "Yes" {
			return false, nil
		}
		if !semiSync {
			return true, nil
		}
		var name string
		var clients int
		const q = `SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_master_clients'`
		err = from.admin.QueryRowContext(ctx, q).Scan(&name, &clients)
		return clients > 0, err
	})
}

// Promote makes a replica a primary: it applies what it has received, stops following and takes
// writes. It does not wait for replicas of its own; Replicate of one makes it.
func (s *Server) Promote(ctx context.Context) error {
	if _, err := s.admin.ExecContext(ctx, `STOP SLAVE IO_THREAD`); err != nil {
		return fmt.Errorf("stop receiving: %w", err)
	}
	status, err := s.ReplicaStatus(ctx)
	if err != nil {
		return err
	}
	var waited int
	const wait = `SELECT MASTER_GTID_WAIT(?, 60)`
	if err := s.admin.QueryRowContext(ctx, wait, status["Gtid_IO_Pos"]).Scan(&waited); err != nil {
		return fmt.Errorf("apply what was received: %w", err)
	}
	if waited != 0 {
		return fmt.Errorf("position %s was not applied", status["Gtid_IO_Pos"])
	}
	const promote = `
		STOP SLAVE;
		RESET SLAVE ALL;
		SET GLOBAL rpl_semi_sync_slave_enabled = OFF;
		SET GLOBAL read_only = OFF`
	if _, err := s.admin.ExecContext(ctx, promote); err != nil {
		return fmt.Errorf("promote: %w", err)
	}
	s.mu.Lock()
	s.role = nil
	s.mu.Unlock()
	return nil
}

// ReplicaStatus returns SHOW SLAVE STATUS by column name; empty for a server that is no replica.
func (s *Server) ReplicaStatus(ctx context.Context) (map[string]string, error) {
	rows, err := s.admin.QueryContext(ctx, `SHOW SLAVE STATUS`)
	if err != nil {
		return nil, fmt.Errorf("read replica status: %w", err)
	}
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	if err != nil {
		return nil, fmt.Errorf("read replica status: %w", err)
	}
	out := map[string]string{}
	if !rows.Next() {
		return out, rows.Err()
	}
	values := make([]sql.NullString, len(names))
	into := make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	if err := rows.Scan(into...); err != nil {
		return nil, fmt.Errorf("read replica status: %w", err)
	}
	for i, name := range names {
		out[name] = values[i].String
	}
	return out, rows.Err()
}

// set changes settings of the running server.
func (s *Server) set(ctx context.Context, list []string) error {
	for _, setting := range list {
		name, value, _ := strings.Cut(setting, "=")
		q := fmt.Sprintf("SET GLOBAL %s = %s", strings.ReplaceAll(name, "-", "_"), value)
		if _, err := s.admin.ExecContext(ctx, q); err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
	}
	return nil
}

// keep makes settings survive a restart.
func (s *Server) keep(list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.role = nil
	for _, setting := range list {
		s.role = append(s.role, "--"+setting)
	}
}

func onOff(on bool) string {
	if on {
		return "ON"
	}
	return "OFF"
}

// poll calls fn until it is done, fails, or a generous time is over.
func poll(ctx context.Context, fn func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		done, err := fn()
		if done || err != nil {
			return err
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return errors.Join(errors.New("waited too long"), ctx.Err())
		}
	}
}

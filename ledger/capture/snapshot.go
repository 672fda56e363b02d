package capture

import (
	"context"
	"time"

	"matchday/errs"
	"matchday/stream"
)

// progress is a new snapshot of a shard that runs. Its checkpoint is the stream itself: after an
// interruption the relay goes on behind the stream's last message.
type progress struct {
	from    int64
	begun   time.Time
	told    time.Time
	records int
}

const tellEvery = 10 * time.Second

// read notes what a snapshot has read, says how far it is, and waits if it reads faster than it may.
func (p *progress) read(ctx context.Context, s *shard, list []stream.Batch) error {
	n := 0
	for i := range list {
		n += len(list[i].Records)
	}
	p.records += n
	at := p.from
	if len(list) > 0 {
		at = list[len(list)-1].Last
	}
	s.reader.metrics.snapshot(s.number, at)
	s.mu.Lock()
	done, seen := s.snapshot == nil, s.seen
	s.mu.Unlock()
	now := s.clock.Now()
	switch {
	case done:
		s.log.Info("new snapshot is complete, the binlog goes on", "shard", s.number, "from", p.from, "to", at,
			"records", p.records, "took", now.Sub(p.begun))
	case now.Sub(p.told) >= tellEvery:
		p.told = now
		s.log.Info("new snapshot goes on", "shard", s.number, "at", at, "until", seen, "records", p.records)
	}
	if s.config.SnapshotRate == 0 || n == 0 {
		return nil
	}
	timer := time.NewTimer(time.Duration(n) * time.Second / time.Duration(s.config.SnapshotRate))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return errs.Wrap(ctx.Err(), errs.CodeUnavailable, "new snapshot of shard %d", s.number)
	}
}

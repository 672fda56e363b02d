package notify

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/internal/clock"
	"matchday/stream/streamtest"
)

// TestWhatIsKeptOfSubscriptionsIsWhatIsThere compares what a DBTx of a sink goes by with what the file has, after every kind of change.
func TestWhatIsKeptOfSubscriptionsIsWhatIsThere(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Config{Dir: t.TempDir()}, Deps{Clock: clock.NewManual(start), Log: quiet, Metrics: prometheus.NewRegistry(),
		Transport: streamtest.Silent{}, Source: streamtest.NewLog(1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	held := func() (list []Subscription) {
		t.Helper()
		err := s.store.inDBTx(t.Context(), func(on conn) (err error) {
			list, err = s.store.holdSubscriptions(t.Context(), on)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	var one string
	subscribe := func(ctx context.Context) error {
		made, _, err := s.Subscribe(ctx, NewSubscription{URL: "https://crm.example.com/matchday", Types: []string{"*"}, CreatedBy: "test"})
		one = made.ID
		return err
	}
	inDBTx := func(fn func(ctx context.Context, on conn) error) func(context.Context) error {
		return func(ctx context.Context) error {
			return s.store.inDBTx(ctx, func(on conn) error { return fn(ctx, on) })
		}
	}
	errBack := errors.New("rolled back")
	for _, step := range []struct {
		name   string
		change func(context.Context) error
	}{
		{"subscribe", subscribe},
		{"subscribe again", subscribe},
		{"pause", func(ctx context.Context) error { return s.Pause(ctx, one) }},
		{"resume", func(ctx context.Context) error { return s.Resume(ctx, one) }},
		{"rotate", func(ctx context.Context) error { _, err := s.RotateSecret(ctx, one); return err }},
		{"fail", inDBTx(func(ctx context.Context, on conn) error {
			_, err := s.store.note(ctx, on, one, false, start, time.Hour)
			return err
		})},
		{"disable", inDBTx(func(ctx context.Context, on conn) error { return s.store.disable(ctx, on, one, "full") })},
		{"delete", func(ctx context.Context) error { return s.Delete(ctx, one) }},
		{"nothing", inDBTx(func(context.Context, conn) error { return errBack })},
	} {
		before := held()
		if again := held(); len(before) > 0 && &again[0] != &before[0] {
			t.Errorf("before %s: read again without a change", step.name)
		}
		if err := step.change(t.Context()); err != nil && !errors.Is(err, errBack) {
			t.Fatalf("%s: %v", step.name, err)
		}
		want, err := s.store.read(t.Context(), s.store.engine, selectSubscriptions+" ORDER BY created_us, id")
		if err != nil {
			t.Fatal(err)
		}
		if reflect.DeepEqual(want, before) != (step.name == "nothing") {
			t.Errorf("%s: %+v became %+v", step.name, before, want)
		}
		if got := held(); !reflect.DeepEqual(got, want) {
			t.Errorf("after %s: %+v, want %+v", step.name, got, want)
		}
	}
}

package stream_test

import (
	"testing"
	"testing/synctest"
	"time"

	"matchday/internal/clock"
	"matchday/stream"
)

// TestAPaceOutlivesStepsOfTheClock, forward and back, between rests and for those who rest already.
func TestAPaceOutlivesStepsOfTheClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const rate, rests = 10, 20 // of one each
		clk := clock.NewManual(time.Now())
		pace := stream.NewPace(rate, clk)
		for _, step := range []time.Duration{0, -time.Hour, -time.Minute, time.Hour, -time.Hour, -30 * time.Millisecond} {
			clk.Advance(step)
			began := time.Now()
			for range rests {
				before := time.Now()
				pace.Rest(t.Context(), 1)
				clk.Advance(time.Since(before))
			}
			whole := rests * time.Second / rate
			if took := time.Since(began); took < whole || took > whole+time.Second/rate {
				t.Errorf("after a step of %s: %d at %d a second took %s, want %s", step, rests, rate, took, whole)
			}
		}
		began, done := time.Now(), make(chan struct{})
		go func() {
			pace.Rest(t.Context(), 5*rate)
			close(done)
		}()
		synctest.Wait()
		clk.Advance(-time.Hour)
		pace.Rest(t.Context(), rate) // behind the other one
		if took := time.Since(began); took != 6*time.Second {
			t.Errorf("behind somebody who rests for 5 s, a second's took %s, want 6 s", took)
		}
		<-done
	})
}

package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// fewProcs is up to how many goroutines run at a time where there are fewer cores.
const fewProcs = 8

// useProcs lets twice as many goroutines run at a time as a small machine has cores; the environment
// variable GOMAXPROCS overrides it.
//
// Go looks at the network when a processor of its own has nothing to run, and otherwise only every
// 10 ms. On two cores two busy shard writers, or a writer and a projection, leave none idle: a
// request then waits 10 ms for each of its hops, and a commit waits as long for a processor after
// its fsync. With a few more, one always waits for the network, and the operating system shares the
// cores out in far finer slices. On a machine under load of others the 99th percentile of the time
// that a goroutine waits to run fell from 40-80 ms to 1-3 ms, with single debits at 1,000 a second.
//
// More than twice as many cost more than they give: what runs for 10 ms by the clock is interrupted,
// whether it had a core meanwhile or not, and a quarter of them collect garbage at a time. In five pairs
// of runs of a payout, in turn, four on two cores took 6 to 15 % less processor time than eight, for its speed at the moment.
func useProcs() {
	if cores := runtime.GOMAXPROCS(0); os.Getenv("GOMAXPROCS") == "" && cores < fewProcs {
		runtime.GOMAXPROCS(min(2*cores, fewProcs))
	}
}

const (
	// wholeRoom is how much garbage may come together on a machine, or in a container, with enoughMemory; smaller
	// ones have less in proportion, and those below leastMemory what Go gives by itself.
	wholeRoom    = 512 << 20
	enoughMemory = 4 << 30
	leastMemory  = 1 << 30
	// leastHeap is what Go takes a smaller heap for when it decides when to collect.
	leastHeap = 4 << 20
)

// useMemory lets garbage come together before it is collected; the environment variables GOGC and GOMEMLIMIT
// override it.
//
// Go collects when as much garbage has come as there is in use. That is some 30 MB here, which a few thousand
// calls a second fill in less than a second; each collection takes both of two cores for 30 to 60 ms. Of
// single debits at 5,000 a second one in ten met it: at first p90 was 14 ms and p99 43 ms, with as
// much room 9 ms and 20 ms. A heap that has more than that in use is collected as Go does it.
func useMemory() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	has, err := memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)()
	if err != nil { // not to be had here: as Go does it
		return
	}
	if room := roomFor(has); room > 0 {
		c := &collections{room: room, live: []metrics.Sample{{Name: "/gc/heap/live:bytes"}}}
		c.collected()
	}
}

// roomFor returns how many bytes of garbage may come together on a machine with so much memory.
func roomFor(memory uint64) uint64 {
	if memory < leastMemory {
		return 0
	}
	return wholeRoom * min(memory>>20, enoughMemory>>20) / (enoughMemory >> 20)
}

// collections says after each collection when the next one is due. Garbage tells it: a value that nobody
// holds is finalised by the collection that finds it.
type collections struct {
	room uint64
	live []metrics.Sample
}

// collected sets when the next collection is due, and waits for it.
func (c *collections) collected() {
	metrics.Read(c.live)
	debug.SetGCPercent(percentFor(c.room, c.live[0].Value.Uint64()))
	runtime.SetFinalizer(&struct{ *collections }{c}, func(c *struct{ *collections }) { c.collected() })
}

// percentFor returns the garbage that may come until the next collection, in hundredths of what is in use: the
// room, or as much as is in use if that is more.
func percentFor(room, live uint64) int {
	return int(max(100, room*100/max(live, leastHeap))) // #nosec: at most 12,800
}

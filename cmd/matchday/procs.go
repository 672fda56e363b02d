package main

import (
	"os"
	"runtime"

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
	// wholeBallast stands in the heap of a machine, or a container, with enoughMemory; smaller ones have less in
	// proportion, and those below leastMemory none.
	wholeBallast = 256 << 20
	enoughMemory = 4 << 30
	leastMemory  = 1 << 30
)

// useMemory lets garbage come together before it is collected; the environment variables GOGC and GOMEMLIMIT
// override it. It returns a ballast for the caller to keep: memory that counts as in use and is never touched,
// so that no page of it is ever there.
//
// Go collects when as much garbage has come as there is in use. That is some 30 MB here, which a few thousand
// calls a second fill in less than a second; each collection takes both of two cores for 30 to 60 ms. Of
// single debits at 5,000 a second one in ten met it: without the ballast p90 was 14 ms and p99 43 ms, with as
// much room 9 ms and 20 ms. It costs up to twice the ballast less what is in use in real memory.
func useMemory() []byte {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return nil
	}
	has, err := memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)()
	if err != nil { // not to be had here: as Go does it
		return nil
	}
	return make([]byte, ballastFor(has))
}

// ballastFor returns the bytes of the ballast on a machine with so much memory.
func ballastFor(memory uint64) uint64 {
	if memory < leastMemory {
		return 0
	}
	return wholeBallast * min(memory>>20, enoughMemory>>20) / (enoughMemory >> 20)
}

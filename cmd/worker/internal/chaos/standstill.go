package chaos

import (
	"context"
	"os"
	"strconv"
	"sync"
	"time"
)

// standstillPart of a lease is what a process may stand still for without anybody noticing.
const standstillPart = 4

// watchStandstills calls report when this process stood still for a large part of a lease, frozen
// or without a processor. It ends with ctx, or when the function that it returns is called, which
// waits for it.
func watchStandstills(ctx context.Context, lease time.Duration, report func(time.Duration)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		ticks := time.NewTicker(lease / (4 * standstillPart))
		defer ticks.Stop()
		for last := time.Now(); ; {
			select {
			case <-ticks.C:
			case <-ctx.Done():
				return
			}
			if length := time.Since(last); length > lease/standstillPart {
				report(length)
			}
			last = time.Now()
		}
	})
	return func() { cancel(); watching.Wait() }
}

func processID() string { return strconv.Itoa(os.Getpid()) }

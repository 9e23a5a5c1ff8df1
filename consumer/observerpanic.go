package consumer

import (
	"cmp"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// protect calls one observer. What it panics with is logged, and goes no further: the end of a
// process would count as a crash of the events that run in it, and within a transaction the panic
// would be taken for the handler's.
func (s *observers) protect(observe func()) {
	defer func() {
		if p := recover(); p != nil {
			s.panics.logPanic(p, time.Now())
		}
	}()
	observe()
}

// panicLogEvery is how often panics of observers are logged at most: there may be one for each
// event.
const panicLogEvery = time.Minute

// panicLog logs panics of observers. It is safe for concurrent use.
type panicLog struct {
	logger *slog.Logger // nil: slog.Default()

	mu     sync.Mutex
	logged time.Time
	missed int // since then
}

func (l *panicLog) logPanic(p any, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.logged.IsZero() && now.Sub(l.logged) < panicLogEvery {
		l.missed++
		return
	}
	cmp.Or(l.logger, slog.Default()).Error("an observer panicked; what it was told is not observed, and everything else goes on",
		"panic", fmt.Sprint(p), "not_logged", l.missed, "stack", string(debug.Stack()))
	l.logged, l.missed = now, 0
}

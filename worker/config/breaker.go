package config

import (
	"time"

	"github.com/onceish/onceish/consumer"
)

// Breaker holds starts back while what the handler depends on fails. Its bounds are those of
// flow/breaker.
type Breaker struct {
	// Failures is how many failures within Over open it.
	Failures int
	// Over is the time in which failures are counted, and Wait how long it stays open at first.
	Over, Wait time.Duration
	// Scope is ScopeProcess, or ScopeGroup for all processes of the group.
	Scope string
}

// Scopes of a Breaker.
const (
	ScopeProcess = "process"
	ScopeGroup   = "group"
)

func breakerKeys() []field[Breaker] {
	type between = consumer.Limit[time.Duration]
	return []field[Breaker]{
		intField("failures", func(b *Breaker) *int { return &b.Failures }, consumer.Limit[int]{Min: 1, Max: 10_000}).withDefault(5).
			withFlag("breaker", "FAILURES").withDefaultText("5; " + noBreaker + " where nothing is said of it").
			describedAs("how many failures open the breaker: nothing starts until an event that it tries succeeds, and what it holds back counts no attempt"),
		durationField("over", func(b *Breaker) *time.Duration { return &b.Over }, between{Min: 10 * time.Millisecond, Max: day}).withDefault(time.Minute).
			withFlag("breaker-over", "DURATION").describedAs("time within which so many failures open the breaker"),
		durationField("wait", func(b *Breaker) *time.Duration { return &b.Wait }, between{Min: time.Millisecond, Max: day}).withDefault(10*time.Second).
			withFlag("breaker-wait", "DURATION").describedAs("how long the breaker stays open before it tries an event; it doubles each time that fails"),
		enumField("scope", func(b *Breaker) *string { return &b.Scope }, selfNamed(ScopeProcess, ScopeGroup)...).
			withFlag("breaker-scope", "SCOPE").describedAs("what an open breaker holds back: this process, or all of the group"),
	}
}

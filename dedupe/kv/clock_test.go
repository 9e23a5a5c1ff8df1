package kv

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/serverclock"
)

// timekeeper answers with a server's time that is off by ahead, after a round trip of a
// given length.
type timekeeper struct {
	local time.Time
	ahead time.Duration
	trip  time.Duration
	err   error
	asked int
}

func (k *timekeeper) close() error { return nil }

func (k *timekeeper) sendAll(context.Context, int, func(int) *nats.Msg) ([]*nats.Msg, error) {
	if k.err != nil {
		return nil, k.err
	}
	k.asked++
	k.local = k.local.Add(k.trip / 2)
	server := k.local.Add(k.ahead)
	k.local = k.local.Add(k.trip - k.trip/2)
	return []*nats.Msg{{Data: []byte(`{"ts":"` + server.Format(time.RFC3339Nano) + `"}`)}}, nil
}

func newTestClock(k *timekeeper) *clock {
	k.local = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return newClock(&nats.Conn{}, k, "", func() time.Time { return k.local })
}

// around wants the reading to enclose the server's time, by no more than that to each side.
func around(t *testing.T, k *timekeeper, m serverclock.Instant, spread time.Duration) {
	t.Helper()
	server := k.local.Add(k.ahead)
	if server.Before(m.Earliest()) || server.After(m.Latest()) || m.Latest().Sub(m.Earliest()) > 2*spread {
		t.Errorf("the server's time is %v, the clock says %v to %v, want at most ±%v", server, m.Earliest(), m.Latest(), spread)
	}
}

func TestClockFollowsTheServer(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{0, 5 * time.Minute, -5 * time.Minute, 20 * 365 * 24 * time.Hour} {
		k := &timekeeper{ahead: skew, trip: 10 * time.Millisecond}
		c := newTestClock(k)
		m, err := c.now(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		around(t, k, m, 7*time.Millisecond)
		asked := k.asked
		k.local = k.local.Add(59 * time.Second)
		if m, err = c.now(t.Context()); err != nil || k.asked != asked {
			t.Fatalf("within the minute: %v, asked %d times more", err, k.asked-asked)
		}
		around(t, k, m, 70*time.Millisecond)
		k.local = k.local.Add(time.Second)
		k.ahead += time.Minute // another leader, whose clock is another
		if m, err = c.now(t.Context()); err != nil || k.asked == asked {
			t.Fatalf("after a minute: %v, not asked again", err)
		}
		around(t, k, m, 7*time.Millisecond)
		for _, changed := range []func(){c.Distrust, func() { c.nc.Reconnects++ }} {
			k.ahead -= time.Minute
			changed()
			if m, err = c.now(t.Context()); err != nil {
				t.Fatal(err)
			}
			around(t, k, m, 7*time.Millisecond)
		}
	}
}

func TestClockIsUncertain(t *testing.T) {
	t.Parallel()
	k := &timekeeper{trip: 3 * time.Second}
	c := newTestClock(k)
	if _, err := c.now(t.Context()); !errors.Is(err, ErrClockUncertain) {
		t.Errorf("round trips of 3 s: %v, want ErrClockUncertain", err)
	}
	k.trip = 100 * time.Millisecond
	m, err := c.now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	around(t, k, m, 60*time.Millisecond)

	// Nothing is judged by a measurement that is too old, and that cannot be repeated.
	k.err = errors.New("gone")
	k.local = k.local.Add(59 * time.Second)
	if m, err = c.now(t.Context()); err != nil {
		t.Fatalf("within a minute: %v", err)
	}
	around(t, k, m, 120*time.Millisecond)
	k.local = k.local.Add(2 * time.Second)
	if _, err = c.now(t.Context()); !errors.Is(err, ErrClockUncertain) || !errors.Is(err, k.err) {
		t.Errorf("after a minute without a measurement: %v, want ErrClockUncertain and why", err)
	}
	k.err = nil
	if _, err = c.now(t.Context()); err != nil {
		t.Errorf("measured again: %v", err)
	}
}

// TestUncertaintyIsAddedToLeases, and to what is kept; what is due may be early.
func TestUncertaintyIsAddedToLeases(t *testing.T) {
	t.Parallel()
	stored := time.Unix(1000, 0)
	at := func(after time.Duration) serverclock.Instant {
		return serverclock.Instant{Time: stored.Add(after), Doubt: 100 * time.Millisecond}
	}
	lease := keyEntry{stored: stored, row: &keyRow{Phase: dedupe.PhaseClaimed, Span: time.Second, TTL: time.Minute}}
	due := keyEntry{stored: stored, row: &keyRow{Phase: dedupe.PhaseFree, Span: time.Second, TTL: time.Minute}}
	if got := lease.timeLeft(at(time.Second)); got != 100*time.Millisecond {
		t.Errorf("%v is left of a lease at its end, want 100ms", got)
	}
	if got := lease.timeLeft(at(1100 * time.Millisecond)); got != 0 {
		t.Errorf("%v is left of a lease that is surely over", got)
	}
	if got := due.timeLeft(at(950 * time.Millisecond)); got != 0 {
		t.Errorf("%v is left of a delay that may be over", got)
	}
	if e := lease.asOf(at(time.Minute).Earliest()); e.row == nil {
		t.Error("a row that may not have expired is absent")
	}
	if e := lease.asOf(at(time.Minute + 100*time.Millisecond).Earliest()); e.row != nil {
		t.Error("a row that surely expired is there")
	}
}

func TestWholeSeconds(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]int64{
		-1: 1, 0: 1, 1: 1, time.Second: 1, time.Second + 1: 2, 7 * 24 * time.Hour: 604800, 1<<63 - 1: 3153600000,
	} {
		if got := wholeSeconds(d); got != want {
			t.Errorf("%v is kept for %d s, want %d", d, got, want)
		}
	}
}

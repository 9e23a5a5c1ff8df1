package consumer_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// hookLog is the calls of hooks and handlers of partitions, in their order.
type hookLog struct {
	mu    sync.Mutex
	calls map[int][]string
}

func (l *hookLog) note(partition int, call string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calls == nil {
		l.calls = make(map[int][]string)
	}
	if cs := l.calls[partition]; len(cs) == 0 || cs[len(cs)-1] != call {
		l.calls[partition] = append(cs, call)
	}
}

func (l *hookLog) hook(call string) func(context.Context, consumer.Partition) error {
	return func(_ context.Context, p consumer.Partition) error {
		time.Sleep(10 * time.Millisecond)
		l.note(p.Number, call)
		return nil
	}
}

// TestHooksEncloseTheEventsOfAPartition: Assigned comes before the first, Revoked after the last is
// settled.
func TestHooksEncloseTheEventsOfAPartition(t *testing.T) {
	inFleet(t, consumer.Partitions(4), func(w *fleet) {
		var log hookLog
		w.handle = func(ctx context.Context, _ bus.Event) error {
			p, ok := consumer.PartitionFrom(ctx)
			if !ok || p.Of != 4 || p.Topic != "order.placed" || p.Epoch == 0 {
				t.Errorf("partition %+v, %v", p, ok)
			}
			time.Sleep(time.Millisecond)
			log.note(p.Number, "event")
			return nil
		}
		hooks := func(o *consumer.Options) {
			o.Assigned, o.Revoked, o.Lost = log.hook("assigned"), log.hook("revoked"), log.hook("lost")
		}
		a := w.start("a", hooks)
		w.publish(200, 40)
		w.await(100)
		b := w.start("b", hooks)
		w.awaitSpread(2, a, b)
		w.publish(200, 40)
		w.await(400)
		a.end()
		b.end()
		moved := 0
		for number, calls := range log.calls {
			text := strings.Join(calls, " ")
			if strings.ReplaceAll(strings.ReplaceAll(text+" ", "assigned event revoked ", ""), "assigned revoked ", "") != "" {
				t.Errorf("partition %d: %s", number, text)
			}
			moved += strings.Count(text, "revoked") - 1
		}
		if len(log.calls) != 4 || moved < 2 {
			t.Errorf("%d partitions, %d moves", len(log.calls), moved)
		}
		w.checkOrder(0)
	})
}

// TestPartitionWhoseHookFailsIsGivenBack, and tried again: whether it fails, panics, or is slow.
func TestPartitionWhoseHookFailsIsGivenBack(t *testing.T) {
	for name, fail := range map[string]func(ctx context.Context) error{
		"fails":  func(context.Context) error { return errors.New("no snapshot") },
		"panics": func(context.Context) error { panic("no snapshot") },
		"is slow, and ends with its context": func(ctx context.Context) error {
			<-ctx.Done()
			return errors.Join(errors.New("no snapshot"), context.Cause(ctx))
		},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, consumer.Partitions(2), func(w *fleet) {
				var failures atomic.Int32
				failures.Store(3)
				a := w.start("a", func(o *consumer.Options) {
					o.HookLimit = 2 * time.Second
					o.Assigned = func(ctx context.Context, p consumer.Partition) error {
						if p.Number == 1 && failures.Add(-1) >= 0 {
							return fail(ctx)
						}
						return nil
					}
				})
				w.publish(40, 10)
				time.Sleep(2500 * time.Millisecond)
				err := a.sub.Healthy()
				if err == nil || !strings.Contains(err.Error(), "no snapshot") || !strings.Contains(err.Error(), "partitions [1]") {
					t.Errorf("healthy: %v", err)
				}
				if n := len(w.firstEffects()); n == 0 || n == 40 {
					t.Errorf("%d effects: the other partition goes on", n)
				}
				w.await(40)
				if err := a.sub.Healthy(); err != nil {
					t.Errorf("afterwards: %v", err)
				}
				w.checkOrder(0)
			})
		})
	}
}

// TestHookThatHangsIsNotCalledTwiceAtOnce: the partition is given back, and this process does not
// try it again before the hook has returned.
func TestHookThatHangsIsNotCalledTwiceAtOnce(t *testing.T) {
	inFleet(t, consumer.Partitions(1), func(w *fleet) {
		var calls atomic.Int32
		release := make(chan struct{})
		a := w.start("a", func(o *consumer.Options) {
			o.HookLimit = time.Second
			o.Assigned = func(context.Context, consumer.Partition) error {
				if calls.Add(1) == 1 {
					<-release
				}
				return nil
			}
		})
		w.publish(10, 3)
		time.Sleep(30 * time.Second)
		if err := a.sub.Healthy(); err == nil || !strings.Contains(err.Error(), "has not returned") || calls.Load() != 1 {
			t.Errorf("healthy: %v after %d calls", err, calls.Load())
		}
		close(release)
		w.await(10)
	})
}

// TestHookThatHangsAtTheEndDoesNotHoldTheDrain for longer than its limit.
func TestHookThatHangsAtTheEndDoesNotHoldTheDrain(t *testing.T) {
	drainWithHangingHook(t, func(o *consumer.Options) { o.HookLimit = 3 * time.Second })
}

// TestHookThatHangsEndsWithTheDrain although its own limit is longer.
func TestHookThatHangsEndsWithTheDrain(t *testing.T) {
	drainWithHangingHook(t, func(o *consumer.Options) { o.HookLimit, o.Drain = time.Hour, 3*time.Second })
}

// TestHookThatRunsWhenADrainBeginsEndsWithIt as one that begins then.
func TestHookThatRunsWhenADrainBeginsEndsWithIt(t *testing.T) {
	inFleet(t, consumer.Partitions(2), func(w *fleet) {
		var cause error
		var calls atomic.Int32
		begun, ended := make(chan struct{}), make(chan struct{})
		a := w.start("a", func(o *consumer.Options) {
			o.HookLimit, o.Drain = time.Hour, 3*time.Second
			o.Revoked = func(ctx context.Context, _ consumer.Partition) error {
				if calls.Add(1) > 1 {
					return nil // of the other partition
				}
				close(begun)
				<-ctx.Done()
				cause = context.Cause(ctx)
				close(ended)
				return nil
			}
		})
		w.awaitSpread(2, a)
		w.start("b", nil) // one of them moves
		<-begun
		began := time.Now()
		err := a.sub.Drain(context.Background())
		<-ended
		if took := time.Since(began); took > 6*time.Second || !errors.Is(cause, consumer.ErrDrainTimeout) {
			t.Errorf("drained after %v: %v; the hook ended with %v", took, err, cause)
		}
	})
}

func drainWithHangingHook(t *testing.T, change func(*consumer.Options)) {
	t.Helper()
	inFleet(t, consumer.Partitions(2), func(w *fleet) {
		release := make(chan struct{})
		defer close(release)
		a := w.start("a", func(o *consumer.Options) {
			change(o)
			o.Revoked = func(context.Context, consumer.Partition) error { <-release; return nil }
		})
		w.publish(20, 5)
		w.await(20)
		began := time.Now()
		must(t, a.sub.Drain(context.Background()))
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("drained after %v", took)
		}
	})
}

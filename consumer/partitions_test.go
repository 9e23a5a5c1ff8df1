package consumer_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// TestPartitionsSpreadOverProcesses: processes that join and leave share the partitions, and each
// event has one effect, in the order of its key.
func TestPartitionsSpreadOverProcesses(t *testing.T) {
	inFleet(t, consumer.Partitions(8), func(w *fleet) {
		a := w.start("a", nil)
		w.publish(200, 20)
		w.await(200)
		b := w.start("b", nil)
		w.publish(100, 20)
		w.awaitSpread(4, a, b)
		w.publish(100, 20)
		w.await(400)
		a.end()
		w.publish(100, 20)
		w.await(500)
		w.awaitSpread(8, b)
		w.checkOrder(0)
		if err := a.err; err != nil {
			t.Errorf("drained: %v", err)
		}
		if st := b.sub.Stats(); st.Failed+st.Dead+st.Lost > 0 {
			t.Errorf("stats %+v", st)
		}
	})
}

// TestKilledOwnersPartitionsAreTakenOver within the TTL of its row, and nothing overtakes what it
// ran, whose leases last for longer.
func TestKilledOwnersPartitionsAreTakenOver(t *testing.T) {
	inFleet(t, consumer.Partitions(8), func(w *fleet) {
		w.options.Lease = 4 * memberTTL
		a, b := w.start("a", nil), w.start("b", nil)
		w.awaitSpread(4, a, b)
		w.publish(2000, 20)
		time.Sleep(100 * time.Millisecond)
		killed := time.Now()
		a.kill()
		w.awaitSpread(8, b)
		if took := time.Since(killed); took > memberTTL+time.Second {
			t.Errorf("taken over after %v", took)
		}
		w.publish(100, 20)
		w.await(2100)
		w.checkOrder(16)
	})
}

// TestOwnerThatIsCutOffLosesItsPartitions before another process may own them: its handlers are
// cancelled, Lost is called in place of Revoked, and what it finished is marked all the same.
func TestOwnerThatIsCutOffLosesItsPartitions(t *testing.T) {
	inFleet(t, consumer.Partitions(4), func(w *fleet) {
		var causes []error
		var mu sync.Mutex
		w.handle = func(ctx context.Context, e bus.Event) error {
			if e.ID == "0" && len(w.firstEffects()) == 0 {
				<-ctx.Done()
				mu.Lock()
				defer mu.Unlock()
				causes = append(causes, context.Cause(ctx))
			}
			return nil
		}
		var lost, revoked atomic.Int32
		a := w.start("a", func(o *consumer.Options) {
			o.Lost = func(context.Context, consumer.Partition) error { lost.Add(1); return nil }
			o.Revoked = func(context.Context, consumer.Partition) error { revoked.Add(1); return nil }
		})
		w.awaitSpread(4, a)
		w.publish(1, 1)
		time.Sleep(time.Second)
		a.cut.Store(true)
		time.Sleep(memberTTL)
		if n := len(a.sub.Partitions()); n > 0 || lost.Load() != 4 || revoked.Load() != 0 {
			t.Errorf("%d partitions are owned, %d lost, %d revoked", n, lost.Load(), revoked.Load())
		}
		if len(causes) != 1 || !errors.Is(causes[0], consumer.ErrPartitionLost) {
			t.Errorf("causes %v", causes)
		}
		b := w.start("b", nil)
		w.publish(20, 5)
		w.await(21)
		w.awaitSpread(4, b)
		if err := a.sub.Healthy(); err == nil {
			t.Error("healthy while cut off")
		}
		a.cut.Store(false)
		w.awaitSpread(2, a, b)
		w.publish(20, 5)
		w.await(41)
		w.checkOrder(0)
	})
}

// TestMoreProcessesThanPartitions: those without a partition stand by, and take over.
func TestMoreProcessesThanPartitions(t *testing.T) {
	inFleet(t, consumer.Partitions(2), func(w *fleet) {
		a, b, c := w.start("a", nil), w.start("b", nil), w.start("c", nil)
		time.Sleep(5 * time.Second)
		w.awaitSpread(0, a, b, c)
		w.publish(50, 5)
		w.await(50)
		owners := slices.DeleteFunc([]*fleetProcess{a, b, c}, func(p *fleetProcess) bool { return len(p.sub.Partitions()) == 0 })
		if len(owners) != 2 {
			t.Fatalf("%d of 3 processes own 2 partitions", len(owners))
		}
		for _, p := range []*fleetProcess{a, b, c} {
			if err := p.sub.Healthy(); err != nil {
				t.Errorf("unhealthy: %v", err)
			}
		}
		for _, p := range owners {
			p.end()
		}
		w.publish(50, 5)
		w.await(100)
		w.checkOrder(0)
	})
}

// TestExclusiveTopicHasOneProcess at a time, also when that dies.
func TestExclusiveTopicHasOneProcess(t *testing.T) {
	inFleet(t, consumer.Exclusive, func(w *fleet) {
		w.options.Lease = 2 * time.Second
		a := w.start("a", nil)
		w.awaitSpread(1, a)
		b := w.start("b", nil)
		w.publish(100, 10)
		w.await(100)
		for _, e := range w.firstEffects() {
			if want := (consumer.Partition{Topic: "order.placed", Of: 1, Epoch: e.part.Epoch}); e.process != "a" || e.part != want {
				t.Fatalf("effect at %s, in %+v", e.process, e.part)
			}
		}
		w.publish(100, 10)
		time.Sleep(20 * time.Millisecond)
		a.kill()
		w.await(200)
		w.awaitSpread(1, b)
		w.checkOrder(16)
		es := w.firstEffects()
		if last := es[len(es)-1]; last.process != "b" || last.part.Epoch <= es[0].part.Epoch {
			t.Errorf("the last effect was at %s, epoch %d after %d", last.process, last.part.Epoch, es[0].part.Epoch)
		}
	})
}

// TestHotKeyDoesNotHoldUpOthers, nor its own partition's move.
func TestHotKeyDoesNotHoldUpOthers(t *testing.T) {
	inFleet(t, consumer.Partitions(4), func(w *fleet) {
		w.handle = func(context.Context, bus.Event) error { time.Sleep(50 * time.Millisecond); return nil }
		a := w.start("a", nil)
		w.awaitSpread(4, a)
		for i := range 400 {
			w.publishKey("hot", i)
		}
		w.published = 400
		began := time.Now()
		others := w.publish(40, 40)
		for range 100 {
			if n := countEffects(w.firstEffects(), others); n == len(others) {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the others took %v", took)
		}
		b := w.start("b", nil)
		w.awaitSpread(2, a, b)
		if len(w.firstEffects()) > 400 {
			t.Error("the hot key was done before the move")
		}
		w.await(440)
		w.checkOrder(0)
	})
}

func countEffects(es []fleetEffect, ids []string) (n int) {
	for _, e := range es {
		if slices.Contains(ids, e.id) {
			n++
		}
	}
	return n
}

// TestPauseHoldsOverMoves: what is paused stays so in partitions that arrive, and what arrives
// while paused runs after that.
func TestPauseHoldsOverMoves(t *testing.T) {
	inFleet(t, consumer.Partitions(8), func(w *fleet) {
		a, b := w.start("a", nil), w.start("b", nil)
		w.awaitSpread(4, a, b)
		a.sub.PauseBy("ops")
		b.sub.PauseBy("ops")
		b.sub.Pause()
		time.Sleep(10 * time.Millisecond)
		w.publish(100, 20)
		b.end()
		w.awaitSpread(8, a)
		c := w.join("c")
		must(t, c.subscribe(nil))
		c.sub.PauseBy("ops")
		w.awaitSpread(4, a, c)
		time.Sleep(5 * time.Second)
		if n := len(w.firstEffects()); n > 0 {
			t.Fatalf("%d effects while paused", n)
		}
		a.sub.ResumeBy("ops")
		time.Sleep(5 * time.Second)
		if n := len(w.firstEffects()); n == 0 || n == 100 {
			t.Errorf("%d effects where one of two goes on", n)
		}
		if by := c.sub.State().PausedBy; !slices.Equal(by, []string{"ops"}) {
			t.Errorf("paused by %q", by)
		}
		c.sub.ResumeBy("ops")
		w.await(100)
		w.checkOrder(0)
	})
}

// TestSlotsAreSharedByPartitions: Concurrency bounds the process, and one partition may have all.
func TestSlotsAreSharedByPartitions(t *testing.T) {
	inFleet(t, consumer.Partitions(8), func(w *fleet) {
		var runs, most atomic.Int32
		w.handle = func(context.Context, bus.Event) error {
			n := runs.Add(1)
			raise(&most, n)
			time.Sleep(100 * time.Millisecond)
			runs.Add(-1)
			return nil
		}
		a := w.start("a", func(o *consumer.Options) { o.Concurrency, o.MaxUnmarked = 4, 16 })
		w.awaitSpread(8, a)
		began := time.Now()
		w.publish(200, 200)
		w.await(200)
		if most.Load() != 4 || time.Since(began) > 6*time.Second {
			t.Errorf("%d handlers at once, in %v: want 4, in 5 s", most.Load(), time.Since(began))
		}
		most.Store(0)
		began = time.Now()
		for i, n := 0, 0; n < 80; i++ { // of one partition, no two of one key
			if bus.PartitionOf("z"+string(rune('a'+i%26))+string(rune('a'+i/26)), 8) == 3 {
				w.publishKey("z"+string(rune('a'+i%26))+string(rune('a'+i/26)), 1000+i)
				n++
			}
		}
		w.await(280)
		if most.Load() != 4 || time.Since(began) > 3*time.Second {
			t.Errorf("a partition alone: %d handlers at once, in %v: want 4, in 2 s", most.Load(), time.Since(began))
		}
		synctest.Wait() // until the last ones are marked
		if st := a.sub.Stats(); st.Handled != 280 || st.GivenBack > 0 || st.Allowed != 4 {
			t.Errorf("stats %+v", st)
		}
		w.checkOrder(0)
	})
}

// raise sets a maximum.
func raise(most *atomic.Int32, n int32) {
	for {
		old := most.Load()
		if n <= old || most.CompareAndSwap(old, n) {
			return
		}
	}
}

// TestSlowHandlersDoNotChurnClaims: what is claimed ahead of the slots is little enough to get one
// before its lease is over.
func TestSlowHandlersDoNotChurnClaims(t *testing.T) {
	inFleet(t, consumer.Partitions(16), func(w *fleet) {
		w.handle = func(context.Context, bus.Event) error { time.Sleep(4 * time.Second); return nil }
		a := w.start("a", func(o *consumer.Options) { o.Concurrency = 4 })
		w.awaitSpread(16, a)
		w.publish(240, 240)
		w.await(240)
		first := 16 * uint64(4+1) // what all partitions claim while the slots are free
		if st := a.sub.Stats(); st.GivenBack > first {
			t.Errorf("stats %+v", st)
		}
		w.checkOrder(0)
	})
}

// TestLagAndStatsAreSums over the partitions that a process owns, and counts stay when they move.
func TestLagAndStatsAreSums(t *testing.T) {
	inFleet(t, consumer.Partitions(4), func(w *fleet) {
		a := w.start("a", nil)
		w.awaitSpread(4, a)
		w.publish(100, 20)
		w.await(100)
		a.sub.Pause()
		time.Sleep(2 * time.Second)
		w.publish(60, 20)
		time.Sleep(2 * time.Second)
		lag, err := a.sub.Lag(w.t.Context())
		must(t, err)
		behind, err := a.sub.Behind(w.t.Context())
		must(t, err)
		if lag.Pending+lag.Unsettled != 60 || behind < 2*time.Second || behind > 3*time.Second {
			t.Errorf("lag %+v, behind %v", lag, behind)
		}
		b := w.start("b", nil)
		w.awaitSpread(2, a, b)
		a.sub.Resume()
		w.await(160)
		time.Sleep(time.Second)
		if n := a.sub.Stats().Handled + b.sub.Stats().Handled; n != 160 {
			t.Errorf("%d handled", n)
		}
	})
}

// TestAnotherNumberOfPartitionsIsRefused while events of the former are not settled. Nothing is
// repeated afterwards.
func TestAnotherNumberOfPartitionsIsRefused(t *testing.T) {
	inFleet(t, consumer.Partitions(4), func(w *fleet) {
		a := w.start("a", nil)
		w.publish(50, 10)
		w.await(50)
		a.sub.Pause()
		time.Sleep(2 * time.Second)
		w.publish(30, 10)
		a.end()
		for _, order := range []consumer.Order{consumer.Partitions(8), consumer.Exclusive, consumer.ByKey} {
			w.order = order
			err := w.join("b").subscribe(nil)
			if !errors.Is(err, consumer.ErrLayout) || !strings.Contains(err.Error(), "30 pending") || !strings.Contains(err.Error(), "partitions:4") {
				t.Errorf("order %s: %v", order, err)
			}
		}
		w.order = consumer.Partitions(4)
		c := w.start("c", nil)
		w.await(80)
		c.end()
		w.order = consumer.Partitions(8)
		d := w.start("d", nil)
		w.publish(50, 10)
		w.await(130)
		w.awaitSpread(8, d)
		w.checkOrder(0)
	})
}

// TestGroupThatStartsAtTheLatestMissesNothingLater: each partition starts where the topic ended
// when the group was made, also one that gets its first owner later.
func TestGroupThatStartsAtTheLatestMissesNothingLater(t *testing.T) {
	inFleet(t, consumer.Partitions(4), func(w *fleet) {
		w.options.From = bus.Start{Latest: true}
		w.publish(40, 10)
		block := make(chan struct{})
		w.start("a", func(o *consumer.Options) {
			o.Assigned = func(context.Context, consumer.Partition) error { <-block; return nil }
		})
		w.publish(40, 10)
		close(block)
		w.await(40)
		time.Sleep(time.Second)
		if got := numbersOf(w.firstEffects()); got[0] != 40 || len(got) != 40 {
			t.Errorf("events %v", got)
		}
	})
}

// TestPartitionsJoinTheirStoreCalls: calls of the store do not grow with the number of partitions.
func TestPartitionsJoinTheirStoreCalls(t *testing.T) {
	inFleet(t, consumer.Partitions(16), func(w *fleet) {
		w.handle = nothing
		var calls, items atomic.Int64
		w.start("a", func(o *consumer.Options) {
			o.Observer = storeCounter{&calls, &items}
			o.Concurrency = 64
		})
		w.publish(4000, 4000)
		w.await(4000)
		if n := calls.Load(); n == 0 || items.Load() < 4*n {
			t.Errorf("%d calls for %d items", n, items.Load())
		}
		w.checkOrder(0)
	})
}

type storeCounter struct{ calls, items *atomic.Int64 }

func (storeCounter) Observe(consumer.Observation) {}

func (c storeCounter) ObserveStoreCall(s consumer.StoreCall) {
	if s.Operation == "claim" || s.Operation == "settle" {
		c.calls.Add(1)
		c.items.Add(int64(s.Items))
	}
}

// TestKeyOrderHoldsOverRandomMoves: processes start, drain, die and are cut off, while events are
// published.
func TestKeyOrderHoldsOverRandomMoves(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3, 4} {
		t.Run("", func(t *testing.T) {
			inFleet(t, consumer.Partitions(16), func(w *fleet) { w.moveAtRandom(seed, 50) })
		})
	}
}

func (w *fleet) moveAtRandom(seed uint64, moves int) {
	w.options.Lease = 2 * memberTTL
	random := rand.New(rand.NewPCG(seed, 1))
	live := []*fleetProcess{w.start("p0", nil), w.start("p1", nil)}
	killed, published := 0, 0
	for move := range moves {
		w.publish(40, 30)
		published += 40
		time.Sleep(time.Duration(random.IntN(3000)) * time.Millisecond)
		i := random.IntN(len(live))
		switch kind := random.IntN(10); {
		case len(live) < 2 || kind < 4 && len(live) < 5:
			live = append(live, w.start("p"+string(rune('A'+move%26))+string(rune('a'+move/26)), nil))
		case kind < 7:
			live[i].end()
			live = slices.Delete(live, i, i+1)
		case kind < 9:
			live[i].kill()
			live = slices.Delete(live, i, i+1)
			killed++
		default:
			live[i].cut.Store(true)
			time.Sleep(time.Duration(random.IntN(5000)) * time.Millisecond)
			live[i].cut.Store(false)
		}
	}
	w.await(published)
	w.checkOrder(killed * 16)
}

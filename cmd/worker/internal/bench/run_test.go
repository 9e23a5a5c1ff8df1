package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/cmd/worker/internal/testbed"
	"github.com/onceish/onceish/internal/proxy"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// checkRows checks that each stage and loop was measured in each run, with all its events and each
// second message.
func checkRows(t *testing.T, o *Options, r Result, stages ...string) {
	t.Helper()
	loops := 1
	if o.Baseline {
		loops = 2
	}
	if want := len(stages) * loops * max(o.Runs, 1); len(r.Rows) != want {
		t.Fatalf("%d rows, want %d", len(r.Rows), want)
	}
	for _, row := range r.Rows {
		name := fmt.Sprintf("%s, %s, run %d", row.Stage, row.Loop, row.Run)
		if !slices.Contains(stages, row.Stage) || row.Published < o.Events || row.PerSecond <= 0 || row.Milliseconds <= 0 {
			t.Errorf("%s: %+v", name, row)
		}
		c := &cell{Events: o.Events, WarmUp: o.warmUp(), Seed: o.Seed, Duplicates: o.Duplicates}
		copies := (&measurement{cell: c}).copies()
		if row.Loop == LoopBaseline && row.Stage == StageExactlyOnce || row.Loop == LoopBaseline && row.Stage == StageOutbox && o.Mongo != "" {
			continue // nothing recognises what is delivered or inserted twice
		}
		if row.Duplicates != copies {
			t.Errorf("%s: %d duplicates, want %d", name, row.Duplicates, copies)
		}
		for _, l := range row.Latencies {
			if l.N != int64(row.Published) || l.Max < l.P50 || l.Min > l.P50 || l.From == "due" && (o.Rate == 0 || row.Saturated) {
				t.Errorf("%s: %+v", name, l)
			}
		}
	}
}

func TestEveryStageIsMeasured(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		store     string
		rate      float64
		baseline  bool
		processes int
		stages    []string
	}{
		"kv":             {store: testbed.StoreKV, processes: 2, stages: []string{StagePublish, StageConsume, StageExactlyOnce}},
		"kv, rate":       {store: testbed.StoreKV, rate: 500, stages: []string{StagePublish, StageConsume, StageExactlyOnce}},
		"mongo":          {store: testbed.StoreMongo, baseline: true, stages: []string{StageOutbox}},
		"mongo, rate":    {store: testbed.StoreMongo, rate: 100, processes: 2, stages: []string{StageOutbox}},
		"memory":         {store: testbed.StoreMemory, baseline: true, stages: []string{StagePublish, StageConsume, StageExactlyOnce, StageOutbox}},
		"baseline, rate": {store: testbed.StoreMemory, rate: 500, baseline: true, stages: []string{StageConsume}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := natstest.Start(t, nil)
			o := onServer(s)
			o.Store, o.Rate, o.Baseline, o.Processes, o.Duplicates, o.Keys = c.store, c.rate, c.baseline, c.processes, 0.1, 7
			if len(c.stages) == 1 {
				o.Stage = c.stages[0]
			}
			if c.store == testbed.StoreMongo {
				o.Mongo = emptyDatabase(t)
			}
			r, err := Run(within(t), o)
			if err != nil {
				t.Fatal(err)
			}
			checkRows(t, o, r, c.stages...)
			checkRemoved(t, s)
			if e := r.Environment; e.NATSServer == "" || e.Replicas != 1 || e.Cores < 1 || (e.MongoServer != "") != (o.Mongo != "") {
				t.Errorf("%+v", e)
			}
			if left := len(r.LeftOut) > 0; left != (c.store == testbed.StoreKV) {
				t.Errorf("left out: %+v", r.LeftOut)
			}
		})
	}
}

func TestMemoryBusIsMeasuredInThisProcess(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{0, 1000} {
		o := inMemory()
		o.Rate, o.Runs, o.Duplicates = rate, 2, 0.2
		r, err := Run(within(t), o)
		if err != nil {
			t.Fatal(err)
		}
		checkRows(t, o, r, StagePublish, StageConsume, StageExactlyOnce, StageOutbox)
		if len(r.Summary) != 4 || r.Summary[2].Stage != StageExactlyOnce || r.Summary[2].Runs != 2 {
			t.Errorf("%+v", r.Summary)
		}
	}
}

// TestStalledServerShowsInEveryEventThatWasDue: events that were due while the server was silent
// waited for it, whether they were sent or not. Counted from when they were sent, only those that
// were on their way would have.
func TestStalledServerShowsInEveryEventThatWasDue(t *testing.T) {
	t.Parallel()
	const stall = time.Second
	s := natstest.Start(t, nil)
	p, err := proxy.New(strings.TrimPrefix(s.URL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	o, err := onServer(s).withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	o.NATS, o.Stage, o.Rate, o.Events = "nats://"+p.Addr(), StagePublish, 500, 1000
	r, err := openRig(within(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	c := r.newCell(1, 1, StagePublish, LoopOnceish)
	arrived, err := s.Connect(t).SubscribeSync(c.Topic())
	if err != nil {
		t.Fatal(err)
	}
	stalled := make(chan struct{})
	go func() {
		defer close(stalled)
		for range c.WarmUp + 10 {
			if _, err := arrived.NextMsg(time.Minute); err != nil {
				t.Error(err)
				return
			}
		}
		p.Blackhole(proxy.ToServer, true)
		time.Sleep(stall) // not for a state: this is the stall
		p.Blackhole(proxy.ToServer, false)
	}()
	counted, err := r.measure(within(t), c, newConsole(o, c))
	<-stalled
	if err != nil {
		t.Fatal(err)
	}
	waited := counted.Latencies[dueToConfirmed].histogram
	if n := waited.TotalCount(); n != int64(o.Events) {
		t.Errorf("%d latencies", n)
	}
	// About 500 of 1000 were due during the stall, and half of these in its first half. The few
	// that were on their way are less than a twentieth.
	if p := time.Duration(waited.ValueAtPercentile(80)); p < stall/2 {
		t.Errorf("the 80th percentile is %v", p)
	}
	if most := time.Duration(waited.Max()); most < stall*8/10 {
		t.Errorf("the maximum is %v", most)
	}
}

func TestLostEventIsNamed(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, nil)
	o := onServer(s)
	o.Stage, o.Command, o.patience = StageExactlyOnce, []string{os.Args[0], "lossy"}, 5*time.Second
	r, err := Run(within(t), o)
	want := "of 220 events 1 are missing (00000001-0001-7000-8000-000000000042), and 0 were handled more than once"
	if !errors.Is(err, ErrBroken) || !errors.Is(err, ErrStalled) || !strings.Contains(err.Error(), want) || len(r.Rows) != 0 {
		t.Errorf("%v, want %s", err, want)
	}
	checkRemoved(t, s)
}

func TestEventThatIsHandledTwiceIsNamed(t *testing.T) {
	t.Parallel()
	for _, stage := range []string{StageExactlyOnce, StageConsume} {
		m := &measurement{cell: &cell{Stage: stage, Loop: LoopOnceish, Events: 3, Seed: 1}}
		err := m.checkRuns(&tally{Runs: []uint32{1, 2, 1}})
		if broken := stage == StageExactlyOnce; broken != errors.Is(err, ErrBroken) ||
			broken && !strings.Contains(err.Error(), "0 are missing, and 1 were handled more than once (00000001-0000-7000-8000-000000000001)") {
			t.Errorf("%s: %v", stage, err)
		}
	}
}

func TestWorkerThatEndsByItselfSaysWhy(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, nil)
	o := onServer(s)
	o.Stage, o.Command = StageConsume, []string{os.Args[0], "clumsy"}
	if _, err := Run(within(t), o); err == nil || !strings.Contains(err.Error(), "consume, onceish, run 1: ") || !strings.Contains(err.Error(), "stumbled") {
		t.Errorf("%v", err)
	}
	checkRemoved(t, s)
}

// TestInterruptLeavesNothing but what was measured before it.
func TestInterruptLeavesNothing(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, nil)
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(within(t))
	o := onServer(s)
	o.Store, o.Mongo, o.Duplicates = testbed.StoreMongo, emptyDatabase(t), 0.1
	o.Output = onLine(func(text string) {
		if strings.Contains(text, StageOutbox) {
			time.AfterFunc(20*time.Millisecond, func() { cancel(enough) }) // at a moment like any other
		}
	})
	r, err := Run(ctx, o)
	if interrupted := errors.Is(err, enough) || errors.Is(err, context.Canceled); !interrupted && err != nil || len(r.Rows) < 3 || len(r.Summary) < 3 {
		t.Errorf("%d rows, %v", len(r.Rows), err)
	}
	checkRemoved(t, s)
}

func TestServerThatDiesIsNamed(t *testing.T) {
	t.Parallel()
	o, err := (&Options{Events: 200, Rate: 50, Command: []string{os.Args[0], "work"}, Server: []string{os.Args[0], "serve"}}).withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	r, err := openRig(within(t), o)
	if err != nil {
		t.Fatal(err)
	}
	c := r.newCell(1, 1, StageExactlyOnce, LoopOnceish)
	arrived, err := natstest.Connect(t, r.own.URL()).SubscribeSync(c.Topic())
	if err != nil {
		t.Fatal(err)
	}
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		if _, err := arrived.NextMsg(time.Minute); err != nil {
			t.Error(err)
		}
		r.own.Kill()
	}()
	_, err = r.measure(within(t), c, newConsole(o, c))
	<-killed
	if err := errors.Join(err, r.checkServers()); err == nil || !strings.Contains(err.Error(), "the NATS server of the bench: process ") {
		t.Errorf("%v", err)
	}
	if err := r.close(t.Context()); err == nil {
		t.Error("what was made on a dead server was removed")
	}
	if _, err := os.Stat(r.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is left: %v", err)
	}
}

func TestServerOfItsOwnIsRemoved(t *testing.T) {
	t.Parallel()
	o := &Options{Stage: StageConsume, Events: 20, Command: []string{os.Args[0], "work"}, Server: []string{os.Args[0], "serve"}}
	r, err := Run(within(t), o)
	if err != nil || len(r.Rows) != 1 || r.Environment.SyncInterval != "always" {
		t.Errorf("%+v, %v", r, err)
	}
}

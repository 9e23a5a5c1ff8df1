package procstat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/cmd/worker/internal/report"
)

// fakeProcesses are those of a machine that a test makes up.
type fakeProcesses struct {
	mu    sync.Mutex
	usage map[int]Usage
	err   map[int]error
	reads int
}

// set gives a process its usage.
func (f *fakeProcesses) set(pid int, u Usage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.usage == nil {
		f.usage, f.err = make(map[int]Usage), make(map[int]error)
	}
	f.usage[pid] = u
	delete(f.err, pid)
}

func (f *fakeProcesses) fail(pid int, err error) {
	f.set(pid, Usage{})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err[pid] = err
}

func (f *fakeProcesses) read(pid int) (Usage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	u, ok := f.usage[pid]
	if !ok {
		return Usage{}, fmt.Errorf("process %d: %w", pid, ErrGone)
	}
	return u, f.err[pid]
}

// startSampler runs a sampler of made-up processes in a bubble; the function ends it.
func startSampler(t *testing.T, f *fakeProcesses, opts *Options) (*Sampler, func()) {
	t.Helper()
	s, err := NewSampler(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.read = f.read
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	synctest.Wait()
	return s, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func (f *fakeProcesses) countReads() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reads
}

// nextSample lets the next sample be taken.
func nextSample() {
	time.Sleep(DefaultInterval)
	synctest.Wait()
}

func show(lines []report.Series) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l.Name + ":")
		for _, p := range l.Points {
			fmt.Fprintf(&b, " %.2f=%.4g", p.X, p.Y)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func expect(t *testing.T, lines []report.Series, want ...string) {
	t.Helper()
	if got := show(lines); got != strings.Join(append(want, ""), "\n") {
		t.Errorf("lines are\n%swant\n%s", got, strings.Join(want, "\n"))
	}
}

func TestSamplerMeasuresCPUInPercentAndMemoryInMiB(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeProcesses{}
		s, stop := startSampler(t, f, nil)
		f.set(7, Usage{CPU: time.Hour, Resident: 32 << 20})
		f.set(8, Usage{CPU: time.Second, Resident: 1 << 19})
		s.Add("worker-1", 7)
		s.Add("nats", 8)
		nextSample()
		f.set(7, Usage{CPU: time.Hour + 750*time.Millisecond, Resident: 64 << 20})
		nextSample()
		stop()
		expect(t, s.CPU(), "worker-1: 1.00=150", "nats: 1.00=0")
		expect(t, s.Memory(), "worker-1: 0.50=32 1.00=64", "nats: 0.50=0.5 1.00=0.5")
	})
}

func TestChartsShowWhatWasMeasured(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeProcesses{}
		s, stop := startSampler(t, f, nil)
		s.Add("a", 7)
		nextSample()
		if charts := s.Charts(nil); charts != nil {
			t.Errorf("nothing was measured, and there are charts: %+v", charts)
		}
		f.set(7, Usage{Resident: 1 << 20})
		s.Add("a", 7)
		nextSample()
		nextSample()
		stop()
		spans := []report.Span{{From: 1, To: 2, Label: "killed"}}
		want := []report.Chart{
			{Title: "CPU, where 100 % is one core", Unit: report.Percent, Series: s.CPU(), Spans: spans},
			{Title: "Resident memory", Unit: report.MiB, Series: s.Memory(), Spans: spans},
		}
		if charts := s.Charts(spans); !reflect.DeepEqual(charts, want) {
			t.Errorf("%+v, want %+v", charts, want)
		}
		expect(t, s.CPU(), "a: 1.50=0")
	})
}

// What ends leaves a gap, and is not read again. Its successor continues the lines, and the CPU
// time of one is not taken for that of the other.
func TestSuccessorContinuesTheLinesAfterAGap(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end         func(f *fakeProcesses, s *Sampler)
		cpu, memory string
	}{
		"ended": {
			end:    func(f *fakeProcesses, _ *Sampler) { f.fail(7, ErrGone) },
			cpu:    "a: 1.00=0 1.50=NaN 3.00=0",
			memory: "a: 0.50=1 1.00=1 1.50=NaN 2.50=2 3.00=2",
		},
		"another has its id": {
			end:    func(f *fakeProcesses, _ *Sampler) { f.set(7, Usage{CPU: 9 * time.Hour, started: 99}) },
			cpu:    "a: 1.00=0 1.50=NaN 3.00=0",
			memory: "a: 0.50=1 1.00=1 1.50=NaN 2.50=2 3.00=2",
		},
		"removed": {
			end:    func(_ *fakeProcesses, s *Sampler) { s.Remove("a") },
			cpu:    "a: 1.00=0 1.25=NaN 3.00=0",
			memory: "a: 0.50=1 1.00=1 1.25=NaN 2.50=2 3.00=2",
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &fakeProcesses{}
			f.set(7, Usage{CPU: time.Hour, Resident: 1 << 20})
			f.set(8, Usage{CPU: time.Second, Resident: 2 << 20})
			s, stop := startSampler(t, f, nil)
			s.Add("a", 7)
			nextSample()
			time.Sleep(3 * DefaultInterval / 2) // between two samples
			c.end(f, s)
			nextSample()
			reads := f.countReads()
			nextSample()
			if f.countReads() != reads {
				t.Errorf("%s: a process that is gone is read again", name)
			}
			s.Add("a", 8)
			time.Sleep(DefaultInterval / 2)
			nextSample()
			stop()
			t.Log(name)
			expect(t, s.CPU(), c.cpu)
			expect(t, s.Memory(), c.memory)
		})
	}
}

func TestReplacedProcessHasAGapBeforeItsSuccessor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeProcesses{}
		f.set(7, Usage{Resident: 1 << 20})
		f.set(8, Usage{Resident: 2 << 20})
		s, stop := startSampler(t, f, nil)
		s.Add("a", 7)
		nextSample()
		nextSample()
		s.Add("a", 8)
		nextSample()
		nextSample()
		stop()
		expect(t, s.CPU(), "a: 1.00=0 1.00=NaN 2.00=0")
		expect(t, s.Memory(), "a: 0.50=1 1.00=1 1.00=NaN 1.50=2 2.00=2")
	})
}

func TestProcessThatNeverWasHasAnEmptyLine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, stop := startSampler(t, &fakeProcesses{}, nil)
		s.Add("a", 7)
		s.Remove("b")
		nextSample()
		stop()
		expect(t, s.CPU(), "a:")
		expect(t, s.Memory(), "a:")
	})
}

// A late sample is divided by the time that has passed. The tick that it delayed is left out, and
// the next one is on time.
func TestSamplesDoNotDrift(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeProcesses{}
		f.set(7, Usage{})
		s, stop := startSampler(t, f, nil)
		slow := 0
		s.read = func(pid int) (Usage, error) {
			if slow++; slow == 3 {
				time.Sleep(700 * time.Millisecond)
				f.set(pid, Usage{CPU: 600 * time.Millisecond})
			}
			return f.read(pid)
		}
		s.Add("a", 7)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		stop()
		expect(t, s.CPU(), "a: 1.00=0 2.20=50 2.50=0 3.00=0")
		expect(t, s.Memory(), "a: 0.50=0 1.00=0 2.20=0 2.50=0 3.00=0")
	})
}

// What is read of a process that is replaced or removed meanwhile is not taken for its successor's.
func TestLateReadIsLeftOut(t *testing.T) {
	t.Parallel()
	for _, replace := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			f := &fakeProcesses{}
			f.set(7, Usage{Resident: 1 << 20})
			f.set(8, Usage{Resident: 2 << 20})
			s, stop := startSampler(t, f, nil)
			s.read = func(pid int) (Usage, error) {
				if pid == 7 && replace {
					s.Add("a", 8)
				} else if pid == 7 {
					s.Remove("a")
				}
				return f.read(pid)
			}
			s.Add("a", 7)
			nextSample()
			nextSample()
			stop()
			if replace {
				expect(t, s.Memory(), "a: 1.00=2")
			} else {
				expect(t, s.Memory(), "a:")
			}
		})
	}
}

func TestCPUIsNeverNegative(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeProcesses{}
		f.set(7, Usage{CPU: time.Second})
		s, stop := startSampler(t, f, nil)
		s.Add("a", 7)
		nextSample()
		f.set(7, Usage{CPU: time.Second - time.Millisecond})
		nextSample()
		stop()
		expect(t, s.CPU(), "a: 1.00=0")
	})
}

func TestTimesCountFromTheStartThatIsGiven(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeProcesses{}
		f.set(7, Usage{Resident: 1 << 20})
		s, stop := startSampler(t, f, &Options{Interval: time.Second, Start: time.Now().Add(-time.Minute)})
		s.Add("a", 7)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		stop()
		expect(t, s.Memory(), "a: 61.00=1 62.00=1")
	})
}

func TestSamplerSaysOnceThatItCannotMeasure(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err   error
		lines int
		want  string
	}{
		{ErrUnavailable, 1, "they are measured on Linux alone"},
		{errors.New("some reason"), 2, "process cannot be measured"}, // each process has its own
		{ErrGone, 0, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			var b bytes.Buffer
			f := &fakeProcesses{}
			f.fail(7, c.err)
			f.fail(8, c.err)
			s, stop := startSampler(t, f, &Options{Log: slog.New(slog.NewTextHandler(&b, nil))})
			s.Add("a", 7)
			s.Add("b", 8)
			nextSample()
			nextSample()
			stop()
			if log := b.String(); strings.Count(log, "\n") != c.lines || strings.Count(log, c.want) < c.lines {
				t.Errorf("%v: the log is\n%s", c.err, log)
			}
			expect(t, s.Memory(), "a:", "b:")
		})
	}
}

func TestShortIntervalIsRefused(t *testing.T) {
	t.Parallel()
	for _, interval := range []time.Duration{-1, 1, minInterval - 1} {
		s, err := NewSampler(&Options{Interval: interval})
		if want := fmt.Sprintf("Options.Interval is %v: at least 10ms", interval); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, %v, want %q", s, err, want)
		}
	}
}

func TestSamplerIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeProcesses{}
		s, stop := startSampler(t, f, &Options{Interval: minInterval})
		var group sync.WaitGroup
		for n := range 4 {
			group.Go(func() {
				name := fmt.Sprint(n % 2)
				for i := range 100 {
					f.set(n, Usage{CPU: time.Duration(i), started: uint64(i % 3)})
					s.Add(name, n)
					time.Sleep(minInterval)
					for _, l := range append(s.CPU(), s.Memory()...) {
						for i := range l.Points {
							l.Points[i].X = -1 // they are the caller's
						}
					}
					s.Remove(name)
				}
			})
		}
		group.Wait()
		stop()
		for _, l := range append(s.CPU(), s.Memory()...) {
			for i, p := range l.Points {
				if p.X < 0 || i > 0 && p.X < l.Points[i-1].X || p.Y < 0 {
					t.Fatalf("%s: point %d is %v: %v", l.Name, i, p, l.Points)
				}
			}
		}
	})
}

func TestSamplerMeasuresARealProcess(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc")
	}
	s, err := NewSampler(&Options{Interval: minInterval})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	reads := 0
	s.read = func(pid int) (Usage, error) {
		if reads++; reads > 3 {
			cancel()
		}
		return Read(pid)
	}
	s.Add("self", os.Getpid())
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	cpu, memory := s.CPU()[0].Points, s.Memory()[0].Points
	if len(cpu) < 3 || len(memory) != len(cpu)+1 {
		t.Fatalf("%v, %v", cpu, memory)
	}
	for _, p := range memory {
		if math.IsNaN(p.Y) || p.Y < 1 || p.Y > 1<<20 {
			t.Errorf("%v MiB are resident", p.Y)
		}
	}
}

package procstat

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/onceish/onceish/cmd/worker/internal/report"
)

// DefaultInterval is how often a Sampler reads by default.
const DefaultInterval = 500 * time.Millisecond

const minInterval = 10 * time.Millisecond

// Options of NewSampler.
type Options struct {
	// Interval is how often each process is read. Zero: DefaultInterval. At least 10 ms.
	Interval time.Duration
	// Start is the zero of the times that the lines have. Zero: when NewSampler is called.
	Start time.Time
	// Log gets what cannot be measured. Nil: slog.Default().
	Log *slog.Logger
}

// Sampler measures processes at an interval. Its methods are safe for concurrent use.
type Sampler struct {
	interval time.Duration
	start    time.Time
	log      *slog.Logger
	read     func(pid int) (Usage, error)
	once     sync.Once // for the log

	mu        sync.Mutex
	processes []*process // in the order in which their names were added
}

// NewSampler returns a sampler without processes. Nil options are the defaults. It measures nothing
// before Run is called.
func NewSampler(opts *Options) (*Sampler, error) {
	o := *cmp.Or(opts, &Options{})
	o.Interval = cmp.Or(o.Interval, DefaultInterval)
	if o.Interval < minInterval {
		return nil, fmt.Errorf("procstat: Options.Interval is %v: at least %v", o.Interval, minInterval)
	}
	if o.Start.IsZero() {
		o.Start = time.Now()
	}
	return &Sampler{interval: o.Interval, start: o.Start, log: cmp.Or(o.Log, slog.Default()), read: Read}, nil
}

// Add measures a process under a name from the next sample on. If the name has another process,
// this one takes its place, and continues its lines after a gap.
func (s *Sampler) Add(name string, pid int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.find(name)
	if p == nil {
		p = &process{name: name}
		s.processes = append(s.processes, p)
	}
	p.begin(pid)
}

// Remove stops measuring the process of a name, and keeps its lines. It does nothing if there
// is none.
func (s *Sampler) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.find(name); p != nil {
		p.end(s.elapsed(time.Now()))
	}
}

// Run measures until ctx ends, and returns nil. The first sample is taken at once. A process that
// has ended is not measured again, unless it is added again. Run may be called once at a time.
func (s *Sampler) Run(ctx context.Context) error {
	ticker := time.NewTicker(s.interval)
	defer ticker.Stop()
	for {
		s.sampleAll()
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// CPU returns the CPU usage of each process since the sample before, in percent of one core, in the
// order in which their names were added. A process has its first value at its second sample.
func (s *Sampler) CPU() []report.Series {
	return s.lines(func(p *process) []report.Point { return p.cpu })
}

// Memory returns the resident memory of each process in MiB, in the order in which their names
// were added.
func (s *Sampler) Memory() []report.Series {
	return s.lines(func(p *process) []report.Point { return p.memory })
}

// Charts returns the lines as a chart of CPU and one of memory, both with the spans marked. It
// returns none if nothing was measured.
func (s *Sampler) Charts(spans []report.Span) []report.Chart {
	memory := s.Memory()
	if !slices.ContainsFunc(memory, func(l report.Series) bool { return len(l.Points) > 0 }) {
		return nil
	}
	return []report.Chart{
		{Title: "CPU, where 100 % is one core", Unit: report.Percent, Series: s.CPU(), Spans: spans},
		{Title: "Resident memory", Unit: report.MiB, Series: memory, Spans: spans},
	}
}

func (s *Sampler) lines(points func(*process) []report.Point) (lines []report.Series) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.processes {
		lines = append(lines, report.Series{Name: p.name, Points: slices.Clone(points(p))})
	}
	return lines
}

func (s *Sampler) sampleAll() {
	for _, t := range s.targets() {
		usage, err := s.read(t.pid)
		at := time.Now()
		if errors.Is(err, ErrUnavailable) {
			s.once.Do(func() { s.log.Warn("no CPU and memory of processes in the report; they are measured on Linux alone") })
		} else if err != nil && !errors.Is(err, ErrGone) {
			s.log.Warn("process cannot be measured; the report has a gap from here on", "process", t.process.name, "pid", t.pid, "error", err)
		}
		s.record(t, at, usage, err)
	}
}

// target is a process at the time of a sample.
type target struct {
	process *process
	pid     int
	number  int
}

// targets returns the processes that are due. They are read without holding the lock. After a late
// sample, the next tick may follow at once: a value over so short a time would be noise.
func (s *Sampler) targets() (targets []target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	latest := time.Now().Add(-s.interval / 2)
	for _, p := range s.processes {
		if p.measured && !p.lastAt.After(latest) {
			targets = append(targets, target{p, p.pid, p.number})
		}
	}
	return targets
}

// record adds a sample to the lines, unless the process was removed or replaced meanwhile.
func (s *Sampler) record(t target, at time.Time, usage Usage, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch p := t.process; {
	case !p.measured || p.number != t.number:
	case err != nil || p.isOther(usage):
		p.end(s.elapsed(at))
	default:
		p.add(s.elapsed(at), at, usage)
	}
}

func (s *Sampler) find(name string) *process {
	if i := slices.IndexFunc(s.processes, func(p *process) bool { return p.name == name }); i >= 0 {
		return s.processes[i]
	}
	return nil
}

// elapsed returns the seconds from the start.
func (s *Sampler) elapsed(at time.Time) float64 { return at.Sub(s.start).Seconds() }

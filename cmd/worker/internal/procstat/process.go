package procstat

import (
	"math"
	"time"

	"github.com/onceish/onceish/cmd/worker/internal/report"
)

// process is what is known of the processes of a name, one after the other.
type process struct {
	name     string
	pid      int
	number   int  // of processes that the name has had
	measured bool // false: it is gone or removed

	last        Usage // at the sample before
	lastAt      time.Time
	cpu, memory []report.Point
}

// begin makes a process the current one of its name.
func (p *process) begin(pid int) {
	if p.measured && p.hasSample() {
		p.addGap(math.Nextafter(p.memory[len(p.memory)-1].X, math.Inf(1)))
	}
	p.pid, p.measured, p.lastAt = pid, true, time.Time{}
	p.number++
}

// end notes that the process is not measured any more, from so many seconds on.
func (p *process) end(seconds float64) {
	if p.measured && p.hasSample() {
		p.addGap(seconds)
	}
	p.measured = false
}

// hasSample reports whether the current process was measured already.
func (p *process) hasSample() bool { return !p.lastAt.IsZero() }

// isOther reports whether another process has got the id of the one that was measured.
func (p *process) isOther(now Usage) bool { return p.hasSample() && now.started != p.last.started }

// add adds a sample.
func (p *process) add(seconds float64, at time.Time, now Usage) {
	if passed := at.Sub(p.lastAt); p.hasSample() && passed > 0 {
		spent := max(0, now.CPU-p.last.CPU)
		p.cpu = append(p.cpu, report.Point{X: seconds, Y: 100 * float64(spent) / float64(passed)})
	}
	p.memory = append(p.memory, report.Point{X: seconds, Y: float64(now.Resident) / (1 << 20)})
	p.last, p.lastAt = now, at
}

func (p *process) addGap(seconds float64) {
	p.cpu = append(p.cpu, report.Point{X: seconds, Y: math.NaN()})
	p.memory = append(p.memory, report.Point{X: seconds, Y: math.NaN()})
}

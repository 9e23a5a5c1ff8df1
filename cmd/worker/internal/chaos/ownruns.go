package chaos

import (
	"slices"
	"time"

	"github.com/onceish/onceish/cmd/worker/internal/journal"
)

// handlerRun is a run of a user's handler, as its worker process wrote it down.
type handlerRun struct {
	pid   int
	begun time.Time
	end   string // how the handler returned; empty: nobody wrote it down
	lost  *journal.Loss
	// marked: the process knew the mark to be stored.
	marked bool
	// late: an earlier run's mark was stored when it began.
	late bool
}

// ownRuns are the runs and the effects of each event that was published.
type ownRuns struct {
	runs    map[string][]*handlerRun
	effects map[string]int
	strange int // effects of events that were not published
	marked  map[string]bool
}

func newOwnRuns(ids []string) *ownRuns {
	o := &ownRuns{runs: make(map[string][]*handlerRun, len(ids)), effects: make(map[string]int, len(ids)), marked: make(map[string]bool)}
	for _, id := range ids {
		o.effects[id] = 0
	}
	return o
}

func (o *ownRuns) add(r *journal.Record) {
	if o == nil {
		return
	}
	switch r.What {
	case journal.Start:
		o.runs[r.ID] = append(o.runs[r.ID], &handlerRun{pid: r.PID, begun: r.At, late: o.marked[r.ID]})
	case journal.Effect:
		o.addEffect(r)
	case journal.Succeeded, journal.Failed, journal.Deferred, journal.Cancelled:
		if run := o.latest(r); run != nil {
			run.end = r.What
		}
	case journal.Handled:
		o.marked[r.ID] = true
		if run := o.latest(r); run != nil {
			run.marked = true
		}
	case journal.Lost:
		if run := o.latest(r); run != nil {
			run.lost = &journal.Loss{ID: r.ID, PID: r.PID, From: run.begun, At: r.At}
		}
	}
}

// addEffect: a record of a process is that of a run that has succeeded; a handler's line is not.
func (o *ownRuns) addEffect(r *journal.Record) {
	if _, known := o.effects[r.ID]; !known {
		o.strange++
		return
	}
	o.effects[r.ID]++
	if run := o.latest(r); run != nil && r.PID > 0 {
		run.end = journal.Succeeded
	}
}

// latest is the latest run of the record's event in its process; nil: there is none.
func (o *ownRuns) latest(r *journal.Record) *handlerRun {
	for _, run := range slices.Backward(o.runs[r.ID]) {
		if run.pid == r.PID {
			return run
		}
	}
	return nil
}

// ownRepeats are the effects beyond the first of each event, and what explains them.
type ownRepeats struct {
	// Unexplained repeats, and AfterFailure ones, which nothing but a run explains that did not
	// succeed: its handler had made the effect before.
	Unexplained, AfterFailure int
	MostPerKill               int
	// PerRun are events with more effects than runs, Late ones that ran though they were marked,
	// Others the remaining ones with unexplained repeats.
	PerRun, Late, Others []string
}

// repeatReasons is what may explain repeats.
type repeatReasons struct {
	kills        []journal.Kill
	exposure     int // how many repeats one kill explains
	explainsLoss func(journal.Loss) bool
}

// explainRepeats counts the repeats of events, and explains them. A run that did not end with a
// mark explains one more run, and so one more effect, if its process was killed, or lost the claim
// in a fault, or if its handler did not succeed.
func (o *ownRuns) explainRepeats(ids []string, c *repeatReasons) (out ownRepeats) {
	perKill := make(map[journal.Kill][]string)
	for _, id := range ids {
		repeats := o.effects[id] - 1
		if repeats < 1 {
			continue
		}
		kills, losses, failures, late := o.countReasons(id, c)
		runs := len(o.runs[id])
		explained := max(0, min(repeats, runs-1-late, len(kills)+losses+failures))
		for _, k := range kills[:min(len(kills), explained)] {
			perKill[k] = append(perKill[k], id)
		}
		out.AfterFailure += max(0, explained-len(kills)-losses)
		if over := repeats - explained; over > 0 {
			out.Unexplained += over
			switch {
			case repeats >= runs:
				out.PerRun = append(out.PerRun, id)
			case late > 0:
				out.Late = append(out.Late, id)
			default:
				out.Others = append(out.Others, id)
			}
		}
	}
	for _, repeated := range perKill {
		out.MostPerKill = max(out.MostPerKill, len(repeated))
		if over := len(repeated) - c.exposure; over > 0 {
			out.Unexplained += over
			out.Others = append(out.Others, repeated[c.exposure:]...)
		}
	}
	return out
}

func (o *ownRuns) countReasons(id string, c *repeatReasons) (kills []journal.Kill, losses, failures, late int) {
	for _, run := range o.runs[id] {
		if run.late {
			late++
		}
		if run.marked {
			continue
		}
		kill, killed := run.killedBy(c.kills)
		switch {
		case run.end == journal.Failed, run.end == journal.Deferred, run.end == journal.Cancelled:
			failures++
		case run.lost != nil:
			if c.explainsLoss(*run.lost) {
				losses++
			}
		case killed:
			kills = append(kills, kill)
		}
	}
	return kills, losses, failures, late
}

// killedBy is the kill that ended its process.
func (r *handlerRun) killedBy(kills []journal.Kill) (journal.Kill, bool) {
	for _, k := range kills {
		if k.PID == r.pid && !r.begun.After(k.Gone) {
			return k, true
		}
	}
	return journal.Kill{}, false
}

// isUnsuccessful reports whether a run of the event did not succeed, as far as it is known.
func (o *ownRuns) isUnsuccessful(id string) bool {
	for _, run := range o.runs[id] {
		if run.end != journal.Succeeded {
			return true
		}
	}
	return false
}

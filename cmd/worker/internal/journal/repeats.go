package journal

import "time"

// Kill is the end of a worker process by SIGKILL, or another end that leaves effects unmarked.
type Kill struct {
	PID int
	// Sent is when it was about to be killed, Gone when it was known to be dead.
	Sent, Gone time.Time
}

// Loss is a claim that was lost.
type Loss struct {
	ID  string
	PID int
	// From is when the run began, as far as the journal says so; At is when the loss was written
	// down.
	From, At time.Time
}

// Causes are what explains repeats.
type Causes struct {
	Kills []Kill
	// Concurrency is how many events a process may have started and not marked.
	Concurrency int
	// ExplainsLoss reports whether there is a reason for a lost claim, such as a fault. Nil: there
	// always is.
	ExplainsLoss func(Loss) bool
}

func (c *Causes) explainsLoss(l *Loss) bool { return c.ExplainsLoss == nil || c.ExplainsLoss(*l) }

// explainsSilentLoss reports whether a process has lost a claim to whoever made the next effect,
// and was killed before it could write that down.
func (c *Causes) explainsSilentLoss(e, next *effectRecord) bool {
	return c.ExplainsLoss != nil && c.ExplainsLoss(Loss{ID: e.ID, PID: e.PID, From: e.begun, At: next.At})
}

// Repeats are what Tally.ExplainRepeats finds.
type Repeats struct {
	// Unexplained counts the repeats that nothing explains, IDs are their events.
	Unexplained int
	IDs         []string
	// MostPerKill is the most that follow from one kill.
	MostPerKill int
	// LossesUnexplained are the lost claims without a reason.
	LossesUnexplained int
	// Reruns are events that began once more after they were known to be marked as done or dead,
	// though their process had no reason to have lost its claim meanwhile.
	Reruns []string
}

// CountUnexplained is ExplainRepeats where each lost claim explains one.
func (b *Tally) CountUnexplained(kills []Kill, concurrency int) (unexplained, most int) {
	r := b.ExplainRepeats(Causes{Kills: kills, Concurrency: concurrency})
	return r.Unexplained, r.MostPerKill
}

// ExplainRepeats counts the repeats that no kill, and no lost claim, explains. A kill explains at
// most as many as its process may have started and not marked: its concurrency.
func (b *Tally) ExplainRepeats(c Causes) (out Repeats) {
	for _, l := range b.losses {
		if !c.explainsLoss(l) {
			out.LossesUnexplained++
		}
	}
	for _, r := range b.reruns {
		if !c.explainsLoss(&Loss{ID: r.ID, PID: r.PID, From: r.At, At: r.At}) {
			out.Reruns = append(out.Reruns, r.ID)
		}
	}
	kills := make(map[int][]*repeatCause, len(c.Kills))
	for _, k := range c.Kills {
		kills[k.PID] = append(kills[k.PID], &repeatCause{Kill: k})
	}
	out.Unexplained, out.IDs = len(b.strange), append(out.IDs, b.strange...)
	for id, effects := range b.events {
		if n := countRepeats(effects, kills, &c); n > 0 {
			out.Unexplained += n
			out.IDs = append(out.IDs, id)
		}
	}
	for _, of := range kills {
		for _, k := range of {
			out.MostPerKill = max(out.MostPerKill, len(k.repeats))
			if over := len(k.repeats) - c.Concurrency; over > 0 {
				out.Unexplained += over
				out.IDs = append(out.IDs, k.repeats[c.Concurrency:]...)
			}
		}
	}
	return out
}

// repeatCause is a kill, and the events that were repeated because of it.
type repeatCause struct {
	Kill

	repeats []string
}

// countRepeats counts the unexplained effects of one event, which are in the order in which they
// were made. An effect that a kill has cut off from its mark explains one that follows the kill, or
// that follows the loss of its claim before the kill. An effect whose claim was lost explains one,
// before it or after it: its process may have been frozen just before it made the effect, and made
// it when its successor had.
func countRepeats(effects []*effectRecord, kills map[int][]*repeatCause, c *Causes) (unexplained int) {
	if len(effects) < 2 {
		return 0
	}
	lost := 0
	for _, e := range effects {
		if !e.marked && e.lost != nil && c.explainsLoss(e.lost) {
			lost++
		}
	}
	var cutOff []cutOffEffect // that no repeat has followed yet
	for i, e := range effects {
		k := e.cutOffBy(kills)
		switch {
		case i == 0:
		case len(cutOff) > 0 && cutOff[0].explains(e, c):
			cutOff[0].by.repeats = append(cutOff[0].by.repeats, e.ID)
			cutOff = cutOff[1:]
		case lost > 0:
			lost--
		case k != nil && c.explainsSilentLoss(e, e): // it came after that of its successor
			k = nil
		default:
			unexplained++
		}
		if k != nil {
			cutOff = append(cutOff, cutOffEffect{e, k})
		}
	}
	return unexplained
}

// cutOffEffect is an effect that a kill has cut off from its mark.
type cutOffEffect struct {
	*effectRecord

	by *repeatCause
}

func (f *cutOffEffect) explains(e *effectRecord, c *Causes) bool {
	return !e.At.Before(f.by.Sent) || c.explainsSilentLoss(f.effectRecord, e)
}

// cutOffBy is the kill that has cut off an effect from its mark; nil: none has.
func (e *effectRecord) cutOffBy(kills map[int][]*repeatCause) *repeatCause {
	if e.marked || e.lost != nil {
		return nil
	}
	for _, k := range kills[e.PID] {
		if !e.At.After(k.Gone) {
			return k
		}
	}
	return nil
}

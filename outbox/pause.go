package outbox

import "slices"

// PauseBy stops publishing by this drainer, until everybody who paused it has called ResumeBy. What
// is on its way to the bus is finished; once PauseBy has returned, nothing else is sent. Partitions
// stay leased, and rows wait. PauseBy does not wait. Repeated calls do nothing.
func (d *Drainer) PauseBy(who string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Contains(d.scheduler.pausedBy, who) {
		d.scheduler.pausedBy = append(d.scheduler.pausedBy, who)
	}
}

// ResumeBy ends a PauseBy of the same name. Repeated calls do nothing.
func (d *Drainer) ResumeBy(who string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.scheduler.pausedBy = slices.DeleteFunc(d.scheduler.pausedBy, func(by string) bool { return by == who })
	d.work.Broadcast()
}

// PausedBy returns who paused the drainer; nobody: it publishes.
func (d *Drainer) PausedBy() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.scheduler.pausedBy)
}

package demo

import (
	"fmt"
	"io"
	"strings"
)

// Report writes what was counted as a table for people, with a verdict.
func (r Result) Report(w io.Writer) error {
	var b strings.Builder
	row := func(name, value, meaning string) {
		fmt.Fprintf(&b, "  %-24s %9s", name, value)
		if meaning != "" {
			b.WriteString("   " + meaning)
		}
		b.WriteByte('\n')
	}
	row("published", grouped(r.Published), "messages; a careless producer sends some events twice or thrice")
	row("unique", grouped(r.Unique), "events in them, told apart by their ids")
	row("deliveries", grouped(r.Deliveries), "to workers; again what failed, had to wait, or died with its worker")
	row("duplicates recognised", grouped(r.Duplicates), "deliveries of what was done before: acknowledged, not run")
	row("handler failures retried", grouped(r.Failures), "runs that failed on purpose, and came again a little later")
	row("workers killed", grouped(r.Kills), r.killed())
	if r.Atomic {
		row("effects", grouped(r.Effects), "changes that the documents have counted; change and mark are one write")
		row("found made", grouped(r.FoundMade), "runs, after a kill, that found their effect and its mark, and changed nothing")
		row("repeated", grouped(r.Repeated), "by construction none, and counted all the same: no kill explains one")
	} else {
		row("effects", grouped(r.Effects), "lines in a file that neither the bus nor the store knows of")
		row("repeated", grouped(r.Repeated), "effects beyond the first of an event")
		row("  explained", grouped(r.Repeated-r.RepeatedUnexplained), r.explained())
		row("  most after one kill", grouped(r.MostPerKill), fmt.Sprintf("of at most %d: what a worker has begun and not yet marked", concurrency))
		row("  unexplained", grouped(r.RepeatedUnexplained), "")
	}
	row("lost", grouped(r.Lost), "events without an effect")
	row("seconds", fmt.Sprintf("%.1f", r.Seconds), r.waited())
	row("events/s", grouped(int(r.EventsPerSecond)), fmt.Sprintf("each run takes up to %v, as a call elsewhere might", longestRun))
	b.WriteString("\n" + r.verdict() + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (r Result) explained() string {
	const killed = "the worker was killed between the effect and its mark"
	if r.late == 0 {
		return killed
	}
	return killed + ", or could not renew its lease there in time"
}

func (r Result) killed() string {
	if r.Kills == 0 {
		return ""
	}
	return "by SIGKILL while they worked; each was replaced at once"
}

func (r Result) waited() string {
	if r.Kills == 0 {
		return ""
	}
	return fmt.Sprintf("what a killed worker had in flight waits %v for its lease to end", leaseLength)
}

func (r Result) verdict() string {
	switch {
	case r.Err() != nil:
		return fmt.Sprintf("BROKEN: %s lost, %s repeated without a reason.", grouped(r.Lost), grouped(r.RepeatedUnexplained)) + r.circumstances()
	case r.Repeated == 0:
		return "Nothing lost, nothing repeated."
	}
	why := "its worker was killed"
	if r.late > 0 {
		why += ", or could not renew its lease,"
	}
	return fmt.Sprintf("Nothing lost. Repeated: %s, each because %s after the effect and before its mark was stored. Handlers can\n"+
		"close that gap: a repeat has the same idempotency key.", grouped(r.Repeated), why)
}

// circumstances may be why the promise is broken.
func (r Result) circumstances() (s string) {
	if r.dead > 0 {
		s += fmt.Sprintf("\n%s events were given up as dead letters.", grouped(r.dead))
	}
	if r.late > 0 {
		s += fmt.Sprintf("\n%s claims ended while their workers lived: the machine or the store stood still for more than %v. Try again when it\n"+
			"has less to do.", grouped(r.late), leaseLength)
	}
	return s
}

package demo

import (
	"fmt"
	"io"
	"strings"

	"github.com/onceish/onceish/cmd/worker/internal/console"
)

// Report writes what was counted as a table for people, with a verdict.
func (r Result) Report(w io.Writer) error {
	var b strings.Builder
	row := func(name, value, meaning string) {
		b.WriteString(strings.TrimRight(fmt.Sprintf("  %-24s %9s   %s", name, value, meaning), " ") + "\n")
	}
	killed, waited := "", ""
	if r.Kills > 0 {
		killed = "by SIGKILL while they worked; each was replaced at once"
		waited = fmt.Sprintf("includes %v per kill until the dead worker's leases end", leaseLength)
	}
	row("published", console.GroupDigits(r.Published), "messages; a careless producer sends some events twice or thrice")
	row("unique", console.GroupDigits(r.Unique), "events in them, told apart by their ids")
	row("deliveries", console.GroupDigits(r.Deliveries), "to workers; again what failed, had to wait, or died with its worker")
	row("duplicates recognised", console.GroupDigits(r.Duplicates), "deliveries of what was done before: acknowledged, not run")
	row("handler failures retried", console.GroupDigits(r.Failures), "runs that failed on purpose, and came again a little later")
	row("workers killed", console.GroupDigits(r.Kills), killed)
	if r.Atomic {
		row("effects", console.GroupDigits(r.Effects), "changes that the documents have counted; change and mark are one write")
		row("found made", console.GroupDigits(r.FoundMade), "runs, after a kill, that found their effect and its mark, and changed nothing")
		row("repeated", console.GroupDigits(r.Repeated), "by construction none, and counted all the same: no kill explains one")
	} else {
		row("effects", console.GroupDigits(r.Effects), "lines that the handlers appended to a file of their own")
		row("repeated", console.GroupDigits(r.Repeated), "effects beyond the first of an event")
		row("  explained", console.GroupDigits(r.Repeated-r.RepeatedUnexplained), r.explainedText())
		row("  most after one kill", console.GroupDigits(r.MostPerKill), fmt.Sprintf("of at most %d: what a worker has begun and not yet marked", concurrency))
		row("  unexplained", console.GroupDigits(r.RepeatedUnexplained), "")
	}
	row("lost", console.GroupDigits(r.Lost), "events without an effect")
	row("seconds", fmt.Sprintf("%.1f", r.Seconds), waited)
	row("events/s", console.GroupDigits(int(r.EventsPerSecond)), fmt.Sprintf("each run takes up to %v, as a call elsewhere might", longestRun))
	b.WriteString("\n" + r.verdictText() + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (r Result) explainedText() string {
	const killed = "the worker was killed between the effect and its mark"
	if r.late == 0 {
		return killed
	}
	return killed + ", or could not renew its lease there in time"
}

func (r Result) verdictText() string {
	switch {
	case r.Err() != nil:
		return fmt.Sprintf("BROKEN: %s lost, %s repeated without a reason.", console.GroupDigits(r.Lost), console.GroupDigits(r.RepeatedUnexplained)) + r.circumstancesText()
	case r.Repeated == 0:
		return "Nothing lost, nothing repeated."
	}
	why := "its worker was killed"
	if r.late > 0 {
		why += ", or could not renew its lease,"
	}
	return fmt.Sprintf("Nothing lost. Repeated: %s, each because %s after the effect and before its mark was stored. Handlers can\n"+
		"close that gap: a repeat has the same idempotency key.", console.GroupDigits(r.Repeated), why)
}

// circumstancesText may be why the promise is broken.
func (r Result) circumstancesText() (s string) {
	if r.dead > 0 {
		s += fmt.Sprintf("\n%s events were given up as dead letters.", console.GroupDigits(r.dead))
	}
	if r.late > 0 {
		s += fmt.Sprintf("\n%s claims ended while their workers lived: the machine or the store stood still for more than %v. Try again when it\n"+
			"has less to do.", console.GroupDigits(r.late), leaseLength)
	}
	return s
}

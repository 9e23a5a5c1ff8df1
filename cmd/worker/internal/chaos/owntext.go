package chaos

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/onceish/onceish/internal/redact"
	"github.com/onceish/onceish/internal/shell"
)

// ownCounts are counts for the user's own workers.
func (r *Result) ownCounts() []countRow {
	effects := "lines that the handlers appended to " + r.HandlerJournal
	if r.HandlerJournal == "" {
		effects = "runs that succeeded: without --journal effects are not looked at"
	}
	return []countRow{
		{"published", count(r.Published), "messages, copies included: a producer that gets no answer publishes again"},
		{"events", count(r.Events), "in them, told apart by their ids"},
		{"runs", count(r.Runs), fmt.Sprintf("%s failed, %s were cancelled; at most %d attempts", count(r.Failures), count(r.Cancelled), r.MaxAttempt)},
		{"duplicates recognised", count(r.Duplicates), "deliveries of what was done before: acknowledged, not run"},
		{"effects", count(r.Effects), effects},
		{"repeated", count(r.Repeated), "effects beyond the first of an event"},
		{"  by faults", count(r.Repeated - r.RepeatedUnexplained - r.RepeatedAfterFailure), "the worker was killed between the effect and its mark, or lost its claim in a fault"},
		{"  most after one kill", count(r.MostPerKill), fmt.Sprintf("of at most %d: max_unmarked of the subscriptions", r.exposure)},
		{"  after a failed run", count(r.RepeatedAfterFailure), "the handler made the effect, and failed or was cancelled afterwards"},
		{"  unexplained", count(r.RepeatedUnexplained), ""},
		{"lost", count(r.Lost), "events with neither an effect nor a dead letter"},
		{"dead letters", count(r.DeadLetters), "events that were given up as their file says"},
		{"claims lost", count(r.LostClaims), fmt.Sprintf("%s of them without a fault that explains it", count(r.LostUnexplained))},
		{"seconds to settle", fmt.Sprintf("%.1f", r.SettleSeconds), "after the last fault was over"},
	}
}

// ownRemarks are what the verdict says of the user's own workers beside.
func (r *Result) ownRemarks() (lines []string) {
	if r.File == "" {
		return nil
	}
	if r.HandlerJournal == "" {
		lines = append(lines, "Effects were not looked at, only runs: name a file with --journal, and have the handlers append a line to it for each effect.")
	}
	if r.RepeatedAfterFailure > 0 {
		lines = append(lines, fmt.Sprintf("Repeated after a failed run: %s. The handler had made the effect before it failed; make it idempotent, by the event's id or IDEMPOTENCY_KEY.", count(r.RepeatedAfterFailure)))
	}
	if r.DeadLetters > 0 {
		lines = append(lines, fmt.Sprintf("Dead-lettered: %s. Whether they should be, the handler knows.", count(r.DeadLetters)))
	}
	if r.StrangeEffects > 0 {
		lines = append(lines, fmt.Sprintf("%s effects are of no event that was published here, and are not judged.", count(r.StrangeEffects)))
	}
	return lines
}

// failureText is what explains repeats beside faults.
func (r *Result) failureText() string {
	if r.RepeatedAfterFailure > 0 {
		return ", or by a run that failed after its effect"
	}
	return ""
}

// ownReplayCommand is replayCommand for the user's own workers.
func (o *Options) ownReplayCommand() string {
	d := o.deployed
	words := []string{o.Program, "-c", shell.Quote(d.File)}
	if d.Journal != "" {
		words = append(words, "--journal", shell.Quote(d.Journal))
	}
	for _, topic := range d.Topics {
		words = append(words, "--topic", shell.Quote(topic))
	}
	if d.DataFlag != "" {
		words = append(words, "--data", shell.Quote(d.DataFlag))
	}
	words = append(words, "--seed", strconv.FormatUint(o.Seed, 10), "--duration", o.Duration.String(), "--processes", strconv.Itoa(o.Processes),
		"--rate", strconv.Itoa(o.Rate), "--keys", strconv.Itoa(o.Keys), "--duplicates", strconv.FormatFloat(o.Duplicates, 'g', -1, 64),
		"--faults", strings.Join(o.Faults, ","))
	if o.NATS != "" {
		words = append(words, "--nats", redact.URL(o.NATS))
	}
	return strings.Join(words, " ")
}

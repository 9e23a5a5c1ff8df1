package chaos

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/onceish/onceish/cmd/worker/internal/console"
	"github.com/onceish/onceish/cmd/worker/internal/journal"
	"github.com/onceish/onceish/cmd/worker/internal/procstat"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/redact"
)

// Result is what was found. Its JSON is an object with these fields.
type Result struct {
	Seed      uint64  `json:"seed"`
	Store     string  `json:"store"`
	Processes int     `json:"processes"`
	Seconds   float64 `json:"seconds"` // in which events were published and faults happened
	// Published messages are in the stream, Events are in them.
	Published int `json:"published"`
	Events    int `json:"events"`
	// Runs began, and MaxAttempt is the largest number of an attempt. Failures failed on purpose,
	// and Cancelled ones were cancelled before their effect.
	Runs       int `json:"runs"`
	MaxAttempt int `json:"max_attempt"`
	Failures   int `json:"failures"`
	Cancelled  int `json:"cancelled"`
	// Effects are lines of the journal; Repeated those beyond the first of each event.
	Effects             int `json:"effects"`
	Repeated            int `json:"repeated"`
	RepeatedUnexplained int `json:"repeated_unexplained"`
	// MostPerKill is the largest number of repeats that follow from one kill: at most Concurrency.
	MostPerKill int `json:"most_per_kill"`
	// Duplicates are deliveries that were recognised and acknowledged without a run.
	Duplicates int `json:"duplicates"`
	// Lost events have neither an effect nor a dead letter.
	Lost int `json:"lost"`
	// DeadLetters are there, DeadLettersMeant ones should be.
	DeadLetters      int `json:"dead_letters"`
	DeadLettersMeant int `json:"dead_letters_meant"`
	// LostClaims were taken over from a process that lived; LostUnexplained of them without a fault
	// that explains it.
	LostClaims      int `json:"lost_claims"`
	LostUnexplained int `json:"lost_claims_unexplained"`
	// StartsCutOff are processes that ended because they were cut off while they started.
	StartsCutOff int `json:"starts_cut_off,omitempty"`
	// SettleSeconds passed from the end of all faults until everything was settled.
	SettleSeconds float64 `json:"settle_seconds"`
	// Kinds sums up Faults.
	Kinds  []KindResult `json:"kinds"`
	Faults []*Injection `json:"faults"`
	// Inconclusive kinds of faults never hit an event in flight.
	Inconclusive []string    `json:"inconclusive,omitempty"`
	Violations   []Violation `json:"violations,omitempty"`
	// Stories tell what events of violations went through.
	Stories []string `json:"stories,omitempty"`
	// Replay is the command that injects the same faults again.
	Replay string `json:"replay"`
	// Artifacts is the directory with journal, log and data of a run with a violation.
	Artifacts string `json:"artifacts,omitempty"`

	// File is that of a user's own workers, HandlerJournal the file with a line for each of their
	// effects; without one a run that succeeded is taken for an effect.
	File           string `json:"file,omitempty"`
	HandlerJournal string `json:"handler_journal,omitempty"`
	// RepeatedAfterFailure are the repeats of events whose handler had failed, or was cancelled,
	// after its effect: they are its own.
	RepeatedAfterFailure int `json:"repeated_after_failure,omitempty"`
	// StrangeEffects are effects of events that this run has not published.
	StrangeEffects int `json:"strange_effects,omitempty"`

	exposure int // of a user's own worker process
	curves   curves
	sampler  *procstat.Sampler
}

// KindResult is what a kind of fault did.
type KindResult struct {
	Kind string `json:"kind"`
	// Injected faults of the kind, and Hits among them that met events in flight.
	Injected int `json:"injected"`
	Hits     int `json:"hits"`
	// InFlight is how many events these met in all.
	InFlight int `json:"in_flight"`
	// Recovered is the longest time from the end of one until the group made effects again, Settled
	// the longest until what it met was done, in seconds.
	Recovered float64 `json:"recovered"`
	Settled   float64 `json:"settled"`
}

// Err is ErrViolation if a promise was broken.
func (r *Result) Err() error {
	if len(r.Violations) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrViolation, r.Violations[0].Text)
}

func (r *round) newResult(repeats *journal.Repeats, letters map[string]int, settling time.Duration) Result {
	out := Result{
		Seed: r.o.Seed, Store: r.o.Store, Processes: r.o.Processes, Seconds: r.o.Duration.Seconds(),
		Events: len(r.plan.ids), Runs: r.tally.Runs, MaxAttempt: r.tally.MaxAttempt, Failures: r.tally.Failures, Cancelled: r.tally.Cancelled,
		Effects: r.tally.Effects, Repeated: r.tally.Effects - r.tally.Done, RepeatedUnexplained: repeats.Unexplained, MostPerKill: repeats.MostPerKill, Duplicates: r.tally.Duplicates,
		LostClaims: r.tally.LostClaims, LostUnexplained: repeats.LossesUnexplained, StartsCutOff: r.ends, SettleSeconds: settling.Seconds(),
		Faults: append([]*Injection{}, r.injector.injections...), Violations: r.violations, Replay: r.o.replayCommand(),
		curves: r.curves, sampler: r.fleet.sampler,
	}
	for _, id := range r.plan.ids {
		out.DeadLetters += letters[id]
		meant := isPermanent(r.o.Seed, id)
		if meant {
			out.DeadLettersMeant++
		}
		if letters[id] == 0 && (meant || !r.tally.IsDone(id)) {
			out.Lost++
		}
	}
	for _, kind := range r.o.Faults {
		k := sumKind(kind, out.Faults)
		out.Kinds = append(out.Kinds, k)
		if k.Hits == 0 {
			out.Inconclusive = append(out.Inconclusive, kind)
		}
	}
	return out
}

func sumKind(kind string, injections []*Injection) KindResult {
	k := KindResult{Kind: kind}
	for _, i := range injections {
		if i.Kind != kind {
			continue
		}
		k.Injected++
		k.InFlight += i.InFlight
		if i.InFlight > 0 {
			k.Hits++
		}
		k.Recovered, k.Settled = max(k.Recovered, i.Recovered), max(k.Settled, i.Settled)
	}
	return k
}

// replayCommand is the command that injects the same faults again.
func (o *Options) replayCommand() string {
	if o.deployed != nil {
		return o.ownReplayCommand()
	}
	words := []string{
		o.Program, "--seed", strconv.FormatUint(o.Seed, 10), "--store", o.Store, "--duration", o.Duration.String(), "--processes", strconv.Itoa(o.Processes),
		"--rate", strconv.Itoa(o.Rate), "--keys", strconv.Itoa(o.Keys), "--duplicates", strconv.FormatFloat(o.Duplicates, 'g', -1, 64),
		"--lease", o.Lease.String(), "--faults", strings.Join(o.Faults, ","),
	}
	if o.Order != consumer.ByKey {
		words = append(words, "--order", o.Order.String())
	}
	if o.NATS != "" {
		words = append(words, "--nats", redact.URL(o.NATS))
	}
	if o.Mongo != "" {
		words = append(words, "--mongo", redact.URL(o.Mongo))
	}
	return strings.Join(words, " ")
}

func seconds(s float64) string {
	if s < 0 {
		return "never"
	}
	return fmt.Sprintf("%.2f s", s)
}

func count(n int) string { return console.GroupDigits(n) }

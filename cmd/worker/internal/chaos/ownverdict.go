package chaos

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/cmd/worker/internal/journal"
)

// judgeDeployed is judge for the user's own workers.
func (r *round) judgeDeployed(ctx context.Context, settling time.Duration) (Result, error) {
	letters, err := r.readOwnLetters(ctx)
	if err != nil {
		return Result{}, err
	}
	own := r.own.explainRepeats(r.plan.ids, &repeatReasons{kills: r.fleet.kills, exposure: r.o.deployed.exposure(), explainsLoss: r.explainsLoss})
	r.addViolation(ViolationRepeated, own.PerRun, "%d %s with more effects than runs: the handler makes the effect several times in one run")
	r.addViolation(ViolationRepeated, own.Late, "%d %s ran again though the success was marked")
	r.addViolation(ViolationRepeated, own.Others, "%d %s repeated, and nothing explains it")
	r.judgeOwnLetters(letters)
	stored, err := r.judgeOwnOrder(ctx)
	if err != nil {
		return Result{}, err
	}
	losses := r.tally.ExplainRepeats(journal.Causes{Kills: r.fleet.kills, Concurrency: r.o.deployed.exposure(), ExplainsLoss: r.explainsLoss}).LossesUnexplained
	counts := make(map[string]int, len(letters))
	for id, of := range letters {
		counts[id] = len(of)
	}
	repeats := journal.Repeats{Unexplained: own.Unexplained, MostPerKill: own.MostPerKill, LossesUnexplained: losses}
	out := r.newResult(&repeats, counts, settling)
	r.describeDeployed(&out, &own, counts)
	out.Published = stored
	out.Stories = r.tellStories(ctx)
	return out, nil
}

// judgeOwnOrder is judgeOrder where streams still have their events. A stream that deletes what was
// handled does not say any more where it was.
func (r *round) judgeOwnOrder(ctx context.Context) (published int, err error) {
	for i := range r.lab.targets {
		s, err := r.lab.js.Stream(ctx, r.lab.targets[i].stream)
		if err != nil {
			return 0, fmt.Errorf("look up the stream %s: %w", r.lab.targets[i].stream, err)
		}
		if s.CachedInfo().Config.Retention != jetstream.LimitsPolicy {
			return len(r.plan.messages), nil
		}
	}
	spans, stored, err := r.readSpans(ctx)
	if err != nil {
		return 0, err
	}
	r.judgeOrder(spans)
	return stored, nil
}

// describeDeployed fills in what is said of a user's own workers alone.
func (r *round) describeDeployed(out *Result, own *ownRepeats, letters map[string]int) {
	d := r.o.deployed
	out.File, out.HandlerJournal, out.RepeatedAfterFailure, out.exposure = d.File, d.Journal, own.AfterFailure, d.exposure()
	out.StrangeEffects, out.DeadLettersMeant, out.Lost = r.own.strange, 0, 0
	out.Effects -= r.own.strange
	out.Repeated = out.Effects - r.tally.Done
	if r.lines != nil {
		out.StrangeEffects += r.lines.strange
	}
	for _, id := range r.plan.ids {
		if letters[id] == 0 && !r.tally.IsDone(id) {
			out.Lost++
		}
	}
}

package consumer

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/onceish/onceish/consumer/internal/protocol"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	boom, bang := errors.New("boom"), errors.New("bang")
	for name, c := range map[string]struct {
		err   error
		kind  protocol.VerdictKind
		own   protocol.VerdictKind
		after time.Duration
		timed bool
		says  string
	}{
		"nil":                          {err: nil, kind: protocol.Success},
		"nil, permanent":               {err: Permanent(nil), kind: protocol.Success},
		"nil, later":                   {err: RetryAfter(time.Hour, nil), kind: protocol.Success},
		"an error":                     {err: boom, kind: protocol.Failure, says: "boom"},
		"permanent":                    {err: Permanent(boom), kind: protocol.Permanent, says: "boom"},
		"permanent, wrapped":           {err: fmt.Errorf("it failed: %w", Permanent(boom)), kind: protocol.Permanent, says: "it failed: boom"},
		"permanent among others":       {err: errors.Join(bang, Permanent(boom)), kind: protocol.Permanent, says: "bang\nboom"},
		"later":                        {err: RetryAfter(time.Hour, boom), kind: protocol.Failure, after: time.Hour, timed: true, says: "boom"},
		"later, wrapped":               {err: fmt.Errorf("it failed: %w", RetryAfter(time.Hour, boom)), kind: protocol.Failure, after: time.Hour, timed: true, says: "it failed: boom"},
		"later, at once":               {err: RetryAfter(-1, boom), kind: protocol.Failure, timed: true, says: "boom"},
		"snoozed":                      {err: Snooze(time.Minute), kind: protocol.Snooze, after: time.Minute, timed: true, says: "snoozed for 1m0s"},
		"snoozed, wrapped":             {err: fmt.Errorf("%w (%w)", boom, Snooze(time.Minute)), kind: protocol.Snooze, after: time.Minute, timed: true, says: "boom (snoozed for 1m0s)"},
		"snoozed for less than none":   {err: Snooze(-1), kind: protocol.Snooze, timed: true, says: "snoozed for 0s"},
		"permanent, about a later":     {err: Permanent(RetryAfter(time.Hour, boom)), kind: protocol.Permanent, says: "boom"},
		"later, about a permanent":     {err: RetryAfter(time.Hour, Permanent(boom)), kind: protocol.Failure, after: time.Hour, timed: true, says: "boom"},
		"throttled":                    {err: Throttled(time.Minute, boom), kind: protocol.Throttled, after: time.Minute, timed: true, says: "boom"},
		"throttled, for how long":      {err: Throttled(0, boom), kind: protocol.Throttled, says: "boom"},
		"throttled, nil":               {err: Throttled(time.Minute, nil), kind: protocol.Success},
		"unavailable":                  {err: fmt.Errorf("it failed: %w", Unavailable(boom)), kind: protocol.Unavailable, own: protocol.Failure, says: "it failed: boom"},
		"unavailable, nil":             {err: Unavailable(nil), kind: protocol.Success},
		"unavailable, else permanent":  {err: Unavailable(Permanent(boom)), kind: protocol.Unavailable, own: protocol.Permanent, says: "boom"},
		"unavailable, else later":      {err: Unavailable(RetryAfter(time.Hour, boom)), kind: protocol.Unavailable, own: protocol.Failure, after: time.Hour, timed: true, says: "boom"},
		"the handler ended its thread": {err: errGoexit, kind: protocol.Failure, says: errGoexit.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := protocol.Verdict{Kind: c.kind, After: c.after, Timed: c.timed, Error: c.says, Err: c.err}
			got := verdictOf(c.err)
			if c.err == nil {
				want.Err = nil
			}
			if got.Kind != want.Kind || got.Own != c.own || got.After != want.After || got.Timed != want.Timed || got.Error != want.Error || got.Stack != "" ||
				!errors.Is(got.Err, c.err) {
				t.Errorf("%+v, want %+v", got, want)
			}
			for kind, is := range map[protocol.VerdictKind]func(error) bool{
				protocol.Permanent: IsPermanent, protocol.Throttled: IsThrottled, protocol.Unavailable: IsUnavailable, protocol.Snooze: IsSnooze,
			} {
				if is(c.err) != (c.kind == kind) {
					t.Errorf("it is taken for %v: %v", kind, is(c.err))
				}
			}
		})
	}
}

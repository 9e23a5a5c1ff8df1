package main

import (
	"fmt"
	"time"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/worker/view"
)

// describeAttempt returns an attempt in one line, for people.
func describeAttempt(a *dedupe.Attempt) string {
	return fmt.Sprintf("%s, after %v in %s: %s", view.FormatTime(a.Ended), a.Took.Round(time.Microsecond), a.Process, a.Error)
}

package main

import (
	"fmt"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// attemptJSON is a failed attempt for programs: times are RFC 3339, tokens and sequences are text.
type attemptJSON struct {
	Number   int     `json:"number"`
	Ended    string  `json:"ended"`
	Took     float64 `json:"took_seconds"`
	Process  string  `json:"process"`
	Token    uint64  `json:"token,string"`
	Sequence uint64  `json:"sequence,string"`
	Error    string  `json:"error"`
}

func newHistoryJSON(history []dedupe.Attempt) []attemptJSON {
	out := make([]attemptJSON, len(history))
	for i, a := range history {
		out[i] = attemptJSON{
			Number: a.Number, Ended: formatTime(a.Ended), Took: a.Took.Seconds(), Process: a.Process, Token: a.Token, Sequence: a.Sequence, Error: a.Error,
		}
	}
	return out
}

// describeAttempt returns an attempt in one line, for people.
func describeAttempt(a *dedupe.Attempt) string {
	return fmt.Sprintf("%s, after %v in %s: %s", formatTime(a.Ended), a.Took.Round(time.Microsecond), a.Process, a.Error)
}

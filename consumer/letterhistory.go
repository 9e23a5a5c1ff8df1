package consumer

import (
	"cmp"
	"net/url"
	"strconv"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// headerHistory is there once for each failed attempt, the earliest first. Its values are written
// like the query of a URL.
const headerHistory = letterPrefix + "History"

// setHistory adds what is known of the attempts.
func setHistory(h bus.Headers, history []dedupe.Attempt) {
	for i := range history {
		a := &history[i]
		h[headerHistory] = append(h[headerHistory], url.Values{
			"number": {strconv.Itoa(a.Number)}, "ended": {formatTime(a.Ended)}, "took": {a.Took.String()}, "process": {a.Process},
			"token": {strconv.FormatUint(a.Token, 10)}, "sequence": {strconv.FormatUint(a.Sequence, 10)}, "error": {a.Error},
		}.Encode())
	}
}

// parseHistory leaves out what is no attempt: a letter is one without its history, too.
func parseHistory(h bus.Headers) (history []dedupe.Attempt) {
	for _, text := range h[headerHistory] {
		if a, err := parseAttempt(text); err == nil {
			history = append(history, a)
		}
	}
	return history
}

func parseAttempt(text string) (a dedupe.Attempt, err error) {
	v, err := url.ParseQuery(text)
	if err != nil {
		return a, err
	}
	number, err1 := strconv.Atoi(v.Get("number"))
	ended, err2 := time.Parse(time.RFC3339Nano, v.Get("ended"))
	took, err3 := time.ParseDuration(v.Get("took"))
	token, err4 := strconv.ParseUint(v.Get("token"), 10, 64)
	sequence, err5 := strconv.ParseUint(v.Get("sequence"), 10, 64)
	a = dedupe.Attempt{Number: number, Ended: ended, Took: took, Process: v.Get("process"), Token: token, Sequence: sequence, Error: v.Get("error")}
	return a.Kept(), cmp.Or(err1, err2, err3, err4, err5)
}

package kv

import (
	"encoding/json"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// attemptValue is a dedupe.Attempt as a row has it.
type attemptValue struct {
	Number   int          `json:"number,omitzero"`
	Ended    time.Time    `json:"ended,omitzero"`
	Took     jsonDuration `json:"took,omitzero"`
	Process  string       `json:"process,omitzero"`
	Token    uint64       `json:"token,omitzero"`
	Sequence uint64       `json:"sequence,omitzero"`
	Error    string       `json:"error,omitzero"`
}

// appendHistory writes nothing of a history that JSON cannot hold, with a time beyond the year
// 9999: a row does without it.
func appendHistory(b []byte, history []dedupe.Attempt) []byte {
	if len(history) == 0 {
		return b
	}
	values := make([]attemptValue, len(history))
	for i, a := range history {
		values[i] = attemptValue{a.Number, a.Ended, jsonDuration(a.Took), a.Process, a.Token, a.Sequence, a.Error}
	}
	list, err := json.Marshal(values)
	if err != nil {
		return b
	}
	return append(append(b, `,"history":`...), list...)
}

// decodeHistory returns nil for what it cannot read: the key is not refused for it.
func decodeHistory(data json.RawMessage) []dedupe.Attempt {
	var values []attemptValue
	if len(data) == 0 || json.Unmarshal(data, &values) != nil || len(values) == 0 {
		return nil
	}
	history := make([]dedupe.Attempt, len(values))
	for i, v := range values {
		if year := v.Ended.UTC().Year(); year < 1 || year > 9999 {
			return nil
		}
		history[i] = dedupe.Attempt{
			Number: v.Number, Ended: v.Ended, Took: time.Duration(v.Took), Process: v.Process, Token: v.Token, Sequence: v.Sequence, Error: v.Error,
		}.Kept()
	}
	return history
}

// fitHistory leaves out the earliest attempts until the row takes at most so many bytes.
func (r *keyRow) fitHistory(limit int) {
	for len(r.History) > 0 && len(r.encodeRow()) > limit {
		r.History = r.History[1:]
	}
}

package view

import (
	"github.com/onceish/onceish/deadletter"
	"github.com/onceish/onceish/dedupe"
)

// Letter is a dead letter.
type Letter struct {
	Letter   string `json:"letter" doc:"id of the letter"`
	Position string `json:"position" doc:"where the letter lies on its topic"`
	Group    string `json:"group" doc:"group that gave the event up"`
	ID       string `json:"id" doc:"id of the event"`
	Topic    string `json:"topic" doc:"topic of the event"`
	Key      string `json:"key,omitempty"`
	Type     string `json:"type,omitempty"`
	Source   string `json:"source,omitempty"`
	Time     string `json:"time,omitempty"`
	At       string `json:"event_position" doc:"where the event lies"`
	Reason   string `json:"reason" doc:"why the event was given up"`
	Error    string `json:"error,omitempty" doc:"error of its last run"`
	Attempts int    `json:"attempts"`
	Crashes  int    `json:"crashes"`
	Claimed  string `json:"claimed" doc:"when it was first claimed"`
	Died     string `json:"died" doc:"when it was given up"`
	Edited   string `json:"edited,omitempty" doc:"the letter that this one is an edit of"`

	SupersededBy string `json:"superseded_by,omitempty" doc:"the newest edit of this one, if it was looked for"`
}

// NewLetter returns the view of a letter.
func NewLetter(l *deadletter.Letter) Letter {
	e := &l.Event
	return Letter{
		Letter: l.ID, Position: l.Position.String(), Group: l.Group, ID: e.ID, Topic: e.Topic, Key: e.Key, Type: e.Type, Source: e.Source,
		Time: FormatTime(e.Time), At: l.At.String(), Reason: l.Reason, Error: l.Error, Attempts: l.Attempts, Crashes: l.Crashes,
		Claimed: FormatTime(l.Claimed), Died: FormatTime(l.Died), Edited: l.Edited, SupersededBy: l.SupersededBy,
	}
}

// NewLetters returns the views of letters; never nil.
func NewLetters(letters []deadletter.Letter) []Letter {
	out := make([]Letter, len(letters))
	for i := range letters {
		out[i] = NewLetter(&letters[i])
	}
	return out
}

// Attempt is a failed attempt.
type Attempt struct {
	Number   int     `json:"number"`
	Ended    string  `json:"ended"`
	Took     float64 `json:"took_seconds"`
	Process  string  `json:"process" doc:"host and process id"`
	Token    uint64  `json:"token,string" doc:"fencing token of its claim"`
	Sequence uint64  `json:"sequence,string" doc:"sequence of the delivery"`
	Error    string  `json:"error"`
}

func newHistory(history []dedupe.Attempt) []Attempt {
	out := make([]Attempt, len(history))
	for i, a := range history {
		out[i] = Attempt{
			Number: a.Number, Ended: FormatTime(a.Ended), Took: a.Took.Seconds(), Process: a.Process, Token: a.Token, Sequence: a.Sequence, Error: a.Error,
		}
	}
	return out
}

// WholeLetter is a dead letter with what is in it.
type WholeLetter struct {
	Letter

	History     []Attempt `json:"history,omitempty" doc:"the last failed attempts"`
	Stack       string    `json:"stack,omitempty" doc:"where it panicked"`
	ContentType string    `json:"content_type,omitempty"`
	Payload
}

// NewWholeLetter returns the view of a letter whose event is loaded.
func NewWholeLetter(l *deadletter.Letter) WholeLetter {
	return WholeLetter{
		Letter: NewLetter(l), History: newHistory(l.History), Stack: l.Stack, ContentType: l.Event.ContentType, Payload: NewPayload(&l.Event),
	}
}

// Cause is what letters have in common.
type Cause struct {
	Error   string `json:"error" doc:"first line of their errors"`
	Letters int    `json:"letters" doc:"how many there are"`
	First   string `json:"first" doc:"when the first of them was given up"`
	Last    string `json:"last" doc:"when the last of them was given up"`
	Latest  string `json:"latest" doc:"the letter that was stored last"`
}

// NewCauses returns the views of causes; never nil.
func NewCauses(causes []deadletter.Cause) []Cause {
	out := make([]Cause, len(causes))
	for i := range causes {
		c := &causes[i]
		out[i] = Cause{c.Error, c.Letters, FormatTime(c.First), FormatTime(c.Last), c.Latest.ID}
	}
	return out
}

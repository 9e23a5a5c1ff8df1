package view

import (
	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/worker"
)

// SharedLimit is the limit of a topic that the processes of a group share, as its store counts it.
type SharedLimit struct {
	Topic   string     `json:"topic" doc:"topic or pattern of the subscription"`
	Members int        `json:"members" doc:"live processes of the group that are subscribed to it, and share the limit"`
	Keys    []LimitKey `json:"keys" doc:"what has a limit of its own, as far as something has started for it lately"`
}

// LimitKey is what a store counts of one key of a limit.
type LimitKey struct {
	Key         string  `json:"key" doc:"topic, key, type or header that has this limit of its own; empty: see key_sha256 and overflow, or events without one"`
	KeySHA256   string  `json:"key_sha256,omitempty" doc:"hash of a key of more than 256 bytes"`
	Overflow    bool    `json:"overflow,omitempty" doc:"this is the limit that all keys beyond max_keys share"`
	Limit       int     `json:"limit" doc:"how many may start in per_seconds, by the rate that it was last counted by"`
	PerSeconds  float64 `json:"per_seconds"`
	Burst       int     `json:"burst,omitempty" doc:"how many may start at once after a rest; absent: limit"`
	Strategy    string  `json:"strategy,omitempty" doc:"token-bucket, fixed-window, sliding-window or sliding-log"`
	Used        int     `json:"used" doc:"how many of those that may start at once (burst or limit) are taken; what processes have reserved is"`
	Remaining   int     `json:"remaining" doc:"how many more may start now; none while the key is closed"`
	ResetAt     string  `json:"reset_at,omitempty" doc:"when nothing will be used, if nothing starts until then; absent: nothing is"`
	ClosedUntil string  `json:"closed_until,omitempty" doc:"until when a receiver that asked to slow down is given nothing"`
	Error       string  `json:"error,omitempty" doc:"why it cannot be read: the next start repairs it, with nothing remaining"`
}

// NewSharedLimits returns the views of shared limits; never nil.
func NewSharedLimits(limits []worker.SharedLimit) []SharedLimit {
	out := make([]SharedLimit, len(limits))
	for i := range limits {
		l := &limits[i]
		out[i] = SharedLimit{l.Topic, l.Members, make([]LimitKey, len(l.Keys))}
		for j := range l.Keys {
			out[i].Keys[j] = newLimitKey(&l.Keys[j])
		}
	}
	return out
}

func newLimitKey(u *flow.Usage) LimitKey {
	k := LimitKey{Key: u.Key, KeySHA256: u.SHA256, Overflow: u.Overflow}
	if u.Err != nil {
		k.Error = u.Err.Error()
		return k
	}
	k.Limit, k.PerSeconds, k.Burst, k.Strategy = u.Rate.Limit, u.Rate.Per.Seconds(), u.Rate.Burst, u.Rate.Strategy.String()
	k.Used, k.Remaining = u.Used, u.Remaining
	k.ResetAt, k.ClosedUntil = FormatTime(u.ResetAt), FormatTime(u.ClosedUntil)
	return k
}

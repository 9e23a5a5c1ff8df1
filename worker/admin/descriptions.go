package admin

import "github.com/danielgtaylor/huma/v2"

// describeMembers describes the members of objects that other packages define: their types have no
// tags for this one.
func describeMembers(schemas map[string]*huma.Schema) {
	for object, members := range memberDescriptions {
		schema := schemas[object]
		if schema == nil {
			continue // no operation has it
		}
		for name, text := range members {
			if property := schema.Properties[name]; property != nil && property.Description == "" {
				property.Description = text
			}
		}
	}
}

const (
	describesScope    = "the scope in which it runs again; absent: it is the first time"
	describesWaits    = "what it waits for, the nearest first"
	describesMissing  = "what is not known, and why"
	describesAttempts = "how many have failed, as far as the store knows"
	describesUntil    = "how long the store keeps its row; absent: it has none"
	describesState    = "not found, not subscribed, pending, running, retrying, dead-lettering, dead, done, settled or unreadable"
	describesSummary  = "where it stands, for people"
	describesLetter   = "id of its last dead letter that is stored"
)

var memberDescriptions = map[string]map[string]string{
	"Subscription": {
		"state":        "running, paused, limited, unavailable, unhealthy or draining",
		"why":          "the reason for the state",
		"owner":        "what the nonces of its claims begin with",
		"rate":         "events that it has started per second lately",
		"in_flight":    "events that it has fetched and not answered",
		"concurrency":  "how many events it may run at once",
		"lag":          "events that the group has not handled; negative: not known",
		"last_settled": "when an event was settled last, by the clock of the process",
		"ttl_seconds":  "how long marks are kept: in a pause of more than half of it they expire; absent: none are kept",
	},
	"Lag": {
		"pending":        "events that were never delivered",
		"unsettled":      "events that were delivered and are not acked",
		"seconds_behind": "age of the oldest event that is not settled; 0: there is none, or it was not found",
		"oldest":         "that event; absent: there is none, or it was not found, which missing says",
		"waits":          describesWaits,
		"missing":        describesMissing,
	},
	"Wait": {
		"for":     "run, lease, attempt, letter, member, resume, process, delivery, key or unknown",
		"text":    "the same for people",
		"seconds": "for how much longer, at most; absent: not known",
		"process": "the process that holds the claim (run, letter), as host and process id",
		"event":   "the earlier event (key)",
	},
	"Standing": {
		"scope":    describesScope,
		"state":    describesState,
		"summary":  describesSummary,
		"attempts": describesAttempts,
		"until":    describesUntil,
		"waits":    describesWaits,
		"letter":   describesLetter,
	},
	"Story": {
		"scope":    describesScope,
		"state":    describesState,
		"summary":  describesSummary,
		"attempts": describesAttempts,
		"until":    describesUntil,
		"waits":    describesWaits,
		"letter":   describesLetter,
		"others":   "where the event stands in the other scopes that its copies and letters name",
		"timeline": "what happened, in its order; lines without a time come last",
		"missing":  describesMissing,
	},
	"Line": {
		"time":   "by the clock of the source; absent: not known",
		"source": "where it is known from: stream, row, letter or outbox",
		"event":  "what happened, such as published, claimed, failed, handled, dead-lettered or redriven",
		"text":   "the details, for people",
		"scope":  describesScope,
		"topic":  "topic of an event that this one has caused",
		"id":     "id of an event that this one has caused",
	},
}

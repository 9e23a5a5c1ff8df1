package config

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/projector"
)

// ProjectHandler makes the documents of a collection of events.
type ProjectHandler struct {
	// Collection in the database of marks.
	Collection string
	// Key is the field of an event's data that has the key of its document. Empty: the event's own.
	Key string
	// Unique are fields, with policies, as projector.ParseUnique reads them.
	Unique []string
	// Tombstones is how long they are kept. 0: for ever.
	Tombstones time.Duration
	// Batch bounds how many events are written at once. Nil: as many as may be in flight, and no
	// more than consumer.DefaultBatchSize.
	Batch *Batch
}

func projectKeys() []field[ProjectHandler] {
	type p = ProjectHandler
	return []field[p]{
		textField("collection", "the name of a collection", func(h *p) *string { return &h.Collection }, checkProjectCollection).markRequired().
			describedAs("collection of mongo.uri's database, which is the projection's own"),
		nonEmptyField("key", "the name of a field", func(h *p) *string { return &h.Key }).
			describedAs("field of the data, which must be a JSON object, that has the key of the document; without it, the event's key is that"),
		uniqueField("unique", func(h *p) *[]string { return &h.Unique }),
		durationField("tombstones", func(h *p) *time.Duration { return &h.Tombstones }, consumer.Limit[time.Duration]{Min: day, Max: 3650 * day}).withDefaultText("for ever").
			describedAs("how long it is remembered that a document was deleted: longer than an older event can still be handled"),
		batchField("how many events are written at once; without it, up to 100 and to concurrency", func(h *p) **Batch { return &h.Batch }),
	}
}

// uniqueField is a list of unique fields.
func uniqueField[S any](name string, at func(*S) *[]string) *textList[S] {
	return &textList[S]{
		fieldInfo: fieldInfo{
			name: name, kind: "list of text", expected: "a field such as email, or with its policy email:first",
			meaning:    "fields of which no two documents show the same value, each with a policy after a colon: dead-letter (the default), first or last",
			scalarList: true, yamlTags: []string{"!!str"}, jsonShape: map[string]any{"type": "string", "minLength": 1},
			valid: func(text string) error {
				_, err := projector.ParseUnique(text)
				return err
			},
		},
		at: at,
	}
}

// checkProjectCollection refuses a name that MongoDB does not take, or that is used.
func checkProjectCollection(name string) error {
	switch {
	case name == "" || strings.ContainsAny(name, "$\x00") || strings.HasPrefix(name, "system.") || len(name) > 100:
		return fmt.Errorf("%s is not the name of a collection: it must have 1 to 100 bytes and no $, and not be one of the system's", quoteShort(name))
	case HoldsMarks(name):
		return fmt.Errorf("the collection %s has the marks of what was handled: name another one", quoteShort(name))
	}
	return nil
}

// Options returns those of a projector.Projection.
func (h *ProjectHandler) Options() (*projector.Options, error) {
	o := &projector.Options{TombstoneTTL: h.Tombstones}
	for _, text := range h.Unique {
		u, err := projector.ParseUnique(text)
		if err != nil {
			return nil, err
		}
		o.Unique = append(o.Unique, u)
	}
	return o, nil
}

// BatchOptions returns those of its batches, in a subscription with so many slots.
func (h *ProjectHandler) BatchOptions(slots int) *consumer.BatchOptions {
	if h.Batch != nil {
		return h.Batch.Options()
	}
	return &consumer.BatchOptions{Size: min(consumer.DefaultBatchSize, cmp.Or(slots, consumer.DefaultBatchSize))}
}

// checkProjections refuses projections without a database, and two that write one collection.
func (c *Config) checkProjections(r *configReader) {
	for i := range c.Subscriptions {
		h, at := c.Subscriptions[i].Handler.Project, entryPath(string(SectionSubscriptions), i)+".handler.project"
		if h == nil {
			continue
		}
		if c.Mongo.URI == "" && !r.hasMistake["mongo.uri"] {
			r.reportMistake(at, "its collection is kept in a MongoDB, and none is named: set mongo.uri, --mongo or MONGODB_URI")
		}
		if c.Outbox != nil && c.Outbox.Collection == h.Collection {
			r.reportMistake(at+".collection", "the collection %s has the rows of the outbox: name another one", quoteShort(h.Collection))
		}
		for j := range i {
			if other := c.Subscriptions[j].Handler.Project; other != nil && other.Collection == h.Collection {
				r.reportMistake(at+".collection", "subscriptions[%d] projects into %s too, and positions of two topics have no order: name another collection", j, quoteShort(h.Collection))
			}
		}
	}
}

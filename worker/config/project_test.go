package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/projector"
)

func TestProjectionsAreConfigured(t *testing.T) {
	t.Parallel()
	file := "mongo: {uri: 'mongodb://h/db'}\n" + batched("concurrency: 8, handler: {project: {collection: users, key: id, unique: [email, 'name:last'], tombstones: 90d}}")
	h := parseConfig(t, file, nil).Subscriptions[0].Handler.Project
	o, err := h.Options()
	if err != nil {
		t.Fatal(err)
	}
	if h.Collection != "users" || h.Key != "id" || o.TombstoneTTL != 90*24*time.Hour || len(o.Unique) != 2 ||
		o.Unique[0] != (projector.Unique{Field: "email", Policy: projector.DeadLetter}) || o.Unique[1] != (projector.Unique{Field: "name", Policy: projector.LastWins}) {
		t.Errorf("%+v, %+v", h, o)
	}
	for slots, want := range map[int]int{8: 8, 1000: consumer.DefaultBatchSize} {
		if got := h.BatchOptions(slots).Size; got != want {
			t.Errorf("with %d slots batches have %d events, want %d", slots, got, want)
		}
	}
}

func TestProjectionsThatCannotWorkAreMistakes(t *testing.T) {
	t.Parallel()
	const uri = "mongo: {uri: 'mongodb://h/db'}\n"
	for file, want := range map[string]string{
		batched("handler: {project: {collection: users}}"):                                                              "set mongo.uri",
		uri + batched("handler: {project: {}}"):                                                                         "collection",
		uri + batched("handler: {project: {collection: a$b}}"):                                                          "is not the name of a collection",
		uri + batched("handler: {project: {collection: dedupe}}"):                                                       "has the marks of what was handled",
		uri + "outbox: {collection: users}\n" + batched("handler: {project: {collection: users}}"):                      "has the rows of the outbox",
		uri + batched("handler: {project: {collection: users, unique: ['a.b']}}"):                                       "is no unique field",
		uri + batched("handler: {project: {collection: users, tombstones: 1h}}"):                                        "tombstones",
		uri + batched("handler: {project: {collection: users}}, mode: transactional"):                                   "what this handler does is not in the transaction",
		uri + batched("handler: {project: {collection: users, batch: {size: 50}}}, concurrency: 8"):                     "raise concurrency to 50 or more",
		uri + batched("handler: {project: {collection: users}}}\n- {topic: u, handler: {project: {collection: users}}"): "projects into \"users\" too",
		uri + batched("handler: {project: {collection: users}, log: {}}"):                                               "keep one",
	} {
		if problems := lint("w", []byte(file), env(nil)); !strings.Contains(problems.Error(), want) {
			t.Errorf("%s\n%v, want %s", file, problems, want)
		}
	}
}

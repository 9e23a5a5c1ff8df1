package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/mongowire"
	mongooutbox "github.com/onceish/onceish/outbox/mongo"
	"github.com/onceish/onceish/worker"
)

// actionsOfCommands are the privilege actions that commands take, as MongoDB's manual has them.
func actionsOfCommands() map[string][]string {
	return map[string][]string{
		"find": {"find"}, "aggregate": {"find"}, "insert": {"insert"}, "update": {"find", "update"}, "findAndModify": {"find", "update"}, "delete": {"find", "remove"},
		"create": {"createCollection"}, "listCollections": {"listCollections"}, "createIndexes": {"createIndex"}, "listIndexes": {"listIndexes"}, "collMod": {"collMod"},
		"hello": nil, "isMaster": nil, "ping": nil, "getMore": nil, "killCursors": nil, "endSessions": nil, "buildInfo": nil,
	}
}

// roles are those of deploy/mongo/roles.js, with their actions.
func roles(t *testing.T) map[string][]string {
	t.Helper()
	script, err := os.ReadFile("../../deploy/mongo/roles.js")
	check(t, err)
	all := make(map[string][]string)
	for _, role := range regexp.MustCompile(`"onceish-(\w+)": \[(.*)\]`).FindAllStringSubmatch(string(script), -1) {
		all[role[1]] = regexp.MustCompile(`\w+`).FindAllString(role[2], -1)
	}
	return all
}

// commandLog is a MongoDB that keeps the names of the commands that it gets.
type commandLog struct {
	mu    sync.Mutex
	names []string
}

func (c *commandLog) note(command string, reply bson.D) bson.D {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names = append(c.names, command)
	return reply
}

// take returns what was sent since it was last called.
func (c *commandLog) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := c.names
	c.names = nil
	slices.Sort(names)
	return slices.Compact(names)
}

// The actions of each role are enough for all that is sent to MongoDB on its task.
func TestMongoRolesAreEnough(t *testing.T) {
	t.Setenv("MONGODB_URI", mongotest.URI(t))
	p, db, wire, log := newPermitted(t), mongotest.Database(t), mongowire.New(t, mongotest.URI(t)), &commandLog{}
	wire.Rewrite(log.note)
	uri := strings.Replace(wire.URI(), "/?", "/"+db.Name()+"?", 1)
	given, taken := roles(t), make(map[string][]string)
	as := func(role, line string) {
		log.take()
		if strings.HasPrefix(line, "outbox") { // which takes MongoDB alone
			p.output(line, "--mongo", uri)
		} else {
			p.as(role, line, "--mongo", uri)
		}
		for _, command := range log.take() {
			actions, known := actionsOfCommands()[command]
			if !known {
				t.Errorf("the command %s: nobody knows what it takes", command)
			}
			for _, action := range actions {
				taken[role] = append(taken[role], action)
				if !slices.Contains(given[role], action) {
					t.Errorf("worker %s sends %s, which takes %s: onceish-%s does not have it", line, command, action, role)
				}
			}
		}
	}
	file := p.path("worker.yaml")
	check(t, os.WriteFile(file, []byte(strings.Replace(permittedStreams, "subscriptions", "outbox: {}\nsubscriptions", 1)), 0o600))
	as("provision", "provision --yes -c "+file)
	p.giveUpIn(uri, "bad1", "bad2")
	rows, err := mongooutbox.New(t.Context(), db.Collection(worker.OutboxCollection), nil)
	check(t, err)
	_, err = rows.AddAlone(t.Context(), bus.Event{ID: "1", Topic: "order.placed", Data: []byte("{}")})
	check(t, err)
	for _, line := range []string{"limits billing", "lag billing", "explain order.placed billing bad1", "outbox list"} {
		as("read", line)
	}
	as("operate", "dlq redrive billing --id bad1 --yes")
	as("operate", "replay order.placed --to-group billing --yes")
	check(t, os.WriteFile(file, []byte("group: billing\noutbox: {}\n"), 0o600))
	as("drain", "run --until-empty -c "+file)
	for role, actions := range taken {
		t.Logf("onceish-%s takes %q", role, slices.Compact(slices.Sorted(slices.Values(actions))))
	}
}

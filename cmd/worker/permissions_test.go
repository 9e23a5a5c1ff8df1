package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/natstest"
	mongooutbox "github.com/onceish/onceish/outbox/mongo"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/admin"
	"github.com/onceish/onceish/worker/config"
)

// permitted is a server with a user for each file in deploy/nats, and one who may everything.
type permitted struct {
	*house

	server *natstest.Server
	users  []*server.User
	spy    *nats.Conn
	mu     sync.Mutex
	heard  []string            // subjects since attribute was last called
	sent   map[string][]string // by user
}

func newPermitted(t *testing.T) *permitted {
	t.Helper()
	p := &permitted{house: newHouse(t), sent: make(map[string][]string)}
	users := "{user: root, password: x}\n"
	files, err := filepath.Glob(filepath.FromSlash("../../deploy/nats/*.conf"))
	check(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		check(t, err)
		name := filepath.Base(file)
		check(t, os.WriteFile(p.path(name), text, 0o600))
		users += fmt.Sprintf("{user: %s, password: x, permissions: {include %q}}\n", strings.TrimSuffix(name, ".conf"), name)
	}
	check(t, os.WriteFile(p.path("server.conf"), []byte("authorization: { users: [\n"+users+"] }"), 0o600))
	parsed, err := server.ProcessConfigFile(p.path("server.conf"))
	check(t, err)
	p.users = parsed.Users
	p.server = natstest.Start(t, func(o *server.Options) { o.Users = parsed.Users })
	p.spy = natstest.Connect(t, p.urlOf("root"))
	_, err = p.spy.Subscribe(">", func(m *nats.Msg) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.heard = append(p.heard, m.Subject)
	})
	check(t, err)
	check(t, p.spy.Flush())
	return p
}

// attribute notes that what was sent lately was sent by a user.
func (p *permitted) attribute(user string) {
	check(p.t, p.spy.Flush())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent[user] = append(p.sent[user], p.heard...)
	p.heard = nil
}

// minimal fails the test for what a user may and has not done.
func (p *permitted) minimal(user string) {
	p.t.Helper()
	for _, u := range p.users {
		if u.Username != user {
			continue
		}
		for _, allowed := range u.Permissions.Publish.Allow {
			if strings.HasPrefix(allowed, "$JS.FC.") {
				continue // the server asks for it where it has much to send
			}
			if !slices.ContainsFunc(p.sent[user], func(subject string) bool { return server.SubjectsCollide(subject, allowed) }) {
				p.t.Errorf("deploy/nats/%s.conf allows %s, which nothing needs", user, allowed)
			}
		}
	}
}

func (p *permitted) urlOf(user string) string { return "nats://" + user + ":x@" + p.server.Addr() }

// as runs a command as a user. It must succeed, and be refused nothing.
func (p *permitted) as(user, line string, more ...string) string {
	p.t.Helper()
	p.attribute("nobody")
	defer p.attribute(user)
	return p.output(line, append([]string{"--nats", p.urlOf(user)}, more...)...)
}

// output runs a command, which must succeed, and be refused nothing.
func (p *permitted) output(line string, more ...string) string {
	p.t.Helper()
	var stdout, stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	status := execArgs(ctx, slices.Concat([]string{"worker"}, strings.Fields(line), more), strings.NewReader(""), &stdout, &stderr)
	if status != 0 || strings.Contains(strings.ToLower(stderr.String()), "permission") {
		p.t.Errorf("worker %s %q: exit status %d: %s%s", line, more, status, &stdout, &stderr)
	}
	return stdout.String()
}

const permittedStreams = `
group: billing
provision:
  streams: [{name: ORDERS, subjects: [order.>]}, {name: DEAD, subjects: [dead.>]}]
  buckets: {marks: {}, members: {}, groups: {}, limits: {}}
subscriptions: [{topic: order.placed, rate: {limit: 1000/h, shared: true}, handler: {exec: 'true'}}]
`

// The permissions in deploy/nats are enough for what the files say: whoever provisions, looks or
// changes something with them is refused nothing, and what goes beyond is.
func TestPermissionsOfRolesAreEnough(t *testing.T) {
	t.Setenv("MONGODB_URI", "") // marks are in NATS
	p := newPermitted(t)
	file := p.path("worker.yaml")
	check(t, os.WriteFile(file, []byte(permittedStreams), 0o600))
	p.as("provision", "provision --yes -c "+file)
	check(t, os.WriteFile(file, []byte(strings.Replace(permittedStreams, "[order.>]", "[order.>], max_age: 30d", 1)), 0o600))
	p.as("provision", "provision --yes -c "+file)
	letters := p.giveUp("bad1", "bad2", "bad3", "bad4")
	for _, line := range []string{
		"groups list", "tail order.placed -n 1 --from 1h", "status billing", "members billing", "limits billing", "lag billing", "explain order.placed billing bad1", "export order.placed",
		"dlq list billing", "dlq show billing " + letters[0], "replay order.placed --to-group billing --dry-run",
	} {
		p.as("read", line)
	}
	p.useAPI("read", true, nil)
	for _, line := range []string{
		"pause billing --reason test", "resume billing", "dlq redrive billing --id " + letters[0] + " --yes", "dlq drop billing --id " + letters[1] + " --yes",
		"replay order.placed --to-group billing --yes",
	} {
		p.as("operate", line)
	}
	p.useAPI("operate", false, map[string]string{
		"/v1/groups/billing/pause": `{"reason":"r"}`, "/v1/groups/billing/resume": `{"reason":"r"}`, "/v1/groups/billing/dead-letters/" + letters[2] + "/redrive": `{"reason":"r"}`,
	})
	p.askAPI("operate", false, func(url string) {
		change(t, http.MethodPatch, url+"/v1/groups/billing/dead-letters/"+letters[3], `{"reason":"r","data":"{\"a\":1}"}`)
	})
	var out, stderr bytes.Buffer
	if status := execArgs(t.Context(), []string{"worker", "pause", "billing", "--reason", "test", "--nats", p.urlOf("read")}, strings.NewReader(""), &out, &stderr); status != 1 {
		t.Errorf("who may only look has paused: %d %s%s", status, &out, &stderr)
	}
	p.keepsConsumers("read")
	p.keepsConsumers("operate")
	for _, user := range []string{"provision", "read", "operate"} {
		p.minimal(user)
	}
}

// keepsConsumers fails the test if a user can take events from a group, or delete its consumer.
func (p *permitted) keepsConsumers(user string) {
	t := p.t
	nc := natstest.Connect(t, p.urlOf(user))
	consumer := natsbus.ConsumerName("billing", "order.placed")
	for _, subject := range []string{"$JS.API.CONSUMER.MSG.NEXT.ORDERS." + consumer, "$JS.API.CONSUMER.DELETE.ORDERS." + consumer, "$JS.API.CONSUMER.CREATE.ORDERS." + consumer + ".order.placed"} {
		refused, err := nc.SubscribeSync(nats.NewInbox())
		check(t, err)
		check(t, nc.PublishRequest(subject, refused.Subject, []byte(`{}`)))
		check(t, nc.Flush())
		if err := nc.LastError(); err == nil || !strings.Contains(err.Error(), subject) {
			t.Errorf("%s may publish to %s: %v", user, subject, err)
		}
	}
}

// giveUp runs the group, which gives up events, and returns the ids of their letters.
func (p *permitted) giveUp(ids ...string) (letters []string) { return p.giveUpIn("", ids...) }

// giveUpIn is giveUp with marks in another store.
func (p *permitted) giveUpIn(store string, ids ...string) (letters []string) {
	t := p.t
	quiet := slog.New(slog.DiscardHandler)
	o := &worker.ConnectOptions{NATS: p.urlOf("root"), Store: store, Logger: quiet}
	conns, err := worker.Connect(t.Context(), o)
	check(t, err)
	for _, id := range ids {
		_, err := conns.Bus().Publish(t.Context(), bus.Event{ID: id, Topic: "order.placed", ContentType: "application/json", Data: []byte("{}")})
		check(t, err)
	}
	check(t, conns.Close())
	_ = worker.Serve(t.Context(), "billing", o, &worker.Options{UntilEmpty: true, Logger: quiet}, func(_ context.Context, w *worker.Worker) error {
		rate := &config.Rate{Limit: config.Starts{Count: 1000, Per: time.Hour}, By: "key", Shared: true}
		o, err := w.ConfiguredOptions(t.Context(), &config.Subscription{Topic: "order.placed", Rate: rate})
		w.Handle("order.placed", func(context.Context, bus.Event) error { return consumer.Permanent(fmt.Errorf("no rate")) }, o)
		return err
	}) // it has given all of them up
	var page struct {
		Letters []struct {
			ID string `json:"id"`
		} `json:"letters"`
	}
	p.askAPI("root", true, func(url string) {
		check(t, json.Unmarshal([]byte(get(t, url+"/v1/groups/billing/dead-letters")), &page))
	})
	for _, l := range page.Letters {
		letters = append(letters, l.ID)
	}
	if len(letters) != len(ids) {
		t.Fatalf("there are letters %q of %q", letters, ids)
	}
	return letters
}

// askAPI serves the API as a user.
func (p *permitted) askAPI(user string, readOnly bool, ask func(url string)) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	conns, err := worker.Connect(p.t.Context(), &worker.ConnectOptions{NATS: p.urlOf(user), Logger: logger})
	check(p.t, err)
	api, err := admin.New(conns, &admin.Options{ReadOnly: readOnly, Logger: logger, Group: "billing"})
	check(p.t, err)
	s := httptest.NewServer(api.Handler(""))
	p.attribute("nobody")
	ask(s.URL)
	s.Close()
	check(p.t, api.Close(context.Background()))
	check(p.t, conns.Close())
	p.attribute(user)
	if strings.Contains(strings.ToLower(log.String()), "permission") {
		p.t.Errorf("%s: %s", user, &log)
	}
}

// useAPI asks for everything, and makes changes.
func (p *permitted) useAPI(user string, readOnly bool, changes map[string]string) {
	p.t.Helper()
	p.askAPI(user, readOnly, func(url string) {
		for _, path := range []string{
			"/readyz?verbose", "/v1/groups", "/v1/groups/billing", "/v1/groups/billing/lag", "/v1/groups/billing/pauses", "/v1/groups/billing/members", "/v1/groups/billing/limits", "/v1/groups/billing/limits/shared",
			"/v1/groups/billing/dead-letters", "/v1/groups/billing/dead-letter-errors", "/v1/groups/billing/dead-letter-preview?topic=%3E",
			"/v1/groups/billing/story?topic=order.placed&id=bad1", "/v1/replay?topic=order.placed", "/v1/export?topic=order.placed",
		} {
			get(p.t, url+path)
		}
		if !strings.Contains(get(p.t, url+"/v1/groups/billing/story?topic=nowhere&id=1"), "not found") {
			p.t.Error("there is something on a topic without a stream")
		}
		for path, body := range changes {
			change(p.t, http.MethodPost, url+path, body)
		}
	})
}

// change sends a request with a body, which must succeed.
func change(t *testing.T, method, url, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	check(t, err)
	req.Header.Set("Content-Type", "application/json")
	answered(t, req)
}

func get(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	check(t, err)
	return answered(t, req)
}

// answered returns the answer of a request, which must succeed.
func answered(t *testing.T, req *http.Request) string {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	check(t, err)
	defer resp.Body.Close()
	var text bytes.Buffer
	_, err = text.ReadFrom(resp.Body)
	check(t, err)
	if resp.StatusCode/100 != 2 {
		t.Errorf("%s %s: %d %s", req.Method, req.URL.Path, resp.StatusCode, &text)
	}
	return text.String()
}

// A worker that only publishes from its outbox is refused nothing either.
func TestPermissionsOfADrainerAreEnough(t *testing.T) {
	t.Parallel()
	p, db := newPermitted(t), mongotest.Database(t)
	uri := strings.TrimSuffix(mongotest.URI(t), "/") + "/" + db.Name()
	file := p.path("worker.yaml")
	check(t, os.WriteFile(file, []byte(permittedStreams), 0o600))
	p.as("provision", "provision --yes -c "+file, "--mongo", uri)
	rows, err := mongooutbox.New(t.Context(), db.Collection(worker.OutboxCollection), nil)
	check(t, err)
	_, err = rows.AddAlone(t.Context(), bus.Event{ID: "1", Topic: "order.placed", Data: []byte("{}")})
	check(t, err)
	check(t, os.WriteFile(file, []byte("group: billing\noutbox: {}\n"), 0o600))
	p.as("drain", "run --until-empty -c "+file, "--mongo", uri)
	if sent := p.as("read", "export order.placed"); !strings.Contains(sent, `"id":"1"`) {
		t.Errorf("published: %s", sent)
	}
	p.minimal("drain")
}

// Nor is a worker that reads a topic in partitions, as a group that is new, as one that is known,
// and where it gives up an event.
func TestPermissionsOfAWorkerWithPartitionsAreEnough(t *testing.T) {
	t.Setenv("MONGODB_URI", "") // marks are in NATS
	p := newPermitted(t)
	file := p.path("worker.yaml")
	check(t, os.WriteFile(file, []byte(permittedStreams), 0o600))
	p.as("provision", "provision --yes -c "+file)
	p.publishToPartitions(`{"id":"1","key":"a"}`, `{"id":"2","key":"b"}`)
	p.runPartitions("true", 0)
	p.publishToPartitions(`{"id":"3","key":"a"}`)
	p.runPartitions("exit 65", 4)
	if left := p.as("read", "lag billing order.placed"); !strings.Contains(left, "order.placed in 4 partitions: 0 behind") {
		t.Errorf("lag: %s", left)
	}
	p.minimal("partitions")
}

func (p *permitted) publishToPartitions(lines ...string) {
	p.t.Helper()
	events := p.path("events")
	check(p.t, os.WriteFile(events, []byte(strings.Join(lines, "\n")), 0o600))
	p.as("root", "publish --key-field key --partitions 4 order.placed "+events)
}

// runPartitions runs a worker of partitions until nothing is left. It must be refused nothing.
func (p *permitted) runPartitions(command string, status int) {
	p.t.Helper()
	p.attribute("nobody")
	defer p.attribute("partitions")
	w := p.start("run", "--topic", "order.placed", "--group", "billing", "--order", "partitions:4", "--until-empty", "--exec", command, "--nats", p.urlOf("partitions"))
	w.exits(status)
	log, err := os.ReadFile(w.stderr)
	check(p.t, err)
	if strings.Contains(strings.ToLower(string(log)), "permission") {
		p.t.Errorf("%s", log)
	}
}

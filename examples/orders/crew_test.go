package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// crew are the processes of the example, and its servers.
type crew struct {
	t       *testing.T
	nats    *natstest.Process
	db      *mongo.Database
	env     []string
	worker  string // the stock worker's program
	url     string // of the service
	boxes   []string
	running map[string]*process
}

type process struct {
	cmd    *osexec.Cmd
	stderr string
	ended  chan struct{}
}

// soon is longer than anything takes that happens at all.
const soon = 3 * time.Minute

func newCrew(t *testing.T) *crew {
	t.Helper()
	c := &crew{t: t, nats: natstest.StartProcess(t), db: mongotest.Database(t), worker: filepath.Join(t.TempDir(), "worker"), running: map[string]*process{}}
	if out, err := osexec.CommandContext(t.Context(), "go", "build", "-o", c.worker, "../../cmd/worker").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	address := freeAddress(t)
	c.url = "http://" + address
	c.env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "ONCEISH_") }),
		"NATS_URL="+c.nats.URL(), "MONGODB_URI="+within(mongotest.URI(t), c.db.Name()), "LISTEN="+address)
	t.Cleanup(c.end)
	return c
}

// freeAddress is one where nobody listens now.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// within is the URI with another database.
func within(uri, database string) string {
	uri, options, found := strings.Cut(uri, "?")
	if found {
		options = "?" + options
	}
	scheme, rest, _ := strings.Cut(uri, "://")
	hosts, _, _ := strings.Cut(rest, "/")
	return scheme + "://" + hosts + "/" + database + options
}

// start starts a process. Each one that sends mails has a mailbox of its own, so that it is known
// who has sent what.
func (c *crew) start(name string) {
	c.t.Helper()
	p := &process{stderr: filepath.Join(c.t.TempDir(), "stderr"), ended: make(chan struct{})}
	stderr, err := os.Create(p.stderr)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = stderr.Close() }()
	env := c.env
	if name == "mail" {
		p.cmd = osexec.Command(c.worker, "run", "-c", "mail.yaml", "--provision")
		c.boxes = append(c.boxes, filepath.Join(filepath.Dir(p.stderr), "mails"))
		env = append(slices.Clip(env), "MAILBOX="+c.boxes[len(c.boxes)-1])
	} else {
		p.cmd = osexec.Command(os.Args[0], name)
	}
	p.cmd.Env, p.cmd.Stderr = env, stderr
	if err := p.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // how it ended is asked for later
	}()
	c.running[name] = p
}

// kill kills a process at a moment like any other, and starts another one.
func (c *crew) kill(name string) {
	c.t.Helper()
	if name == "nats" {
		c.nats.Kill()
		c.nats.Start(c.t)
		return
	}
	p := c.running[name]
	select {
	case <-p.ended:
		c.t.Fatalf("%s has ended by itself: %v\n%s", name, p.cmd.ProcessState, p.said())
	default:
	}
	_ = p.cmd.Process.Kill()
	<-p.ended
	c.start(name)
}

// stop has all end in order.
func (c *crew) stop() {
	c.t.Helper()
	for _, p := range c.running {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // it is missed below
	}
	for name, p := range c.running {
		select {
		case <-p.ended:
			if !p.cmd.ProcessState.Success() {
				c.t.Errorf("%s: %v\n%s", name, p.cmd.ProcessState, p.said())
			}
		case <-time.After(soon):
			c.t.Errorf("%s does not end\n%s", name, p.said())
		}
	}
}

// end leaves no process.
func (c *crew) end() {
	for name, p := range c.running {
		_ = p.cmd.Process.Kill()
		<-p.ended
		if c.t.Failed() {
			c.t.Logf("%s said at last:\n%s", name, p.said())
		}
	}
}

func (p *process) said() string {
	text, _ := os.ReadFile(p.stderr) // it is only for people
	return string(text[max(0, len(text)-2000):])
}

// await waits for what only others' files and servers can tell.
func (c *crew) await(what string, met func() bool) {
	c.t.Helper()
	for late := time.Now().Add(soon); ; {
		begun := time.Now()
		if met() {
			return
		}
		if begun.After(late) {
			c.t.Fatalf("%v have passed without %s", soon, what)
		}
		time.Sleep(max(20*time.Millisecond, 4*time.Since(begun))) // looking must not slow down what it looks at
	}
}

// mails are the lines in all mailboxes, by the process that has sent them.
func (c *crew) mails() (sent [][]string) {
	c.t.Helper()
	for _, box := range c.boxes {
		text, err := os.ReadFile(box)
		if err != nil && !os.IsNotExist(err) {
			c.t.Fatal(err)
		}
		sent = append(sent, slices.Collect(strings.Lines(string(text))))
	}
	return sent
}

// count counts documents.
func (c *crew) count(collection string) int {
	c.t.Helper()
	n, err := c.db.Collection(collection).CountDocuments(c.t.Context(), bson.D{})
	if err != nil {
		c.t.Fatal(err)
	}
	return int(n)
}

// request asks the service once.
func (c *crew) request(ctx context.Context, client *http.Client, method, path, body string) error {
	r, err := http.NewRequestWithContext(ctx, method, c.url+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	_ = answer.Body.Close() // nothing in it matters
	if answer.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: %s", method, path, answer.Status)
	}
	return nil
}

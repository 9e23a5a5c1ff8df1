package nats

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/internal/testing/natstest"
)

const envMember = "ONCEISH_GROUP_MEMBER"

// runMember is a process that is a member until it is killed. It prints when each of its
// runs started.
func runMember(url string) (code int) {
	nc, err := nats.Connect(url, nats.MaxReconnects(-1))
	if err != nil {
		return 2
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	store, err := New(ctx, nc, quiet(&Options{}))
	if err != nil {
		return 3
	}
	paused := make(chan []group.Paused, 1)
	paused <- nil
	session, err := group.Join(ctx, store, "g", &group.Options{Apply: func(p []group.Paused) {
		<-paused
		paused <- p
	}})
	if err != nil {
		return 4
	}
	go func() { _ = session.Run(ctx) }()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // it ends with the test
		os.Exit(0)
	}()
	for {
		if _, err := session.Enter(ctx); err != nil {
			return 5
		}
		p := <-paused
		if _, ok := group.PauseFor(p, "t"); !ok {
			fmt.Println(time.Now().UnixNano())
		}
		paused <- p
		time.Sleep(time.Millisecond)
	}
}

// A process that is stopped with SIGSTOP goes, and is back once under its id with SIGCONT. It
// starts nothing that was paused meanwhile.
func TestAStoppedProcessMeetsThePauseWhenItGoesOn(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, nil)
	store := newStore(t, s.Connect(t), nil)
	member := exec.CommandContext(t.Context(), os.Args[0]) // #nosec G204 -- this binary
	member.Env = append(os.Environ(), envMember+"="+s.URL())
	out, err := member.StdoutPipe()
	if err == nil {
		_, err = member.StdinPipe()
	}
	if err == nil {
		err = member.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	starts := make(chan time.Time, 1_000_000)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if ns, err := strconv.ParseInt(lines.Text(), 10, 64); err == nil {
				starts <- time.Unix(0, ns)
			}
		}
	}()
	<-starts
	id := awaitMembers(t, store, 1)[0].ID
	send := func(s syscall.Signal) {
		t.Helper()
		if err := member.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	send(syscall.SIGSTOP)
	awaitMembers(t, store, 0)
	if _, err := group.Pause(t.Context(), store, "g", group.Request{}); err != nil {
		t.Fatal(err)
	}
	paused := time.Now()
	send(syscall.SIGCONT)
	if back := awaitMembers(t, store, 1); back[0].ID != id {
		t.Errorf("back as %s; want %s", back[0].ID, id)
	}
	if r, err := group.Pause(t.Context(), store, "g", group.Request{}); err != nil || len(r.Confirmed) != 1 {
		t.Errorf("%v: %+v", err, r)
	}
	time.Sleep(50 * time.Millisecond) // for what must not happen
	send(syscall.SIGKILL)
	<-read
	_ = member.Wait() // it was killed
	for close(starts); ; {
		at, ok := <-starts
		if !ok {
			break
		}
		if at.After(paused) {
			t.Errorf("a run started %v after the pause", at.Sub(paused))
		}
	}
}

func awaitMembers(t *testing.T, store *Store, n int) []group.Member {
	t.Helper()
	for limit := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		members, err := group.Members(t.Context(), store, "g")
		if err != nil {
			t.Fatal(err)
		}
		if len(members) == n {
			return members
		}
		if time.Now().After(limit) {
			t.Fatalf("%d members after 30 s; want %d", len(members), n)
		}
	}
}

package mongowire

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// FakeReplicaSet is a proxy that makes a member of a replica set of a server that has no
// transactions: what is written in one is kept here until it is committed, and locks the
// documents that it is about. A transaction that meets a lock is given up with a write conflict,
// and an update outside of any waits for it, as MongoDB has both. A transaction does not read
// what it wrote.
type FakeReplicaSet struct {
	target   string
	listener net.Listener
	wg       sync.WaitGroup
	closed   chan struct{}

	mu      sync.Mutex
	conns   map[net.Conn]bool
	open    map[string]*openTransaction // by session and transaction number
	done    map[string]bool             // committed
	freed   chan struct{}               // closed when locks were freed
	hook    func(command string, applied int) *Turn
	count   map[string]int
	kills   int
	noKills bool
	leaks   bool
}

// Turn is what becomes of a command instead of the usual. A command that is cut is not answered.
// GiveUp: before that, the server gives its transaction up.
type Turn struct {
	Apply, Cut, GiveUp bool
	Reply              bson.D
}

// NewFakeReplicaSet listens in front of the server that the URI names, until the test ends.
func NewFakeReplicaSet(tb testing.TB, target string) *FakeReplicaSet {
	tb.Helper()
	u, err := url.Parse(target)
	if err != nil {
		tb.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &FakeReplicaSet{
		target: u.Host, listener: l, closed: make(chan struct{}), conns: make(map[net.Conn]bool),
		open: make(map[string]*openTransaction), done: make(map[string]bool), freed: make(chan struct{}), count: make(map[string]int),
	}
	s.wg.Go(s.acceptClients)
	tb.Cleanup(s.closeAll)
	return s
}

// URI is the member's.
func (s *FakeReplicaSet) URI() string {
	return "mongodb://" + s.listener.Addr().String() + "/?directConnection=true"
}

// On has f decide what becomes of each command in a transaction; it is told how many of that name
// came before. Nil: the usual.
func (s *FakeReplicaSet) On(f func(command string, before int) *Turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = f
	clear(s.count)
}

// Pending is how many transactions are open.
func (s *FakeReplicaSet) Pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// Forget ends all that is open, as a change of primary does, or the end of its time.
func (s *FakeReplicaSet) Forget() { s.abandonMatching(func(*openTransaction) bool { return true }) }

// Kills is how many sessions with an open transaction were ended by killSessions.
func (s *FakeReplicaSet) Kills() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kills
}

// RefuseKills has nobody end another's session.
func (s *FakeReplicaSet) RefuseKills() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noKills = true
}

// Leak makes what is inserted in transactions visible at once; it is still undone when
// they are aborted.
func (s *FakeReplicaSet) Leak() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaks = true
}

func (s *FakeReplicaSet) acceptClients() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.wg.Go(func() { s.serveClient(c) })
	}
}

func (s *FakeReplicaSet) closeAll() {
	close(s.closed)
	_ = s.listener.Close()
	s.mu.Lock()
	for c := range s.conns {
		_ = c.Close()
	}
	s.conns = nil
	s.mu.Unlock()
	s.wg.Wait()
}

// serveClient works off one connection: drivers ask one thing at a time.
func (s *FakeReplicaSet) serveClient(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", s.target)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	s.mu.Lock()
	if s.conns == nil {
		s.mu.Unlock()
		return
	}
	s.conns[client], s.conns[server] = true, true
	s.mu.Unlock()
	c := &clientSession{set: s, server: server}
	for {
		m, err := readMessage(client)
		if err != nil {
			return
		}
		reply, err := c.answerMessage(m)
		if err != nil {
			return
		}
		if _, err := client.Write(reply); err != nil {
			return
		}
	}
}

// clientSession is one connection to the server.
type clientSession struct {
	set    *FakeReplicaSet
	server net.Conn
}

var errCut = errors.New("cut")

func (c *clientSession) answerMessage(m []byte) ([]byte, error) {
	id := binary.LittleEndian.Uint32(m[4:])
	if binary.LittleEndian.Uint32(m[12:]) != opMsg {
		return c.replyHello(m)
	}
	cmd, err := decodeMessage(m)
	if err != nil {
		return nil, err
	}
	reply, err := c.replyTo(cmd)
	if err != nil {
		return nil, err
	}
	return replyMessage(id, reply), nil
}

func (c *clientSession) replyTo(cmd bson.D) (bson.D, error) {
	if Get(cmd, "autocommit") != nil {
		return c.inTransaction(cmd)
	}
	switch cmd[0].Key {
	case "killSessions":
		return c.set.killSessions(cmd), nil
	case "update":
		if reply, err := c.awaitLocks(cmd); reply != nil || err != nil {
			return reply, err
		}
	}
	reply, err := c.askServer(withoutFields(cmd, "txnNumber", "$clusterTime"))
	if name := cmd[0].Key; name == "hello" || name == "isMaster" {
		reply = c.set.asReplicaSet(reply)
	}
	return reply, err
}

// replyHello forwards the old message by which a driver says hello first.
func (c *clientSession) replyHello(m []byte) ([]byte, error) {
	if _, err := c.server.Write(m); err != nil {
		return nil, err
	}
	reply, err := readMessage(c.server)
	if err != nil {
		return nil, err
	}
	const head = 36
	var d bson.D
	if err := bson.Unmarshal(reply[head:], &d); err != nil {
		return nil, err
	}
	body, err := bson.Marshal(c.set.asReplicaSet(d))
	if err != nil {
		return nil, err
	}
	reply = append(slices.Clone(reply[:head]), body...)
	binary.LittleEndian.PutUint32(reply, uint32(len(reply)))
	return reply, nil
}

// asReplicaSet makes a hello that of a primary.
func (s *FakeReplicaSet) asReplicaSet(hello bson.D) bson.D {
	me := s.listener.Addr().String()
	for _, e := range []bson.E{
		{Key: "setName", Value: "rs"},
		{Key: "setVersion", Value: int32(1)},
		{Key: "hosts", Value: bson.A{me}},
		{Key: "me", Value: me},
		{Key: "primary", Value: me},
		{Key: "logicalSessionTimeoutMinutes", Value: int32(30)},
	} {
		hello = With(hello, e.Key, e.Value)
	}
	return hello
}

// askServer has the server itself do something.
func (c *clientSession) askServer(cmd bson.D) (bson.D, error) {
	if _, err := c.server.Write(replyMessage(0, cmd)); err != nil {
		return nil, err
	}
	m, err := readMessage(c.server)
	if err != nil {
		return nil, err
	}
	return decodeMessage(m)
}

func (c *clientSession) inTransaction(cmd bson.D) (bson.D, error) {
	s := c.set
	name := cmd[0].Key
	s.mu.Lock()
	var t *Turn
	if s.hook != nil {
		t = s.hook(name, s.count[name])
	}
	s.count[name]++
	s.mu.Unlock()
	if t != nil && t.GiveUp {
		s.endTransaction(numberOf(cmd))
	}
	if t == nil {
		t = &Turn{Apply: true}
	}
	var reply bson.D
	var err error
	if t.Apply {
		if reply, err = c.applyWrite(cmd); err != nil {
			return nil, err
		}
	}
	if t.Cut {
		return nil, errCut
	}
	if t.Reply != nil {
		reply = t.Reply
	}
	return reply, nil
}

// decodeMessage makes one document of a message; document sequences become arrays again.
func decodeMessage(m []byte) (bson.D, error) {
	var d bson.D
	if len(m) < 26 || m[20] != 0 {
		return nil, errors.New("no command")
	}
	n := int(binary.LittleEndian.Uint32(m[21:]))
	if err := bson.Unmarshal(m[21:21+n], &d); err != nil {
		return nil, err
	}
	for at := 21 + n; at < len(m) && m[at] == 1; {
		end := at + 1 + int(binary.LittleEndian.Uint32(m[at+1:]))
		name := at + 5
		at = name
		for m[at] != 0 {
			at++
		}
		docs := bson.A{}
		key := string(m[name:at])
		for at++; at < end; {
			size := int(binary.LittleEndian.Uint32(m[at:]))
			var doc bson.D
			if err := bson.Unmarshal(m[at:at+size], &doc); err != nil {
				return nil, err
			}
			docs = append(docs, doc)
			at += size
		}
		d = append(d, bson.E{Key: key, Value: docs})
	}
	return d, nil
}

// Get is a field of a document; nil: it has none.
func Get(d bson.D, name string) any {
	for _, e := range d {
		if e.Key == name {
			return e.Value
		}
	}
	return nil
}

func withoutFields(d bson.D, names ...string) bson.D {
	return slices.DeleteFunc(slices.Clone(d), func(e bson.E) bool { return slices.Contains(names, e.Key) })
}

// withoutTransaction is a command without its transaction.
func withoutTransaction(cmd bson.D) bson.D {
	return withoutFields(cmd, "lsid", "txnNumber", "autocommit", "startTransaction", "readConcern", "writeConcern", "$clusterTime")
}

func okReply() bson.D { return bson.D{{Key: "ok", Value: 1.0}} }

// Gone is how a server answers for a transaction that it has given up.
func Gone() bson.D {
	return LabelledFailure(251, "NoSuchTransaction", "TransientTransactionError")
}

// LabelledFailure is a Failure with labels, by which drivers tell what to do about it.
func LabelledFailure(code int, name string, labels ...string) bson.D {
	all := bson.A{}
	for _, l := range labels {
		all = append(all, l)
	}
	return append(Failure(code, name), bson.E{Key: "errorLabels", Value: all})
}

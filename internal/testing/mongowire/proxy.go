package mongowire

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// opMsg is the only message of today's protocol.
const opMsg = 2013

// Proxy is a proxy in front of the server that knows commands from the driver's own housekeeping.
type Proxy struct {
	target   *url.URL
	listener net.Listener
	wg       sync.WaitGroup

	mu      sync.Mutex
	conns   map[net.Conn]bool
	armed   *commandFault
	spoiled *spoiledStatement
	refused bool
	delay   time.Duration
	edit    func(command string, reply bson.D) bson.D
}

// commandFault of the n-th command from now. The connection is cut, or the command is answered by
// an error, which is quicker: a driver waits half a second before it comes back to a server that
// cut a connection.
type commandFault struct {
	n                   int
	applied, cut, fired bool
}

// commandFate of a command.
type commandFate uint8

const (
	served commandFate = iota
	// cut: the connection ends before the command is heard, or before it is answered.
	cutBefore
	cutAfter
	// failed: an error answers in the server's place, or in place of its answer.
	failedBefore
	failedAfter
)

// New listens in front of the server that the URI names, until the test ends.
func New(tb testing.TB, target string) *Proxy {
	tb.Helper()
	u, err := url.Parse(target)
	if err != nil {
		tb.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	w := &Proxy{target: u, listener: l, conns: make(map[net.Conn]bool)}
	w.wg.Go(w.acceptClients)
	tb.Cleanup(w.closeAll)
	return w
}

// URI is the server's, by way of the proxy.
func (w *Proxy) URI() string {
	u := *w.target
	u.Host = w.listener.Addr().String()
	q := u.Query()
	q.Set("directConnection", "true")
	u.RawQuery = q.Encode()
	if u.Path == "" {
		u.Path = "/"
	}
	return u.String()
}

// Fail answers the n-th command from now by an error, in the way of dedupetest.
func (w *Proxy) Fail(n int, applied bool) func() bool {
	return w.armFault(&commandFault{n: n, applied: applied})
}

// Cut ends the connection of the n-th command from now.
func (w *Proxy) Cut(n int, applied bool) func() bool {
	return w.armFault(&commandFault{n: n, applied: applied, cut: true})
}

func (w *Proxy) armFault(f *commandFault) func() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = f
	return func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.armed == f {
			w.armed = nil
		}
		return f.fired
	}
}

// Refuse answers every command by an error, until it is called with false.
func (w *Proxy) Refuse(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refused = on
}

// Slow delays every command by d.
func (w *Proxy) Slow(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delay = d
}

// Rewrite edits the answers to commands, until it is called with nil.
func (w *Proxy) Rewrite(edit func(command string, reply bson.D) bson.D) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.edit = edit
}

// decideFate says what becomes of a command.
func (w *Proxy) decideFate(command string) (commandFate, time.Duration) {
	switch command {
	case "hello", "isMaster", "ismaster", "ping", "endSessions", "saslStart", "saslContinue", "buildInfo":
		return served, 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if f := w.armed; f != nil {
		if f.n == 0 {
			w.armed, f.fired = nil, true
			return f.fateOf(), w.delay
		}
		f.n--
	}
	if w.refused {
		return failedBefore, w.delay
	}
	return served, w.delay
}

func (f *commandFault) fateOf() commandFate {
	switch {
	case f.cut && f.applied:
		return cutAfter
	case f.cut:
		return cutBefore
	case f.applied:
		return failedAfter
	}
	return failedBefore
}

func (w *Proxy) acceptClients() {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.wg.Go(func() { w.serveClient(client) })
	}
}

func (w *Proxy) serveClient(client net.Conn) {
	server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", w.target.Host)
	if err != nil {
		_ = client.Close()
		return
	}
	p := &proxyPipe{proxy: w, client: client, server: server, asked: make(map[uint32]sentCommand)}
	if !w.trackConns(client, server) {
		p.closeBoth()
		return
	}
	w.wg.Go(p.forwardAnswers)
	p.forwardRequests()
	w.untrackConns(client, server)
}

func (w *Proxy) trackConns(cs ...net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conns == nil {
		return false
	}
	for _, c := range cs {
		w.conns[c] = true
	}
	return true
}

func (w *Proxy) untrackConns(cs ...net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range cs {
		delete(w.conns, c)
	}
}

func (w *Proxy) closeAll() {
	_ = w.listener.Close()
	w.mu.Lock()
	for c := range w.conns {
		_ = c.Close()
	}
	w.conns = nil
	w.mu.Unlock()
	w.wg.Wait()
}

// proxyPipe is one connection.
type proxyPipe struct {
	proxy          *Proxy
	client, server net.Conn

	mu    sync.Mutex
	asked map[uint32]sentCommand
}

// sentCommand is a request that the server has not answered.
type sentCommand struct {
	name string
	fate commandFate
	// spoiled is the statement that is to be answered as failed, or -1.
	spoiled int
	gone    bool
}

func (p *proxyPipe) closeBoth() {
	_ = p.client.Close()
	_ = p.server.Close()
}

func (p *proxyPipe) forwardRequests() {
	defer p.closeBoth()
	for {
		m, err := readMessage(p.client)
		if err != nil {
			return
		}
		name := commandName(m)
		fate, delay := p.proxy.decideFate(name)
		if delay > 0 {
			time.Sleep(delay)
		}
		id := binary.LittleEndian.Uint32(m[4:])
		if fate == cutBefore {
			return
		}
		if fate == failedBefore {
			if _, err := p.client.Write(replyMessage(id, Failure(96, "OperationFailed"))); err != nil {
				return
			}
			continue
		}
		m, index, gone := p.proxy.withoutSpoiled(m)
		p.mu.Lock()
		p.asked[id] = sentCommand{name, fate, index, gone}
		p.mu.Unlock()
		if _, err := p.server.Write(m); err != nil {
			return
		}
	}
}

func (p *proxyPipe) forwardAnswers() {
	defer p.closeBoth()
	for {
		m, err := readMessage(p.server)
		if err != nil {
			return
		}
		id := binary.LittleEndian.Uint32(m[8:])
		p.mu.Lock()
		a, ok := p.asked[id]
		if !ok {
			a.spoiled = -1
		}
		delete(p.asked, id)
		p.mu.Unlock()
		if a.fate == cutAfter {
			return
		}
		if a.fate == failedAfter {
			m = replyMessage(id, Failure(96, "OperationFailed"))
		}
		if a.spoiled >= 0 {
			if m, err = editMessage(m, func(reply bson.D) bson.D { return partialReply(reply, a.spoiled, a.gone) }); err != nil {
				return
			}
		}
		if m, err = p.proxy.editReply(a.name, m); err != nil {
			return
		}
		if _, err := p.client.Write(m); err != nil {
			return
		}
	}
}

// editReply is an answer after rewrite.
func (w *Proxy) editReply(name string, m []byte) ([]byte, error) {
	w.mu.Lock()
	f := w.edit
	w.mu.Unlock()
	if f == nil {
		return m, nil
	}
	return editMessage(m, func(reply bson.D) bson.D { return f(name, reply) })
}

func editMessage(m []byte, f func(bson.D) bson.D) ([]byte, error) {
	if binary.LittleEndian.Uint32(m[12:]) != opMsg {
		return m, nil
	}
	var reply bson.D
	if err := bson.Unmarshal(m[21:], &reply); err != nil {
		return nil, err
	}
	return replyMessage(binary.LittleEndian.Uint32(m[8:]), f(reply)), nil
}

// replyMessage is a message with that document.
func replyMessage(id uint32, d bson.D) []byte {
	body, err := bson.Marshal(d)
	if err != nil {
		panic(err) // of our own documents
	}
	m := make([]byte, 21, 21+len(body))
	binary.LittleEndian.PutUint32(m, uint32(21+len(body)))
	binary.LittleEndian.PutUint32(m[8:], id)
	binary.LittleEndian.PutUint32(m[12:], opMsg)
	return append(m, body...)
}

func readMessage(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n < 16 || n > 64<<20 {
		return nil, errors.New("no message of MongoDB's")
	}
	m := make([]byte, n)
	copy(m, head[:])
	_, err := io.ReadFull(r, m[4:])
	return m, err
}

// commandName is the name of a message's command; of an old OP_QUERY, which only says
// hello, it is hello.
func commandName(m []byte) string {
	if binary.LittleEndian.Uint32(m[12:]) != opMsg || len(m) < 26 || m[20] != 0 {
		return "hello"
	}
	e, err := bson.Raw(m[21:]).IndexErr(0)
	if err != nil {
		return ""
	}
	return e.Key()
}

package proxy

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// Direction of bytes through a proxy.
type Direction int

// Directions.
const (
	ToServer Direction = iota
	ToClient
)

// Proxy passes connections to a server on. Its methods are safe for concurrent use.
type Proxy struct {
	listener net.Listener
	server   string

	mu      sync.Mutex
	links   map[*link]struct{}
	hole    [2]bool          // what goes this way stays
	delay   [2]time.Duration // what goes this way comes so much later
	refuse  bool
	changed chan struct{} // closed when hole changes
	wg      sync.WaitGroup
}

// link is one connection.
type link struct {
	client, server net.Conn
}

// New starts a proxy to a server, "host:port", on a free port of the loopback interface.
// Close ends it.
func New(server string) (*Proxy, error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	p := &Proxy{listener: listener, server: server, links: map[*link]struct{}{}, changed: make(chan struct{})}
	p.wg.Go(p.accept)
	return p, nil
}

// Addr is where clients connect instead of to the server.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Blackhole keeps what goes in one direction from arriving, and lets nobody know. What was kept
// arrives when it is switched off.
func (p *Proxy) Blackhole(d Direction, on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hole[d] = on
	close(p.changed)
	p.changed = make(chan struct{})
}

// Delay lets what goes in one direction arrive later.
func (p *Proxy) Delay(d Direction, by time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay[d] = by
}

// Refuse closes new connections as soon as they are made.
func (p *Proxy) Refuse(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = on
}

// Links is how many connections there are.
func (p *Proxy) Links() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Cut closes all connections. New ones are made as before.
func (p *Proxy) Cut() { p.cut(func(*net.TCPConn) {}) }

// Reset closes all connections as if the other side had crashed: both ends read "connection
// reset by peer".
func (p *Proxy) Reset() {
	p.cut(func(c *net.TCPConn) { _ = c.SetLinger(0) }) // Best effort: closing is what counts.
}

func (p *Proxy) cut(before func(*net.TCPConn)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		for _, c := range []net.Conn{l.client, l.server} {
			if tcp, ok := c.(*net.TCPConn); ok {
				before(tcp)
			}
			_ = c.Close() // It is gone either way.
		}
		delete(p.links, l)
	}
	close(p.changed) // Whoever waits in a black hole finds its connection closed.
	p.changed = make(chan struct{})
}

// Close ends the proxy and all its connections.
func (p *Proxy) Close() {
	_ = p.listener.Close() // It is gone either way.
	p.Refuse(true)
	p.Blackhole(ToServer, false)
	p.Blackhole(ToClient, false)
	p.Cut()
	p.wg.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	server, err := new(net.Dialer).DialContext(context.Background(), "tcp", p.server)
	if err != nil {
		_ = client.Close() // The client learns it.
		return
	}
	l := &link{client: client, server: server}
	if !p.add(l) {
		_, _ = client.Close(), server.Close()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.pass(l, ToServer, server, client) })
	both.Go(func() { p.pass(l, ToClient, client, server) })
	both.Wait()
}

func (p *Proxy) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.refuse {
		p.links[l] = struct{}{}
	}
	return !p.refuse
}

func (p *Proxy) pass(l *link, d Direction, to, from net.Conn) {
	defer func() {
		_, _ = to.Close(), from.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.links, l)
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			p.hold(l, d)
			if _, failed := to.Write(buf[:n]); failed != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// hold waits as long as bytes of a link must not arrive.
func (p *Proxy) hold(l *link, d Direction) {
	for {
		p.mu.Lock()
		_, open := p.links[l]
		hole, delay, changed := p.hole[d] && open, p.delay[d], p.changed
		p.mu.Unlock()
		if !hole {
			time.Sleep(delay)
			return
		}
		<-changed
	}
}

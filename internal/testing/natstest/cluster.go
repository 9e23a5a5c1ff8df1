package natstest

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Cluster is three servers.
type Cluster struct {
	Servers []*Server
}

// StartCluster starts three servers with JetStream, and waits until they have agreed on a leader.
// configure, if not nil, may change their options.
func StartCluster(t testing.TB, configure func(*server.Options)) *Cluster {
	t.Helper()
	var routes []*url.URL
	var ports []int
	for range 3 {
		port := freePort(t)
		ports = append(ports, port)
		routes = append(routes, &url.URL{Scheme: "nats-route", Host: fmt.Sprintf("127.0.0.1:%d", port)})
	}
	c := &Cluster{}
	for i, port := range ports {
		s := &Server{options: server.Options{
			ServerName: fmt.Sprintf("server-%d", i), Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
			JetStream: true, StoreDir: filepath.Join(t.TempDir(), "store"), Routes: routes,
			Cluster: server.ClusterOpts{Name: "cluster", Host: "127.0.0.1", Port: port},
		}}
		if configure != nil {
			configure(&s.options)
		}
		t.Cleanup(s.stop)
		s.launch(t)
		c.Servers = append(c.Servers, s)
	}
	for _, s := range c.Servers {
		s.await(t)
	}
	c.awaitLeader(t)
	return c
}

func (c *Cluster) awaitLeader(t testing.TB) {
	t.Helper()
	for limit := time.Now().Add(ready); time.Now().Before(limit); time.Sleep(20 * time.Millisecond) {
		for _, s := range c.Servers {
			if s.running.JetStreamIsLeader() && s.running.JetStreamIsCurrent() && len(s.running.JetStreamClusterPeers()) == len(c.Servers) {
				return
			}
		}
	}
	t.Fatalf("natstest: the cluster had no leader after %v", ready)
}

// URL names all servers.
func (c *Cluster) URL() string {
	var urls []string
	for _, s := range c.Servers {
		urls = append(urls, s.URL())
	}
	return strings.Join(urls, ",")
}

// StepDown makes the leader of a stream, or of a consumer on it, give up its lead. An empty
// consumer means the stream.
func StepDown(t testing.TB, nc *nats.Conn, stream, consumer string) {
	t.Helper()
	subject := "$JS.API.STREAM.LEADER.STEPDOWN." + stream
	if consumer != "" {
		subject = "$JS.API.CONSUMER.LEADER.STEPDOWN." + stream + "." + consumer
	}
	m, err := nc.Request(subject, nil, 5*time.Second)
	if err != nil {
		t.Fatalf("natstest: %s: %v", subject, err)
	}
	var answer struct {
		Success bool            `json:"success"`
		Error   json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil || !answer.Success {
		t.Fatalf("natstest: %s: %s %v", subject, m.Data, err)
	}
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("natstest: %v", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

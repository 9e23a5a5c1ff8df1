package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.mongodb.org/mongo-driver/v2/bson"

	natsbus "github.com/onceish/onceish/bus/jetstream"
)

// Every process is killed in turn, the NATS server too, while orders are placed and some of
// them cancelled.
func TestKilledInTurn(t *testing.T) {
	t.Parallel()
	c := newCrew(t)
	for _, name := range []string{"service", "billing", "mail"} {
		c.start(name)
	}
	s := c.shoppers()
	sent := func() (n int) {
		for _, box := range c.mails() {
			n += len(box)
		}
		return n
	}
	for i, name := range []string{"mail", "billing", "service", "nats", "billing", "mail", "service"} {
		orders, invoices, mails := c.count("orders"), c.count("invoices"), sent()
		c.await(fmt.Sprintf("orders, invoices and mails after %d kills", i), func() bool {
			return c.count("orders") >= orders+25 && c.count("invoices") >= invoices+25 && sent() >= mails+25
		})
		c.kill(name)
	}
	ordered := s.stop()
	want := len(ordered)
	for _, cancelled := range ordered {
		if cancelled {
			want++
		}
	}
	c.await("a mail for everything", func() bool { return len(c.letters()) >= want })
	c.settled()
	c.stop()
	c.checkInvoices(ordered)
	c.checkEvents("order.*", orderPlaced, orderCancelled, ordered)
	c.checkEvents("invoice.*", invoiceIssued, invoiceCredited, ordered)
	c.checkMails(ordered)
	t.Logf("%d orders, %d mails, of which %d repeated", len(ordered), want, sent()-want)
}

// shoppers place orders, and cancel every third one, until stop. What fails they ask for again, as
// they do now and then anyway.
type shoppers struct {
	cancel context.CancelFunc
	all    sync.WaitGroup

	mu      sync.Mutex
	ordered map[string]bool // the ids of orders, and whether they were cancelled
}

const shopperCount = 4

func (c *crew) shoppers() *shoppers {
	ctx, cancel := context.WithCancel(c.t.Context())
	s := &shoppers{cancel: cancel, ordered: map[string]bool{}}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: shopperCount}}
	var last atomic.Int64
	for range shopperCount {
		s.all.Go(func() {
			pace := time.NewTicker(20 * time.Millisecond)
			defer pace.Stop()
			for ctx.Err() == nil {
				s.shop(c, client, int(last.Add(1)), pace.C)
			}
			client.CloseIdleConnections()
		})
	}
	c.t.Cleanup(func() { _ = s.stop() })
	return s
}

// shop orders once. It does not leave in the middle.
func (s *shoppers) shop(c *crew, client *http.Client, n int, pace <-chan time.Time) {
	id, cancels := fmt.Sprint(n), n%3 == 0
	insist := func(method, path, body string) bool {
		for range 500 {
			<-pace
			if c.request(context.Background(), client, method, path, body) == nil {
				return true
			}
		}
		c.t.Errorf("%s %s is never answered", method, path)
		return false
	}
	for range 1 + n%2 {
		if !insist("POST", "/orders", fmt.Sprintf(`{"id":%q,"customer":"ada","cents":%d}`, id, 100+n)) {
			return
		}
	}
	if cancels && !insist("DELETE", "/orders/"+id, "") {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ordered[id] = cancels
}

func (s *shoppers) stop() map[string]bool {
	s.cancel()
	s.all.Wait()
	return s.ordered
}

// letter is what a mail is about.
type letter struct{ topic, id string }

// letters are the mails that were sent, with their idempotency keys, by the process that
// has sent them.
func (c *crew) letters() map[letter][]stamp {
	c.t.Helper()
	all := map[letter][]stamp{}
	for i, box := range c.mails() {
		for _, line := range box {
			fields := strings.SplitN(line, " ", 3)
			var o order
			if len(fields) != 3 || json.Unmarshal([]byte(fields[2]), &o) != nil {
				continue // it is being written; otherwise it is missed
			}
			l := letter{fields[1], o.ID}
			all[l] = append(all[l], stamp{key: fields[0], process: i})
		}
	}
	return all
}

type stamp struct {
	key     string
	process int
}

// settled waits until neither group has anything to do.
func (c *crew) settled() {
	c.t.Helper()
	js := c.jetstream()
	for topic, group := range map[string]string{"order.*": "billing", "invoice.*": "mail"} {
		c.await(group+" to be done", func() bool {
			consumer, err := js.Consumer(c.t.Context(), natsbus.StreamName(topic), natsbus.ConsumerName(group, topic))
			if err != nil {
				c.t.Fatal(err)
			}
			info := consumer.CachedInfo()
			return info.NumPending == 0 && info.NumAckPending == 0
		})
	}
}

func (c *crew) jetstream() jetstream.JetStream {
	c.t.Helper()
	nc, err := nats.Connect(c.nats.URL())
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		c.t.Fatal(err)
	}
	return js
}

// checkInvoices: one for each order, with each line once.
func (c *crew) checkInvoices(ordered map[string]bool) {
	c.t.Helper()
	cur, err := c.db.Collection("invoices").Find(c.t.Context(), bson.D{})
	if err != nil {
		c.t.Fatal(err)
	}
	var all []invoice
	if err := cur.All(c.t.Context(), &all); err != nil {
		c.t.Fatal(err)
	}
	if len(all) != len(ordered) {
		c.t.Errorf("%d invoices of %d orders", len(all), len(ordered))
	}
	for _, i := range all {
		cancelled, known := ordered[i.ID]
		lines := []string{}
		for _, l := range i.Lines {
			lines = append(lines, l.Text)
		}
		if !known || !slices.Equal(lines, expected(cancelled, invoiceIssued, invoiceCredited)) || cancelled == (i.Total > 0) {
			c.t.Errorf("order %s, cancelled: %t: the invoice %+v", i.ID, cancelled, i)
		}
	}
}

func expected(cancelled bool, first, second string) []string {
	if cancelled {
		return []string{first, second}
	}
	return []string{first}
}

// checkEvents: in the stream are those of each order, in their order, once.
func (c *crew) checkEvents(topic, first, second string, ordered map[string]bool) {
	c.t.Helper()
	stream, err := c.jetstream().Stream(c.t.Context(), natsbus.StreamName(topic))
	if err != nil {
		c.t.Fatal(err)
	}
	got := map[string][]string{}
	for seq := range stream.CachedInfo().State.LastSeq {
		m, err := stream.GetMsg(c.t.Context(), seq+1)
		if err != nil {
			c.t.Fatal(err)
		}
		var o order
		if err := json.Unmarshal(m.Data, &o); err != nil {
			c.t.Fatal(err)
		}
		got[o.ID] = append(got[o.ID], m.Subject)
	}
	if len(got) != len(ordered) {
		c.t.Errorf("%s: events of %d orders, want %d", topic, len(got), len(ordered))
	}
	for id, topics := range got {
		if cancelled := ordered[id]; !slices.Equal(topics, expected(cancelled, first, second)) {
			c.t.Errorf("order %s, cancelled: %t: the events %v", id, cancelled, topics)
		}
	}
}

// checkMails: one for each event of an invoice. A repeat has the same key, and comes after a mail
// of a process that was killed.
func (c *crew) checkMails(ordered map[string]bool) {
	c.t.Helper()
	letters := c.letters()
	for id, cancelled := range ordered {
		for _, topic := range expected(cancelled, invoiceIssued, invoiceCredited) {
			if len(letters[letter{topic, id}]) == 0 {
				c.t.Errorf("no mail for %s of order %s", topic, id)
			}
		}
	}
	keys := map[string]letter{}
	for l, sent := range letters {
		if other, used := keys[sent[0].key]; used {
			c.t.Errorf("%v and %v have one idempotency key", l, other)
		}
		keys[sent[0].key] = l
		if cancelled, known := ordered[l.id]; !known || l.topic == invoiceCredited && !cancelled {
			c.t.Errorf("a mail for %v, which never was", l)
		}
		for i, s := range sent[1:] {
			if s.key != sent[0].key || s.process == sent[i].process { // each process but the last one was killed
				c.t.Errorf("mails for %v: %v: a repeat that no kill explains", l, sent)
			}
		}
	}
	for _, group := range []string{"billing", "mail"} {
		stream, err := c.jetstream().Stream(c.t.Context(), natsbus.StreamName("dead."+group))
		if err != nil {
			c.t.Fatal(err)
		}
		if n := stream.CachedInfo().State.Msgs; n > 0 {
			c.t.Errorf("%d dead letters of %s", n, group)
		}
	}
}

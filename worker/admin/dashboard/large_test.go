package dashboard_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// firstViewWithin is how long the first view of large groups may take, on a machine that does
// nothing else.
const firstViewWithin = 2 * time.Second

// 200 processes and 100,000 letters are shown within two seconds. The best of a few times counts:
// the machine may be busy with other things.
func TestLargeGroupIsShownAtOnce(t *testing.T) {
	r := newRig(t, rigOptions{})
	_, err := r.conns.Bus().Subscribe(t.Context(), "order.placed", "billing", nil)
	must(t, err)
	r.publishCopies(t, 100_000)
	p := openTab(t, r.url)
	for hash, shows := range map[string]string{
		"#/":                `shows("100,000") && document.querySelector('td[data-label="Processes"]').textContent === "200"`,
		"#/groups/billing":  `shows("Processes (200)") && document.querySelectorAll('[data-key=members] tbody tr').length === 25`,
		"#/letters/billing": `shows("50 letters, the oldest first")`,
	} {
		best := time.Hour
		for range 5 {
			r.joinMembers(t, "billing", 200, nil)
			call(p, page.Navigate, page.NavigateParams{URL: "about:blank"})
			begun := time.Now()
			call(p, page.Navigate, page.NavigateParams{URL: r.url + hash})
			p.await("window.shows && " + shows)
			if best = min(best, time.Since(begun)); best < firstViewWithin {
				break
			}
		}
		t.Logf("%s: %v", hash, best)
		if best > firstViewWithin {
			t.Errorf("%s is shown after %v at best; want %v", hash, best, firstViewWithin)
		}
	}
	p.visit("#/groups/billing")
	p.press("Show all 200")
	p.await(`document.querySelectorAll('[data-key=members] tbody tr').length === 200`)
}

// publishCopies stores a letter so many times, under other ids. It is faster than to make each.
func (r *rig) publishCopies(tb testing.TB, n int) {
	tb.Helper()
	const number = 100_000_000
	r.publishLetters(tb, number, number, plainLetter)
	js, err := jetstream.New(r.conns.NATS(), jetstream.WithPublishAsyncMaxPending(2000))
	must(tb, err)
	dead, err := js.Stream(tb.Context(), "DEAD")
	must(tb, err)
	first, err := dead.GetMsg(tb.Context(), 1)
	must(tb, err)
	for i := 1; i < n; i++ {
		m := &nats.Msg{Subject: first.Subject, Data: first.Data, Header: make(nats.Header, len(first.Header))}
		for name, values := range first.Header {
			m.Header[name] = values
			if strings.Contains(values[0], fmt.Sprint(number)) {
				m.Header[name] = []string{strings.Replace(values[0], fmt.Sprint(number), fmt.Sprint(number+i), 1)}
			}
		}
		_, err := js.PublishMsgAsync(m, jetstream.WithStallWait(within))
		must(tb, err)
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(5 * within):
		tb.Fatal("the letters are not stored")
	}
	info, err := dead.Info(tb.Context())
	if must(tb, err); info.State.Msgs != uint64(n) {
		tb.Fatalf("%d letters are stored; want %d", info.State.Msgs, n)
	}
}

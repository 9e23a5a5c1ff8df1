package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/worker/view"
)

// An overview has the groups with their topics, processes, pauses and letters.
func TestOverviewHasTheGroups(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.makeStreams(t)
	r.startWorker(t, nil)
	r.publish(t, "order.placed", "bad-1", "bad-2")
	r.awaitLetters(t, 2)
	o := decode[Overview](t, r.get(t, "/v1/overview?history=1"))
	if len(o.Groups) != 1 || len(o.Missing) != 0 || o.Outbox != nil || o.GroupsAt.IsZero() || len(o.History) != 1 || len(o.History[0].Times) != 1 {
		t.Fatalf("the overview: %+v", o)
	}
	g := &o.Groups[0]
	if g.Group != "billing" || g.Letters != 2 || len(g.Members) != 1 || len(g.Topics) != 1 || len(g.Pauses) != 0 {
		t.Errorf("the group: %+v", g)
	}
	if topic := &g.Topics[0]; topic.Topic != "order.placed" || topic.Stream != "ORDERS" || topic.Members != 1 || topic.State != "running" || topic.Concurrency == 0 {
		t.Errorf("the topic: %+v", topic)
	}
}

// A topic has the state of most concern among its processes, and one that nobody is subscribed to
// is stopped.
func TestTopicHasTheStateOfMostConcern(t *testing.T) {
	t.Parallel()
	member := func(state, why string) group.Member {
		return group.Member{Subscriptions: []group.Subscription{{Topic: "a", State: state, Why: why, Rate: 2, InFlight: 1, Concurrency: 16}}}
	}
	for name, c := range map[string]struct {
		members  []group.Member
		state    string
		why      string
		affected int
	}{
		"nobody":          {nil, stateStopped, noProcess, 0},
		"one":             {[]group.Member{member("running", "")}, "running", "", 1},
		"one is held":     {[]group.Member{member("running", ""), member("limited", "its rate limit"), member("running", "")}, "limited", "its rate limit", 1},
		"two are worse":   {[]group.Member{member("unhealthy", "x"), member("limited", "y"), member("unhealthy", "z")}, "unhealthy", "x", 2},
		"a state unknown": {[]group.Member{member("running", ""), member("melting", "hot")}, "melting", "hot", 1},
	} {
		got := summarizeTopics([]view.Group{{Topic: "a", Pending: 3}}, c.members)
		if len(got) != 1 || got[0].State != c.state || got[0].Why != c.why || got[0].Affected != c.affected || got[0].Members != len(c.members) || got[0].Pending != 3 ||
			got[0].Concurrency != 16*len(c.members) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := summarizeTopics(nil, []group.Member{member("running", "")}); len(got) != 1 || got[0].Topic != "a" {
		t.Errorf("without a consumer: %+v", got)
	}
}

// Where the groups cannot be read, the overview has those that were read last, and says so.
func TestOverviewKeepsWhatWasReadLast(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.makeStreams(t)
	r.startWorker(t, nil)
	before := r.api.makeOverview(t.Context(), nil)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	after := r.api.makeOverview(ended, before)
	if len(after.Groups) != 1 || !after.GroupsAt.Equal(before.GroupsAt) || len(after.Missing) == 0 || !strings.HasPrefix(after.Missing[0], "the groups: ") {
		t.Errorf("the overview: %+v", after)
	}
}

// stream is one of overviews.
type stream struct {
	status int
	header http.Header
	lines  *bufio.Reader
}

// follow opens a stream of overviews, with a token where that is not empty.
func follow(t *testing.T, url, bearer string) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+livePath, http.NoBody)
	must(t, err)
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	transport := &http.Transport{}
	resp, err := transport.RoundTrip(req)
	must(t, err)
	t.Cleanup(func() {
		cancel()
		_ = resp.Body.Close()
		transport.CloseIdleConnections()
	})
	return &stream{resp.StatusCode, resp.Header, bufio.NewReader(resp.Body)}
}

// next returns the data of the next event; false: the stream has ended.
func (s *stream) next() (string, bool) {
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			return "", false
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			return strings.TrimSpace(data), true
		}
	}
}

// A stream sends an overview at once, with the history, and others later.
func TestStreamSendsOverviews(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := listen(t, r.api, nil)
	live := follow(t, s.URL(), "")
	if live.status != http.StatusOK || live.header.Get("Content-Type") != eventType || live.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("status %d, %v", live.status, live.header)
	}
	var all []Overview
	for range 3 {
		data, ok := live.next()
		if !ok {
			t.Fatal("the stream has ended")
		}
		var o Overview
		must(t, json.Unmarshal([]byte(data), &o))
		all = append(all, o)
	}
	if len(all[0].History) != 1 || len(all[1].History) != 0 || !all[1].At.After(all[0].At) || !all[2].At.After(all[1].At) {
		t.Errorf("the stream: %+v", all)
	}
}

// Streams are bounded, need the token, and keep no server from closing.
func TestStreamsAreBoundedAndEndWithTheServer(t *testing.T) {
	t.Parallel()
	r := inMemory(t, Options{Token: token})
	s, err := r.api.Listen(t.Context(), &ListenOptions{Address: "127.0.0.1:0"})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	if refused := follow(t, s.URL(), ""); refused.status != http.StatusUnauthorized {
		t.Errorf("without the token: %d", refused.status)
	}
	var streams []*stream
	for range maxLive {
		live := follow(t, s.URL(), token)
		if _, ok := live.next(); !ok || live.status != http.StatusOK {
			t.Fatalf("status %d", live.status)
		}
		streams = append(streams, live)
	}
	if refused := follow(t, s.URL(), token); refused.status != http.StatusServiceUnavailable || refused.header.Get("Retry-After") == "" {
		t.Errorf("one more: %d, %v", refused.status, refused.header)
	}
	cancel()
	must(t, <-ended) // it says so if requests had to be cut off
	for _, live := range streams {
		for ok := true; ok; {
			_, ok = live.next()
		}
	}
}

// The page is served without the token, and to known hosts alone; it may run nothing but its files.
func TestPageIsServedToKnownHosts(t *testing.T) {
	t.Parallel()
	r := inMemory(t, Options{Token: token})
	for path, media := range map[string]string{
		"/": "text/html; charset=utf-8", "/assets/main.js": "text/javascript; charset=utf-8", "/assets/style.css": "text/css; charset=utf-8", "/assets/icon.svg": "image/svg+xml",
		"/assets/uplot-license.txt": "text/plain; charset=utf-8",
	} {
		a := r.get(t, path)
		policy := a.header.Get("Content-Security-Policy")
		if a.status != http.StatusOK || a.header.Get("Content-Type") != media || strings.Contains(policy, "unsafe") || !strings.Contains(policy, "script-src 'self'") {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
		if strings.Contains(a.body, token) {
			t.Errorf("%s has the token", path)
		}
		if again := r.get(t, path, "If-None-Match", a.header.Get("ETag")); again.status != http.StatusNotModified {
			t.Errorf("%s again: %d", path, again.status)
		}
		refuses(t, r.get(t, path, "Host", "evil.example"), http.StatusMisdirectedRequest, "name")
	}
	for _, path := range []string{"/assets/", "/assets/page.html", "/assets/../dashboard.go", "/assets/nothing.js"} {
		if a := r.get(t, path); a.status == http.StatusOK {
			t.Errorf("%s: %d", path, a.status)
		}
	}
}

// Below a prefix the page names its files relative to it.
func TestPageIsServedBelowAPrefix(t *testing.T) {
	t.Parallel()
	r := inMemory(t, Options{ReadOnly: true})
	s := listen(t, r.api, &ListenOptions{Address: "127.0.0.1:0", Prefix: "/admin"})
	r.url = s.URL()
	if a := r.get(t, "/admin"); a.status != http.StatusMovedPermanently || a.header.Get("Location") != "/admin/" {
		t.Errorf("without a slash: %d %v", a.status, a.header)
	}
	page := r.get(t, "/admin/")
	if page.status != http.StatusOK || strings.Contains(page.body, `="/`) || !strings.Contains(page.body, `data-read-only="true"`) {
		t.Errorf("%d %s", page.status, page.body)
	}
	for _, name := range []string{"assets/main.js", "assets/uplot.js", "assets/style.css", "assets/parts.css", "assets/uplot.css"} {
		if a := r.get(t, "/admin/"+name); !strings.Contains(page.body, `"`+name+`"`) || a.status != http.StatusOK {
			t.Errorf("%s: %d", name, a.status)
		}
	}
}

package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/natstest"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/view"
)

func (r *rig) post(tb testing.TB, path, body string, headers ...string) answer {
	tb.Helper()
	return r.send(tb, http.MethodPost, path, body, headers...)
}

// A pause holds in every process when it is answered, and is changed only by who has seen it.
func TestPauseHoldsWhenItIsAnswered(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	handled := make(chan string, 10)
	r.startWorker(t, handled)
	a := r.post(t, "/v1/groups/billing/pause", `{"topic":"order.placed","for":"30m","reason":"upgrade","by":"ada"}`)
	paused := decode[PauseResult](t, a)
	if !paused.Complete || len(paused.Confirmed) != 1 || paused.Until.IsZero() || a.header.Get("ETag") != fmt.Sprintf("%q", fmt.Sprint(paused.Revision)) {
		t.Fatalf("paused: %s, ETag %s", a.body, a.header.Get("ETag"))
	}
	r.publish(t, "order.placed", "1")
	g := decode[GroupStatus](t, r.get(t, "/v1/groups/billing"))
	if len(g.Pauses) != 1 || g.Pauses[0].By != "ada" || g.Members[0].Subscriptions[0].State != "paused" {
		t.Errorf("the group: %+v", g)
	}
	seen := a.header.Get("ETag")
	changed := decode[PauseResult](t, r.post(t, "/v1/groups/billing/pause", `{"topic":"order.placed","for":"1h","reason":"longer"}`, "If-Match", seen))
	for _, change := range []string{"pause", "resume"} {
		refuses(t, r.post(t, "/v1/groups/billing/"+change, `{"topic":"order.placed","reason":"late"}`, "If-Match", seen), http.StatusPreconditionFailed, "revision")
	}
	if len(handled) > 0 {
		t.Errorf("%q was handled in the pause", <-handled)
	}
	resumed := decode[PauseResult](t, r.post(t, "/v1/groups/billing/resume", `{"topic":"order.placed","reason":"done"}`, "If-Match", fmt.Sprintf("%q", fmt.Sprint(changed.Revision))))
	if !resumed.Complete {
		t.Errorf("resumed: %+v", resumed)
	}
	if id := <-handled; id != "1" {
		t.Errorf("handled %q", id)
	}
}

// Of requests for one scope at once, by the API and by the library, one holds; the others are told.
func TestPausesAtOnceByAPIAndLibraryLeaveOne(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.startWorker(t, nil)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if i%2 == 0 {
				a := r.post(t, "/v1/groups/billing/pause", fmt.Sprintf(`{"reason":"r","by":"api %d"}`, i))
				if a.status != http.StatusOK && a.status != http.StatusConflict {
					t.Errorf("api: %d %s", a.status, a.body)
				}
				return
			}
			_, err := r.conns.PauseGroup(t.Context(), "billing", group.Request{By: fmt.Sprint("library ", i)})
			if err != nil && !errors.Is(err, group.ErrSuperseded) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if pauses := decode[PauseList](t, r.get(t, "/v1/groups/billing/pauses")); len(pauses.Pauses) != 1 {
		t.Errorf("pauses: %+v", pauses)
	}
}

// A letter is redriven, edited and dropped by its id, whatever characters that has.
func TestLettersAreChanged(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.startWorker(t, nil)
	hostile := "bad/../%2F?x#ü"
	r.publish(t, "order.placed", hostile, "bad2", "bad3")
	r.awaitLetters(t, 3)
	path := func(id string) string { return "/v1/groups/billing/dead-letters/" + url.PathEscape(id) }

	refuses(t, r.send(t, http.MethodPatch, path(hostile), `{"reason":"typo","data":"{"}`), http.StatusUnprocessableEntity, "no JSON")
	edit := decode[ChangedLetter](t, r.send(t, http.MethodPatch, path(hostile), `{"reason":"typo","data":"{\"order\":1}","headers":{"Tenant":["acme"]}}`))
	if !edit.Changed || edit.Supersedes == "" {
		t.Fatalf("edited: %+v", edit)
	}
	if l := decode[view.WholeLetter](t, r.get(t, path(edit.Letter)+"?payload=1")); *l.Data != `{"order":1}` || l.Headers["Tenant"][0] != "acme" || l.ID != hostile {
		t.Errorf("the edit: %+v", l)
	}
	refuses(t, r.send(t, http.MethodPatch, path(edit.Supersedes), `{"reason":"typo","data":"2"}`), http.StatusConflict, "superseded")
	refuses(t, r.post(t, path(edit.Supersedes)+"/redrive", `{"reason":"repaired"}`), http.StatusConflict, "superseded")

	redriven := decode[ChangedLetter](t, r.post(t, path(edit.Letter)+"/redrive", `{"reason":"repaired"}`))
	if redriven.Letter != edit.Letter {
		t.Errorf("redriven: %+v", redriven)
	}
	refuses(t, r.get(t, path(edit.Letter)), http.StatusNotFound, "letter")

	refuses(t, r.send(t, http.MethodDelete, path("bad2"), ""), http.StatusUnprocessableEntity, "reason")
	decode[ChangedLetter](t, r.send(t, http.MethodDelete, path("bad2")+"?reason=test+data&by=ada", ""))
	refuses(t, r.send(t, http.MethodDelete, path("bad2")+"?reason=again", ""), http.StatusNotFound, "bad2")
	refuses(t, r.post(t, path("bad3")+"/redrive", `{"reason":"repaired","to_group":"nobody"}`), http.StatusNotFound, "nobody")
	for _, line := range []string{`change=drop-dead-letter target="letter bad2 on dead.billing" by=ada why="test data"`, "change=redrive-dead-letter", `msg="admin change failed"`} {
		if !strings.Contains(r.log.String(), line) {
			t.Errorf("the log has no %s: %s", line, r.log)
		}
	}
}

// Changes are made on purpose: with a reason, in JSON, and not by pages of other sites.
func TestChangesAreMadeOnPurpose(t *testing.T) {
	t.Parallel()
	r := inMemory(t, Options{})
	const path = "/v1/groups/g/pause"
	for _, site := range []string{"cross-site", "same-site"} {
		refuses(t, r.post(t, path, `{"reason":"r"}`, "Sec-Fetch-Site", site), http.StatusForbidden, "other sites")
	}
	refuses(t, r.post(t, path, `{"reason":"r"}`, "Origin", "https://evil.example"), http.StatusForbidden, "other sites")
	refuses(t, r.send(t, http.MethodDelete, "/v1/groups/g/dead-letters/1?reason=r", "", "Sec-Fetch-Site", "cross-site"), http.StatusForbidden, "other sites")
	for _, media := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "application/json2"} {
		refuses(t, r.post(t, path, `{"reason":"r"}`, "Content-Type", media), http.StatusUnsupportedMediaType, "application/json")
	}
	for body, says := range map[string]string{
		`{}`: "reason", `{"reason":""}`: "reason", `{"reason":"r","colour":1}`: "colour", `{"reason":`: "", `[]`: "", `{"reason":"r","for":"soon"}`: "1s to 30d",
		`{"reason":"r","for":"40d"}`: "1s to 30d", `{"reason":"r","topic":"t","outbox":true}`: "leave one of them out",
		`{"reason":"` + strings.Repeat("r", 2000) + `"}`: "reason",
	} {
		if a := r.post(t, path, body, "Content-Type", "application/json; charset=utf-8"); a.status != http.StatusUnprocessableEntity && a.status != http.StatusBadRequest && a.status != http.StatusNotFound || !strings.Contains(a.body, says) {
			t.Errorf("%s: %d %s; want %q", body, a.status, a.body, says)
		}
	}
	refuses(t, r.post(t, path, `{"reason":"r"}`, "If-Match", "W/17"), http.StatusUnprocessableEntity, "If-Match")
	for _, method := range []string{http.MethodGet, http.MethodPut} {
		if a := r.send(t, method, path, ""); a.status == http.StatusOK {
			t.Errorf("%s changes something", method)
		}
	}
	// From the same site, and from programs, they are taken: there is no such group.
	refuses(t, r.post(t, path, `{"reason":"r"}`, "Sec-Fetch-Site", "same-origin"), http.StatusNotFound, "no such group")
	refuses(t, r.post(t, path, `{"reason":"r"}`), http.StatusNotFound, "no such group")
}

// A read-only API refuses every change, and shows everything.
func TestReadOnlyAPIChangesNothing(t *testing.T) {
	t.Parallel()
	r := serve(t, connect(t, worker.ConnectOptions{}), Options{ReadOnly: true})
	for path, item := range r.api.huma.OpenAPI().Paths {
		path = strings.NewReplacer("{group}", "g", "{id}", "1").Replace(path)
		for method, is := range map[string]bool{http.MethodPost: item.Post != nil, http.MethodPatch: item.Patch != nil, http.MethodDelete: item.Delete != nil} {
			if is {
				refuses(t, r.send(t, method, path, `{"reason":"r"}`), http.StatusForbidden, "read-only")
			}
		}
	}
	if a := r.get(t, "/v1/groups"); a.status != http.StatusOK {
		t.Errorf("reading: %d %s", a.status, a.body)
	}
}

// Rows of an outbox are counted, listed, shown, retried, republished and dropped.
func TestRowsAreShownAndChanged(t *testing.T) {
	t.Parallel()
	db := mongotest.Database(t).Name()
	c := connect(t, worker.ConnectOptions{NATS: natstest.Start(t, nil).URL(), Store: within(mongotest.URI(t), db)})
	r := serve(t, c, Options{})
	refuses(t, r.get(t, "/v1/outbox"), http.StatusNotFound, "no outbox")
	box, err := c.Outbox(t.Context(), "", nil)
	must(t, err)
	_, err = box.AddAlone(t.Context(), bus.Event{ID: "a/1", Topic: "order.placed", Data: []byte("secret")}, bus.Event{ID: "2", Topic: "order.placed"}, bus.Event{ID: "3", Topic: "other"})
	must(t, err)
	counts := decode[OutboxCounts](t, r.get(t, "/v1/outbox"))
	if counts.Counts.Pending != 3 || counts.Outbox == "" {
		t.Errorf("counts: %+v", counts)
	}
	rows := decode[RowList](t, r.get(t, "/v1/outbox/rows?limit=2"))
	if len(rows.Rows) != 2 || !rows.More {
		t.Errorf("rows: %+v", rows)
	}
	if rows := decode[RowList](t, r.get(t, "/v1/outbox/rows?id=2&id=3&topic=order.*&status=pending")); len(rows.Rows) != 1 || rows.More {
		t.Errorf("selected rows: %+v", rows)
	}
	if a := r.get(t, "/v1/outbox/rows/a%2F1"); strings.Contains(a.body, "secret") || decode[view.WholeRow](t, a).ID != "a/1" {
		t.Errorf("without its payload: %s", a.body)
	}
	if a := r.get(t, "/v1/outbox/rows/a%2F1?payload=1"); !strings.Contains(a.body, "secret") {
		t.Errorf("with its payload: %s", a.body)
	}
	refuses(t, r.get(t, "/v1/outbox/rows/17"), http.StatusNotFound, "17")
	refuses(t, r.post(t, "/v1/outbox/drop", `{"reason":"r"}`), http.StatusUnprocessableEntity, "one of ids")
	refuses(t, r.post(t, "/v1/outbox/retry", `{"reason":"r","ids":["2"],"status":"sent"}`), http.StatusUnprocessableEntity, "republished")
	refuses(t, r.post(t, "/v1/outbox/republish", `{"reason":"r","from":""}`), http.StatusUnprocessableEntity, "since when")
	for path, body := range map[string]string{
		"/v1/outbox/retry": `{"reason":"r","topic":">"}`, "/v1/outbox/republish": `{"reason":"r","from":"1h"}`, "/v1/outbox/drop": `{"reason":"r","topic":"order.*"}`,
	} {
		if changed := decode[ChangedRows](t, r.post(t, path, body)); changed.Rows != 0 {
			t.Errorf("%s changed %+v: none is dead, or sent", path, changed)
		}
	}
	if changed := decode[ChangedRows](t, r.post(t, "/v1/outbox/drop", `{"reason":"r","topic":"order.*","status":"pending"}`)); changed.Rows != 2 {
		t.Errorf("dropped: %+v", changed)
	}
}

// within is the URI with a database.
func within(uri, database string) string {
	u, err := url.Parse(uri)
	if err != nil {
		panic(err)
	}
	u.Path = "/" + database
	return u.String()
}

// FuzzQueries sends what nobody would: it is a problem or an answer, never a crash.
func FuzzQueries(f *testing.F) {
	r := inMemory(f, Options{})
	for _, path := range []string{"/v1/replay?topic=a&ts=1h", "/v1/groups/g/dead-letters?after=s@1:2:3&limit=1", "/v1/groups/%00/story?topic=t&id=%ff", "/export?topic=a&ndjson=0&toTs=9"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		u, err := url.Parse("http://localhost" + path)
		if err != nil || !strings.HasPrefix(path, "/") || strings.Contains(u.Path, "//") {
			return
		}
		req := &http.Request{Method: http.MethodGet, URL: u, Host: "localhost", Header: http.Header{}, Body: http.NoBody}
		out := &bufferedAnswer{header: http.Header{}}
		r.api.Handler("").ServeHTTP(out, req.WithContext(t.Context()))
		if out.status == http.StatusInternalServerError || out.status >= http.StatusBadRequest && !json.Valid(out.body.Bytes()) {
			t.Errorf("%q: %d %s", path, out.status, &out.body)
		}
	})
}

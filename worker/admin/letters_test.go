package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/deadletter"
	"github.com/onceish/onceish/worker/view"
)

// A group that gave nothing up has an empty list, not a problem.
func TestGroupWithoutLettersHasAnEmptyList(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.startWorker(t, nil)
	if a := r.get(t, "/v1/groups/billing/dead-letters"); a.status != http.StatusOK || !strings.Contains(a.body, `"letters":[]`) {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	if a := r.get(t, "/v1/groups/billing/dead-letter-errors"); a.status != http.StatusOK || !strings.Contains(a.body, `"errors":[]`) {
		t.Errorf("status %d: %s", a.status, a.body)
	}
}

// Letters are listed by filters, counted by their errors, and shown; what is in them only to who
// asks for it.
func TestLettersAreListedAndShown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.startWorker(t, nil)
	r.publish(t, "order.placed", "bad/1", "bad 2", "bad3")
	page := r.awaitLetters(t, 3)
	if page.Topic != "dead.billing" || page.Next != "" || page.Letters[0].Topic != "order.placed" {
		t.Errorf("the letters: %+v", page)
	}
	for query, want := range map[string]int{
		"error=rate+for+bad3": 1, "error=nothing": 0, "type=placed": 3, "topic=order.*": 3, "topic=other": 0, "id=bad+2": 1,
		"data=" + url.QueryEscape(`"bad/1"`): 1, "since=1h": 3, "until=1h": 0, "since=2000-01-01T00:00:00Z": 3, "until=946684800000": 0, "reason=permanent": 3,
	} {
		if page := decode[LetterPage](t, r.get(t, "/v1/groups/billing/dead-letters?"+query)); len(page.Letters) != want {
			t.Errorf("%s: %d letters, want %d", query, len(page.Letters), want)
		}
	}
	causes := decode[CauseList](t, r.get(t, "/v1/groups/billing/dead-letter-errors"))
	if len(causes.Errors) != 3 || causes.Errors[0].Letters != 1 {
		t.Errorf("by error: %+v", causes)
	}
	for _, id := range []string{"bad/1", page.Letters[0].Letter} {
		path := "/v1/groups/billing/dead-letters/" + url.PathEscape(id)
		hidden := r.get(t, path)
		if l := decode[view.WholeLetter](t, hidden); l.ID != "bad/1" || l.Data != nil || len(l.History) != 1 || strings.Contains(hidden.body, `\"order\"`) {
			t.Errorf("%s without its payload: %s", id, hidden.body)
		}
		if l := decode[view.WholeLetter](t, r.get(t, path+"?payload=1")); l.Data == nil || *l.Data != `{"order":"bad/1"}` {
			t.Errorf("%s with its payload: %+v", id, l)
		}
	}
}

// Pages neither skip nor repeat a letter while others are stored, dropped and redriven.
func TestPagesAreStableWhileLettersComeAndGo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.makeStreams(t)
	r.startWorker(t, nil)
	const letters = 50
	publishLetters(t, r, 1, letters)
	topic, err := deadletter.OpenTopic(r.conns.Bus(), "dead.billing")
	must(t, err)
	seen := map[string]int{}
	path, added := "/v1/groups/billing/dead-letters?limit=7&edits=1", letters
	for pages := 0; path != ""; pages++ {
		a := r.get(t, path)
		page := decode[LetterPage](t, a)
		for i := range page.Letters {
			seen[page.Letters[i].ID]++
		}
		// The last one that was listed goes, so does one that was not, and others come.
		if pages < 3 {
			publishLetters(t, r, added+1, added+2)
			added += 2
			for _, id := range []string{page.Letters[len(page.Letters)-1].ID, fmt.Sprint(letters - pages)} {
				l, err := topic.Find(t.Context(), "billing", id)
				must(t, err)
				must(t, topic.Drop(t.Context(), *l)[0])
			}
		}
		path = nextPath(t, path, a)
	}
	for i := 1; i <= added; i++ {
		dropped := i > letters-3 && i <= letters
		if n := seen[fmt.Sprint(i)]; n > 1 || n == 0 && !dropped {
			t.Errorf("letter %d was listed %d times", i, n)
		}
	}
}

// nextPath follows the link to the next page. Empty: there is none.
func nextPath(tb testing.TB, path string, a answer) string {
	tb.Helper()
	link := a.header.Get("Link")
	if link == "" {
		return ""
	}
	base, err := url.Parse(path)
	must(tb, err)
	ref, ok := strings.CutSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
	if !ok {
		tb.Fatalf("Link: %s", link)
	}
	next, err := base.Parse(ref)
	must(tb, err)
	return next.String()
}

// publishLetters stores letters of the events from … to, as a consumer does.
func publishLetters(tb testing.TB, r *rig, from, to int) {
	tb.Helper()
	var batch []bus.Event
	for i := from; i <= to; i++ {
		if batch = append(batch, storedLetter(i)); len(batch) == 1000 || i == to {
			_, err := r.conns.Bus().Publish(tb.Context(), batch...)
			must(tb, err)
			batch = nil
		}
	}
}

func storedLetter(i int) bus.Event {
	id := fmt.Sprint(i)
	e := bus.Event{ID: "billing/orders@1/" + id + "/1", Topic: "dead.billing", Data: fmt.Appendf(make([]byte, 240), "letter %s;", id), Headers: bus.Headers{}}
	for name, value := range map[string]string{
		"Letter": e.ID, "Group": "billing", "Topic": "order.placed", "Id": id, "Source": "", "Type": "placed", "Stream": "orders@1", "Sequence": id,
		"Stored": "2026-01-02T03:04:05Z", "Attempts": "10", "Crashes": "0", "Claimed": "2026-01-02T03:04:05Z", "Died": "2026-01-02T03:05:05Z",
		"Reason": "failed 10 times: no rate for " + id, "Error": "no rate for " + id, "Stack": "", "Parts": "0", "Digest": "",
	} {
		e.Headers.Set("Onceish-Dead-"+name, url.PathEscape(value))
	}
	return e.WithControl(bus.Control{Letter: e.ID})
}

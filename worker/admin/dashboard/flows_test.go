package dashboard_test

import (
	"fmt"
	"testing"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/deadletter"
	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/worker/admin"
)

// The token is typed once: another one is refused, and a second tab has it as well.
func TestTokenIsTypedOnce(t *testing.T) {
	r := newRig(t, rigOptions{Options: admin.Options{Token: token}})
	r.startWorker(t, "order.placed")
	p := openTab(t, r.url)
	p.allowed = []string{"status of 401"}
	p.fill("Token", "wrong-wrong-wrong-wrong")
	p.press("Sign in")
	p.sees("The token is another one")
	p.fill("Token", token)
	p.press("Sign in")
	p.sees("billing", "Live")
	second := openTab(t, r.url)
	second.sees("billing", "Live")
	p.press("Sign out")
	p.sees("Token of the admin API", "You are signed out")
	second.sees("Token of the admin API", "in another tab")
}

// A group is paused and resumed with a reason, and the page says who has confirmed.
func TestGroupIsPausedAndResumed(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.startWorker(t, "order.placed")
	p := openTab(t, r.url)
	p.press("billing")
	p.sees("Subscriptions", "order.placed", "running", "Processes (1)")
	p.press("Pause…")
	p.fill("For how long", "30m")
	p.fill("Your name", "ada")
	p.press("Pause")
	p.await(`fieldOf("Reason").matches(":invalid")`) // the browser refuses an empty one
	p.fill("Reason", "moving the database")
	p.press("Pause")
	p.sees("is paused: 1 process has confirmed", "moving the database, by ada", "paused")
	if pauses := r.pauses(t); len(pauses) != 1 || pauses[0].By != "ada" || pauses[0].Until.IsZero() {
		t.Errorf("pauses: %v", pauses)
	}
	p.press("Resume…")
	p.fill("Reason", "it is moved")
	p.press("Resume")
	p.sees("is resumed: 1 process has confirmed")
	p.await(`!shows("moving the database")`)
	if pauses := r.pauses(t); len(pauses) != 0 {
		t.Errorf("pauses: %v", pauses)
	}
}

func (r *rig) pauses(tb testing.TB) []group.Paused {
	tb.Helper()
	store, err := r.conns.GroupStore(tb.Context())
	must(tb, err)
	pauses, err := group.Pauses(tb.Context(), store, "billing")
	must(tb, err)
	return pauses
}

// letters are the dead letters of the group.
func (r *rig) letters(tb testing.TB) (ids []string) {
	tb.Helper()
	topic, err := r.conns.DeadLetters("billing", "")
	must(tb, err)
	page, err := topic.Page(tb.Context(), deadletter.Filter{Group: "billing"}, bus.Position{}, 1000)
	must(tb, err)
	for i := range page.Letters {
		ids = append(ids, page.Letters[i].Event.ID)
	}
	return ids
}

// Letters are searched by the server, counted by error, and redriven one by one; what is in them is
// shown when asked for.
func TestLetterIsFoundShownAndRedriven(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.startWorker(t, "order.placed")
	r.publishLetters(t, 1, 60, plainLetter)
	p := openTab(t, r.url)
	p.sees("Live")
	p.press("Dead letters")
	p.press("billing")
	p.sees("50 letters, the oldest first")
	p.press("Next page")
	p.sees("10 letters, the oldest first")
	p.press("Back")
	p.sees("50 letters, the oldest first")
	p.press("By error")
	p.sees("refused with status 503", "no rate for the currency XTS")
	p.press("no rate for the currency XTS")
	p.press("Letters")
	p.await(`!shows("status 503")`)
	p.fill("Id", "order-000011")
	p.press("Search")
	p.sees("1 letter, the oldest first")
	p.press("order-000011")
	p.sees("failed 10 times", "Show payload")
	if eval[bool](p, `shows("cents")`) {
		t.Error("the payload is shown before somebody asks")
	}
	p.press("Show payload")
	p.sees(`"cents": 11`)
	p.press("Redrive…")
	p.fill("Reason", "the rate is there")
	p.press("Redrive")
	p.sees("The event order-000011 was redriven.")
	if n := len(r.letters(t)); n != 59 {
		t.Errorf("%d letters are left", n)
	}
}

// Many letters are dropped by who has seen how many they are, and types it.
func TestLettersAreDroppedInBulk(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.startWorker(t, "order.placed")
	r.publishLetters(t, 1, 40, func(i int) (id, reason string) {
		return fmt.Sprint("order-", i), []string{"timeout", "no rate", "no rate", "no rate"}[i%4]
	})
	p := openTab(t, r.url+"#/letters/billing?error=no+rate")
	p.sees("30 letters")
	p.press("Drop all that match…")
	p.sees("Drop 30 dead letters", "The first 5 of 30")
	p.fill("Reason", "test data")
	p.fill("Type 30", "40")
	p.await(`scope().querySelector("button[type=submit]").disabled`)
	p.fill("Type 30", "30")
	p.press("Drop 30 letters")
	p.sees("30 done")
	p.press("Close")
	p.sees("No letter matches.")
	if n := len(r.letters(t)); n != 10 {
		t.Errorf("%d letters are left", n)
	}
	p.press("Operations")
	p.sees("30 done", "test data")
}

// A letter is edited: the edit is a letter of its own, to be redriven.
func TestLetterIsEdited(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.startWorker(t, "order.placed")
	r.publishLetters(t, 1, 1, plainLetter)
	p := openTab(t, r.url+"#/letters/billing/order-000001")
	p.allowed = []string{"status of 422"}
	p.press("Edit…")
	p.fill("Data", `{"order":`)
	p.fill("Reason", "the amount was wrong")
	p.press("Store the edit")
	p.sees("JSON") // it is none
	p.fill("Data", `{"order":"order-000001","cents":99}`)
	p.press("Store the edit")
	p.sees("The edit is stored", "Edit of")
	p.press("Show payload")
	p.sees(`"cents": 99`)
	p.press("Redrive…")
	p.fill("Reason", "the amount is right")
	p.press("Redrive")
	p.sees("was redriven.")
}

// The story of an event is told by its id.
func TestStoryIsTold(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.startWorker(t, "order.placed")
	r.publish(t, "order.placed", "bad-1")
	p := openTab(t, r.url+"#/story")
	p.fill("Group", "billing")
	p.fill("Topic", "order.placed")
	p.fill("Which", "bad-1")
	p.await(`press("Show its story") && shows("dead-lettered") && shows("no rate for bad-1")`)
	p.press("See its dead letter")
	p.sees("Dead letters of billing / bad-1")
	p.press("Its story")
	p.sees("What happened", "published")
}

// A frozen page stays as it is, and then shows what has come meanwhile.
func TestFrozenPageStaysAsItIs(t *testing.T) {
	r := newRig(t, rigOptions{})
	_, err := r.conns.Bus().Subscribe(t.Context(), "order.placed", "billing", nil)
	must(t, err)
	r.publish(t, "order.placed", "1", "2")
	p := openTab(t, r.url)
	const waiting = `document.querySelector('td[data-label="Waiting"]')?.textContent`
	p.await(waiting + ` === "2"`)
	p.press("Freeze")
	p.sees("Frozen at")
	r.publish(t, "order.placed", "3", "4", "5")
	p.await(`/^([2-9]|[0-9]{2,}) updates held back/.test(document.getElementById("freeze").title)`)
	if n := eval[string](p, waiting); n != "2" {
		t.Errorf("%s wait, says the frozen page", n)
	}
	p.press("Unfreeze")
	p.await(waiting + ` === "5"`)
	p.sees("Live")
}

// A page that may not change anything has nothing that would, also below a prefix.
func TestReadOnlyPageHasNoControls(t *testing.T) {
	r := newRig(t, rigOptions{Options: admin.Options{ReadOnly: true}, prefix: "/ops/admin"})
	r.startWorker(t, "order.placed")
	r.publishLetters(t, 1, 3, plainLetter)
	p := openTab(t, r.url)
	p.sees("billing", "Live", "Read-only")
	for hash, text := range map[string]string{
		"#/": "billing", "#/groups/billing": "Subscriptions", "#/letters/billing": "order-000001", "#/letters/billing/order-000001": "Show payload", "#/outbox": "no outbox", "#/operations": "No operations",
	} {
		p.visit(hash)
		p.sees(text)
		found := eval[[]string](p, `[...document.querySelectorAll('main button')].map(named).filter((name) => /pause|resume|redrive|drop|edit|retry|republish|cancel/i.test(name))`)
		if len(found) > 0 {
			t.Errorf("%s has %q", hash, found)
		}
	}
}

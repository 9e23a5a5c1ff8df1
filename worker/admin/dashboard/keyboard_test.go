package dashboard_test

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// tabTo presses Tab until an element with a name has the focus, which must be visible on the way.
func (p *tab) tabTo(name string) {
	p.Helper()
	var passed []string
	for range 80 {
		p.keys(kb.Tab)
		now := eval[string](p, `(() => {
			const e = document.activeElement;
			const label = document.querySelector('label[for="' + e.id + '"]');
			return e === document.body ? '' : label && e.id ? label.textContent : named(e);
		})()`)
		if outlined := eval[bool](p, `document.activeElement === document.body || getComputedStyle(document.activeElement).outlineStyle !== 'none'`); !outlined {
			p.Errorf("the focus cannot be seen on %q", now)
		}
		if now == name {
			return
		}
		passed = append(passed, now)
	}
	p.Fatalf("the focus does not come to %q, but to %q", name, passed)
}

// Everything is reached and done by the keyboard alone: the way to a letter, a dialog that keeps
// the focus and gives it back, and a change.
func TestKeyboardAlone(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.startWorker(t, "order.placed")
	r.publishLetters(t, 1, 3, plainLetter)
	p := openTab(t, r.url)
	p.sees("billing", "Live")
	p.keys(kb.Tab)
	if name := eval[string](p, `named(document.activeElement)`); name != "Skip to content" {
		t.Errorf("the first stop is %q", name)
	}
	p.keys(kb.Enter)
	p.await(`document.activeElement.id === 'main'`)
	p.tabTo("billing")
	p.keys(kb.Enter)
	p.await(`document.activeElement.tagName === 'H1' && shows('Subscriptions')`)
	p.tabTo("Pause…")
	p.keys(kb.Enter)
	p.await(`scope() !== document && scope().contains(document.activeElement)`)
	for range 12 {
		p.keys(kb.Tab)
		if outside := eval[bool](p, `document.activeElement !== document.body && !scope().contains(document.activeElement)`); outside {
			t.Fatal("the focus has left the dialog")
		}
	}
	p.keys(kb.Escape)
	p.await(`scope() === document && named(document.activeElement) === 'Pause…'`)
	p.keys(kb.Enter)
	p.await(`scope() !== document`)
	p.tabTo("Reason")
	p.types("by hand")
	p.tabTo("Pause")
	p.keys(kb.Enter)
	p.sees("has confirmed", "by hand")
	p.await(`scope() === document && named(document.activeElement) === 'Pause…'`)
	p.visit("#/letters/billing")
	p.sees("3 letters")
	p.tabTo("order-000001")
	p.keys(kb.Enter)
	p.await(`document.activeElement.tagName === 'H1' && shows('Show payload')`)
	p.tabTo("Drop…")
	p.keys(kb.Enter)
	p.tabTo("Your name")
	p.keys(kb.Escape)
	p.await(`named(document.activeElement) === 'Drop…'`)
}

// What is on the page has a name for who does not see it, and what changes is announced.
func TestControlsHaveNames(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.startWorker(t, "order.placed")
	r.publishLetters(t, 1, 3, plainLetter)
	p := openTab(t, r.url)
	for hash, text := range map[string]string{"#/": "billing", "#/groups/billing": "Subscriptions", "#/letters/billing": "order-000001", "#/story": "What became"} {
		p.visit(hash)
		p.sees(text, "Live")
		unnamed := eval[[]string](p, `[...document.querySelectorAll('button, a, input, select, textarea, [role=img]')]
			.filter((e) => seen(e) && !named(e) && !document.querySelector('label[for="' + e.id + '"]')).map((e) => e.outerHTML)`)
		if len(unnamed) > 0 {
			t.Errorf("%s: without a name: %q", hash, unnamed)
		}
		headings := eval[int](p, `document.querySelectorAll('h1').length`)
		regions := eval[int](p, `document.querySelectorAll('main, nav[aria-label], [aria-live=polite]').length`)
		if headings != 1 || regions != 3 {
			t.Errorf("%s: %d first headings, %d of main, navigation and announcements", hash, headings, regions)
		}
	}
	p.visit("#/letters/billing")
	p.await(fmt.Sprintf("document.getElementById('announcements').textContent === %q", "3 letters"))
}

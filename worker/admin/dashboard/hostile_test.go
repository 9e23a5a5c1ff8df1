package dashboard_test

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/chromedp/cdproto/emulation"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/group"
)

// hostile are texts that would do something if they were taken for more than text.
var hostile = []string{
	`<img src=x onerror="window.scriptRan=true">`, `</script><script>window.scriptRan=true</script>`, `javascript:window.scriptRan=true`, `"><svg onload=window.scriptRan=true>`,
	`'-window.scriptRan=true-'`, `${window.scriptRan=true}`, `{{.}}`, "\u202etxt.exe\u202c\u2066hidden\u2069", "a\u0000b\u001b[31m\u200b",
	`https://evil.example/x.png`, `%2e%2e/%2F?#&=`, `__proto__`,
}

// hostileLetter has a hostile text in each of its texts.
func hostileLetter(i int) bus.Event {
	text := hostile[i]
	e := storedLetter(i+1, text, text)
	e.Data = fmt.Appendf(nil, `{"text":%q}`, text)
	e.Headers.Set("Onceish-Dead-Key", url.PathEscape(text))
	e.Headers.Set("Onceish-Dead-Stack", url.PathEscape(text))
	return e
}

// No text of an event, a letter, a process or a pause runs, is followed, or changes how others are
// read.
func TestHostileTextIsText(t *testing.T) {
	r := newRig(t, rigOptions{})
	store, err := r.conns.GroupStore(t.Context())
	must(t, err)
	_, err = r.conns.Bus().Subscribe(t.Context(), "order.placed", "billing", nil)
	must(t, err)
	_, err = group.Pause(t.Context(), store, "billing", group.Request{Reason: hostile[0], By: hostile[1]})
	must(t, err)
	for i := range hostile {
		_, err := r.conns.Bus().Publish(t.Context(), hostileLetter(i))
		must(t, err)
	}
	r.joinMembers(t, "billing", len(hostile), func(m *group.Member) {
		text := hostile[len(m.ID)%len(hostile)]
		m.Host, m.Name, m.Version = text, text, text
		m.Subscriptions[0].Why, m.Subscriptions[0].State = text, text
	})
	p := openTab(t, r.url)
	p.sees("billing", "Live")
	p.visit("#/groups/billing")
	p.sees("Paused:", `<img src=x onerror="window.scriptRan=true">`)
	p.visit("#/letters/billing?by=error")
	p.sees("</script><script>")
	p.visit("#/letters/billing")
	p.sees("⟨U+202E⟩txt.exe", "<img src=x")
	for i, text := range hostile {
		p.visit("#/letters/billing/" + url.PathEscape(fmt.Sprintf("billing/orders@1/%d/1", i+1)))
		p.await(fmt.Sprintf(`document.querySelector("h1").textContent.includes(%q) && press("Show payload")`, visiblePart(text)))
		p.await(`document.querySelector("main pre[aria-label=Data]")`)
	}
	p.visit("#/story?group=" + url.QueryEscape(hostile[0]) + "&topic=" + url.QueryEscape(hostile[0]) + "&id=" + url.QueryEscape(hostile[1]))
	p.allowed = []string{"status of 4"}
	p.await(`document.querySelector(".problem")?.textContent`)
	p.visit("#/groups/" + url.PathEscape(hostile[0]))
	p.sees("There is no group")
	p.visit("#/%E0%A4%A/<img src=x onerror=window.scriptRan=true>?a=%")
	p.sees("Groups")
	p.check(r.url)
	if eval[bool](p, `window.scriptRan`) {
		t.Error("a script of somebody else ran")
	}
	links := eval[[]string](p, `[...document.querySelectorAll('a')].map((a) => a.getAttribute('href')).filter((href) => !/^(#|openapi.json)/.test(href))`)
	if len(links) > 0 {
		t.Errorf("the page links to %q", links)
	}
}

// visiblePart is the beginning of a text, as far as it has no characters that cannot be seen.
func visiblePart(text string) string {
	for i, r := range text {
		if r < ' ' || r >= 0x200b && r <= 0x2069 {
			return text[:i]
		}
	}
	return text
}

// At 360 pixels nothing is wider than the page, whatever there is to be shown.
func TestNarrowPageScrollsInOneDirection(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.startWorker(t, "order.placed", "order.cancelled-for-a-reason-that-takes-a-very-long-name.and-more.and-still-more")
	r.publishLetters(t, 1, 20, func(i int) (id, reason string) {
		long := fmt.Sprintf("%0200d", i)
		return long, "error-" + long + long
	})
	r.joinMembers(t, "billing", 5, func(m *group.Member) {
		m.Host += "-with-a-name-that-a-platform-has-made-and-nobody-can-remember.example.internal"
	})
	p := openTab(t, r.url)
	call(p, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: 360, Height: 740, DeviceScaleFactor: 1, Mobile: true})
	p.sees("Live")
	for hash, text := range map[string]string{
		"#/": "billing", "#/groups/billing": "Subscriptions", "#/letters": "By error", "#/letters/billing": "letters, the oldest first", "#/letters/billing?by=error": "Last",
		"#/letters/billing/billing%2Forders%401%2F7%2F1": "Show payload", "#/outbox": "no outbox", "#/story": "What became", "#/operations": "No operations",
	} {
		p.visit(hash)
		p.sees(text)
		if wide := eval[[]string](p, tooWide); len(wide) > 0 {
			t.Errorf("%s: wider than the page: %q", hash, wide)
		}
	}
	p.visit("#/groups/billing")
	p.press("Pause…")
	p.sees("For how long")
	if wide := eval[[]string](p, tooWide); len(wide) > 0 {
		t.Errorf("the dialog: wider than the page: %q", wide)
	}
}

// tooWide are the elements that reach beyond the page.
const tooWide = `document.documentElement.scrollWidth <= 360 ? [] :
	[...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > 361).map((e) => e.tagName + '.' + e.className).slice(0, 5)`

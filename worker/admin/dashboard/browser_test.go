package dashboard_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// within is how long the page may take for anything, on a loaded machine.
const within = time.Minute

// browser is the one that all tests share; it is started by the first that wants it.
var browser = struct {
	start  sync.Once
	ctx    context.Context
	cancel []context.CancelFunc
	err    error
}{}

// errNoChromium is why tests are skipped.
var errNoChromium = errors.New("no Chromium: install the package chromium")

// startBrowser returns the context of the browser. Without one the test is skipped, or fails where
// nothing may be skipped.
func startBrowser(tb testing.TB) context.Context {
	tb.Helper()
	browser.start.Do(func() { browser.err = launchBrowser() })
	switch {
	case browser.err == nil:
	case errors.Is(browser.err, errNoChromium) && os.Getenv("REQUIRE_MONGO") != "1":
		tb.Skip(browser.err)
	default:
		tb.Fatal(browser.err)
	}
	return browser.ctx
}

func launchBrowser() error {
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		return errNoChromium
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.WSURLReadTimeout(within),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("no-proxy-server", true), chromedp.Flag("lang", "en-US"), chromedp.Env("TZ=UTC"), chromedp.WindowSize(1280, 900))
	allocator, endAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, end := chromedp.NewContext(allocator)
	browser.ctx, browser.cancel = ctx, []context.CancelFunc{end, endAllocator} //nolint:fatcontext // it is the browser
	if err := chromedp.Do(ctx); err != nil {
		return fmt.Errorf("start %s: %w", path, err)
	}
	return nil
}

// closeBrowser ends the browser, if it was started, and waits for it.
func closeBrowser() {
	if browser.ctx != nil {
		_ = chromedp.Cancel(browser.ctx) // it ends, whatever it says
	}
	for _, cancel := range browser.cancel {
		cancel()
	}
}

// tab is a page in the browser. It notes what the browser complains of, and what the page asks for.
type tab struct {
	testing.TB

	ctx     context.Context
	allowed []string // parts of complaints that are wanted

	mu         sync.Mutex
	complaints []string
	requests   []string
}

// openTab opens a page at an address, in light colors and of an ordinary size. When the test ends,
// the browser must have complained of nothing, and the page have asked nobody else.
func openTab(tb testing.TB, url string) *tab {
	tb.Helper()
	ctx, cancel := chromedp.NewContext(startBrowser(tb))
	p := &tab{TB: tb, ctx: ctx}
	if err := chromedp.Listen(ctx, p.listen); err != nil {
		tb.Fatal("open a tab:", err)
	}
	tb.Cleanup(func() {
		p.check(url)
		cancel()
	})
	call(p, network.Enable, network.EnableParams{})
	call(p, log.Enable, cdp.Empty{})
	call(p, runtime.Enable, cdp.Empty{})
	call(p, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: helpers})
	p.run(chromedp.Navigate(url))
	return p
}

// helpers are what tests call in the page. Violations of its policy are counted there.
const helpers = `
window.violations = [];
document.addEventListener('securitypolicyviolation', (e) => window.violations.push(e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sourceFile));
window.scriptRan = false;
window.seen = (e) => e && e.isConnected && e.getClientRects().length > 0 && getComputedStyle(e).visibility !== 'hidden';
window.scope = () => document.querySelector('dialog[open]:last-of-type') || document;
window.named = (e) => (e.getAttribute('aria-label') || e.textContent || '').trim();
window.press = (name) => {
  const all = [...scope().querySelectorAll('button, a, summary')].filter((e) => seen(e) && !e.disabled);
  const found = all.find((e) => named(e) === name) || all.find((e) => named(e).startsWith(name));
  if (!found) return false;
  found.focus();
  found.click();
  return true;
};
window.fieldOf = (label) => {
  const found = [...scope().querySelectorAll('label')].find((e) => e.textContent.startsWith(label));
  return found && document.getElementById(found.htmlFor);
};
window.fill = (label, value) => {
  const e = fieldOf(label);
  if (!seen(e)) return false;
  e.focus();
  e.value = value;
  e.dispatchEvent(new Event('input', { bubbles: true }));
  e.dispatchEvent(new Event('change', { bubbles: true }));
  return true;
};
window.shows = (text) => document.body !== null && document.body.innerText.includes(text);
`

// listen notes what the browser tells.
func (p *tab) listen(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		p.complaints = append(p.complaints, "exception: "+fmt.Sprint(e.ExceptionDetails.Text, " ", describe(e.ExceptionDetails.Exception)))
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			p.complaints = append(p.complaints, "console: "+describe(e.Args...))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			p.complaints = append(p.complaints, fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL))
		}
	case *network.EventRequestWillBeSent:
		p.requests = append(p.requests, e.Request.URL)
	}
}

// check fails the test if anything was wrong with the page.
func (p *tab) check(url string) {
	violations := eval[[]string](p, `window.violations`)
	origin := strings.Join(strings.SplitN(url, "/", 4)[:3], "/") + "/"
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(violations) > 0 {
		p.Errorf("violations of the Content-Security-Policy: %q", violations)
	}
	for _, c := range p.complaints {
		if !containsAny(c, p.allowed) {
			p.Errorf("the browser complains: %s", c)
		}
	}
	for _, r := range p.requests {
		if !strings.HasPrefix(r, origin) {
			p.Errorf("the page has asked for %s", r)
		}
	}
}

func containsAny(text string, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

// describe is what values of the page are, for messages.
func describe(values ...*runtime.RemoteObject) string {
	var text []string
	for _, v := range values {
		if v != nil {
			text = append(text, strings.TrimSpace(string(v.Value)+" "+v.Description))
		}
	}
	return strings.Join(text, " ")
}

// run does something in the tab.
func (p *tab) run(steps ...chromedp.Action[chromedp.Void]) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, within)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.Fatalf("%v\nthe page:\n%s", err, p.text())
	}
}

// call sends a command of the protocol to the tab.
func call[P, R any](p *tab, command cdp.Command[P, R], params P) R {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, within)
	defer cancel()
	result, err := chromedp.Call(ctx, command, params)
	if err != nil {
		p.Fatalf("%s: %v\nthe page:\n%s", command.Method, err, p.text())
	}
	return result
}

// eval evaluates an expression in the page.
func eval[T any](p *tab, expression string, options ...chromedp.EvaluateOption) T {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, within)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, options...))
	if err != nil {
		p.Fatalf("%s: %v\nthe page:\n%s", expression, err, p.text())
	}
	return value
}

// text is what the page shows, for messages.
func (p *tab) text() string {
	ctx, cancel := context.WithTimeout(p.ctx, within)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body ? document.body.innerText : ''`))
	if err != nil {
		return err.Error()
	}
	return text
}

// await waits until an expression is true in the page.
func (p *tab) await(expression string) {
	p.Helper()
	eval[bool](p, fmt.Sprintf(`new Promise((resolve) => { (function look() { if (%s) resolve(true); else setTimeout(look, 20); })(); })`, expression), chromedp.EvalAwaitPromise)
}

// sees waits until the page shows some texts.
func (p *tab) sees(texts ...string) {
	p.Helper()
	for _, text := range texts {
		p.await(fmt.Sprintf("shows(%q)", text))
	}
}

// press waits for a button or link with a name, and presses it.
func (p *tab) press(name string) {
	p.Helper()
	p.await(fmt.Sprintf("press(%q)", name))
}

// fill waits for the field with a label, and fills it in.
func (p *tab) fill(label, value string) {
	p.Helper()
	p.await(fmt.Sprintf("fill(%q, %q)", label, value))
}

// visit goes to a place within the page.
func (p *tab) visit(hash string) {
	p.Helper()
	eval[string](p, fmt.Sprintf("location.hash = %q", hash))
}

// keys presses keys one after the other.
func (p *tab) keys(keys ...string) {
	p.Helper()
	for _, key := range keys {
		p.run(chromedp.KeyEvent(key))
	}
}

// types enters text where the focus is.
func (p *tab) types(text string) {
	p.Helper()
	call(p, input.InsertText, input.InsertTextParams{Text: text})
}

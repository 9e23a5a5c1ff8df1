package dashboard_test

import (
	"bytes"
	"flag"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

var update = flag.Bool("update", false, "write the screenshots in docs/img")

const (
	images   = "../../../docs/img"
	maxImage = 200 << 10
)

// shot is a screenshot of the documents.
type shot struct {
	name   string
	hash   string
	dark   bool
	narrow bool
	make   func(*tab) // what is done in the page before
}

var shots = []shot{
	{name: "groups", hash: "#/", make: func(p *tab) { p.sees("search-index", "shipping") }},
	{name: "groups-dark", hash: "#/", dark: true, make: func(p *tab) { p.sees("search-index", "shipping") }},
	{name: "group", hash: "#/groups/billing", make: func(p *tab) { p.sees("Subscriptions") }},
	{name: "group-dark", hash: "#/groups/billing", dark: true, make: func(p *tab) { p.sees("Subscriptions") }},
	{name: "letters", hash: "#/letters/billing?by=error", make: func(p *tab) { p.sees("no rate for the currency") }},
	{name: "letter-dark", hash: "#/letters/billing/billing%2Forders%401%2F17%2F1", dark: true, make: func(p *tab) {
		p.press("Show payload")
		p.sees("\"cents\": 17")
	}},
	{name: "drop", hash: "#/letters/billing?error=status+503", make: func(p *tab) {
		p.press("Drop all that match")
		p.sees("to confirm")
	}},
	{name: "narrow", hash: "#/", narrow: true, make: func(p *tab) { p.sees("search-index", "shipping") }},
}

// The screenshots of the documents are there and small; -update makes them.
func TestScreenshotsAreThere(t *testing.T) {
	if *update {
		takeScreenshots(t)
	}
	for _, s := range shots {
		data, err := os.ReadFile(filepath.Join(images, s.name+".png"))
		if err != nil {
			t.Errorf("%v: run go test ./worker/admin/dashboard -run Screenshots -update", err)
			continue
		}
		if _, err := png.DecodeConfig(bytes.NewReader(data)); err != nil || len(data) > maxImage {
			t.Errorf("%s has %d bytes, %v; want a PNG of %d at most", s.name, len(data), err, maxImage)
		}
	}
}

func takeScreenshots(t *testing.T) {
	t.Helper()
	r := scene(t, rigOptions{})
	must(t, os.MkdirAll(images, 0o755))
	for _, s := range shots {
		r.renewScene(t)
		p := openTab(t, r.url)
		p.look(s.dark, s.narrow)
		p.visit(s.hash)
		p.sees("Live")
		s.make(p)
		p.settle()
		must(t, os.WriteFile(filepath.Join(images, s.name+".png"), p.screenshot(t), 0o644))
	}
}

// look sets the colors and the size of the tab.
func (p *tab) look(dark, narrow bool) {
	p.Helper()
	scheme, width, height := "light", int64(1280), int64(860)
	if dark {
		scheme = "dark"
	}
	if narrow {
		width, height = 360, 760
	}
	call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
	call(p, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1})
}

// settle waits until what was changed is drawn.
func (p *tab) settle() {
	p.Helper()
	eval[bool](p, `new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(() => drawn(true))))`, chromedp.EvalAwaitPromise)
}

// screenshot is what the tab shows, as a small PNG.
func (p *tab) screenshot(tb testing.TB) []byte {
	tb.Helper()
	image, err := png.Decode(bytes.NewReader(call(p, page.CaptureScreenshot, page.CaptureScreenshotParams{}).Data))
	must(tb, err)
	var out bytes.Buffer
	must(tb, (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, image))
	return out.Bytes()
}

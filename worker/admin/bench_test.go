package admin

import (
	"net/url"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/deadletter"
)

// BenchmarkReplayPage reads a page of 1,000 events of 100,000, beside reading as many from the bus.
func BenchmarkReplayPage(b *testing.B) {
	r := newRig(b)
	publishNumbered(b, r, 100_000)
	reader, err := r.api.reader()
	must(b, err)
	var direct time.Duration
	for b.Loop() {
		if page := decode[EventPage](b, r.get(b, "/v1/replay?topic=order.placed&limit=1000&payload=1")); page.Count != 1000 {
			b.Fatal(page.Count)
		}
		b.StopTimer()
		begun, n := time.Now(), 0
		for _, err := range reader.Read(b.Context(), "order.placed", bus.Range{}) {
			must(b, err)
			if n++; n == 1000 {
				break
			}
		}
		direct += time.Since(begun)
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/page")
	b.ReportMetric(float64(direct)/float64(b.Elapsed()), "ratio")
}

// BenchmarkDeadLettersFirstPage lists the first page of 100,000 letters, with all of them selected
// and with the last one alone, beside the same without HTTP.
func BenchmarkDeadLettersFirstPage(b *testing.B) {
	r := newRig(b)
	r.makeStreams(b)
	publishLetters(b, r, 1, 100_000)
	topic, err := deadletter.OpenTopic(r.conns.Bus(), "dead.billing")
	must(b, err)
	for name, text := range map[string]string{"all": "", "last": "no rate for 100000"} {
		b.Run(name, func(b *testing.B) {
			var direct time.Duration
			for b.Loop() {
				a := r.get(b, "/v1/groups/billing/dead-letters?error="+url.QueryEscape(text))
				if page := decode[LetterPage](b, a); len(page.Letters) == 0 {
					b.Fatal(a.body)
				}
				b.StopTimer()
				begun := time.Now()
				_, err := topic.Page(b.Context(), deadletter.Filter{Group: "billing", Error: text}, bus.Position{}, 100)
				must(b, err)
				direct += time.Since(begun)
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/page")
			b.ReportMetric(float64(direct)/float64(b.Elapsed()), "ratio")
		})
	}
}

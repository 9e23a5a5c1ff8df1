package report

import (
	"cmp"
	"slices"
)

// mostTracks is how many kinds of spans have a row of their own above the plot.
const mostTracks = 8

const otherKinds = "other"

// track is a row above the plot, with the spans of a kind.
type track struct {
	Kind string
	Bars []bar
}

// bar is a span as it is drawn.
type bar struct {
	Title    string
	From, To string // in the square of the plot
}

// drawTracks returns a row for each kind of spans, in their order.
func (p *plot) drawTracks() (tracks []track) {
	index := make(map[string]int)
	for _, s := range p.spans {
		kind := cmp.Or(s.Kind, otherKinds)
		at, known := index[kind]
		switch {
		case known:
		case len(tracks) < mostTracks-1 || kind == otherKinds && len(tracks) < mostTracks:
			at = len(tracks)
			index[kind] = at
			tracks = append(tracks, track{Kind: kind})
		default:
			at, tracks = otherTrack(index, tracks)
		}
		tracks[at].Bars = append(tracks[at].Bars, p.drawBar(s))
	}
	return tracks
}

// otherTrack finds or adds the row of the kinds that have none.
func otherTrack(index map[string]int, tracks []track) (int, []track) {
	if at, ok := index[otherKinds]; ok {
		return at, tracks
	}
	index[otherKinds] = len(tracks)
	return len(tracks), append(tracks, track{Kind: otherKinds})
}

func (p *plot) drawBar(s Span) bar {
	title := cmp.Or(s.Label, s.Kind, "span") + ", " + p.formatX(s.From) + " s"
	if s.To > s.From {
		title += " to " + p.formatX(s.To) + " s"
	}
	return bar{Title: title, From: coordinate(p.x.at(s.From)), To: coordinate(p.x.at(s.To))}
}

// drawBands returns where any span is, as bands that do not overlap.
func (p *plot) drawBands() (bands []bar) {
	spans := slices.SortedFunc(slices.Values(p.spans), func(a, b Span) int { return cmp.Compare(a.From, b.From) })
	for len(spans) > 0 {
		band, next := spans[0], 1
		for next < len(spans) && spans[next].From <= band.To {
			band.To = max(band.To, spans[next].To)
			next++
		}
		bands = append(bands, p.drawBar(band))
		spans = spans[next:]
	}
	return bands
}

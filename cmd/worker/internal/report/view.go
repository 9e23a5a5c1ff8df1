package report

import (
	"fmt"
	"strconv"
	"strings"
)

// Heights in pixels. The width is that of the window.
const (
	plotHeight  = 240
	trackHeight = 22
	axisHeight  = 26 // below the plot, for labels
	trackGap    = 6  // between rows and plot
)

// chartView is a chart as the template writes it.
type chartView struct {
	*Chart

	ID                   string
	Description          string
	YLabel               string
	XLabel, XColumn      string
	XTicks, YTicks       []tickView
	Bands                []bar
	Tracks               []trackView
	Lines                []line
	ShowLegend, Empty    bool
	Data                 dataTable
	Height, PlotTop      int
	PlotHeight, XLabelsY int
	EmptyY               int
	Events               []spanView
}

// tickView is a tick as the template writes it.
type tickView struct {
	Label string
	Line  string // where its line is, in the square of the plot
	Place string // where its label is: percent of the width, or pixels from the top
	Odd   bool   // left out on a narrow screen
}

// trackView is a track as the template writes it: where its text and its bars are, in pixels.
type trackView struct {
	track

	TextY, Top, Bottom int
}

// spanView is a row of the table of spans.
type spanView struct{ From, To, Kind, Label string }

func newChartView(n int, c *Chart) *chartView {
	p := newPlot(c)
	v := &chartView{
		Chart: c, ID: "chart-" + strconv.Itoa(n+1), XLabel: p.xLabel(), Empty: p.empty,
		Bands: p.drawBands(), Data: p.tabulateData(), PlotHeight: plotHeight,
	}
	for i, s := range p.series {
		v.Lines = append(v.Lines, p.drawLine(i, s))
	}
	v.ShowLegend = len(v.Lines) > 1 || len(v.Lines) == 1 && v.Lines[0].Name != ""
	for i, t := range p.drawTracks() {
		top := i * trackHeight
		v.Tracks = append(v.Tracks, trackView{track: t, TextY: top + 11, Top: top + 14, Bottom: top + 20})
	}
	if len(v.Tracks) > 0 {
		v.PlotTop = len(v.Tracks)*trackHeight + trackGap
	}
	v.XColumn = v.XLabel
	if c.X == Elapsed {
		v.XColumn += " (s)"
	}
	v.YLabel = p.yLabel()
	v.EmptyY = v.PlotTop + plotHeight/2
	v.XLabelsY = v.PlotTop + plotHeight + 18
	v.Height = v.PlotTop + plotHeight + axisHeight
	v.XTicks, v.YTicks = p.viewXTicks(), p.viewYTicks(v.PlotTop)
	for _, s := range p.spans {
		v.Events = append(v.Events, spanView{p.formatX(s.From), p.formatX(s.To), s.Kind, s.Label})
	}
	v.Description = p.describe(v.Lines)
	return v
}

func (p *plot) viewXTicks() (views []tickView) {
	fit := 5 // labels on a narrow screen
	if p.chart.X == Percentile {
		fit = 7
	}
	for i, t := range p.x.ticks {
		at := p.x.at(t.value)
		views = append(views, tickView{
			Label: t.label, Line: coordinate(at), Odd: i%2 == 1 && len(p.x.ticks) > fit,
			Place: strconv.FormatFloat(at*100, 'f', 2, 64),
		})
	}
	return views
}

func (p *plot) viewYTicks(top int) (views []tickView) {
	for _, t := range p.y.ticks {
		below := 1 - p.y.at(t.value)
		views = append(views, tickView{
			Label: t.label, Line: coordinate(below),
			Place: strconv.FormatFloat(float64(top)+below*plotHeight, 'f', 1, 64),
		})
	}
	return views
}

// describe says what a chart shows, for those who do not see it.
func (p *plot) describe(lines []line) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Line chart over %s.", p.xLabel())
	if p.chart.LogY {
		b.WriteString(" The vertical axis is logarithmic.")
	}
	if p.empty {
		b.WriteString(" It has no data.")
	}
	for i, l := range lines {
		if l.Peak == "" {
			continue
		}
		fmt.Fprintf(&b, " %s: %s.", l.Name, p.formatInterval(rangeOf(p.series[i].Points)))
	}
	if n := len(p.spans); n > 0 {
		fmt.Fprintf(&b, " Marked: %d.", n)
	}
	return b.String()
}

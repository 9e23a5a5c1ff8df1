package report

import (
	"cmp"
	"maps"
	"math"
	"slices"
)

// mostRows is how many rows the table of a chart's data has at most, about.
const mostRows = 200

// dataTable is the data of a chart as a table, with a column for each series.
type dataTable struct {
	Grouped bool // a row has more than one X
	Rows    []dataRow
}

// dataRow has the values at an X, or at those from X on.
type dataRow struct {
	X     string
	Cells []string
}

// dataGroup collects the values of a row.
type dataGroup struct {
	x      float64
	values []interval // of each series
}

func (p *plot) tabulateData() dataTable {
	distinct := make(map[float64]bool)
	for _, s := range p.series {
		for _, at := range s.Points {
			distinct[at.X] = true
		}
	}
	t := dataTable{Grouped: len(distinct) > mostRows}
	key := func(x float64) float64 { return x }
	if t.Grouped {
		key = func(x float64) float64 { return math.Floor(p.x.at(x) * mostRows) }
	}
	groups := p.groupData(key)
	for _, g := range slices.SortedFunc(maps.Values(groups), func(a, b *dataGroup) int { return cmp.Compare(a.x, b.x) }) {
		t.Rows = append(t.Rows, p.formatGroup(g))
	}
	return t
}

// groupData groups the values of all series by the key of their X.
func (p *plot) groupData(key func(x float64) float64) map[float64]*dataGroup {
	groups := make(map[float64]*dataGroup)
	for n, s := range p.series {
		for _, at := range s.Points {
			g := groups[key(at.X)]
			if g == nil {
				g = &dataGroup{x: at.X, values: slices.Repeat([]interval{newInterval()}, len(p.series))}
				groups[key(at.X)] = g
			}
			g.x = min(g.x, at.X)
			if !math.IsNaN(at.Y) {
				g.values[n].include(at.Y)
			}
		}
	}
	return groups
}

func (p *plot) formatGroup(g *dataGroup) dataRow {
	row := dataRow{X: p.formatX(g.x)}
	for _, v := range g.values {
		row.Cells = append(row.Cells, p.formatInterval(v))
	}
	return row
}

// formatInterval writes a value, or the lowest and highest of several; nothing for none.
func (p *plot) formatInterval(v interval) string {
	if v.isEmpty() {
		return ""
	}
	low, high := p.chart.Unit.formatValue(v.low), p.chart.Unit.formatValue(v.high)
	if low == high {
		return low
	}
	return low + " to " + high
}

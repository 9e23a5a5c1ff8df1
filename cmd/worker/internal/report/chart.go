package report

// Chart is a plot of lines.
type Chart struct {
	Title string
	// Unit is what Y is in.
	Unit Unit
	// X is what X is. Default: Elapsed.
	X Axis
	// LogY makes the Y axis logarithmic. Values of zero and below are then drawn at its
	// lower end.
	LogY bool
	// Series are the lines. Their order decides their colours and dashes, which repeat after 56.
	Series []Series
	// Spans are what happened meanwhile, on charts over Elapsed: faults, for example. They are
	// marked in the plot, and shown above it with a row for each kind. On others they are left out.
	Spans []Span
}

// Axis is what the X of points is.
type Axis int

// The axes.
const (
	// Elapsed is the time since the start, in seconds. The axis begins at 0, or at the
	// first point before it.
	Elapsed Axis = iota
	// Percentile is a percentile from 0 to 100. The axis gives each further nine the same room: 90,
	// 99, 99.9 and so on. A point at 100 is the maximum, and has the end of the axis.
	Percentile
)

// Series is a line.
type Series struct {
	Name string
	// Points are drawn in the order of their X.
	Points []Point
}

// Point is a point of a line.
type Point struct {
	// X is in what Chart.X says. A point whose X is no finite number is left out.
	X float64
	// Y is in Chart.Unit. If it is no finite number, the line has a gap there.
	Y float64
}

// Span is something that lasted for a while.
type Span struct {
	// From and To are in seconds since the start. A span with To before From, or without an end
	// (infinite or NaN), lasts until the end of the chart. A span may have no length.
	From, To float64
	// Label says what it was: "worker-2 killed".
	Label string
	// Kind is what it has in common with others: "kill". There should be few.
	Kind string
}

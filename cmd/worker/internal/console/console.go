package console

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progressEvery is how long nothing is said, at most, where there is no terminal.
const progressEvery = 10 * time.Second

// Console reports how far a command is. It is for one goroutine.
type Console struct {
	o   Options
	bar *progressbar.ProgressBar // nil: it is no terminal

	begun, said time.Time // when it began, and when the latest line was written
}

// Options of New. All but Live are required.
type Options struct {
	// Output gets the lines and the bar. What cannot be written there is not reported.
	Output io.Writer
	// Command begins each line.
	Command string
	// Total is how many things there are.
	Total int
	// Bar is the name of the bar, such as "effects".
	Bar string
	// Done follows "N of TOTAL" in a line, such as "events have their effect".
	Done string
	// Live: the output is a terminal, and gets a bar.
	Live bool
}

// New returns a console that begins now.
func New(o Options) *Console {
	now := time.Now()
	c := &Console{o: o, begun: now, said: now}
	if o.Live {
		c.bar = progressbar.NewOptions(o.Total, progressbar.OptionSetWriter(o.Output), progressbar.OptionSetDescription(o.Bar),
			progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(false), progressbar.OptionThrottle(50*time.Millisecond),
			progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(40), progressbar.OptionSetElapsedTime(false))
	}
	return c
}

// PrintLine writes a line, above the bar.
func (c *Console) PrintLine(format string, args ...any) {
	c.said = time.Now()
	c.Clear()
	_, _ = fmt.Fprintf(c.o.Output, c.o.Command+": "+format+"\n", args...) // nobody else to tell
	if c.showsBar() {
		_ = c.bar.RenderBlank() // it is only decoration, here and below
	}
}

// ShowProgress shows how many things are done: on the bar, else by a line now and then.
func (c *Console) ShowProgress(done int) {
	if c.bar == nil && time.Since(c.said) >= progressEvery {
		c.PrintLine("%s of %s %s after %v", GroupDigits(done), GroupDigits(c.o.Total), c.o.Done, time.Since(c.begun).Round(time.Second))
	}
	if c.showsBar() {
		_ = c.bar.Set(done)
	}
}

func (c *Console) showsBar() bool { return c.bar != nil && !c.bar.IsFinished() }

// Clear removes the bar, until the next ShowProgress.
func (c *Console) Clear() {
	if c.showsBar() {
		_ = c.bar.Clear()
	}
}

// GroupDigits writes a number with a comma between thousands.
func GroupDigits(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

package exec

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
)

const (
	// maxAnswerBytes is how long a line of the command may be, in bytes.
	maxAnswerBytes = 64 << 10
	// maxKeptBuffer is how much memory is kept for what is written next, in bytes.
	maxKeptBuffer = 1 << 20
)

// writeEvents writes what is queued, all of it at once, until the child ends.
func (c *childProcess) writeEvents() {
	var buffer []byte
	for {
		select {
		case <-c.wake:
		case <-c.process.Ended():
			return
		}
		buffer = c.takeQueued(buffer[:0])
		if len(buffer) == 0 {
			continue
		}
		n, err := c.process.Write(buffer)
		c.written += int64(n)
		if err != nil {
			c.expectEnd(errors.New("it closed its standard input"))
			return
		}
		if cap(buffer) > maxKeptBuffer {
			buffer = nil
		}
	}
}

// takeQueued appends the queued lines to the buffer. What was forsaken before it was written
// stays unwritten.
func (c *childProcess) takeQueued(buffer []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	queued := slices.DeleteFunc(c.queue, func(d *streamDelivery) bool {
		if d.abandoned {
			delete(c.inFlight, d.number)
		}
		return d.abandoned
	})
	for i, d := range queued {
		index, size := placeInBatch(queued, i)
		d.writtenAt = c.written + int64(len(buffer))
		buffer = withDelivery(buffer, d.number, index, size, d.line)
		d.line = nil
	}
	clear(queued)
	c.queue = queued[:0]
	return buffer
}

// readAnswers reads answers until the command's output ends. One that breaks the protocol is told
// to end; what it still answers counts.
func (c *childProcess) readAnswers() {
	r := bufio.NewReaderSize(c.process, maxAnswerBytes)
	for {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			c.endForBreach(notAnAnswerError(line, fmt.Errorf("it is longer than %d bytes", maxAnswerBytes)))
			_, _ = io.Copy(io.Discard, r)
			return
		}
		line = bytes.TrimSpace(line)
		switch a, bad := parseAnswer(line); {
		case len(line) == 0:
		case bad == nil:
			c.handleAnswer(a)
		case err == nil: // else the line was not finished
			c.endForBreach(notAnAnswerError(line, bad))
		}
		if err != nil {
			return
		}
	}
}

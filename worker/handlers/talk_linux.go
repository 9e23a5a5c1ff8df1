package handlers

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

const (
	// longestAnswer is how long a line of the command may be, in bytes.
	longestAnswer = 64 << 10
	// keptBuffer is how much memory is kept for what is written next, in bytes.
	keptBuffer = 1 << 20
)

// write writes what is queued, all of it at once, until the child ends.
func (c *child) write() {
	var buffer []byte
	for {
		select {
		case <-c.wake:
		case <-c.process.Ended():
			return
		}
		buffer = c.take(buffer[:0])
		if len(buffer) == 0 {
			continue
		}
		n, err := c.process.Write(buffer)
		c.written += int64(n)
		if err != nil {
			c.expectEnd(errors.New("it closed its standard input"))
			return
		}
		if cap(buffer) > keptBuffer {
			buffer = nil
		}
	}
}

// take appends the queued lines to the buffer. What was forsaken before it was written
// stays unwritten.
func (c *child) take(buffer []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, d := range c.queue {
		c.queue[i] = nil
		if d.left {
			delete(c.inHand, d.number)
			continue
		}
		d.begins = c.written + int64(len(buffer))
		buffer = withDelivery(buffer, d.number, d.line)
		d.line = nil
	}
	c.queue = c.queue[:0]
	return buffer
}

// listen reads answers until the command's output ends. One that breaks the protocol is told to
// end; what it still answers counts.
func (c *child) listen() {
	r := bufio.NewReaderSize(c.process, longestAnswer)
	for {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			c.end(notAnAnswer(line, fmt.Errorf("it is longer than %d bytes", longestAnswer)))
			_, _ = io.Copy(io.Discard, r)
			return
		}
		line = bytes.TrimSpace(line)
		switch a, bad := parseAnswer(line); {
		case len(line) == 0:
		case bad == nil:
			c.answer(a)
		case err == nil: // else the line was not finished
			c.end(notAnAnswer(line, bad))
		}
		if err != nil {
			return
		}
	}
}

func notAnAnswer(line []byte, why error) error {
	const shown = 100
	start := bytes.ToValidUTF8(line[:min(len(line), shown)], []byte("?"))
	return fmt.Errorf("its standard output is for answers only, and this line is none (%w): %q: let it write all else to standard error", why, start)
}

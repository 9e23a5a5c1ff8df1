package handlers

import (
	"fmt"
)

// settle ends all deliveries of a child that has ended. Nobody reads or writes any more.
func (c *child) settle() {
	consumed := c.written - int64(c.process.Unread())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving = true
	why, missing := c.why(), c.cannotRun() != nil
	var blamed, others []*delivery
	for _, d := range c.inHand {
		switch {
		case d.begins >= consumed:
			d.ended <- outcome{fate: unread}
		case c.retired || missing, c.hung != nil && c.breach == nil && !d.late && !d.left:
			others = append(others, d)
		default:
			blamed = append(blamed, d)
		}
	}
	c.log(why, len(blamed)+len(others))
	for _, d := range others {
		d.ended <- outcome{fate: bystander, err: why}
	}
	guilt := suspect
	if len(blamed) == 1 {
		guilt = failed
	}
	for _, d := range blamed {
		c.stream.suspects.add(d.key)
		d.ended <- outcome{fate: guilt, err: why}
	}
	clear(c.inHand)
	clear(c.forsaken)
}

// why says how the child ended. The mutex is held.
func (c *child) why() error {
	exit := c.process.Exit()
	tail := exit.Tail
	if tail != "" {
		tail = ": " + tail
	}
	switch {
	case c.breach != nil:
		return fmt.Errorf("the command was stopped: %w%s", c.breach, tail)
	case c.hung != nil:
		return fmt.Errorf("the command was stopped because it did not answer: %w%s", c.hung, tail)
	}
	return fmt.Errorf("the command ended without an answer: %s%s%s", exit.How, meaningOfExit(&exit), tail)
}

// log tells of the end. The mutex is held.
func (c *child) log(why error, inHand int) {
	exit := c.process.Exit()
	switch {
	case c.retired, c.answered && inHand == 0 && exit.Code == 0:
		c.stream.log.Debug("the command has ended", "how", exit.How)
	default:
		c.stream.log.Warn("the command has ended, and is started again", "reason", why, "events_in_hand", inHand, "alone", c.alone)
	}
}

// cannotRun tells of a command that does not exist or cannot be executed: by its exit status, if it
// has never answered.
func (c *child) cannotRun() error {
	exit := c.process.Exit()
	if c.stream.answered.Load() {
		return nil
	}
	return cannotRun(&exit)
}

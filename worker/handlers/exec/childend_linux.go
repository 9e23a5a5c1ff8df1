package exec

import (
	"fmt"
)

// settleAll ends all deliveries of a child that has ended. Nobody reads or writes any more.
func (c *childProcess) settleAll() {
	consumed := c.written - int64(c.process.Unread())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving = true
	why, missing := c.endReason(), c.cannotRunError() != nil
	var blamed, others []*streamDelivery
	for _, d := range c.inFlight {
		switch {
		case d.writtenAt >= consumed:
			d.ended <- deliveryOutcome{fate: fateUnread}
		case c.retired || missing, c.hungCause != nil && c.breachCause == nil && !d.pastRunLimit && !d.abandoned:
			others = append(others, d)
		default:
			blamed = append(blamed, d)
		}
	}
	c.logEnd(why, len(blamed)+len(others))
	for _, d := range others {
		d.ended <- deliveryOutcome{fate: fateBystander, err: why}
	}
	guilt := fateSuspect
	if len(blamed) == 1 {
		guilt = fateFailed
	}
	for _, d := range blamed {
		c.stream.suspects.addKey(d.key)
		d.ended <- deliveryOutcome{fate: guilt, err: why}
	}
	clear(c.inFlight)
	clear(c.abandoned)
}

// endReason says how the child ended. The mutex is held.
func (c *childProcess) endReason() error {
	exit := c.process.Exit()
	tail := exit.Tail
	if tail != "" {
		tail = ": " + tail
	}
	switch {
	case c.breachCause != nil:
		return fmt.Errorf("the command was stopped: %w%s", c.breachCause, tail)
	case c.hungCause != nil:
		return fmt.Errorf("the command was stopped because it did not answer: %w%s", c.hungCause, tail)
	}
	return fmt.Errorf("the command ended without an answer: %s%s%s", exit.How, meaningOfExit(&exit), tail)
}

// logEnd tells of the end. The mutex is held.
func (c *childProcess) logEnd(why error, inHand int) {
	exit := c.process.Exit()
	switch {
	case c.retired, c.answered && inHand == 0 && exit.Code == 0:
		c.stream.log.Debug("the command has ended", "how", exit.How)
	default:
		c.stream.log.Warn("the command has ended, and is started again", "reason", why, "events_in_hand", inHand, "alone", c.alone)
	}
}

// cannotRunError tells of a command that does not exist or cannot be executed: by its exit status,
// if it has never answered.
func (c *childProcess) cannotRunError() error {
	exit := c.process.Exit()
	if c.stream.answered.Load() {
		return nil
	}
	return cannotRunError(&exit)
}

package schema

import "fmt"

// Away is what becomes of events whose schemas are not known because the store could not be read.
type Away int

const (
	// Retry is the default. A Publisher publishes nothing: Receipts are bus.ErrUnavailable. A
	// Middleware returns consumer.Unavailable: the event is run later.
	Retry Away = iota
	// Pass lets events through unchecked.
	Pass
	// Refuse treats events as if they violated a schema.
	Refuse
)

var awayNames = [...]string{Retry: "retry", Pass: "pass", Refuse: "refuse"}

// String is "retry", "pass" or "refuse".
func (a Away) String() string {
	if a < Retry || a > Refuse {
		return fmt.Sprintf("Away(%d)", int(a))
	}
	return awayNames[a]
}

func (a Away) validate() error {
	if a < Retry || a > Refuse {
		return fmt.Errorf("%w: Away is %d: it must be Retry, Pass or Refuse", ErrInvalid, int(a))
	}
	return nil
}

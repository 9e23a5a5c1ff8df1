package bench

import (
	"fmt"
	"strings"
)

// checkRuns is ErrBroken if an event is missing, or was handled twice where no bus may deliver it
// again.
func (m *measurement) checkRuns(t *tally) error {
	var missing, repeated []string
	for i, n := range t.Runs {
		switch {
		case n == 0:
			missing = append(missing, m.cell.eventID(i))
		case n > 1 && m.cell.Stage == StageExactlyOnce && !m.cell.isBaseline():
			repeated = append(repeated, m.cell.eventID(i))
		}
	}
	if len(missing)+len(repeated) == 0 {
		return nil
	}
	return fmt.Errorf("%w: of %d events %d are missing%s, and %d were handled more than once%s",
		ErrBroken, len(t.Runs), len(missing), examples(missing), len(repeated), examples(repeated))
}

// examples names the first ones.
func examples(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return " (" + strings.Join(ids[:min(len(ids), 5)], ", ") + ")"
}

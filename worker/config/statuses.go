package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	httphandler "github.com/onceish/onceish/worker/handlers/http"
)

// meaningNames are what a status may say about an event.
func meaningNames() (names []string) {
	for _, m := range httphandler.Meanings() {
		names = append(names, string(m))
	}
	return names
}

// statusesField are what statuses mean, or ranges of them: "401-405=permanent, 409=done".
func statusesField[S any](name string, at func(*S) *map[int]httphandler.Meaning) *scalarField[S, map[int]httphandler.Meaning] {
	l := newScalarField(name, "statuses", "statuses and what they mean, such as 401-405=permanent, 409=done", at, parseStatuses, formatStatuses)
	one := `[2-5][0-9]{2}( *- *[2-5][0-9]{2})? *= *(` + strings.Join(meaningNames(), "|") + `)`
	l.jsonShape["pattern"] = `^ *` + one + `( *, *` + one + `)* *$`
	return l
}

func parseStatuses(s string) (map[int]httphandler.Meaning, error) {
	all := make(map[int]httphandler.Meaning)
	for part := range strings.SplitSeq(s, ",") {
		which, meaning, found := strings.Cut(part, "=")
		meaning = strings.TrimSpace(meaning)
		from, to, isRange := strings.Cut(which, "-")
		if !isRange {
			to = from
		}
		first, firstErr := strconv.Atoi(strings.TrimSpace(from))
		last, lastErr := strconv.Atoi(strings.TrimSpace(to))
		switch {
		case !found, firstErr != nil, lastErr != nil:
			return nil, fmt.Errorf("%s is no status with its meaning: write 404=permanent, or 401-405=permanent", quoteShort(strings.TrimSpace(part)))
		case first < 200 || last > 599 || first > last:
			return nil, fmt.Errorf("%s is no status, and no range of them: they are from 200 to 599", quoteShort(strings.TrimSpace(which)))
		case !slices.Contains(meaningNames(), meaning):
			return nil, fmt.Errorf("%s is none of %s%s", quoteShort(meaning), orList(meaningNames()), didYouMean(meaning, meaningNames()))
		}
		for status := first; status <= last; status++ {
			if _, twice := all[status]; twice {
				return nil, fmt.Errorf("%d is there twice: remove one", status)
			}
			all[status] = httphandler.Meaning(meaning)
		}
	}
	return all, nil
}

func formatStatuses(all map[int]httphandler.Meaning) string {
	parts := make([]string, 0, len(all))
	for _, status := range slices.Sorted(maps.Keys(all)) {
		parts = append(parts, fmt.Sprintf("%d=%s", status, all[status]))
	}
	return strings.Join(parts, ", ")
}

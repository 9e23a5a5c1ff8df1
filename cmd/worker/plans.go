package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/worker"
)

// ownedPartitions are those that a member owns, such as "0-3,7", with their topics if there are
// several.
func ownedPartitions(m *group.Member) string {
	var all []string
	topics := 0
	for _, s := range m.Subscriptions {
		if strings.HasPrefix(s.Order, "partitions:") {
			topics++
		}
	}
	for _, s := range m.Subscriptions {
		switch owned := compactNumbers(s.Partitions); {
		case owned == "":
		case topics > 1:
			all = append(all, s.Topic+":"+owned)
		default:
			all = append(all, owned)
		}
	}
	if len(all) == 0 {
		return "-"
	}
	return strings.Join(all, " ")
}

// compactNumbers writes sorted numbers with ranges of those that follow each other.
func compactNumbers(numbers []int) string {
	var parts []string
	for from := 0; from < len(numbers); {
		to := from
		for to+1 < len(numbers) && numbers[to+1] == numbers[to]+1 {
			to++
		}
		part := strconv.Itoa(numbers[from])
		if to > from {
			part += "-" + strconv.Itoa(numbers[to])
		}
		parts, from = append(parts, part), to+1
	}
	return strings.Join(parts, ",")
}

// printPlans prints who owns which partition of each topic.
func printPlans(stdout io.Writer, g *worker.GroupStatus) error {
	if len(g.Plans) == 0 {
		return nil
	}
	names := memberNames(g.Members)
	t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "\nTOPIC\tPARTITION\tOWNER\tNEXT\tSINCE") // Flush tells of what fails
	for i := range g.Plans {
		p := &g.Plans[i]
		if p.Unreadable != "" {
			_, _ = fmt.Fprintf(t, "%s\tits plan cannot be read: %s\n", visibleText(p.Topic), visibleText(p.Unreadable))
		}
		for _, o := range p.Partitions {
			since := "-"
			if !o.Since.IsZero() {
				since = g.Now.Sub(o.Since).Round(time.Second).String()
			}
			_, _ = fmt.Fprintf(t, "%s\t%d of %d\t%s\t%s\t%s\n", visibleText(p.Topic), o.Number, p.Of, names.of(o.Owner), names.of(o.Next), since)
		}
	}
	return t.Flush()
}

// namesByID are how people know the members.
type namesByID map[string]string

func memberNames(members []group.Member) namesByID {
	names := make(namesByID, len(members))
	for i := range members {
		m := &members[i]
		names[m.ID] = fmt.Sprintf("%s:%d", m.Host, m.PID)
		if m.Name != "" {
			names[m.ID] = m.Name
		}
	}
	return names
}

// of is a member for people. One that is gone has only its id.
func (n namesByID) of(id string) string {
	switch name, alive := n[id]; {
	case id == "":
		return "-"
	case !alive:
		return visibleText(id) + " (gone)"
	default:
		return visibleText(name)
	}
}

package chaos

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/onceish/onceish/bus"
)

// DefaultData is the template of an event's data where a Deployment has none.
const DefaultData = `{"id":"{{.ID}}","n":{{.N}}}`

// payload is a template of data. It may use the fields of payloadValues.
type payload struct{ *template.Template }

// payloadValues are what a template may say of its event: its id, its key, its topic, and its
// number from 1.
type payloadValues struct {
	ID, Key, Topic string
	N              int
}

// readPayloads parses the templates, and tries each with an event of each topic.
func (d *deployed) readPayloads() error {
	texts := d.Data
	if len(texts) == 0 {
		texts = []string{DefaultData}
	}
	for i, text := range texts {
		t, err := template.New("data").Option("missingkey=error").Parse(text)
		if err != nil {
			return fmt.Errorf("--data, template %d: %w: {{.ID}}, {{.Key}}, {{.Topic}} and {{.N}} stand for an event's own", i+1, err)
		}
		p := payload{t}
		for j := range d.targets {
			e := bus.Event{ID: "chaos-1", Key: "key-1", Topic: d.targets[j].topic}
			data, err := p.fill(payloadValues{ID: e.ID, Key: e.Key, Topic: e.Topic, N: 1})
			if err != nil {
				return fmt.Errorf("--data, template %d: %w: {{.ID}}, {{.Key}}, {{.Topic}} and {{.N}} stand for an event's own", i+1, err)
			}
			e.Data = []byte(data)
			if err := d.checkIdentity(d.sources[j], e); err != nil {
				return err
			}
		}
		d.payloads = append(d.payloads, p)
	}
	return nil
}

func (p payload) fill(v payloadValues) (string, error) {
	var b strings.Builder
	err := p.Execute(&b, v)
	return b.String(), err
}

// fillMessages gives the events ids that no earlier run had, for handlers may remember them, and
// data.
func (d *deployed) fillMessages(p *eventPlan, prefix string) error {
	numbers := make(map[string]int, len(p.ids))
	for i, id := range p.ids {
		numbers[id] = i + 1
	}
	for i := range p.messages {
		m := &p.messages[i]
		n := numbers[m.id]
		m.id = eventID(prefix, n)
		var err error
		if m.data, err = d.payloads[(n-1)%len(d.payloads)].fill(payloadValues{ID: m.id, Key: m.key, Topic: m.topic, N: n}); err != nil {
			return fmt.Errorf("--data: %w", err)
		}
	}
	p.ids = slices.Clone(p.ids)
	for i := range p.ids {
		p.ids[i] = eventID(prefix, i+1)
	}
	return nil
}

func eventID(prefix string, n int) string { return prefix + "-" + strconv.Itoa(n) }

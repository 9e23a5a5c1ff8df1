package dashboard

import (
	"bytes"
	"encoding/json"
)

// object is a value of JSON.
type object = map[string]any

// dataSource is the one that the variable of the dashboard chooses.
var dataSource = object{"type": "prometheus", "uid": "${datasource}"}

// panelHeight is that of all panels but numbers, in Grafana's units.
const (
	panelHeight = 8
	statHeight  = 4
	gridWidth   = 24
)

// Render returns the dashboard as Grafana imports it.
func Render() ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	err := e.Encode(object{
		"uid": "onceish", "title": "Onceish", "tags": []string{"onceish", "nats"}, "editable": true, "schemaVersion": 39,
		"description": "Workers, their groups, stores and outboxes: see docs/observability.md.",
		"refresh":     "30s", "time": object{"from": "now-3h", "to": "now"}, "timezone": "browser",
		"templating": object{"list": variables()}, "panels": layOut(rows()),
		"annotations": object{"list": []object{}}, "links": []object{{
			"title": "Runbook", "type": "link", "icon": "doc", "targetBlank": true, "tags": []string{}, "tooltip": "", "asDropdown": false, "includeVars": false,
			"keepTime": false, "url": "https://github.com/onceish/onceish/blob/main/docs/operations.md",
		}},
	})
	return out.Bytes(), err
}

func variables() []object {
	byLabel := func(name, expr string) object {
		return object{
			"name": name, "label": name, "type": "query", "datasource": dataSource, "refresh": 2, "includeAll": true, "multi": true, "allValue": ".*", "sort": 1,
			"query": expr, "current": object{"text": "All", "value": "$__all"},
		}
	}
	return []object{
		{"name": "datasource", "label": "data source", "type": "datasource", "query": "prometheus"},
		byLabel("group", "label_values(onceish_members, group)"),
		byLabel("topic", `label_values(onceish_lag_events{group=~"$group"}, topic)`),
	}
}

// layOut places panels from left to right, and below each other.
func layOut(rows []row) (out []object) {
	id, y := 0, 0
	for _, r := range rows {
		id++
		out = append(out, object{
			"id": id, "type": "row", "title": r.title, "collapsed": false, "panels": []object{},
			"gridPos": object{"x": 0, "y": y, "w": gridWidth, "h": 1},
		})
		y++
		x, height := 0, 0
		for _, p := range r.panels {
			if x+p.width > gridWidth {
				x, y = 0, y+height
			}
			height = p.height()
			id++
			out = append(out, p.render(id, x, y))
			x += p.width
		}
		y += height
	}
	return out
}

func (p *panel) height() int {
	if p.kind == "stat" {
		return statHeight
	}
	return panelHeight
}

func (p *panel) render(id, x, y int) object {
	targets := make([]object, len(p.queries))
	for i, q := range p.queries {
		targets[i] = object{"refId": string(rune('A' + i)), "datasource": dataSource, "expr": q.expr, "legendFormat": q.legend}
	}
	steps := []object{{"color": "green", "value": nil}}
	if p.red > 0 {
		steps = append(steps, object{"color": "red", "value": p.red})
	}
	defaults := object{"unit": p.unit, "thresholds": object{"mode": "absolute", "steps": steps}}
	if !p.signed {
		defaults["min"] = 0
	}
	if p.stacked {
		defaults["custom"] = object{"stacking": object{"mode": "normal", "group": "A"}, "fillOpacity": 20}
	}
	return object{
		"id": id, "type": p.kind, "title": p.title, "description": p.describes, "datasource": dataSource, "targets": targets,
		"gridPos":     object{"x": x, "y": y, "w": p.width, "h": p.height()},
		"fieldConfig": object{"defaults": defaults, "overrides": []object{}},
		"options":     p.options(),
	}
}

func (p *panel) options() object {
	if p.kind == "stat" {
		return object{"colorMode": "value", "reduceOptions": object{"calcs": []string{"lastNotNull"}}}
	}
	return object{"legend": object{"displayMode": "list", "placement": "bottom", "showLegend": true}, "tooltip": object{"mode": "multi", "sort": "desc"}}
}

// Package dashboard makes the Grafana dashboard for workers. Its panels are in panels.go. The test
// of package deploy compares it with grafana/onceish.json, which "go test . -update" writes.
package dashboard

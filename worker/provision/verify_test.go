package provision_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/onceish/onceish/internal/testing/natstest"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/provision"
)

func (s *site) verify(file string) string {
	s.Helper()
	var log bytes.Buffer
	must(s, provision.Verify(s.Context(), s.conns, s.parse(file), "worker provision", slog.New(slog.NewTextHandler(&log, nil))))
	return log.String()
}

// A worker warns of what the file says otherwise, an item at a time, and changes nothing.
func TestAWorkerWarnsOfWhatDiffers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if log := s.verify(subscription); log != "" {
		t.Errorf("without a section: %s", log)
	}
	log := s.verify(whole)
	if strings.Count(log, "\n") != 1 || !strings.Contains(log, "run worker provision") || !strings.Contains(log, "name=ORDERS") {
		t.Errorf("a stream is missing, and buckets that the worker makes: %s", log)
	}
	if all := s.messages(); len(all) > 0 {
		t.Errorf("it has made %v", all)
	}
	s.apply(whole)
	if log := s.verify(whole); log != "" {
		t.Errorf("all is as it is to be: %s", log)
	}
	log = s.verify(strings.Replace(strings.Replace(whole, "7d", "8d", 1), "1MiB", "2MiB", 1))
	if strings.Count(log, "level=WARN") != 2 || !strings.Contains(log, `max_age="7d -> 8d"`) || !strings.Contains(log, `name=onceish-members max_bytes="1MiB -> 2MiB"`) {
		t.Error(log)
	}
	if c := s.config("ORDERS"); c.MaxAge.Hours() != 7*24 {
		t.Errorf("it was changed: %+v", c)
	}
}

// Where missing streams are made, those of the file are made as it says, and not from their topics.
func TestAWorkerThatMakesStreamsMakesThoseOfTheFile(t *testing.T) {
	t.Parallel()
	url := natstest.Start(t, nil).URL()
	s := siteAt(t, url, "")
	conns, err := worker.Connect(t.Context(), &worker.ConnectOptions{NATS: url, Provision: true, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	defer func() { must(t, conns.Close()) }()
	s.conns = conns
	if log := s.verify(whole); strings.Contains(log, "WARN") {
		t.Error(log)
	}
	if c := s.config("ORDERS"); c.MaxBytes != 1<<30 {
		t.Errorf("%+v", c)
	}
}

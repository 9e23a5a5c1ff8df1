package config

import (
	"testing"

	"github.com/onceish/onceish/worker/handlers"
)

func TestMeaningsAreThoseThatTheHandlerTakes(t *testing.T) {
	t.Parallel()
	ours := statusMeanings()
	for i, m := range handlers.Meanings() {
		if i >= len(ours) || ours[i] != string(m) {
			t.Errorf("%v, and the handler takes %v", ours, handlers.Meanings())
		}
	}
}

package bench

import (
	"errors"
	"testing"

	"github.com/onceish/onceish/bus"
)

// TestAnswerThatIsNotSentFailsTheBench: its event is not counted as acked.
func TestAnswerThatIsNotSentFailsTheBench(t *testing.T) {
	t.Parallel()
	w := &benchWorker{recorder: newRecorder(&cell{Events: 1})}
	o := &markObserver{worker: w, marked: 1}
	closed := errors.New("the connection is closed")
	o.ObserveAnswer(bus.Position{Sequence: 1}, closed)
	if !errors.Is(w.failure(), closed) || w.answers.Load() != 0 || w.done.Load() != 0 {
		t.Errorf("%v; %d answers, %d events done", w.failure(), w.answers.Load(), w.done.Load())
	}
}

package simulation

import (
	"context"
	"fmt"
	"testing"
)

func TestZZ(t *testing.T) {
	w, _ := newWorld(*seedFlag, Options{})
	w.publishAll()
	for i := range w.sc.workers {
		w.spawn(i)
	}
	w.faults.on = true
	w.run(w.sc.faulty)
	w.faults.end(w)
	w.run(w.elapsed + 60e9*5)
	fmt.Printf("%+v\n", w.sc.protocol)
	fmt.Println("maxunsettled", w.sc.maxUnsettled, "publishings", w.publishings)
	for _, l := range w.workers {
		info, err := l.src.Info(context.Background())
		fmt.Printf("%s over=%v lost=%v %+v %v %+v\n", l.id, l.over, l.cursorLost, info, err, l.m.Stats())
		for k, o := range l.order.keys {
			for _, h := range o.inFlight {
				fmt.Println(" inflight", k, h.d.At.Sequence, w.journal.of(&h.d.Event).name)
			}
		}
	}
}

package breaker

import (
	"math"
	"time"
)

// window is what was measured of the runs under one limit.
type window struct {
	successes, failures int
	took, squares       float64 // the seconds that each run took, and their squares, in all
	beside              int     // how many were inside when each began, in all
}

func (w *window) add(took time.Duration, beside int, failed bool) {
	w.took += took.Seconds()
	w.squares += took.Seconds() * took.Seconds()
	w.beside += beside
	if failed {
		w.failures++
	} else {
		w.successes++
	}
}

func (w *window) runs() int { return w.successes + w.failures }

// enough reports whether the window is as long as a comparison needs: at least minRuns, eight times
// the limit so that most of them began beside others of the same limit, and more the more their
// times vary, up to maxRuns.
func (w *window) enough(limit int) bool {
	const minRuns, maxRuns, precision = 100, 2000, 800
	need := float64(max(minRuns, 8*limit))
	if mean := w.took / float64(w.runs()); mean > 0 {
		variance := w.squares/float64(w.runs())/(mean*mean) - 1 // of the time as a share of the mean
		need = max(need, min(precision*variance, maxRuns))
	}
	return float64(w.runs()) >= need
}

// cost is how many seconds of runs there were for each success, those of the failures included.
func (w *window) cost() float64 { return w.took / float64(w.successes) }

// growth compares what runs cost under a lower and an upper limit. It is 0 if they cost the same,
// and the receiver could do more; 1 if the cost has grown like the concurrency, and the receiver
// can do no more. It is NaN if the concurrency was about the same, for too few runs started.
func growth(lower, upper window) float64 {
	const most = 1.5
	if upper.failures > upper.successes {
		return most
	}
	concurrency := (float64(upper.beside) / float64(upper.runs())) / (float64(lower.beside) / float64(lower.runs()))
	cost := upper.cost() / lower.cost()
	if concurrency < 1.1 || math.IsNaN(cost) || cost <= 0 {
		return math.NaN()
	}
	return min(max(math.Log(cost)/math.Log(concurrency), -most), most)
}

package breaker

import (
	"math"
	"time"
)

// window is what was measured of the runs under one limit.
type window struct {
	successes, failures int
	succeeded, failed   time.Duration // how long they took in all
	squares             float64       // of the seconds that each success took, in all
	beside              int           // how many were inside when each began, in all
}

func (w *window) add(took time.Duration, beside int, failed bool) {
	w.beside += beside
	if failed {
		w.failures++
		w.failed += took
		return
	}
	w.successes++
	w.succeeded += took
	w.squares += took.Seconds() * took.Seconds()
}

func (w *window) runs() int { return w.successes + w.failures }

// enough reports whether the window is as long as a comparison needs: at least minRuns, eight times
// the limit so that most of them began beside others of the same limit, and more the more their
// times vary, up to maxRuns.
func (w *window) enough(limit int) bool {
	const minRuns, maxRuns, precision = 100, 2000, 800
	need := float64(max(minRuns, 8*limit))
	if n := float64(w.successes); n > 0 && w.succeeded > 0 {
		mean := w.succeeded.Seconds() / n
		variance := w.squares/n/(mean*mean) - 1 // of the time as a share of the mean
		need = max(need, min(precision*variance, maxRuns))
	}
	return float64(w.runs()) >= need
}

// cost is how long a success takes, in seconds, with its share of the failures. A failure takes at
// least twice as long as a success: one that is refused at once is no sign of a quick receiver.
func (w *window) cost() float64 {
	n, took := float64(w.successes), w.succeeded.Seconds()
	return (took + max(w.failed.Seconds(), 2*float64(w.failures)*took/n)) / n
}

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
